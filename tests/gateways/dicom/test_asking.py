"""Generated questions at the four levels, asked over the network, judged by pydicom's reading."""

import io
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pydicom
import pytest

from asked.patients import Known, issuer_of, made
from asked.questions import COUNTS, Question, Questions, difference, read_answer, tags, words
from meshpacs.dimse.services import PATIENT_ROOT_FIND, STUDY_ROOT_FIND
from meshpacs.gateways.dicom.requesting import Requestor
from meshpacs.model.attributes import ISSUER_OF_PATIENT_ID, UNIQUE_KEYS, Level, by_keyword
from tests.gateways.dicom.doors import Opened, dcmtk, opened
from tests.gateways.dicom.test_finding import find
from tests.node.houses import House, street

SEED = 4
QUESTIONS = 300
OVER_FIVE = 60
BY_FINDSCU = 40
"""Of those over five nodes DCMTK asks a third. `scripts/campaign questions` asks 500."""


@asynccontextmanager
async def clinics(
    folder: Path, known: Sequence[Known], count: int
) -> AsyncIterator[tuple[Opened, ...]]:
    """So many clinics with their instances; their doors."""
    async with street(folder) as houses, AsyncExitStack() as stack:
        nord = await houses.founder(issuer=issuer_of(0))
        others = [
            await houses.member(f"Clinic {n}", nord, issuer=issuer_of(n)) for n in range(1, count)
        ]
        every: list[House] = [nord, *others]
        for n, house in enumerate(every):
            own = [one for one in known if n in (one.home, *one.imported)]
            files = {str(one.truth.SOPInstanceUID): one.file for one in own}
            await house.take_in(folder / f"files-{n}", files)
        for n, house in enumerate(every):
            for study in {str(one.truth.StudyInstanceUID) for one in known if n in one.fetched}:
                async with house.up.mesh.fetch(study) as fetching:
                    assert [event async for event in fetching]
        yield tuple(
            [
                await stack.enter_async_context(opened(house.up.mesh, issuer=issuer_of(n)))
                for n, house in enumerate(every)
            ]
        )


async def answered(requestor: Requestor, asked: Question) -> list[tuple[str, tuple[int, ...]]]:
    root = PATIENT_ROOT_FIND if asked.level is Level.PATIENT else STUDY_ROOT_FIND
    rows, _, end = await find(requestor, asked.level, tags(asked), root=root)
    assert (end.status, end.comment) == (0, ""), str(asked)
    found = []
    for row in rows:
        name = str(row[UNIQUE_KEYS[asked.level]][0])
        if asked.level is Level.PATIENT:
            name += f" {row[ISSUER_OF_PATIENT_ID][0]}"
        counted = [by_keyword(keyword) for keyword in COUNTS[asked.level]]
        found.append((name, tuple(int(str(row[a.tag][0])) for a in counted if a is not None)))
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("count", "questions"), [(1, QUESTIONS), (5, OVER_FIVE)])
async def test_every_question_is_answered_as_pydicom_reads_the_files(
    tmp_path: Path, count: int, questions: int
) -> None:
    known = tuple(made(SEED, 3 * count + 3, count))
    asking = Questions(SEED, known, count)
    async with clinics(tmp_path, known, count) as doors:
        for door in doors:
            n = doors.index(door)
            async with door.called() as requestor:
                for number in range(questions):
                    asked = asking.question(number)
                    if asked.asker != n:
                        continue
                    if count > 1 and number % 3 == 0:
                        said = await dcmtk("findscu", door, *words(asked))
                        rows = read_answer(asked.level, said)
                    else:
                        rows = await answered(requestor, asked)
                    assert difference(asked, rows) == "", f"seed {SEED}, question {number}"


@pytest.mark.timeout(300)
async def test_findscu_is_answered_as_pydicom_reads_the_files(tmp_path: Path) -> None:
    known = tuple(made(SEED, 6, 1))
    asking = Questions(SEED, known, 1)
    async with clinics(tmp_path, known, 1) as (door,):
        for number in range(1000, 1000 + BY_FINDSCU):
            asked = asking.question(number)
            rows = read_answer(asked.level, await dcmtk("findscu", door, *words(asked)))
            assert difference(asked, rows) == "", f"seed {SEED}, question {number}"


def test_the_questions_ask_for_something() -> None:
    known = tuple(made(SEED, 15, 5))
    asking = Questions(SEED, known, 5)
    answers = [len(asking.question(number).right) for number in range(QUESTIONS)]
    assert sum(1 for count in answers if count == 0) < QUESTIONS // 3
    assert sum(1 for count in answers if count > 1) > QUESTIONS // 5
    assert sum(1 for one in known if one.imported) > 10
    assert sum(1 for one in known if one.fetched) > 10
    assert pydicom.dcmread(io.BytesIO(known[0].file)).PatientName == known[0].truth.PatientName
