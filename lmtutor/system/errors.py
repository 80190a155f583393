"""The errors that the package raises, and the hint for a mistyped name."""

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches


class LMTutorError(ValueError):
    """Something the user gave cannot be used. The message is one line: what, where, what to do."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.splitlines()))  # a name that was given may hold line breaks


class Diverged(LMTutorError):
    """The loss became NaN, infinite, or worse than guessing."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the tail of an error message about an unknown name: the nearest names, then all of them."""
    known = sorted(known)
    close = get_close_matches(name, known, n=3, cutoff=0.5)
    guess = f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
    return f"{guess} Known: {', '.join(known)}."


def one_of(kind: str, name: object, known: Collection[str]) -> str:
    """Return a name that is known; `LMTutorError` with the nearest ones where it is not."""
    if not isinstance(name, str) or name not in known:
        raise LMTutorError(f"Unknown {kind} {name!r:.200}.{nearest(str(name), known)}")
    return name


def refuse(problems: Mapping[str, object]) -> None:
    """Raise `LMTutorError` with the first words whose condition holds: for what does not go together."""
    for words, wrong in problems.items():
        if wrong:
            raise LMTutorError(f"{words}.")
