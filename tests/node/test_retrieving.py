"""Instances on their way to somebody who retrieves, and on their way in by a front door."""

from pathlib import Path

import pytest

from meshpacs.archive.archive import Archive
from meshpacs.model.content import Entry
from meshpacs.model.errors import Unavailable
from meshpacs.node import arriving
from meshpacs.node.views import Kept, NobodyHasIt, NotKept, Why
from tests.node.clinics import CT, STUDY, instance
from tests.node.houses import House, street


async def retrieved(house: House, **narrowed: frozenset[str]) -> tuple[list[Entry], list[bytes]]:
    """Everything that a retrieval gives: the plan, and each data set."""
    found: list[bytes] = []
    async with house.up.mesh.retrieve(STUDY, **narrowed) as source:
        planned = await source.entries()
        came = [entry async for entry in source]
        assert sorted(came) == sorted(planned)
        for entry in came:
            leaves = [await source.leaf(entry, n) for n in range(source.leaves(entry))]
            found.append(b"".join(leaves))
            assert len(found[-1]) == entry.size_bytes
    return came, found


@pytest.mark.timeout(120)
async def test_what_is_here_and_what_is_elsewhere_come_together(tmp_path: Path) -> None:
    files = {f"{n}": instance(n, size=1_500_000) for n in range(4)}
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        sued = await houses.member("Süd", nord)
        await nord.take_in(tmp_path / "n", {"0": files["0"]})
        await sued.take_in(tmp_path / "s", files)
        came, data = await retrieved(nord)
        assert came[0].sop_uid == f"{STUDY}.1.0"  # what is here goes first
        for number, body in zip((e.sop_uid[-1] for e in came), data, strict=True):
            assert files[number].endswith(body)
        assert len(came) == 4
        # The second time all of it is here.
        assert sorted((await retrieved(nord))[0]) == sorted(came)


@pytest.mark.timeout(120)
async def test_a_series_or_an_instance_is_retrieved_alone(tmp_path: Path) -> None:
    files = {f"{n}": instance(n, series=f"{n % 2 + 1}") for n in range(4)}
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        await nord.take_in(tmp_path / "n", files)
        came, _ = await retrieved(nord, series=frozenset({f"{STUDY}.2"}))
        assert sorted(e.sop_uid for e in came) == [f"{STUDY}.2.1", f"{STUDY}.2.3"]
        came, _ = await retrieved(nord, instances=frozenset({f"{STUDY}.1.2"}))
        assert [e.sop_uid for e in came] == [f"{STUDY}.1.2"]


@pytest.mark.timeout(120)
async def test_what_nobody_has_is_told_with_who_is_silent(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        with pytest.raises(NobodyHasIt) as caught:
            await retrieved(nord)
        assert caught.value.silent == 0
        sued = await houses.member("Süd", nord)
        await sued.stop()
        with pytest.raises(NobodyHasIt) as caught:
            await retrieved(nord)
        assert caught.value.silent == 1


# ---------------------------------------------------------------- arrivals


def data_set(file: bytes) -> bytes:
    return file[144 + int.from_bytes(file[140:144], "little") :]


EXPLICIT = "1.2.840.10008.1.2.1"


async def test_an_arrival_is_kept_in_pieces_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arriving, "HELD_BYTES", 1000)
    data = data_set(instance(1, size=10_000))
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        mesh = nord.up.mesh
        for outcome in ("stored", "unchanged"):
            async with mesh.arrival(CT, f"{STUDY}.1.1", EXPLICIT, "CT1") as arrival:
                for start in range(0, len(data), 777):
                    await arrival.write(memoryview(data)[start : start + 777])
                assert await arrival.commit() == Kept(outcome, STUDY)
        async with mesh.arrival(CT, f"{STUDY}.1.2", EXPLICIT, "CT1") as arrival:
            await arrival.write(memoryview(data))
        archive = nord.up.rooms.vault.archive
        assert [e.sop_uid for e in archive.study_entries(STUDY)] == [f"{STUDY}.1.1"]
        assert list((archive.folder / "arriving").iterdir()) == []


class Raced(list[memoryview]):
    """Looks as if there were something in it, which another thread then takes."""

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        return 1


async def test_the_last_spare_buffer_may_go_to_another_thread(tmp_path: Path) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        nord.up.rooms.vault.spare = Raced()
        async with nord.up.mesh.arrival(CT, f"{STUDY}.1.1", EXPLICIT, "CT1") as arrival:
            await arrival.write(memoryview(data_set(instance(1))))
            assert await arrival.commit() == Kept("stored", STUDY)


@pytest.mark.parametrize(
    ("sop_uid", "data", "why"),
    [
        ("1.2.3", data_set(instance(1)), Why.MISMATCH),
        (f"{STUDY}.1.1", b"no data set", Why.UNREADABLE),
        (f"../{STUDY}", data_set(instance(1)), Why.UNREADABLE),
    ],
)
async def test_what_is_not_kept_says_why(
    tmp_path: Path, sop_uid: str, data: bytes, why: Why
) -> None:
    async with street(tmp_path) as houses:
        nord = await houses.founder()
        async with nord.up.mesh.arrival(CT, sop_uid, EXPLICIT, "CT1") as arrival:
            await arrival.write(memoryview(data))
            with pytest.raises(NotKept) as caught:
                await arrival.commit()
        assert caught.value.why is why


async def test_a_full_disk_and_a_failing_one_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from meshpacs.archive.faults import DiskFull

    async with street(tmp_path) as houses:
        nord = await houses.founder()
        for fault, why in ((DiskFull("Full."), Why.NO_ROOM), (Unavailable("Off."), Why.FAILED)):

            def fail(*_: object, fault: Exception = fault, **__: object) -> None:
                raise fault

            monkeypatch.setattr(Archive, "arrive", fail)
            async with nord.up.mesh.arrival(CT, "1.2", EXPLICIT, "CT1") as arrival:
                with pytest.raises(NotKept) as caught:
                    await arrival.commit()
            assert caught.value.why is why
