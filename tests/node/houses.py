"""Whole nodes in one trio test: real homes, real archives, real sockets on loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
import trio.testing

from meshpacs.model.attributes import Level
from meshpacs.model.query import Query
from meshpacs.node.config import Config, ConfigFile
from meshpacs.node.founding import Founded, found
from meshpacs.node.home import Home
from meshpacs.node.joining import Welcomed, join
from meshpacs.node.node import Node, open_node
from meshpacs.node.views import Found, ImportSummary, PeerState, PeerView
from tests.node.clinics import instance

ANY_PORT = ("127.0.0.1:0",)
ALL_STUDIES = Query(Level.STUDY)


@dataclass
class House:
    """One clinic's home, and its node while it is up."""

    home: Home
    name: str
    nursery: trio.Nursery
    flags: dict[str, Any] = field(default_factory=lambda: {"mesh_listen": ANY_PORT})
    node: Node | None = None
    closed: trio.Event = field(default_factory=trio.Event)

    @property
    def up(self) -> Node:
        """The running node."""
        assert self.node is not None
        return self.node

    @property
    def config(self) -> Config:
        return Config(self.name, mesh_listen=ANY_PORT)

    def found(self) -> Founded:
        return found(self.home, self.config, "Verbund")

    async def join(self, invite: str) -> Welcomed:
        return await join(self.home, invite, self.config)

    async def start(self) -> Node:
        self.closed = trio.Event()
        node: Node = await self.nursery.start(self._run)
        self.node = node
        # Started again it is found where it was, as real nodes are.
        self.flags = self.flags | {"mesh_listen": node.listening}
        return node

    async def _run(self, *, task_status: trio.TaskStatus[Node]) -> None:
        try:
            config = ConfigFile(self.home.config, self.flags)
            async with open_node(self.home, config) as node:
                task_status.started(node)
                await node.stopping.wait()
        finally:
            self.closed.set()

    async def stop(self) -> None:
        self.up.mesh.stop()
        await self.closed.wait()
        self.node = None

    async def invite(self) -> str:
        return (await self.up.mesh.invite(local=True)).text

    async def take_in(self, folder: Path, files: dict[str, bytes]) -> ImportSummary:
        """Import these files; a summary."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        async with self.up.mesh.import_paths([folder]) as importing:
            outcomes = [outcome async for some in importing for outcome in some]
        assert len(outcomes) == importing.summary.seen
        return importing.summary

    async def find(self, query: Query = ALL_STUDIES, **options: Any) -> Found:
        async with self.up.mesh.find(query, None, **options) as finding:
            return await finding.result()


@asynccontextmanager
async def street(folder: Path) -> AsyncIterator["Street"]:
    """Houses that are torn down at the end, whatever happens."""
    async with trio.open_nursery() as nursery:
        yield Street(folder, nursery)
        nursery.cancel_scope.cancel()


@dataclass
class Street:
    """Makes houses."""

    folder: Path
    nursery: trio.Nursery

    def house(self, name: str, **flags: Any) -> House:
        house = House(Home(self.folder / name), name, self.nursery)
        house.flags |= flags
        return house

    async def founder(self, name: str = "Nord", **flags: Any) -> House:
        """A house that has founded the mesh and is up."""
        house = self.house(name, **flags)
        house.found()
        await house.start()
        return house

    async def member(self, name: str, through: House, **flags: Any) -> House:
        """A house that has joined by an invite of a founder's that is up, and is up."""
        house = self.house(name, **flags)
        await house.join(await through.invite())
        await house.start()
        await until_state(through, name, PeerState.LINKED)
        await until_state(house, through.name, PeerState.LINKED)
        return house


async def until_state(house: House, name: str, state: PeerState) -> PeerView:
    """Wait until a peer is seen in this state: each look lets the others run."""
    with trio.fail_after(10):
        while True:
            for peer in await house.up.mesh.peers():
                if peer.name == name and peer.state is state:
                    return peer
            await trio.testing.wait_all_tasks_blocked(0.01)


def study(number: int, **options: Any) -> bytes:
    """One instance of a study of its own."""
    return instance(1, study=f"1.2.826.0.1.{number}", **options)


def uids(found: Found) -> list[str]:
    """The studies that were found, in order."""
    return sorted(str(match.record[0x0020_000D][0]) for match in found.matches)
