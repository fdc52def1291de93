"""Kept machine code is never older than what it was made of."""

import os
import subprocess
import sys
from pathlib import Path

ASKED = "from meshpacs_sim.kernel import two; print(two.double(20))"


def said(packages: Path, kept: Path) -> str:
    """What a process of its own finds, with the packages in this folder."""
    environment = {
        **os.environ, "PYTHONPATH": str(packages), "NUMBA_CACHE_DIR": str(kept),
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", ASKED], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_function_is_compiled_anew_when_a_constant_in_another_file_has_changed(
    tmp_path: Path,
) -> None:
    here = Path(__file__).parents[3] / "sim" / "meshpacs_sim" / "kernel" / "compiled.py"
    kernel = tmp_path / "packages" / "meshpacs_sim" / "kernel"
    kernel.mkdir(parents=True)
    for folder in (kernel.parent, kernel):
        (folder / "__init__.py").touch()
    (kernel / "compiled.py").write_bytes(here.read_bytes())
    (kernel / "one.py").write_text("FACTOR = 2\n")
    (kernel / "two.py").write_text(
        "from meshpacs_sim.kernel.compiled import compiled\n"
        "from meshpacs_sim.kernel.one import (\n    FACTOR,\n)\n\n"
        "@compiled\ndef double(number):\n    return FACTOR * number\n"
    )
    packages, kept = tmp_path / "packages", tmp_path / "kept"
    assert said(packages, kept) == "40"
    assert len(list(kept.iterdir())) == 1
    assert said(packages, kept) == "40"
    assert len(list(kept.iterdir())) == 1
    (kernel / "one.py").write_text("FACTOR = 3\n")
    assert said(packages, kept) == "60"


def test_code_that_nobody_has_used_for_a_month_is_swept_out(tmp_path: Path) -> None:
    old, young = tmp_path / "old", tmp_path / "young"
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (0, 0))
    ask = "from meshpacs_sim.kernel import rounds"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    subprocess.run([sys.executable, "-c", ask], env=environment, check=True)
    assert young.exists()
    assert not old.exists()
