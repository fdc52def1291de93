"""Five clinics on this machine, real images, one question, a complete answer.

    scripts/demo                 the show; ends within a minute and leaves nothing behind
    scripts/demo --stay          keeps the five running afterwards, and says how to talk to them
    scripts/demo --keep FOLDER   leaves homes and logs in FOLDER

Everything goes through the installed commands, as a person would use them. What is shown is also
checked: exits 1 as soon as an answer is not as it should be.
"""

import argparse
import contextlib
import hashlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import data_store
import pydicom
from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table

from clinics.clinic import Broken, Clinic, Json
from clinics.mesh import ending, found_and_join, up_all
from meshpacs.cli import fetch as fetch_command
from meshpacs.cli import find as find_command
from meshpacs.cli.screen import plural, safe

CLINICS = ("Alster", "Bille", "Dove Elbe", "Este", "Fuhle")
NAME = "Comp*"
"""What is asked: the compressed samples of pydicom's wheel, seven patients at several clinics."""

PATIENCE_S = 15.0
"""How long to wait for something that should be quick. Guesses for a slow machine."""

UID = re.compile(r"[0-9]+(\.[0-9]+)+")

screen = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


class NotAsItShouldBe(Exception):
    """The demo's own verdict."""


def hold(true: object, what: str) -> None:
    """Show that something holds, or end the demo."""
    if not true:
        raise NotAsItShouldBe(what)
    screen.print(f"  [green]✓[/green] {what}")


# ---------------------------------------------------------------- real images


@dataclass(frozen=True)
class Image:
    """One file of the wheels."""

    path: Path
    patient: tuple[str, str, str]
    """Name, ID, birth date."""


def real_studies() -> dict[str, list[Image]]:
    """The DICOM files that pydicom and pydicom-data carry, by study."""
    folders = [Path(pydicom.__file__).parent / "data", Path(data_store.__file__).parent]
    studies: dict[str, list[Image]] = {}
    instances = set()
    warnings.simplefilter("ignore")  # pydicom finds much to say about these files
    for path in sorted(p for folder in folders for p in folder.rglob("*") if p.is_file()):
        try:
            data = pydicom.dcmread(path, stop_before_pixels=True)
            wanted = [data.StudyInstanceUID, data.SeriesInstanceUID, data.SOPInstanceUID]
            patient = (str(data.PatientName), str(data.PatientID), str(data.PatientBirthDate))
        except Exception:  # noqa: BLE001 - the wheels hold broken files on purpose, and others
            continue
        if all(map(UID.fullmatch, wanted)) and wanted[2] not in instances:
            instances.add(wanted[2])
            studies.setdefault(str(wanted[0]), []).append(Image(path, patient))
    return studies


def data_set_digest(path: Path) -> str:
    """SHA-256 of what follows the file meta group (PS3.10, section 7.1)."""
    content = path.read_bytes()
    # (0002,0000) UL stands first; its value counts the bytes of the group after itself.
    length = int.from_bytes(content[140:144], "little")
    return hashlib.sha256(content[144 + length :]).hexdigest()


# ---------------------------------------------------------------- clinics


@dataclass
class Showing(Clinic):
    """A clinic of the show."""

    studies: dict[str, list[Image]] = field(default_factory=dict)


def found_mesh(all_clinics: list[Showing]) -> None:
    """`init` at the first, `invite` and `join` for the others, `up` for all."""
    first, *others = all_clinics
    found_and_join(all_clinics, "Five clinics")
    up_all(others)
    screen.print(f"  {first.name} founded the mesh; {', '.join(c.name for c in others)} joined.")


def spread(all_clinics: list[Showing], studies: dict[str, list[Image]]) -> None:
    """Each study at one clinic by turns; every fourth at a second one too."""
    for turn, (uid, images) in enumerate(sorted(studies.items())):
        holders = [turn % len(all_clinics)]
        if turn % 4 == 0:
            holders.append((turn + 2) % len(all_clinics))
        for holder in holders:
            all_clinics[holder].studies[uid] = images


def take_in(clinic: Showing) -> Json:
    """Import this clinic's images."""
    paths = [str(image.path) for images in clinic.studies.values() for image in images]
    return clinic.run("import", *paths, codes=(0, 1))


