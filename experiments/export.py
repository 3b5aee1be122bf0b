"""`emnist-jax export` under the name that a clone knows."""

from emnist_jax.cli.main import main

if __name__ == "__main__":
    main("export")
