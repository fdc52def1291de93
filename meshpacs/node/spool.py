"""Instances that were ordered from another archive, until they are where they are wanted.

An archive of its own, which is gone afterwards: so they come in by the same door as all others, are
checked against what was announced, and count once. They are not ours before they are imported.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from meshpacs.archive.archive import Archive
from meshpacs.archive.arrival import Announced
from meshpacs.node.arriving import Arriving
from meshpacs.node.export import export_study
from meshpacs.node.vault import Vault


class Spool:
    """Use `open_spool`."""

    def __init__(self, vault: Vault) -> None:
        """Empty."""
        self._vault = vault

    def arrival(
        self, sop_class: str, sop_uid: str, transfer_syntax: str, calling_ae: str
    ) -> Arriving:
        """Take in one data set that a sender has announced, piece by piece."""
        return Arriving(self._vault, Announced(sop_class, sop_uid, transfer_syntax, calling_ae))

    @property
    def folder(self) -> Path:
        """Where the instances' files are, for an import."""
        return self._vault.archive.folder / "blobs"

    async def export(self, study_uid: str, folder: Path) -> int:
        """Write a study's files, each verified against what came; how many there are.

        Raises:
            MeshError: something is in the way, or the disk is full or failing.
        """
        archive = self._vault.archive
        return await self._vault.read(
            lambda: export_study(archive, archive.study_entries(study_uid), folder)
        )


@asynccontextmanager
async def open_spool(folder: Path) -> AsyncIterator[Spool]:
    """In this folder, which is empty; whoever made it removes it. Nothing waits for the disk: who
    gave them has them still.

    Raises:
        Unavailable: the disk is full, read-only or failing.
    """
    archive = await trio.to_thread.run_sync(lambda: Archive.open(folder, sync=lambda _: None))
    vault = Vault(archive)
    try:
        yield Spool(vault)
    finally:
        with trio.CancelScope(shield=True):  # which has its own deadline
            await vault.close()
