"""`emnist-jax sweep` under the name that a clone knows; results go to OUT/sweep."""

import sys

from emnist_jax.cli.main import main

if __name__ == "__main__":
    named = {"--name", "--config"} & {word.partition("=")[0] for word in sys.argv}
    main("sweep", *([] if named else ["--name", "sweep"]))
