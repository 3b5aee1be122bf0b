"""The one exception that bad input raises, and the line it carries."""

import difflib
import numbers
import re
from collections.abc import Iterable


class InputError(ValueError):
    """Input that cannot be used; the message is one line: what is wrong and what to do.

    Command lines print the line and exit with code 2; library callers catch a `ValueError`.
    """

    def __init__(self, message: object):
        """Keep the message on one line and printable, whatever names were put into it."""
        line = " ".join(str(message).split())
        super().__init__(line.encode(errors="backslashreplace").decode())


def nearest(name: str, options: Iterable[str]) -> str:
    """Return a hint naming the option closest to `name`, then all options.

    >>> nearest("adm", ["sgd", "adam"])
    'did you mean "adam"? (one of: adam, sgd)'
    >>> nearest("xyz", ["sgd", "adam"])
    'give one of: adam, sgd'
    """
    options = sorted(options)
    listed = f"one of: {', '.join(options)}"
    close = difflib.get_close_matches(name, options, n=9, cutoff=0.5)
    close.sort(key=lambda option: sorted(option) != sorted(name))  # "adma" is adam, not adamax
    return f'did you mean "{close[0]}"? ({listed})' if close else f"give {listed}"


def check_choice(what: str, value: object, options: Iterable[str]) -> None:
    """Refuse what is none of the options; the `InputError` is `what` and the `nearest` of them."""
    options = list(options)
    if value not in options:
        raise InputError(f"{what}: {nearest(str(value), options)}")


def check_count(name: str, value: object, most: int = 10**6, least: int = 1) -> None:
    """Refuse what is no whole number in the range; the `InputError` names the argument."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or not least <= value <= most:
        raise InputError(f"{name}={short(value)}: give a whole number from {least} to {most}")


def short(value: object) -> str:
    """Return a value's repr on one line of at most 60 characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def written(value: object) -> str:
    """Return a value as one would write it: functions by name, and the same in every process.

    >>> written((len, {"b", "a"}))
    "(len, {'a', 'b'})"
    """
    if isinstance(value, tuple | list | set | frozenset) and type(value).__repr__ in _REPRS:
        parts = [written(one) for one in value]
        if isinstance(value, set | frozenset):
            return f"{{{', '.join(sorted(parts))}}}"
        text = ", ".join(parts)
        return f"[{text}]" if isinstance(value, list) else f"({text}{',' * (len(parts) == 1)})"
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


_REPRS = {one.__repr__ for one in (tuple, list, set, frozenset)}
