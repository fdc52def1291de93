"""Taking a study out of this node's archive, never the last known copy unless that is wanted.

This is about this archive alone: nobody else is told to remove anything (PROTOCOL 11). Two clinics
that delete at the same moment may each count on the other's copy; nobody can see that from here.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import structlog

from meshpacs.archive.notes import NewManifest
from meshpacs.model.content import Entry
from meshpacs.model.errors import LocalFault
from meshpacs.model.ids import NodeId
from meshpacs.node.fetcher import Fetcher
from meshpacs.node.fetching import Means
from meshpacs.node.manifests import contents_of
from meshpacs.node.rooms import Rooms
from meshpacs.node.selection import Selection
from meshpacs.node.views import DeleteView

log = structlog.get_logger()


class Removing:
    """The way out of the archive."""

    def __init__(self, rooms: Rooms, means: Means, fetcher: Fetcher) -> None:
        """`means` tell who holds a study, `fetcher` what holders have of it."""
        self._rooms = rooms
        self._means = means
        self._fetcher = fetcher

    async def remove(self, study_uid: str, *, even_if_last: bool, confirmed: bool) -> DeleteView:
        """See `mesh.Mesh.delete`."""
        archive = self._rooms.vault.archive
        entries = await self._rooms.vault.read(lambda: archive.study_entries(study_uid))
        if not entries:
            raise LocalFault(
                f"The study {study_uid} is not in this archive.",
                "Copy a Study Instance UID that `meshpacs find --scope local` shows.",
            )
        self._fetcher.check_unfetched(study_uid)
        view, last = await self._look(study_uid, entries)
        if not confirmed:
            return view
        if last and not even_if_last:
            raise _the_last(view)
        return await self._remove(view, entries, last)

    async def _look(
        self, study_uid: str, entries: tuple[Entry, ...]
    ) -> tuple[DeleteView, tuple[Entry, ...]]:
        """Who has how much of it, and which instances nobody else has."""
        located = await self._means.locate(study_uid)
        held: Mapping[tuple[NodeId, str], tuple[Entry, ...]] = {}
        if located.holders:
            held = await self._fetcher.holdings([(study_uid, located.holders)])
        ours = contents_of(entries)
        elsewhere: Counter[tuple[str, object]] = Counter()
        copies: dict[NodeId, int] = {}
        for (holder, _), theirs in sorted(held.items()):
            same = contents_of(theirs) & ours
            copies[holder] = len(same)
            elsewhere.update(same)
        mute = [holder for holder in located.holders if holder not in copies]
        last = tuple(e for e in entries if not elsewhere[e.sop_uid, e.content])
        archive = self._rooms.vault.archive
        aside = await self._rooms.vault.read(
            lambda: sum(c.study_uid == study_uid for c in archive.conflicts())
        )
        view = DeleteView(
            study_uid=study_uid,
            deleted=False,
            instances=len(entries),
            bytes=sum(entry.size_bytes for entry in entries),
            aside=aside,
            copies=copies,
            last=len(last),
            unheard=tuple(sorted({*located.unheard, *mute})),
            names=dict(self._means.names()),
        )
        return view, last

    async def _remove(
        self, view: DeleteView, entries: tuple[Entry, ...], last: tuple[Entry, ...]
    ) -> DeleteView:
        uid, node = view.study_uid, self._rooms.node
        archive, contributions = self._rooms.vault.archive, self._means.contributions
        # Somebody who was not heard may hold copies that can be fetched only while they are
        # vouched for.
        gone = () if view.unheard else last

        def remove(newest: tuple[int, bytes] | None) -> int:
            manifest = None if newest is None else NewManifest(node, *newest)
            return archive.remove_study(uid, entries, manifest)

        def work() -> int:
            aside = contributions.withdrawing(uid, gone, remove)
            for stage in Selection(uid).stages:
                if stage in archive.selections():
                    archive.discard(stage)
            return aside

        # A fetch may have begun while others were asked.
        with self._fetcher.kept_out(uid):
            aside = await self._rooms.vault.write(work)
        log.info(
            "study_deleted",
            study=uid,
            instances=view.instances,
            bytes=view.bytes,
            aside=aside,
            last=view.last,
            holders=len(view.copies),
        )
        return replace(view, deleted=True, aside=aside)


def _the_last(view: DeleteView) -> LocalFault:
    silent = ", ".join(view.names.get(node, node.hex()[:8]) for node in view.unheard)
    return LocalFault(
        f"{view.last} of the {view.instances} instances of this study are in no other archive "
        f"that answered{f'; not heard: {silent}' if silent else ''}.",
        "Let another clinic fetch the study first, or say --even-if-last to lose them for ever.",
    )
