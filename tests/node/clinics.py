"""Clinics with real archives and real links on loopback, without queries: for fetches alone."""

import io
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pydicom
import trio
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from meshpacs.archive.archive import Archive
from meshpacs.links.dialer import Dialer
from meshpacs.links.link import Link
from meshpacs.model.content import Entry
from meshpacs.model.errors import Unavailable
from meshpacs.model.ids import Digest, NodeId
from meshpacs.node.fetcher import Fetcher
from meshpacs.node.fetching import Located, Means
from meshpacs.node.manifests import Contributions
from meshpacs.node.selection import Selection
from meshpacs.node.serving import Serving
from meshpacs.node.views import FetchDone, FetchEvent
from meshpacs.wire.messages import Purpose
from meshpacs.wire.notary import RosterNotary
from tests.links.doors import Opened, gate, opened
from tests.wire.mesh_of import Mesh, identity, mesh_of

STUDY = "1.2.826.0.1.7"
CT = "1.2.840.10008.5.1.4.1.1.2"
SR = "1.2.840.10008.5.1.4.1.1.88.11"
KO = "1.2.840.10008.5.1.4.1.1.88.59"


def instance(
    number: int,
    *,
    size: int = 1000,
    series: str = "1",
    modality: str = "CT",
    sop_class: str = CT,
    study: str = STUDY,
    variant: int = 0,
) -> bytes:
    """A Part 10 file; equal arguments give equal bytes, another `variant` other ones."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.UID(sop_class)
    meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(f"{study}.{series}.{number}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID = sop_class
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID = study
    data.SeriesInstanceUID = f"{study}.{series}"
    data.Modality = modality
    data.PatientID = "7"
    data.PatientName = "Muster^Anna"
    data.add_new(0x7FE00010, "OB", random.Random(f"{number} {series} {variant}").randbytes(size))
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


class Clinic:
    """One node: archive, roster, and the parts that give and fetch."""

    def __init__(self, name: str, folder: Path, mesh: Mesh, hall: "Hall") -> None:
        self.name = name
        self.folder = folder
        self.hall = hall
        self.identity = identity(name)
        self.node = self.identity.node
        self.roster = mesh.copy()
        self.gate = gate(self.identity, self.roster)
        self.notary = RosterNotary(self.identity, self.roster)
        self.blamed: list[tuple[NodeId, str]] = []
        self.holders: list[NodeId] | None = None
        """What a search finds; None: whoever is up and has any of the study."""
        self.served: list[tuple[Digest, int]] = []
        """Leaves that were given."""
        self.meddle: Callable[[Digest, int, bytes | None], bytes | None] | None = None
        """Changes what is given."""
        self.scope = trio.CancelScope()
        self.door: Opened
        self.wake()

    def wake(self) -> None:
        """Open the archive, as a process does that starts."""
        # Crashes here are of processes, not of machines: nothing need reach the platter.
        self.archive = Archive.open(self.folder, sync=lambda _number: None)
        self.archive._stores.index._writer.execute("PRAGMA synchronous = OFF")
        self.contributions = Contributions(self.node, self.archive, self.notary, self.roster.head)
        self.serving = Serving(self.archive, self.contributions, self.roster.members, self.blame)
        self.chunks, self.serving.chunks = self.serving.chunks, self._chunks  # type: ignore[method-assign]
        self.fetcher = Fetcher(
            self.node,
            self.archive,
            Means(
                self.archive, self.contributions, self.locate, self.bulk, self.blame,
                self.hall.names,
            ),
        )  # fmt: skip

    async def _chunks(self, wanted: Sequence[tuple[Digest, int]]) -> Sequence[bytes | None]:
        found = [None if data is None else bytes(data) for data in await self.chunks(wanted)]
        for number, (root, index) in enumerate(wanted[: len(found)]):
            if self.meddle:
                found[number] = self.meddle(root, index, found[number])
            self.served.append((root, index))
        return found

    def blame(self, node: NodeId, what: str) -> None:
        self.blamed.append((node, what))

    def take(self, *files: bytes) -> None:
        """By this clinic's own door."""
        for file in files:
            with self.archive.arrive() as arrival:
                arrival.write(file)
                arrival.commit()

    async def locate(self, study: str) -> Located:
        up = [clinic for clinic in self.hall.clinics.values() if not clinic.scope.cancel_called]
        found = [c.node for c in up if c is not self and c.archive.study_entries(study)]
        silent = [c.node for c in self.hall.clinics.values() if c not in up]
        holders = found if self.holders is None else self.holders
        return Located(tuple(holders), len(up), tuple(silent))

    @asynccontextmanager
    async def bulk(self, peer: NodeId) -> AsyncIterator[Link]:
        clinic = self.hall.of(peer)
        if clinic.scope.cancel_called:
            raise Unavailable(f"{clinic.name} cannot be reached.")
        link = await Dialer(self.gate)(clinic.door.member(), Purpose.BULK)
        try:
            yield link
        finally:
            await link.aclose()

    async def live(self, task_status: trio.TaskStatus[None]) -> None:
        """Until it is killed."""
        self.scope = trio.CancelScope()
        with self.scope:
            async with (
                opened(self.gate, self.serving.serve) as self.door,
                trio.open_nursery() as nursery,
            ):
                await nursery.start(self.fetcher.run)
                task_status.started()
                await trio.sleep_forever()

    def kill(self) -> None:
        """All links break, all fetches end; nothing is said to anybody."""
        self.scope.cancel()

    async def fetch(
        self, selection: Selection | str = STUDY, *, to: Path | None = None
    ) -> FetchDone:
        """Fetch to the end."""
        return (await self.events(selection, to=to))[-1]  # type: ignore[return-value]

    async def events(
        self, selection: Selection | str = STUDY, *, to: Path | None = None
    ) -> list[FetchEvent]:
        if isinstance(selection, str):
            selection = Selection(selection)
        async with self.fetcher.fetch(selection, to=to) as following:
            return [event async for event in following]

    def entries(self, study: str = STUDY) -> tuple[Entry, ...]:
        return self.archive.study_entries(study)


class Hall:
    """All clinics of one test."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.clinics: dict[str, Clinic] = {}
        self.nursery = nursery

    def of(self, node: NodeId) -> Clinic:
        return next(clinic for clinic in self.clinics.values() if clinic.node == node)

    def names(self) -> Mapping[NodeId, str]:
        return {clinic.node: name for name, clinic in self.clinics.items()}

    async def start(self, clinic: Clinic) -> None:
        await self.nursery.start(clinic.live)

    async def restart(self, clinic: Clinic) -> None:
        """Up again after a kill, from what the disk has."""
        clinic.archive._stores.index.close()
        clinic.wake()
        await self.start(clinic)

    def __iter__(self) -> Iterator[Clinic]:
        return iter(self.clinics.values())


@asynccontextmanager
async def clinics(folder: Path, *names: str) -> AsyncIterator[Hall]:
    """Members of one mesh, all up; the first is called anna."""
    mesh = mesh_of(*names[1:])
    async with trio.open_nursery() as nursery:
        hall = Hall(nursery)
        try:
            for name in names:
                clinic = Clinic(name, folder / name, mesh, hall)
                hall.clinics[name] = clinic
                await hall.start(clinic)
            yield hall
        finally:
            nursery.cancel_scope.cancel()
            for clinic in hall:
                clinic.archive.close()
