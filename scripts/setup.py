"""`scripts/setup` for machines without bash: makes .venv and installs meshpacs into it."""

import subprocess
import sys
import venv
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
FOLDER = PROJECT / ".venv"


def main() -> int:
    """Make the folder, install, and say where the program is."""
    if sys.version_info < (3, 11):  # noqa: UP036 - a person may start this with any Python
        print("meshpacs needs Python 3.11 or newer.", file=sys.stderr)
        return 1
    programs = FOLDER / ("Scripts" if sys.platform == "win32" else "bin")
    python = programs / ("python.exe" if sys.platform == "win32" else "python")
    if not python.exists():
        venv.create(FOLDER, with_pip=True)
    constraints = PROJECT / "scripts" / "constraints.txt"
    install = ["-m", "pip", "install", "-q", "-c", str(constraints), "-e", f"{PROJECT}[dev]"]
    subprocess.run([str(python), *install], check=True)
    print(f"ready: {programs / 'meshpacs'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
