"""DICOM front doors for tests: over a real node or one that says what a test wants."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from meshpacs.dimse.contexts import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from meshpacs.dimse.pdu import Role
from meshpacs.dimse.services import (
    PATIENT_ROOT_FIND,
    STUDY_ROOT_FIND,
    VERIFICATION,
)
from meshpacs.gateways.dicom.door import DicomDoor
from meshpacs.gateways.dicom.reporting import Reporter
from meshpacs.gateways.dicom.requested import Requests
from meshpacs.gateways.dicom.requesting import Requestor, Wish, associated
from meshpacs.gateways.dicom.session import House
from meshpacs.gateways.dicom.titles import Allowing, Titles
from meshpacs.model.address import parse_address
from meshpacs.node.book import Entry
from meshpacs.node.mesh import Mesh
from meshpacs.node.worklist import Worklist

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
PLAIN = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
PRIVATE = "1.2.276.0.19.55.1.5.1.1.1"
"""A maker's own SOP class, configured."""


class Strangers:
    """A book that knows nobody."""

    def allows(self, title: str, host: str) -> frozenset[str]:
        del title, host
        return frozenset()

    def prefers(self, title: str, host: str) -> str | None:
        del title, host
        return None

    def destination(self, title: str) -> tuple[Entry, ...]:
        del title
        return ()

    def entries_of(self, title: str, host: str) -> tuple[Entry, ...]:
        del title, host
        return ()


@dataclass
class Opened:
    """A door that is open."""

    door: DicomDoor
    host: str
    port: int
    titles: Titles
    pairs: tuple[tuple[str, tuple[str, ...]], ...] = field(
        default=(
            (VERIFICATION, PLAIN),
            (CT, PLAIN),
            (STUDY_ROOT_FIND, PLAIN),
            (PATIENT_ROOT_FIND, PLAIN),
        )
    )

    @asynccontextmanager
    async def called(
        self,
        *,
        called: str = "MESHPACS",
        calling: str = "TEST",
        pairs: tuple[tuple[str, tuple[str, ...]], ...] | None = None,
        roles: tuple[Role, ...] = (),
    ) -> AsyncIterator[Requestor]:
        """An association with it."""
        wish = Wish(called, calling, pairs or self.pairs, roles)
        async with associated(self.host, self.port, wish) as requestor:
            yield requestor

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[trio.SocketStream]:
        """A bare connection."""
        stream = await trio.open_tcp_stream(self.host, self.port)
        async with stream:
            yield stream


@asynccontextmanager
async def opened(
    mesh: Mesh,
    *titles: str,
    book: Allowing | None = None,
    worklist: Path | None = None,
    requests: Requests | None = None,
    issuer: str = "",
) -> AsyncIterator[Opened]:
    """A door on loopback, closed at the end."""
    names = Titles(lambda: titles or ("MESHPACS",), book or Strangers())
    steps = Worklist(worklist or Path("no such folder"), "ISO_IR 100")
    reporter = Reporter(mesh, names.others, lambda: (PRIVATE,))
    known = requests or Requests()
    house = House(
        mesh, names, lambda: "latin_1", lambda: (PRIVATE,), steps, reporter, known, issuer=issuer
    )
    door = DicomDoor(house)
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(reporter.run)
        (address,) = await nursery.start(door.serve, ("127.0.0.1:0",), stop)
        host, port = parse_address(address)
        try:
            yield Opened(door, host, port, names)
        finally:
            stop.set()
            nursery.cancel_scope.cancel()


def tool(name: str) -> str:
    """A program of DCMTK's, or the test is skipped."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; on Debian: apt-get install dcmtk")
    return found


async def dcmtk(name: str, door: Opened, *words: str, cwd: Path | None = None) -> str:
    """Run one of DCMTK's programs against the door; what it says. A program that fails, fails."""
    done = await dcmtk_fails(name, door, *words, cwd=cwd)
    assert done.returncode == 0, done.stdout
    return str(done.stdout)


async def dcmtk_fails(
    name: str, door: Opened, *words: str, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """The same, however it ends."""
    with trio.fail_after(60):
        done = await trio.run_process(
            [tool(name), "-v", "-aec", "MESHPACS", door.host, str(door.port), *words],
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
            cwd=cwd,
        )
    text = done.stdout.decode("latin_1")
    return subprocess.CompletedProcess(done.args, done.returncode, text, "")
