"""The interoperability matrix, cell by cell, against the committed list."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clinics.clinic import NotHere
from peers import page
from peers.ground import PEERS, Ground, ground
from peers.incomplete import half_a_mesh, shown
from peers.matrix import COLUMNS, Column, judge, same
from peers.peer import Peer

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

WANTED = page.read()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with ground(tmp_path_factory.mktemp("interop")) as found:
        yield found


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
@pytest.mark.parametrize("kind", PEERS, ids=lambda kind: kind.name)
def test_a_cell_of_the_matrix_is_as_it_was(here: Ground, kind: type[Peer], column: Column) -> None:
    try:
        verdict = judge(here, kind, column)
    except NotHere as reason:
        pytest.skip(str(reason))
    assert same(verdict, WANTED[kind.name][column.name]), verdict


def test_an_incomplete_answer_keeps_its_rows_and_shows_what_it_did(
    here: Ground, tmp_path: Path
) -> None:
    with half_a_mesh(tmp_path) as (at, study):
        for kind in PEERS:
            try:
                peer = here.peer(kind)
            except NotHere:
                continue
            found = shown(peer, at, study)
            assert found.items() <= WANTED[kind.name].items(), (kind.name, found)


def test_the_page_is_made_of_the_list() -> None:
    assert page.PAGE.read_text("utf-8") == page.page(WANTED)
    assert {kind.name for kind in PEERS} == set(WANTED)
