"""One PatientID that is two people at two issuers, with DCMTK's findscu and movescu."""

import io
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pydicom
import pytest

from meshpacs.node.book import Entry as Known
from tests.gateways.dicom.doors import Opened, dcmtk, dcmtk_fails, opened
from tests.gateways.dicom.test_finding import shown
from tests.gateways.dicom.test_retrieving import Atlas, storescp
from tests.node.clinics import instance
from tests.node.houses import House, street

ANNA, BERT = "1.2.826.0.1.1", "1.2.826.0.1.2"


def study(uid: str, name: str) -> bytes:
    data = pydicom.dcmread(io.BytesIO(instance(1, study=uid)))
    data.PatientName = name
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


@asynccontextmanager
async def two_clinics(folder: Path) -> AsyncIterator[tuple[House, Opened]]:
    """Number 7 is Anna in the north and Bert in the south; the north's door, and where it sends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with street(folder) as houses, storescp(folder / "got", port):
        nord = await houses.founder(issuer="NORTH")
        sued = await houses.member("Süd", nord, issuer="SOUTH")
        await nord.take_in(folder / "n", {"a": study(ANNA, "Muster^Anna")})
        await sued.take_in(folder / "s", {"b": study(BERT, "Muster^Bert")})
        book = Atlas(Known("WARD", "127.0.0.1", port))
        async with opened(nord.up.mesh, book=book, issuer="NORTH") as door:
            yield nord, door


NUMBER = ("-k", "PatientID=7")
NORTH, SOUTH = ("-k", "IssuerOfPatientID=NORTH"), ("-k", "IssuerOfPatientID=SOUTH")


async def patients(door: Opened, *keys: str) -> list[tuple[str, ...]]:
    words = ("-P", "-k", "QueryRetrieveLevel=PATIENT", "-k", "PatientName", *NUMBER, *keys)
    said = await dcmtk("findscu", door, *words)
    return list(zip(shown(said, "PatientName"), shown(said, "IssuerOfPatientID"), strict=True))


@pytest.mark.timeout(180)
async def test_one_number_that_is_two_people_is_never_one_list(tmp_path: Path) -> None:
    anna, bert = ("Muster^Anna", "NORTH"), ("Muster^Bert", "SOUTH")
    async with two_clinics(tmp_path) as (nord, door):
        assert await patients(door) == [anna]
        assert await patients(door, *SOUTH) == [bert]
        assert await patients(door, "-k", "IssuerOfPatientID=*H") == [anna, bert]
        # A copy of Bert's study in the north makes him nobody else.
        async with nord.up.mesh.fetch(BERT) as fetching:
            assert [event async for event in fetching]
        assert await patients(door) == [anna]
        assert await patients(door, *SOUTH) == [bert]
        said = await dcmtk(
            "findscu", door, "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientName", *NUMBER
        )
        rows = zip(shown(said, "PatientName"), shown(said, "IssuerOfPatientID"), strict=True)
        assert list(rows) == [anna, bert]


@pytest.mark.timeout(180)
async def test_movescu_brings_the_studies_of_the_one_who_is_meant(tmp_path: Path) -> None:
    got = tmp_path / "got"

    async def moved(
        door: Opened, level: str, *keys: str, number: str = "7"
    ) -> tuple[str, list[str]]:
        keys = "-k", f"QueryRetrieveLevel={level}", "-k", f"PatientID={number}", *keys
        words = ("-P", "-aem", "WARD", *keys)
        done = await dcmtk_fails("movescu", door, *words)
        uids = [str(pydicom.dcmread(path).StudyInstanceUID) for path in got.iterdir()]
        for path in got.iterdir():
            path.unlink()
        return done.stdout, uids

    async with two_clinics(tmp_path) as (_, door):
        for keys, uids in ((SOUTH, [BERT]), (NORTH, [ANNA]), ((), [ANNA])):
            said, brought = await moved(door, "PATIENT", *keys)
            assert "Received Final Move Response (Success)" in said
            assert brought == uids
        uid = ("-k", f"StudyInstanceUID={BERT}")
        assert (await moved(door, "STUDY", *uid))[1] == [BERT]
        assert (await moved(door, "STUDY", *uid, *SOUTH))[1] == [BERT]
        assert (await moved(door, "STUDY", *uid, *NORTH))[1] == []
        assert (await moved(door, "STUDY", *uid, number="8"))[1] == []
