"""`python -m experiments`: what there is to run, a line each."""

import ast
import sys
from pathlib import Path

from emnist_jax.cli.options import guarded
from emnist_jax.console import show
from emnist_jax.errors import InputError, nearest


def main() -> None:
    """Print the modules; a name after them is refused with the command that runs it."""
    paths = sorted(Path(__file__).parent.glob("[!_]*.py"))
    texts = {path.stem: path.read_text("utf-8") for path in paths}
    modules = {
        name: ast.get_docstring(ast.parse(text))
        for name, text in texts.items()
        if "__main__" in text
    }
    for word in sys.argv[1:2]:
        if word in modules:
            raise InputError(f"the command is python -m experiments.{word}")
        if not word.startswith("-"):
            raise InputError(f'no experiment "{word}": {nearest(word, modules)}')
    for name, about in modules.items():
        show(f"{name:{max(map(len, modules))}}  {about.partition(chr(10))[0]}")
    show("\nRun one by python -m experiments.NAME; each has --help.")


if __name__ == "__main__":
    guarded(main)
