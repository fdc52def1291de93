"""One target under libFuzzer, in a process of its own: see `campaigns/fuzz.py`, which starts it.

python scripts/garbage/fuzzed.py codec CORPUS -max_total_time=60 ...
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))
with atheris.instrument_imports(include=["meshpacs"]):
    from garbage.targets import TARGETS


def main() -> None:
    """Until libFuzzer ends."""
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
