"""The one way in which functions are compiled here."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile on first use and keep the machine code beside the file.

    Not fast-math: a sum must not depend on the processor. Integer arithmetic wraps, as in C.
    """
    return numba.njit(cache=True, nogil=True)(function)
