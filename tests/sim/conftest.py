"""What the tests of imaginary worlds share."""

import pytest


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes started from here are not measured for coverage.

    They repeat, many times over, what the test's own process does once; measuring them would
    take three times as long and show nothing new.
    """
    for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
        monkeypatch.delenv(name, raising=False)