def wait_linked(clinic: Showing, count: int) -> None:
    """Until so many other members are linked with this one."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        peers = clinic.run("peers", codes=(0, 1))["peers"]
        if sum(peer["state"] == "linked" for peer in peers) >= count:
            return
        time.sleep(0.2)
    raise NotAsItShouldBe(f"{clinic.name} is not linked with {count} others.")


# ---------------------------------------------------------------- the show


def ask(clinic: Showing, title: str) -> tuple[Json, float]:
    """One query by name, shown as the command shows it; its answer and how long it took."""
    screen.print(Rule(f"[bold]{title}", align="left"))
    screen.print(f"[dim]{clinic.name} $ meshpacs find 'PatientName={NAME}'")
    began = time.monotonic()
    found = clinic.run("find", f"PatientName={NAME}", codes=(0, 1))
    took_s = time.monotonic() - began
    find_command.show(found)
    members = Table(header_style="bold", box=None, padding=(0, 2))
    for column in ("Clinic", "Answer", "Rows", "Hops", "After"):
        members.add_column(
            column, justify="right" if column in ("Rows", "Hops", "After") else "left"
        )
    lines = found["report"]["members"]
    for line in sorted(lines, key=lambda m: (m["status"] != "answered", m["hops"], m["name"])):
        fine = line["status"] == "answered"
        colour = "green" if fine else "red"
        members.add_row(
            safe(line["name"]),
            f"[{colour}]{line['status']}",
            str(line["rows"]) if fine else "–",
            str(line["hops"]) if fine else "–",
            f"{line['took_us'] / 1000:.1f} ms" if fine else "–",
        )
    screen.print(members)
    return found, took_s


def statuses(found: Json) -> dict[str, str]:
    """Each member's status by its name."""
    return {line["name"]: line["status"] for line in found["report"]["members"]}


def uids(found: Json) -> set[str]:
    """The studies found."""
    return {match["attributes"]["StudyInstanceUID"] for match in found["matches"]}


def expected(all_clinics: Sequence[Showing]) -> set[str]:
    """The studies that these clinics hold and that match `NAME`, by looking at the files."""
    stem = NAME.rstrip("*").lower()
    return {
        uid
        for clinic in all_clinics
        for uid, images in clinic.studies.items()
        if any(image.patient[0].lower().startswith(stem) for image in images)
    }


def show_complete(all_clinics: list[Showing]) -> None:
    """All are up."""
    first = all_clinics[0]
    found, _ = ask(first, f"1  {first.name} asks for {NAME}; everybody is up")
    hold(found["complete"], "the answer is complete: all five clinics answered")
    hold(
        uids(found) == expected(all_clinics),
        f"all {len(uids(found))} studies that exist are listed",
    )
    holders = {holder["name"] for match in found["matches"] for holder in match["holders"]}
    hold(len(holders) >= 3, f"they lie at {plural(len(holders), 'clinic')}, in one list")


def show_stopped(all_clinics: list[Showing]) -> None:
    """One is switched off, and comes back."""
    first, stopped = all_clinics[0], all_clinics[-1]
    stopped.down()
    found, took_s = ask(first, f"2  the same; {stopped.name} is switched off")
    up = [clinic for clinic in all_clinics if clinic is not stopped]
    hold(not found["complete"], "the answer says that it is not complete")
    missing = [name for name, status in statuses(found).items() if status != "answered"]
    hold(missing == [stopped.name], f"it names who is missing: {stopped.name}")
    line = next(m for m in found["report"]["members"] if m["name"] == stopped.name)
    hold(line["since_us"] > 0, "and since when")
    hold(uids(found) == expected(up), "everything that the other four hold is listed")
    hold(took_s < 5, f"in {took_s:.1f} s, with the start of the command")
    stopped.up()
    wait_linked(first, len(all_clinics) - 1)
    screen.print(f"  {stopped.name} is back.")


def show_frozen(all_clinics: list[Showing]) -> None:
    """One stands still: its machine is up, its program is not."""
    if not hasattr(signal, "SIGSTOP"):
        screen.print("[yellow]3  This platform cannot freeze a process; left out.")
        return
    first, frozen = all_clinics[0], all_clinics[2]
    assert frozen.process is not None
    frozen.process.send_signal(signal.SIGSTOP)
    found, took_s = ask(first, f"3  the same; {frozen.name} is frozen (SIGSTOP)")
    missing = [name for name, status in statuses(found).items() if status != "answered"]
    hold(missing == [frozen.name], f"only {frozen.name} is missing; nobody behind it is")
    hold(took_s < 12, f"in {took_s:.1f} s")
    began = time.monotonic()
    again = first.run("find", f"PatientName={NAME}", codes=(0, 1))
    took_s = time.monotonic() - began
    missing = [name for name, status in statuses(again).items() if status != "answered"]
    hold(missing == [frozen.name] and took_s < 3, f"the next query does not wait: {took_s:.1f} s")
    frozen.process.send_signal(signal.SIGCONT)


