"""Orthanc for tests, where it is installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clinics.clinic import NotHere
from clinics.orthanc import Orthanc, orthanc, program


@contextmanager
def an_orthanc(folder: Path, *, title: str = "ORTHANC", **options: object) -> Iterator[Orthanc]:
    """One that is up, or the test is skipped."""
    try:
        program()
    except NotHere as reason:
        pytest.skip(str(reason))
    with orthanc(folder, title=title, options=options) as found:
        yield found
