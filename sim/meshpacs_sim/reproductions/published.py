"""What others have written: `sim/published/NAME.toml`, one file for each reproduction."""

import tomllib
from pathlib import Path
from typing import Literal

import msgspec

import meshpacs_sim
from meshpacs.model.errors import LocalFault


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a value comes from."""

    cite: str
    reading: Literal["read", "recomputed"]
    """`read`: the text was read for this; `recomputed`: the value follows from a formula that is
    known, and was computed here."""
    link: str = ""


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file."""

    title: str
    claim: str
    """What is to be found again, in a sentence or two."""
    sources: tuple[Source, ...]
    values: dict[str, float] = {}
    """Numbers that were taken from the text, by name."""


def published(name: str) -> Published:
    """The file of this reproduction, in a wheel inside the package, in the project beside it.

    Raises:
        LocalFault: it is not there, or not as it must be.
    """
    package = Path(meshpacs_sim.__file__).parent
    inside = package / "published" / f"{name}.toml"
    path = inside if inside.exists() else package.parent / "published" / f"{name}.toml"
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Published)
    except (OSError, ValueError, msgspec.ValidationError) as fault:
        raise LocalFault(f"{path}: {fault}", "Install meshpacs again.") from fault
