"""The console command `emnist-jax`: its subcommands, each a module of this folder."""

import sys
from collections.abc import Sequence
from importlib import import_module

from emnist_jax.cli.options import guarded, parse
from emnist_jax.console import show
from emnist_jax.errors import InputError, nearest

COMMANDS = {
    "sweep": "train every setting of a grid with every seed: any rule, model and data",
    "compare": "which rule is better, tuned alike on the same seeds, and how sure that is",
    "join": "make one run of runs trained apart",
    "predict": "read pictures with the networks of a run",
    "export": "write the curves of a run for other programs",
}


def main(*first: str) -> None:
    """Run the command line of this process, after the words `first`."""
    guarded(lambda: run([*first, *sys.argv[1:]]))


def run(words: Sequence[str]) -> None:
    """Run the subcommand that the first word names with the others; without any, list them."""
    name, *args = words or ("--help",)
    if name in ("-h", "--help"):
        show("usage: emnist-jax COMMAND [options]\n")
        for command, about in COMMANDS.items():
            show(f"  {command:10}{about}")
        show("\nEach has --help.")
    elif name not in COMMANDS:
        raise InputError(f'no command "{name}": {nearest(name, COMMANDS)}')
    elif name == "sweep":  # whose options depend on the rule and the model
        import_module("emnist_jax.cli.sweep").command(args)
    else:
        module = import_module(f"emnist_jax.cli.{name}")
        module.run(parse(module.Options, f"emnist-jax {name}", module.__doc__, args))


if __name__ == "__main__":
    main()
