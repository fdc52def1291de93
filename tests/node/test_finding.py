"""A query's end: merged, with what is missing said."""

from collections.abc import Mapping, Sequence

import pytest
import trio
import trio.testing

from meshpacs.model.answer import MemberAnswer, Report, Row, Status
from meshpacs.model.attributes import STUDY_INSTANCE_UID, Level
from meshpacs.model.content import Entry, StudyState
from meshpacs.model.ids import Digest, NodeId
from meshpacs.model.query import Query
from meshpacs.node import finding
from meshpacs.node.finding import Question, merged
from tests.node.imagined import ANNA, BERT, Q1, no_holdings

QUERY = Query(Level.STUDY)


def row(uid: str, root: bytes = b"r") -> Row:
    return Row({STUDY_INSTANCE_UID: (uid,)}, (StudyState(uid, Digest(root * 32), 1),))


def report(*statuses: Status) -> Report:
    nodes = (ANNA, BERT)
    return Report(Q1, tuple(map(MemberAnswer, nodes, statuses)), 1000)


async def test_an_answer_cut_short_by_a_holder_is_not_complete() -> None:
    rows = {ANNA: (row("1"),), BERT: (row("2"),)}
    found = await merged(QUERY, rows, report(Status.ANSWERED, Status.TRUNCATED), no_holdings, {})
    assert found.truncated
    assert not found.complete
    assert len(found.matches) == 2


async def test_many_rows_are_merged_beside_the_main_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finding, "MERGE_IN_THREAD_ROWS", 1)
    rows = {ANNA: tuple(row(str(n)) for n in range(1, 9))}
    found = await merged(QUERY, rows, report(Status.ANSWERED), no_holdings, {})
    assert len(found.matches) == 8
    assert found.complete


async def test_holders_that_differ_and_do_not_say_how_leave_the_row_unresolved(
    autojump_clock: trio.testing.MockClock,
) -> None:
    asked: list[object] = []

    async def silent(
        wanted: Sequence[tuple[str, Sequence[NodeId]]], /
    ) -> Mapping[tuple[NodeId, str], tuple[Entry, ...]]:
        asked.extend(wanted)
        await trio.sleep_forever()
        raise AssertionError

    rows = {ANNA: (row("1", b"r"),), BERT: (row("1", b"s"),)}
    found = await merged(QUERY, rows, report(Status.ANSWERED, Status.ANSWERED), silent, {})
    assert len(asked) == 1
    assert found.unresolved == 1
    assert not found.complete


async def test_progress_never_promises_fewer_than_have_answered() -> None:
    question = Question(QUERY, 1, no_holdings, dict)
    question.rows(ANNA, ())
    question.rows(BERT, (row("1"),))
    question.rows(BERT, (row("2"),))
    progress = question.progress
    assert (progress.answered, progress.asked, progress.rows) == (2, 2, 2)
