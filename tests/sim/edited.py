"""Bugs to plant: the project's own source with one place changed."""

import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def edited(function: Callable[..., Any], old: str, new: str) -> Callable[..., Any]:
    """This function as it would be had somebody written `new` where `old` stands, once."""
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {function}"
    scope = dict(vars(inspect.getmodule(function)))
    exec(compile(source.replace(old, new), "<planted>", "exec"), scope)
    made: Callable[..., Any] = scope[function.__name__]
    return made
