"""Options of all commands: a dataclass in, its values out; what is wrong is one line, code 2.

tyro splits the words and prints help. Values are read here, so that a wrong one is an `InputError`
that names its option.
"""

import io
import os
import shlex
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro

from emnist_jax import hosts
from emnist_jax._setup import start_jax
from emnist_jax.console import flush, show
from emnist_jax.errors import InputError, check_choice, nearest

T = TypeVar("T")


def option(
    kind: Any, otherwise: str = "", metavar: str | None = None, help: str | None = None
) -> Any:
    """Return an option's type with what stands for None, if anything, in its help.

    The help itself is the string below the field, unless it is given here.
    """
    hint = f"(default: {otherwise})" if otherwise else None
    return Annotated[kind, tyro.conf.arg(help=help, metavar=metavar, help_behavior_hint=hint)]


@dataclass(frozen=True)
class _Protocol:
    data: str = "glyphs"
    """glyphs (drawn), a TensorFlow Datasets name (emnist/balanced), a path of IDX files, images"""
    split: Literal["paper", "official"] = "paper"
    """paper: all images pooled and split again; official: the source's own test part"""
    size: option(int | None, "all", "INT") = None
    """use a fixed random subset of so many images in all (glyphs: draw so many)"""
    epochs: int = 10
    """passes over the training images"""
    batch_size: int = 50
    """images a minibatch"""
    out: Path = Path("runs")
    """folder of results; what was interrupted there is resumed, what is complete is skipped"""


@dataclass(frozen=True)
class Running:
    """Options that change no result: what to begin again and to keep, trials at once, hosts."""

    overwrite: bool = False
    """begin again, whatever is there"""
    keep_state: bool = False
    """keep the final states too, so that more epochs can go on from there"""
    trials_at_once: option(int | None, "as many as suit the devices", "INT") = None
    """trials trained together"""
    coordinator: option(str | None, "none", "HOST:PORT") = None
    """to use several hosts, give the same command on each: with auto under SLURM, Open MPI,
    Kubernetes or on a Cloud TPU, or with HOST:PORT of process 0 and the next two options"""
    processes: option(int | None, "as many as auto finds", "INT") = None
    """number of hosts, each with one process"""
    process: option(int | None, "as auto finds", "INT") = None
    """which of them this is: 0, 1, ...; process 0 reads and writes the results"""


@dataclass(frozen=True)
class Options(Running, _Protocol):
    """Options of every command that trains."""


def parse(
    options: type[T],
    prog: str,
    description: str,
    args: Sequence[str] | None = None,
    context: str = "",
) -> T:
    """Return the options of a command line (default: of this process); --help prints and exits.

    `options` is a dataclass with a default for every field: int, float, str, bool, Path, Literal,
    one of these or None, a tuple of any number of one of these, or a dataclass (a group in the
    help). `prog` is the command as help and messages name it; `context` is added to the message
    about an unknown option, which is an `InputError` as an invalid value is.
    """
    args = sys.argv[1:] if args is None else args
    chosen, rest = parse_known(options, prog, description, args)
    for word in rest:
        name = word.partition("=")[0]
        if not name.startswith("-"):
            raise InputError(f'unexpected "{word}": it belongs to no option; see {prog} --help')
        raise InputError(f'no option "{name}"{context}: {nearest(name, flags(options))}')
    return chosen


def parse_known(
    options: type[T], prog: str, description: str, args: Sequence[str], add_help: bool = True
) -> tuple[T, list[str]]:
    """Return the options, and the words that belong to none of them; see `parse`."""
    try:
        with redirect_stderr(io.StringIO()):  # where tyro draws what is wrong
            how = {"prog": prog, "description": description, "args": args, "add_help": add_help}
            chosen, rest = tyro.cli(options, return_unknown_args=True, registry=_WORDS, **how)
    except SystemExit as stopped:
        if not stopped.code:
            raise
        raise InputError(f"{_missing(options, args)}; see {prog} --help") from None
    return _read_all(chosen), rest


class _Words(tuple):
    """The words of an option, yet to be read."""


_WORDS = tyro.constructors.ConstructorRegistry()
_NAMES = {int: "INT", float: "FLOAT", str: "TEXT", Path: "PATH"}
_KINDS = {int: "a whole number", float: "a number", str: "a value", Path: "a path"}


