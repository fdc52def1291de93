"""Scenarios that come with the program, to begin with."""

from pathlib import Path

from meshpacs.model.errors import LocalFault
from meshpacs_sim.lab.scenario import Scenario

_HOME = Path(__file__).parents[1]

PLACES = (_HOME / "scenarios", _HOME.parent / "scenarios")
"""In an installed wheel, and in a clone."""

PLANS = (_HOME / "plans", _HOME.parent / "plans")
"""The same, of plans."""


def names() -> tuple[str, ...]:
    """Of all of them, sorted."""
    found = (file.stem for place in PLACES for file in place.glob("*.toml"))
    return tuple(sorted(dict.fromkeys(found)))


def place_of(name: str) -> Path:
    """The file of one.

    Raises:
        LocalFault: there is none of this name.
    """
    for place in PLACES:
        file = place / f"{name}.toml"
        if file.is_file():
            return file
    raise LocalFault(f"No scenario {name} comes with it.", f"There are {', '.join(names())}.")


def about(name: str) -> str:
    """Its first sentence."""
    text = " ".join(Scenario.load(place_of(name)).about.split())
    return text.partition(". ")[0].rstrip(".") + "."


def plan_place() -> Path:
    """The file of the plan of clinics that comes with it."""
    return next(file for place in PLANS if (file := place / "clinics.toml").is_file())
