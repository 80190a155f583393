"""Is the gradient right? Compare it with the slope that the loss itself shows. Chapters 02 and 03."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmtutor.system.errors import LMTutorError


@dataclass(frozen=True)
class GradientCheck:
    """The largest relative error of each parameter's gradient, and the verdict."""

    errors: dict[str, float]  # by parameter name
    tolerance: float  # the largest error that counts as right

    @property
    def worst(self) -> float:
        """The largest relative error of all."""
        return max(self.errors.values())

    @property
    def wrong(self) -> list[str]:
        """The parameters whose gradient is off, the worst first."""
        off = [name for name, error in self.errors.items() if error > self.tolerance]
        return sorted(off, key=lambda name: -self.errors[name])

    def __str__(self) -> str:
        lines = [
            f"{name:<6} {error:8.1e}  {'WRONG' if error > self.tolerance else 'ok'}"
            for name, error in self.errors.items()
        ]
        return "\n".join(lines)


def check_gradients(
    loss: Callable[[], float],
    params: dict[str, NDArray],
    grads: dict[str, NDArray],
    *,
    step: float = 1e-3,
    tolerance: float = 1e-6,
    entries: int | None = None,
    seed: int = 1,
) -> GradientCheck:
    """Compare gradients with finite differences.

    Each number θ of each parameter is moved a little, and the loss computed again:

        dL/dθ ≈ (8 (L(θ+s) − L(θ−s)) − (L(θ+2s) − L(θ−2s))) / 12 s

    Two pairs of points instead of one make the error of the formula shrink with s⁴, not s²: s can then be large
    enough that rounding does not matter. The error of an entry is relative to the larger of the two slopes, or, for
    slopes that are almost nothing, to a ten-thousandth of the parameter's largest.

    Parameters
    ----------
    loss : callable
        Computes the loss with the current `params`.
    params : dict of float64 arrays
        Moved in place, and put back.
    grads : dict of arrays
        What `backward` says, by the same names.
    step : float
        How far a number is moved: s in the formula.
    tolerance : float
        Largest relative error that counts as right.
    entries : int, optional
        Check only so many entries of each parameter, chosen by `seed`; None checks all.

    Returns
    -------
    GradientCheck

    Raises
    ------
    LMTutorError
        When a parameter is not float64.
    """
    errors = {}
    rng = np.random.default_rng(seed)
    for name, theta in params.items():
        if theta.dtype != np.float64:
            raise LMTutorError(f"check_gradients: {name} is {theta.dtype}; use float64, float32 is too coarse.")
        places = list(np.ndindex(theta.shape))
        if entries is not None and entries < len(places):
            places = [places[i] for i in rng.choice(len(places), entries, replace=False)]
        slopes = np.array([_slope(loss, theta, place, step) for place in places])
        claimed = np.array([grads[name][place] for place in places])
        errors[name] = _largest_error(slopes, claimed)
    return GradientCheck(errors, tolerance)


def _largest_error(slopes: NDArray, claimed: NDArray) -> float:
    """Return the largest relative error of one parameter's slopes."""
    size = np.maximum(np.abs(slopes), np.abs(claimed))
    floor = max(1e-4 * size.max(), 1e-12)
    return float((np.abs(slopes - claimed) / np.maximum(size, floor)).max())


def _slope(loss: Callable[[], float], theta: NDArray, place: tuple[int, ...], step: float) -> float:
    """Return dL/dθ at one place, from four losses."""
    value = theta[place]

    def at(steps: int) -> float:
        theta[place] = value + steps * step
        return loss()

    slope = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
    theta[place] = value
    return slope