@_WORDS.primitive_rule
def _keep_words(info: tyro.constructors.PrimitiveTypeInfo):
    """Have tyro pass words on as they are: what it refuses ends the process in a drawn box."""
    several, kind = _kind(info.type)
    if kind not in _NAMES and get_origin(kind) is not Literal:
        return None  # switches, and groups of options
    name = _NAMES.get(kind) or f"{{{','.join(get_args(kind))}}}"
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs="*" if several else 1,
        metavar=f"{name} ..." if several else name,
        # An optional positional before an unknown option comes as an empty list.
        instance_from_str=lambda words: _Words(word for word in words if word),
        is_instance=lambda _: True,
        str_from_instance=lambda value: [*map(_text, (value or ()) if several else (value,))],
    )


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _kind(hint: object) -> tuple[bool, object]:
    """Return whether a type is a tuple of any length, and the type of one value."""
    if get_origin(hint) is Annotated:
        return _kind(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):  # X | None
        return _kind(next(one for one in get_args(hint) if one is not type(None)))
    if get_origin(hint) is tuple:
        return True, _kind(get_args(hint)[0])[1]
    return False, hint


def _members(options: type) -> Iterator[tuple[str, object]]:
    """Yield the name and the type of all fields, those of groups included."""
    for name, hint in get_type_hints(options, include_extras=True).items():
        bare = _kind(hint)[1]
        if is_dataclass(bare):
            yield from _members(bare)
        else:
            yield name, hint


def flags(options: type) -> list[str]:
    """Return the options that are not positional, as on a command line."""
    # What `Positional` marks is no public object of tyro.
    return [flag(name) for name, hint in _members(options) if "Positional" not in str(hint)]


def flag(name: str) -> str:
    """Return the option that sets a field."""
    return "--" + name.replace("_", "-")


def _read_all(options: T) -> T:
    """Return options with their words read as their types."""
    hints = get_type_hints(type(options))
    read = {}
    for one in fields(options):
        value = getattr(options, one.name)
        if isinstance(value, _Words):
            none = list(value) == ["None"] and type(None) in get_args(hints[one.name])
            read[one.name] = None if none else _read(flag(one.name), *_kind(hints[one.name]), value)
        elif is_dataclass(value):
            read[one.name] = _read_all(value)
    return replace(options, **read)


def _read(name: str, several: bool, kind: object, words: Sequence[str]) -> object:
    values = tuple(_read_one(name, kind, word) for word in words)
    return values if several else next(iter(values), None)


def _read_one(name: str, kind: object, word: str) -> object:
    if get_origin(kind) is Literal:
        check_choice(f'{name} "{word}"', word, get_args(kind))
        return word
    if kind is Path:
        return Path(word).expanduser()
    try:
        return kind(word)
    except ValueError:
        raise InputError(f'{name} "{word}": give {_KINDS[kind]}') from None


def _missing(options: type, args: Sequence[str]) -> str:
    """Return which option lacks its value: the one thing that tyro itself refuses."""
    kinds = {flag(name): _kind(hint) for name, hint in _members(options)}
    for word, following in zip(args, [*args[1:], "--"], strict=True):
        several, kind = kinds.get(word.replace("_", "-"), (True, None))
        if following.startswith("-") and not several and kind is not bool:
            hint = f"give {_KINDS[kind]}" if kind in _KINDS else nearest("", get_args(kind))
            return f"{word}: {hint}"
    return "an option lacks its value"


def start(options: Running) -> None:
    """Start JAX, with the other hosts that the options name, if any; the first one alone prints.

    Hosts that cannot be reached, or a JAX that finds no device are an `InputError`.
    """
    given = options.coordinator, options.processes, options.process
    if given != (None, None, None):
        if given[0] is None:
            raise InputError("--processes and --process need --coordinator HOST:PORT, or auto")
        hosts.connect(*given)
    start_jax()
    if not hosts.is_first():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (until the process ends)


def guarded(command: Callable[[], object]) -> None:
    """Call a command: bad input is one line and exit code 2, a stopped run prints how to go on.

    A lost host is one line and exit code 1. What cannot be printed (a closed pipe, a full disk,
    characters that the encoding lacks) is left out.
    """
    with suppress(AttributeError):  # no stdout, or one that a test puts there
        sys.stdout.reconfigure(errors="replace")
    try:
        command()
    except BrokenPipeError:  # nobody reads on, as in `... --help | head -1`
        hosts.leave(1)
    except InputError as error:
        show(f"error: {error}", error=True)
        hosts.leave(2)
    except hosts.LostHostError as error:
        show(f"error: {error}; {hosts.AGAIN}", error=True)
        hosts.leave(1, wait_seconds=0)
    except KeyboardInterrupt as stopped:
        saved = f" ({stopped})" if str(stopped) else ""
        show(f"\nstopped{saved}; to go on from here: {_again()}", error=True)
        hosts.leave(130)
    finally:
        flush()


def _again() -> str:
    """Return the command that goes on with this one."""
    words = [word for word in sys.orig_argv[1:] if word != "--overwrite"]
    if words and Path(words[0]).stem == "emnist-jax":
        return shlex.join(["emnist-jax", *words[1:]])
    return shlex.join(["python", *words])
