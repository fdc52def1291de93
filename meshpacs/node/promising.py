"""What a positive answer of storage commitment stands for, said instance by instance.

Today: the instance is in this archive, visible and unchallenged, and its bytes were read again from
the disk and hashed after it was asked about. What a commitment promises grows with replication:
then somebody else implements `Promising`, and nobody who asks it has to know.
"""

from typing import Protocol

import trio

from meshpacs.archive.faults import DiskFull
from meshpacs.model.commitment import Promise, Reference
from meshpacs.model.errors import Damaged, MeshError
from meshpacs.model.limits import LEAF_BYTES
from meshpacs.node.vault import Vault

_READING = trio.CapacityLimiter(2)
"""Instances read again at once, over all requests. A guess: whoever asks is in no hurry, whoever
stores or retrieves meanwhile is."""


class Promising(Protocol):
    """Knows what can be promised of an instance."""

    async def promise(self, reference: Reference, *, reread: bool) -> Promise:
        """What is promised of it now.

        Unless `reread`, bytes that were read since the start are not read again: whatever damage
        was seen meanwhile has taken its instance out of the index.
        """
        ...


class HeldHere:
    """Promises what this node's own archive holds."""

    def __init__(self, vault: Vault) -> None:
        """Ask this archive."""
        self._vault = vault

    async def promise(self, reference: Reference, *, reread: bool) -> Promise:
        """Look it up and, if it is `reread`, hash it: a trip to a thread, to be abandoned."""
        async with _READING:
            return await self._vault.read(lambda: self._looked_up(reference, reread=reread))

    def _looked_up(self, reference: Reference, *, reread: bool) -> Promise:
        archive = self._vault.archive
        try:
            found = archive.instance(reference.sop_uid)
            if found.in_conflict:
                # Of two contents under one UID it is not known which one its asker means.
                return Promise.IN_CONFLICT
            if found.entry is None:
                return self._absent()
            if found.entry.sop_class != reference.sop_class:
                return Promise.OTHER_CLASS
            if reread:
                archive.verify(found.entry.root, found.entry.transfer_syntax)
        except Damaged:
            return Promise.ABSENT
        except MeshError:
            return Promise.FAILED
        return Promise.COMMITTED

    def _absent(self) -> Promise:
        try:
            self._vault.archive.need_room(LEAF_BYTES, "an instance")
        except DiskFull:
            return Promise.NO_ROOM
        return Promise.ABSENT
