"""The bench of the DICOM door, tried out with few instances."""

from pathlib import Path

import pytest

from benches import dimse
from benches.ground import Ground
from clinics.toolkit import lacking


@pytest.mark.timeout(240)
def test_each_transfer_is_measured_beside_orthanc_and_the_disk(tmp_path: Path) -> None:
    if lacking() or not dimse.has_orthanc():
        pytest.skip("DCMTK or Orthanc is not installed")
    ground = Ground(tmp_path, quick=True, rounds=1, seed=1, say=lambda _: None)
    figures = {figure.name: figure for figure in dimse.transfers(ground)}
    assert sum(figure.goal is not None for figure in figures.values()) == 9
    for name, figure in figures.items():
        (value,) = figure.values
        assert value > 0
        if name.endswith(": node : Orthanc"):
            what = name.removesuffix(" : Orthanc")
            other = figures[what.removesuffix("node") + "Orthanc"]
            assert value == pytest.approx(figures[what].median / other.median)
    assert not list(tmp_path.iterdir()), "it leaves nothing behind"
