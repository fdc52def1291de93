"""Functions that are compiled each by itself, and find each other by name.

Where a compiled function calls another, numba copies that one's code, and all that it calls, into
its own, and optimizes all of it once more: a program of 130 functions that stand on one another
takes minutes so (measured: 100 s of a processor, against 9). So these are C functions of words, on
a memory of words, and each is a symbol that the others are linked with when they are loaded.

The price is that nothing else can be handed over: an argument is a whole number, often an index
into the memory. And nothing is checked there: an index that is wrong reads what lies there. Where
numba is told to compile nothing (NUMBA_DISABLE_JIT) they are Python, on an array that does check.
"""

import ctypes
import dis
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, cast

import llvmlite.binding as llvm
import numba
import numpy as np
import numpy.typing as npt
from numba import types

from meshpacs_sim.kernel.compiled import config, keeping

P = ParamSpec("P")
R = TypeVar("R")

Words = npt.NDArray[np.int64]


class Memory(Protocol):
    """Words by place, as these functions see them."""

    def __getitem__(self, place: int, /) -> int: ...
    def __setitem__(self, place: int, word: int, /) -> None: ...


_WORD: Any = types.int64
_MEMORY: Any = cast("Any", types).CPointer(_WORD)
_RETURNS = {None: types.void, int: types.int64, bool: types.int64}

_written: dict[str, tuple[Callable[..., Any], Any]] = {}
"""By symbol: what is to be compiled, and as what."""

_built: dict[str, Any] = {}
"""By symbol: what has been, kept because its machine code lives as long as this."""


def apart(function: Callable[P, R]) -> Callable[P, R]:
    """A function of a memory and of whole numbers; compiled when `entry` is first called."""
    if config.DISABLE_JIT:
        return function
    kinds = dict(function.__annotations__)
    returned = _RETURNS[kinds.pop("return")]
    signature = returned(_MEMORY, *[_WORD] * (len(kinds) - 1))
    symbol = f"{function.__module__}.{function.__name__}"
    _written[symbol] = function, signature
    return cast("Callable[P, R]", types.ExternalFunction(symbol, signature))


def entry(function: Callable[..., Any]) -> Callable[..., int]:
    """One of these functions, to be called from Python with a memory and whole numbers."""
    if config.DISABLE_JIT:
        return function
    compiled = _build(cast("Any", function).symbol)

    def call(memory: Words, *numbers: int) -> int:
        words = memory.ctypes.data_as(ctypes.POINTER(ctypes.c_int64))
        return int(compiled.ctypes(words, *numbers))

    return call


def _build(symbol: str) -> Any:
    """Compile this one after all that it calls, or load what was kept.

    After these, because the linker wants to know where they are.
    """
    if symbol not in _built:
        function, signature = _written[symbol]
        for called in _calls(function):
            _build(called)
        with keeping(function):
            made = numba.cfunc(signature, cache=True, error_model="numpy")(function)
        llvm.add_symbol(symbol, made.address)
        _built[symbol] = made
    return _built[symbol]


def _calls(function: Callable[..., Any]) -> list[str]:
    """Symbols of the functions that this one names, by itself or as one of another room's."""
    named: list[Any] = []
    for step in dis.get_instructions(function):
        if step.opname == "LOAD_GLOBAL":
            named.append(function.__globals__.get(step.argval))
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            named.append(getattr(named[-1], step.argval))
    return [one.symbol for one in named if isinstance(one, types.ExternalFunction)]
