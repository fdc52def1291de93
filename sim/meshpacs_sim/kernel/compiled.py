"""The one way in which functions are compiled here, and where their machine code is kept.

numba takes kept code for good as long as the function's own file has its time and size. A function
that it calls, or a constant, may come from another file that has changed; and a new version of
this package may change one file and not the other. So code is kept in a folder that is named by
the digest of the file and of everything of ours that it imports.
"""

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from time import time
from typing import Any, ParamSpec, TypeVar

import numba
from numba.core import config as numba_config
from platformdirs import user_cache_path

config: Any = numba_config  # which makes its names as it reads the environment

P = ParamSpec("P")
R = TypeVar("R")

KEPT_S = 30 * 24 * 3600
"""Machine code that nobody has used for so long is removed. A guess."""

_IMPORTS = re.compile(r"^\s*from (meshpacs[\w.]*) import(?=[\s(]+([\w\s,]+))", re.MULTILINE)
"""Of our own packages things are imported in this way alone."""


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile on first use and keep the machine code for the next process.

    Not fast-math: a sum must not depend on the processor. Integer arithmetic wraps, as in C.
    """
    with keeping(function):
        return numba.njit(cache=True, nogil=True)(function)


@contextmanager
def keeping(function: Callable[..., Any]) -> Iterator[None]:
    """While this function is handed to numba: its machine code is kept where it belongs."""
    before = config.CACHE_DIR
    try:
        # Looked at while a function is wrapped, and at no other time.
        config.CACHE_DIR = str(_folder(Path(function.__code__.co_filename)))
        yield
    finally:
        config.CACHE_DIR = before


@cache
def _folder(source: Path) -> Path:
    """Where the machine code of this file's functions is kept."""
    folder = _home() / digest(source)[:16]
    if folder.exists():
        os.utime(folder)
    return folder


@cache
def _home() -> Path:
    """All such folders' folder; what is old is swept out of it."""
    home = Path(config.CACHE_DIR or user_cache_path("meshpacs") / "compiled")
    for folder in home.iterdir() if home.is_dir() else ():
        if time() - folder.stat().st_mtime > KEPT_S:
            shutil.rmtree(folder, ignore_errors=True)
    return home


def digest(source: Path) -> str:
    """Of a file and all of our own that it imports, however far away: 64 hexadecimal digits."""
    reached, left = {source: source.read_bytes()}, [source]
    while left:
        for path in _imported(reached[left.pop()].decode()):
            if path not in reached:
                reached[path] = path.read_bytes()
                left.append(path)
    hashes = sorted(hashlib.sha256(content).hexdigest() for content in reached.values())
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


@cache
def _imported(text: str) -> tuple[Path, ...]:
    return tuple(_files(text))


def _files(text: str) -> Iterator[Path]:
    for package, names in _IMPORTS.findall(text):
        for name in (package, *(f"{package}.{each}" for each in re.findall(r"\w+", names))):
            top, *rest = name.split(".")
            if top not in sys.modules:  # imported for types alone
                continue
            path = Path(str(sys.modules[top].__file__)).parent.joinpath(*rest)
            for candidate in (path.with_suffix(".py"), path / "__init__.py"):
                if candidate.is_file():
                    yield candidate
