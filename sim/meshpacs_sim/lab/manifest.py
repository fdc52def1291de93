"""The manifest beside the results: what made them, where and when."""

import json
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import meshpacs
from meshpacs_sim.lab.scenario import Scenario

FILE = "manifest.json"

PACKAGES = ("numpy", "numba", "scipy", "pyarrow", "msgpack", "msgspec")
"""Whose versions may show in results."""

GIT_S = 5
"""How long git may take to name a commit."""


def code() -> dict[str, str]:
    """Which program this is: results of another are not mixed with its own."""
    return {"version": meshpacs.__version__, "git": commit_of(Path(__file__).parents[3])}


def machine() -> dict[str, Any]:
    """Where it runs."""
    import os

    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


@dataclass(frozen=True, slots=True)
class Span:
    """When a run began and how long it took, by the machine's clocks."""

    started: datetime
    took_s: float


def manifest(scenario: Scenario, span: Span, *, interrupted: bool, queries: int) -> dict[str, Any]:
    """What is written beside the results of one run."""
    return {
        "name": scenario.name,
        "digest": scenario.digest,
        "seed": scenario.seed,
        "code": code(),
        "queries": queries,
        "interrupted": interrupted,
        "started": span.started.astimezone(UTC).isoformat(timespec="seconds"),
        "took_s": round(span.took_s, 3),
        "machine": machine(),
        "inputs": scenario.inputs,
        "scenario": scenario.text,
    }


def written(manifest: dict[str, Any]) -> bytes:
    """As it lies in a file."""
    return json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n"


def read(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder; None if there is none that can be read."""
    try:
        told = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@cache
def commit_of(clone: Path) -> str:
    """The commit of our own clone, with a + if files differ from it; empty anywhere else.

    An installed package may lie in somebody else's repository, whose commits say nothing of it.
    """
    if not (clone / "sim" / "meshpacs_sim").is_dir() or not (clone / ".git").exists():
        return ""
    words = ["git", "-C", str(clone), "describe", "--always", "--abbrev=40", "--dirty=+"]
    try:
        told = subprocess.run(  # noqa: S603 - git of the PATH, fixed words
            words, capture_output=True, text=True, timeout=GIT_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.strip() if told.returncode == 0 else ""
