"""The interoperability matrix, tried: every peer that is installed, every service.

    scripts/interop            prints it, and says what differs from scripts/peers/expected.toml
    scripts/interop --write    makes that list and docs/INTEROP.md anew

Ends with 1 if a cell differs, or a peer is not installed.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from clinics.clinic import Broken, NotHere
from peers import page
from peers.content import Study
from peers.ground import PEERS, Ground, ground
from peers.incomplete import half_a_mesh, shown
from peers.matrix import COLUMNS, FAILS, judge, same
from peers.peer import Address, Failed, Peer


def tried(ground: Ground, kind: type[Peer], at: Address, study: Study) -> dict[str, str]:
    """All cells of one row, and what it shows of an incomplete answer."""
    try:
        peer = ground.peer(kind)
    except Failed as fault:
        print(f"{kind.name:12} {fault}", flush=True)
        return {}
    row = {"version": peer.version()}
    for column in COLUMNS:
        began = time.monotonic()
        row[column.name] = judge(ground, kind, column)
        took_s = time.monotonic() - began
        print(f"{kind.name:12} {column.name:18} {took_s:5.1f} s  {row[column.name]}", flush=True)
    try:
        row |= shown(peer, at, study)
    except Failed as fault:
        row |= {"incomplete shown": f"{FAILS}{fault}", "incomplete rows": "dropped"}
    print(f"{kind.name:12} of an incomplete answer shows {row['incomplete shown']}", flush=True)
    return row


def differing(found: page.Verdicts, wanted: page.Verdicts) -> list[str]:
    """What is not as it was, a line each."""
    return [
        f"{peer}, {key}: {cells.get(key)!r}, not {value!r}"
        for peer, row in wanted.items()
        if (cells := found.get(peer)) is not None
        for key, value in row.items()
        if key != "version" and not same(cells.get(key, ""), value)
    ]


def all_of_it(folder: Path, *, write: bool) -> int:
    """The exit code."""
    found, lacking = {}, 0
    with ground(folder / "ground") as here, half_a_mesh(folder / "half") as (at, study):
        for kind in PEERS:
            try:
                found[kind.name] = tried(here, kind, at, study)
            except NotHere as reason:
                print(f"{kind.name:12} {reason}", flush=True)
                lacking += 1
    if write:
        if lacking:
            print("Nothing is written: not every peer is installed.", file=sys.stderr)
            return 1
        page.write(found)
        return 0
    different = differing(found, page.read())
    print("\n".join(different) or f"{len(found)} peers as expected")
    return 1 if different or lacking else 0


def main() -> int:
    """Run it in a folder that is removed afterwards, unless somebody wants to keep it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="make the list and the page anew")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave homes and logs there")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.environ.pop("MESHPACS_HOME", None)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="meshpacs-interop-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return all_of_it(folder.resolve(), write=options.write)
    except Broken as fault:
        print(f"not tried: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
