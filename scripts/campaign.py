"""Tries to break what must hold, again and again, and counts.

    scripts/campaign NAME --help         what it does, and how long it takes
    scripts/campaign NAME [--seed N]     fight it
    scripts/campaign NAME --keep         leaves homes and logs in its folder, which it names

Each prints its seed, its counts and its verdict, exits 1 if anything was not as it should be, and
leaves nothing behind. Where the machine does not allow it, it says so, and that it was skipped, and
exits 0. What was seen stands in docs/RELIABILITY.md.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from time import monotonic

from campaigns.campaign import Campaign, Outcome, Place
from campaigns.disks import DISKS
from campaigns.fuzz import FUZZ
from campaigns.garbage import GARBAGE
from campaigns.kills import KILLS
from campaigns.powercuts import POWER_CUTS
from campaigns.questions import QUESTIONS
from campaigns.soak import SOAK
from campaigns.strangers import STRANGERS
from clinics.clinic import NotHere

CAMPAIGNS: tuple[Campaign, ...] = (
    DISKS, FUZZ, GARBAGE, KILLS, POWER_CUTS, QUESTIONS, SOAK, STRANGERS,
)  # fmt: skip


def tell(name: str, seed: int, outcome: Outcome, took_s: float) -> int:
    """Counts and verdict; the exit code."""
    for what, count in sorted(outcome.counts.items()):
        print(f"  {what:<44}{count:>12,}")
    for note in outcome.notes:
        print(f"  {note}")
    for line in outcome.wrong:
        print(f"  not as it should be: {line}", file=sys.stderr)
    verdict = f"{len(outcome.wrong)} things not as they should be" if outcome.wrong else "all held"
    print(f"{name}, seed {seed}: {verdict}, in {took_s:.0f} s")
    return 1 if outcome.wrong else 0


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Which campaign, and its options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for campaign in CAMPAIGNS:
        one = names.add_parser(campaign.name, help=campaign.purpose, description=campaign.purpose)
        one.add_argument("--seed", type=int, default=1)
        one.add_argument("--folder", type=Path, help="make homes and files there")
        one.add_argument("--keep", action="store_true", help="leave homes and logs there")
        campaign.add_options(one)
        one.set_defaults(run=campaign.run)
    return parser.parse_args(words)


def main() -> int:
    """Fight one campaign in a folder that is removed afterwards."""
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.environ.pop("MESHPACS_HOME", None)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    prefix = f"meshpacs-{options.name}-"
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=options.folder)).resolve()
    print(f"{options.name}, seed {options.seed}, in {folder}")
    began = monotonic()
    try:
        outcome = options.run(options, Place(folder, options.seed, print))
    except KeyboardInterrupt:
        return 130
    except NotHere as why:
        print(f"{options.name}: skipped: {why}")
        return 0
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return tell(options.name, options.seed, outcome, monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