def show_fetch(all_clinics: list[Showing], folder: Path) -> None:
    """A study comes from elsewhere, and is here afterwards."""
    first, *others = all_clinics
    wanted = max(
        (uid for c in others for uid in c.studies if uid not in first.studies),
        key=lambda uid: (len(next(c for c in others if uid in c.studies).studies[uid]), uid),
    )
    images = next(c for c in others if wanted in c.studies).studies[wanted]
    out = folder / "fetched"
    screen.print(Rule("[bold]4  a study held elsewhere is fetched", align="left"))
    screen.print(f"[dim]{first.name} $ meshpacs fetch {wanted} --to {out}")
    done = first.run("fetch", wanted, "--to", str(out))
    fetch_command.show(done)
    hold(done["instances"] == len(images), f"all {len(images)} instances came")
    theirs = sorted(data_set_digest(image.path) for image in images)
    ours = sorted(data_set_digest(path) for path in out.rglob("*") if path.is_file())
    hold(ours == theirs, "every data set has the SHA-256 of the original's bytes")
    screen.print(f"[dim]{first.name} $ meshpacs fetch {wanted}")
    again = first.run("fetch", wanted)
    fetch_command.show(again)
    hold(again["already_here"], "the second fetch needed nobody else")
    local = first.run("find", f"StudyInstanceUID={wanted}", "--scope", "local")
    hold(uids(local) == {wanted}, f"and {first.name} finds it in its own archive")


def show_logs(all_clinics: list[Showing]) -> None:
    """Nobody's name stands in a log."""
    screen.print(Rule("[bold]5  the logs", align="left"))
    lines = [
        line
        for clinic in all_clinics
        for line in (clinic.home / "log").read_text(encoding="utf-8").splitlines()
    ]
    # Short values such as the patient ID "1" stand in every time of day.
    told = {
        fact
        for clinic in all_clinics
        for images in clinic.studies.values()
        for image in images
        for fact in image.patient
        if len(fact) >= 5
    }
    leaks = [line for line in lines if any(fact in line for fact in told)]
    hold(
        not leaks,
        f"{len(lines)} lines, and none holds one of {len(told)} patients' names, IDs, birth dates",
    )


def demo(folder: Path, *, stay: bool) -> None:
    """All of it."""
    began = time.monotonic()
    studies = real_studies()
    count = sum(map(len, studies.values()))
    screen.print(
        Panel(
            f"Five clinics, each with its own archive. {count} real images of {len(studies)} "
            "studies, spread over them.\nOne question to one clinic is a question to all.",
            title="meshpacs",
            border_style="cyan",
            expand=False,
        )
    )
    all_clinics = [Showing(name, folder / name.replace(" ", "-").lower()) for name in CLINICS]
    with ending(all_clinics):
        found_mesh(all_clinics)
        spread(all_clinics, studies)
        with ThreadPoolExecutor(2) as pool:
            sums = list(pool.map(take_in, all_clinics))
        for clinic, taken in zip(all_clinics, sums, strict=True):
            refused = f", {taken['refused']} refused" if taken["refused"] else ""
            screen.print(
                f"  {clinic.name:<10} {len(clinic.studies):>3} studies, "
                f"{taken['stored']:>3} instances stored{refused}"
            )
        wait_linked(all_clinics[0], len(all_clinics) - 1)
        show_complete(all_clinics)
        show_stopped(all_clinics)
        show_frozen(all_clinics)
        show_fetch(all_clinics, folder)
        show_logs(all_clinics)
        screen.print(f"\n[bold green]All as it should be, in {time.monotonic() - began:.0f} s.")
        if stay:
            wait_for_person(all_clinics)


def wait_for_person(all_clinics: list[Showing]) -> None:
    """Keep them running until Ctrl-C."""
    program = Path(sys.executable).with_name("meshpacs")
    screen.print("\nThe five clinics stay up until you press Ctrl-C. Talk to them, for example:")
    for clinic in all_clinics:
        screen.print(f"  {program} --home {clinic.home} status", soft_wrap=True)
    screen.print(f"  {program} --home {all_clinics[1].home} find 'PatientName=*'", soft_wrap=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


def main() -> int:
    """Run it in a folder that is removed afterwards, unless somebody wants to keep it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--stay", action="store_true", help="keep the clinics running")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave homes and logs there")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.environ.pop("MESHPACS_HOME", None)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="meshpacs-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        demo(folder.resolve(), stay=options.stay)
    except (NotAsItShouldBe, Broken) as verdict:
        screen.print(f"\n[bold red]Not as it should be:[/bold red] {verdict}", markup=True)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
