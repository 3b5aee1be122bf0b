"""`emnist-jax predict` under the name that a clone knows."""

from emnist_jax.cli.main import main

if __name__ == "__main__":
    main("predict")
