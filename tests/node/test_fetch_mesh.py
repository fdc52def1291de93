"""Fetches between whole nodes: found by a query, counted by the union, though a holder dies."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import trio

from meshpacs.model.attributes import Level, by_keyword
from meshpacs.model.errors import Unavailable
from meshpacs.model.ids import Digest
from meshpacs.model.merge import Match
from meshpacs.model.query import Query
from meshpacs.node.views import FetchDone, PeerState
from tests.node.clinics import KO, SR, STUDY, instance
from tests.node.houses import House, street, until_state


def value(match: Match, keyword: str) -> tuple[str, ...]:
    attribute = by_keyword(keyword)
    assert attribute is not None
    return cast("tuple[str, ...]", match.record[attribute.tag])


async def fetch(house: House, study: str = STUDY) -> FetchDone:
    async with house.up.mesh.fetch(study) as fetching:
        events = [event async for event in fetching]
    return cast("FetchDone", events[-1])


async def test_a_study_in_three_contributions_is_one_row_and_one_fetch_though_a_holder_dies(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        west = await houses.member("West", nord)
        ost = await houses.member("Ost", nord)
        ct = {f"{n}": instance(n, size=100_000) for n in range(24)}
        await nord.take_in(tmp_path / "ct", ct)
        await sued.take_in(
            tmp_path / "sr", {"sr": instance(1, series="2", modality="SR", sop_class=SR)}
        )
        await fetch(sued)  # so that nobody is alone with anything
        await nord.take_in(
            tmp_path / "ko", {"ko": instance(1, series="3", modality="KO", sop_class=KO)}
        )
        await fetch(sued)

        (match,) = (await ost.find()).matches
        assert value(match, "NumberOfStudyRelatedInstances") == ("26",)
        assert value(match, "NumberOfStudyRelatedSeries") == ("3",)
        assert value(match, "ModalitiesInStudy") == ("CT", "KO", "SR")
        assert match.holders == tuple(sorted((nord.up.node_id, sued.up.node_id)))
        assert not match.unresolved

        served = 0
        archive = nord.up.rooms.vault.archive
        read_leaf = archive.read_leaf_into

        def dying(root: Digest, index: int, place: Callable[[int], memoryview]) -> memoryview:
            nonlocal served
            served += 1
            if served == 5:
                trio.from_thread.run_sync(nord.up.mesh.stop)
            return read_leaf(root, index, place)

        archive.read_leaf_into = dying  # type: ignore[method-assign]
        done = await fetch(west)
        assert (done.instances, done.partial, done.missing_total) == (26, False, 0)
        local = await west.find(local_only=True)
        (row,) = local.matches
        assert value(row, "NumberOfStudyRelatedInstances") == ("26",)
        again = await fetch(west)
        assert again.already_here


async def test_what_differs_between_holders_is_resolved_by_their_lists(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        west = await houses.member("West", nord)
        await nord.take_in(tmp_path / "n", {"1": instance(1), "2": instance(2)})
        await sued.take_in(tmp_path / "s", {"2": instance(2), "3": instance(3, variant=1)})
        await west.take_in(tmp_path / "w", {"3": instance(3)})
        found = await west.find(Query(Level.STUDY))
        (match,) = found.matches
        assert value(match, "NumberOfStudyRelatedInstances") == ("3",)
        assert match.differing  # two contents under one SOP Instance UID
        assert not match.unresolved
        assert found.complete
        done = await fetch(west)
        assert (done.instances, done.conflicts) == (3, 1)
        assert len(await west.up.mesh.conflicts()) == 1


async def test_a_revoked_member_is_given_nothing(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Sued", nord)
        west = await houses.member("West", nord)
        await nord.take_in(tmp_path / "n", {"1": instance(1)})
        await nord.up.mesh.revoke("Sued")
        await until_state(west, "Nord", PeerState.LINKED)
        with pytest.raises(Unavailable):
            await fetch(sued)
        assert (await fetch(west)).instances == 1
