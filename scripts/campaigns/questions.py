"""Do five clinics answer as pydicom reads the files? DCMTK's findscu asks each of them.

What is asked and what is right follows from the seed (`asked`): patients whose numbers several
clinics have given, studies that lie whole or in parts at another clinic too, imported or fetched.
Every node has its own issuer of patient numbers, and answers for all.
"""

import argparse
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from asked.patients import Known, issuer_of, made
from asked.questions import Question, Questions, difference, read_answer, words
from campaigns.campaign import Campaign, Outcome, Place
from campaigns.logbook import Explanations, read
from clinics.clinic import Broken, Clinic, NotHere
from clinics.mesh import ending, found_and_join, up_all, wait_complete
from meshpacs.node.home import Home

CLINICS = 5
PATIENTS = 25
AT_ONCE = 4
"""Questions under way. A guess: two cores, and each waits for five nodes."""

ATTEMPTS = 20

FINDSCU_S = 60.0


def run(options: argparse.Namespace, place: Place) -> Outcome:
    """All of it."""
    findscu = shutil.which("findscu")
    if findscu is None:
        raise NotHere("It needs DCMTK's findscu; on Debian: apt-get install dcmtk.")
    outcome = Outcome()
    known = tuple(made(place.seed, PATIENTS, CLINICS))
    asking = Questions(place.seed, known, CLINICS)
    folder = place.folder / "homes"
    folder.mkdir()
    clinics = [Clinic(f"Clinic {n}", folder / f"clinic-{n}") for n in range(CLINICS)]
    with ending(clinics):
        found_and_join(clinics)
        clinics[0].end()
        for n, clinic in enumerate(clinics):
            _configure(clinic, issuer_of(n))
        up_all(clinics)
        wait_complete(clinics)
        place.say(f"{len(known)} instances to {CLINICS} clinics")
        _fill(clinics, known, place.folder)
        wait_complete(clinics)
        doors = [_door(clinic) for clinic in clinics]

        def ask(number: int) -> tuple[Question, str, int]:
            """A question, what is wrong with its answer, and how often it was incomplete.

            A busy machine may not answer within a C-FIND's 3 s, and then it is said.
            """
            asked = asking.question(number)
            host, port = doors[asked.asker].rsplit(":", 1)
            # The Error Comment is shown with -d only.
            command = [findscu, "-d", "-aec", "MESHPACS", host, port, *words(asked)]
            said = ""
            for again in range(ATTEMPTS):
                done = subprocess.run(command, capture_output=True, check=False, timeout=FINDSCU_S)
                said = (done.stdout + done.stderr).decode("latin_1")
                if done.returncode:
                    break
                if not re.search(r"INCOMPLETE|TOO LOW", said):
                    rows = read_answer(asked.level, said)
                    return asked, difference(asked, rows), again
            return asked, f"{asked}: findscu says {said[-300:]!r}", ATTEMPTS

        place.say(f"{options.questions} questions")
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = enumerate(pool.map(ask, range(options.questions)))
            for number, (asked, wrong, again) in answers:
                _count(outcome.counts, asked)
                outcome.counts["answers that said they were incomplete"] += again
                outcome.hold(not wrong, f"question {number}: {wrong}")
        for clinic in clinics:
            clinic.down()
    explanations = Explanations()
    for clinic in clinics:
        for line in explanations.unexplained(read(clinic.log)):
            outcome.wrong.append(f"{clinic.name} has logged, unexplained: {line}")
    return outcome


def _count(counts: Counter[str], asked: Question) -> None:
    counts[f"asked at the level {asked.level}"] += 1
    found = len(asked.right)
    counts["answered with " + ("nothing", "one", "several")[min(found, 2)]] += 1
    counts["rows"] += found


def _configure(clinic: Clinic, issuer: str) -> None:
    file = clinic.home / "config.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('issuer = ""', f'issuer = "{issuer}"'), encoding="utf-8")


def _fill(clinics: Sequence[Clinic], known: Sequence[Known], folder: Path) -> None:
    """Import what is each one's own, then fetch what some have copies of."""
    for n, clinic in enumerate(clinics):
        files = folder / f"files-{n}"
        files.mkdir()
        own = [one for one in known if n in (one.home, *one.imported)]
        for one in own:
            (files / f"{one.truth.SOPInstanceUID}.dcm").write_bytes(one.file)
        done = clinic.take_in(files)
        if done["stored"] != len(own):
            raise Broken(f"{clinic.name} has taken in {done['stored']} of {len(own)} instances.")
        shutil.rmtree(files)
    for n, clinic in enumerate(clinics):
        for study in sorted({str(one.truth.StudyInstanceUID) for one in known if n in one.fetched}):
            done = clinic.ask("/v1/fetch", {"study_uid": study})
            if done["partial"] or done["unheard"]:
                raise Broken(f"{clinic.name} has not fetched {study} whole.")


def _door(clinic: Clinic) -> str:
    """Where a node that is up speaks DICOM."""
    facts = Home(clinic.home).running()
    if not facts or not facts.get("dicom"):
        raise Broken(f"{clinic.name} speaks no DICOM.")
    return str(facts["dicom"][0])


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--questions", type=int, default=500)


QUESTIONS = Campaign(
    "questions",
    "Does a mesh of five answer findscu's generated questions as pydicom reads the files?",
    _options,
    run,
)
