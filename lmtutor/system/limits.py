"""What a value that comes from outside must be: written down as data, and checked where it enters."""

import math
import re
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

from lmtutor.system.errors import LMTutorError


class Limit(NamedTuple):
    """What a value must be."""

    shape: Any  # see `fits`
    words: str  # the same, for the error


def whole(low: int, high: float = math.inf) -> Limit:
    """An integer from `low` to `high`."""
    ends = f"of at least {low}" if high == math.inf else f"from {low} to {high:,}"
    return Limit(lambda value: _is_number(value, Integral) and low <= value <= high, f"an integer {ends}")


def number(low: float, high: float = math.inf) -> Limit:
    """A finite number from `low` to `high`."""
    ends = f"of at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
    return Limit(lambda value: _is_number(value) and low <= value <= high and value < math.inf, f"a number {ends}")


def optional(limit: Limit) -> Limit:
    """The same, or None."""
    return Limit((None, limit.shape), limit.words)


def _is_number(value: object, kind: type = Real) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


MOST = 2**31 - 1
COUNT = whole(0, MOST)
SHARE = Limit(lambda value: _is_number(value) and 0 <= value < 1, "a share, at least 0 and below 1")
POSITIVE = Limit(lambda value: _is_number(value) and 0 < value < math.inf, "a positive number")


def expect(values: Mapping[str, Any], limits: Mapping[str, Limit]) -> None:
    """Raise `LMTutorError` for the first value outside its limit; several names, with spaces between, may share one."""
    for names, (shape, words) in limits.items():
        for name in names.split():
            if not fits(values[name], shape):
                raise LMTutorError(f"{name} must be {words} (got {values[name]!r:.200}).")


def fits(value: Any, shape: Any) -> bool:
    """Whether a value that was read has a shape.

    A shape is a type (True is no `int`), a pattern for a string, a test, a value, `[shape]` for a list of any length,
    `{key: shape}` for a table that has at least these keys, `{str: shape}` for one of any keys, `(shape, shape)` for
    either.
    """
    if isinstance(shape, tuple):
        return any(fits(value, one) for one in shape)
    if isinstance(shape, list) and shape:
        return isinstance(value, list) and all(fits(item, shape[0]) for item in value)
    if isinstance(shape, dict):
        wanted = dict.fromkeys(value, shape[str]) if str in shape and isinstance(value, dict) else shape
        return isinstance(value, dict) and all(fits(value.get(key), one) for key, one in wanted.items())
    if isinstance(shape, re.Pattern):
        return isinstance(value, str) and bool(shape.fullmatch(value))
    if callable(shape):
        return type(value) is shape if isinstance(shape, type) else bool(shape(value))
    return value == shape
