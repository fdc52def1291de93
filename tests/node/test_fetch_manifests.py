"""Contributions: signed when asked for, verified when told, kept for others."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from meshpacs.archive.archive import Archive
from meshpacs.links.transfer import Known
from meshpacs.model.content import Entry
from meshpacs.model.errors import PeerFault
from meshpacs.model.ids import Digest
from meshpacs.node import manifests as module
from meshpacs.node.manifests import Contributions
from meshpacs.wire.entries import Revoke
from meshpacs.wire.manifest import (
    MANIFEST_CONTEXT,
    Manifest,
    Signed,
    digest,
    draft,
    read_body,
    read_signed,
    write_body,
    write_signed,
)
from meshpacs.wire.notary import RosterNotary
from tests.node.clinics import STUDY, instance
from tests.wire.mesh_of import Mesh, identity, mesh_of


def entry(number: int, content: int = 0) -> Entry:
    root = Digest(bytes([number, content]) * 16)
    return Entry(f"1.2.{number}", "1.2.3", "1.9", "CT", "1.2.840.10008.1.2.1", 100, root)


@dataclass
class Shelf:
    """An archive of entries alone."""

    own: tuple[Entry, ...] = ()
    fetched: tuple[Entry, ...] = ()
    kept: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    writes: int = 0

    def own_entries(self, study_uid: str) -> tuple[Entry, ...]:
        return self.own if study_uid == STUDY else ()

    def study_entries(self, study_uid: str) -> tuple[Entry, ...]:
        return tuple(sorted({*self.own, *self.fetched})) if study_uid == STUDY else ()

    def manifests(self, study_uid: str) -> dict[bytes, tuple[int, bytes]]:
        return dict(self.kept) if study_uid == STUDY else {}

    def keep_manifest(self, study_uid: str, origin: bytes, version: int, signed: bytes) -> bool:
        if origin in self.kept and self.kept[origin][0] >= version:
            return False
        self.writes += 1
        self.kept[origin] = version, signed
        return True


class Books:
    """One member's contributions."""

    def __init__(self, name: str, mesh: Mesh, *own: Entry) -> None:
        self.identity = identity(name)
        self.node = self.identity.node
        self.roster = mesh.copy()
        self.pen = RosterNotary(self.identity, self.roster)
        self.shelf = Shelf(own)
        self.books = Contributions(self.node, self.shelf, self.pen, self.roster.head)

    def known(self) -> Known:
        return self.books.known(STUDY)

    def manifests(self) -> tuple[Manifest, ...]:
        return tuple(read_body(read_signed(each).manifest) for each in self.known().signed)

    def sign(self, manifest: Manifest) -> bytes:
        body = write_body(manifest)
        return write_signed(Signed(body, self.pen.sign(MANIFEST_CONTEXT, body)))

    def take(self, other: "Books") -> None:
        """What a fetch leaves."""
        known = other.known()
        checked = self.books.check(STUDY, known, other.node)
        self.books.keep(STUDY, [known.signed])
        self.shelf.fetched = tuple(sorted({*self.shelf.fetched, *checked.held}))


@pytest.fixture
def mesh() -> Mesh:
    return mesh_of("bert", "carl")


@pytest.fixture
def member(mesh: Mesh) -> Callable[..., Books]:
    return lambda name, *own: Books(name, mesh, *own)


Member = Callable[..., Books]


def test_a_version_is_signed_when_asked_for_and_only_if_something_has_changed(
    member: Member,
) -> None:
    anna = member("anna")
    assert anna.known() == Known((), b"")
    anna.shelf.own = (entry(2), entry(1))
    (first,) = anna.manifests()
    assert (first.version, first.entries) == (1, (entry(1), entry(2)))
    assert first.roster_head == anna.roster.head()
    assert anna.manifests() == (first,)
    assert anna.shelf.writes == 1
    former = digest(read_signed(anna.known().signed[0]).manifest)
    anna.shelf.own = (entry(1), entry(2), entry(3))
    (second,) = anna.manifests()
    assert (second.version, second.previous) == (2, former)


def test_what_is_lost_or_removed_is_still_vouched_for_and_not_held(member: Member) -> None:
    anna = member("anna", entry(1), entry(2))
    (first,) = anna.manifests()
    anna.shelf.own = (entry(2),)
    known = anna.known()
    assert anna.manifests() == (first,)
    assert known.held == bytes([0b10])
    anna.shelf.own = (entry(1, content=1), entry(2))
    (second,) = anna.manifests()
    assert second.entries == (entry(1, content=1), entry(2))


def test_what_is_withdrawn_leaves_the_next_version_which_the_remover_keeps(member: Member) -> None:
    anna = member("anna", entry(1), entry(2))
    anna.known()
    former = anna.shelf.kept[anna.node]

    def remove(newest: tuple[int, bytes] | None) -> str:
        assert newest is not None
        assert anna.shelf.kept[anna.node] == former  # keeping it is the remover's
        anna.shelf.own = ()
        anna.shelf.kept[anna.node] = newest
        return "done"

    assert anna.books.withdrawing(STUDY, [entry(1)], remove) == "done"
    (second,) = anna.manifests()
    assert (second.version, second.entries) == (2, (entry(2),))
    told: list[object] = []
    anna.books.withdrawing(STUDY, [entry(1)], told.append)
    member("bert", entry(1)).books.withdrawing(STUDY, [entry(1)], told.append)
    assert told == [None, None]  # nothing was, or ever had been, vouched for


def test_what_was_fetched_is_told_on_and_never_vouched_for(member: Member) -> None:
    anna, bert, carl = member("anna", entry(1)), member("bert", entry(2)), member("carl")
    bert.take(anna)
    carl.take(bert)
    assert [m.origin for m in carl.manifests()] == sorted((anna.node, bert.node))
    assert {e for m in carl.manifests() for e in m.entries} == {entry(1), entry(2)}


def test_what_is_held_is_told_apart_from_what_is_known(member: Member) -> None:
    anna, bert = member("anna", *map(entry, range(20))), member("bert", entry(30))
    bert.take(anna)
    bert.shelf.fetched = (entry(3), entry(17))
    checked = anna.books.check(STUDY, bert.known(), bert.node)
    assert sorted(checked.held) == sorted((entry(3), entry(17), entry(30)))
    assert len(checked.manifests) == 2
    everything = Known(bert.known().signed)
    assert len(anna.books.check(STUDY, everything, bert.node).held) == 21
    short = Known(bert.known().signed, b"\0")
    assert anna.books.check(STUDY, short, bert.node).held == ()


def test_a_forged_manifest_is_its_tellers_breach(member: Member) -> None:
    anna, bert = member("anna", entry(1)), member("bert")
    forged = draft(anna.node, STUDY, [entry(9)], roster_head=anna.roster.head())
    with pytest.raises(PeerFault, match="never signed"):
        anna.books.check(STUDY, Known((bert.sign(forged),)), bert.node)


def test_a_manifest_of_another_study_is_a_breach(member: Member) -> None:
    anna, bert = member("anna", entry(1)), member("bert")
    other = draft(anna.node, "9.9", [entry(1)], roster_head=anna.roster.head())
    with pytest.raises(PeerFault, match="another study"):
        bert.books.check(STUDY, Known((anna.sign(other),)), anna.node)


def test_garbage_is_a_breach(member: Member) -> None:
    bert = member("bert")
    with pytest.raises(PeerFault):
        bert.books.check(STUDY, Known((b"garbage",)), bert.node)


def test_what_a_former_member_has_vouched_for_still_counts(mesh: Mesh, member: Member) -> None:
    bert = member("bert", entry(1))
    known = bert.known()
    mesh.decide(Revoke(bert.node))
    anna = member("anna")
    assert bert.node not in anna.roster.members()
    checked = anna.books.check(STUDY, known, anna.node)
    assert checked.held == (entry(1),)
    assert checked.strangers == 0


def test_what_a_stranger_has_signed_is_not_used_and_nobody_is_blamed(member: Member) -> None:
    anna = member("anna")
    emil = Books("emil", mesh_of("bert", "carl"), entry(1))
    checked = anna.books.check(STUDY, emil.known(), anna.node)
    assert (checked.manifests, checked.strangers) == ((), 1)
    assert anna.books.keep(STUDY, [emil.known().signed]) == ()
    assert anna.shelf.kept == {}


def test_older_versions_do_not_replace_newer_ones(member: Member) -> None:
    anna, bert = member("anna", entry(1)), member("bert")
    old = anna.known()
    anna.shelf.own = (entry(1), entry(2))
    bert.take(anna)
    assert bert.books.keep(STUDY, [old.signed]) == ()
    assert bert.shelf.kept[anna.node][0] == 2


def test_two_bodies_of_one_version_are_a_fork_and_the_first_stays(member: Member) -> None:
    anna, twin, bert = member("anna", entry(1)), member("anna", entry(2)), member("bert")
    bert.take(anna)
    (fork,) = bert.books.keep(STUDY, [twin.known().signed])
    assert (fork.origin, fork.version) == (anna.node, 1)
    assert bert.manifests()[0].entries == (entry(1),)
    twin.shelf.own = (entry(2), entry(3))
    twin.known()
    (fork,) = bert.books.keep(STUDY, [twin.known().signed])
    assert bert.manifests()[0].version == 2


def test_a_node_restored_from_an_old_copy_goes_on_from_what_others_know_of_it(
    member: Member,
) -> None:
    anna, bert = member("anna", entry(1)), member("bert")
    anna.known()
    old = dict(anna.shelf.kept)
    anna.shelf.own = (entry(1), entry(2))
    bert.take(anna)
    anna.shelf.kept, anna.shelf.own = old, (entry(1),)
    assert anna.books.keep(STUDY, [bert.known().signed]) == ()
    (manifest,) = anna.manifests()
    assert (manifest.version, manifest.entries) == (2, (entry(1), entry(2)))
    assert anna.known().held == bytes([0b01])
    anna.shelf.own = (entry(1), entry(3))
    (manifest,) = anna.manifests()
    assert (manifest.version, len(manifest.entries)) == (3, 3)
    assert bert.books.keep(STUDY, [anna.known().signed]) == ()


def test_bodies_read_before_are_remembered_within_bounds(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_ENTRIES", 4)
    anna = member("anna", entry(1), entry(2))
    bert = member("bert", entry(3), entry(4))
    for _ in range(2):
        carl = member("carl")
        carl.take(anna)
        carl.take(bert)
        assert len(carl.manifests()) == 2
        assert len(carl.books._read) == 1


def test_the_real_archive_serves_as_a_shelf(tmp_path: Path, mesh: Mesh) -> None:
    anna = identity("anna")
    roster = mesh.copy()
    with Archive.open(tmp_path) as archive:
        books = Contributions(anna.node, archive, RosterNotary(anna, roster), roster.head)
        with archive.arrive() as arrival:
            arrival.write(instance(1))
            arrival.commit()
        (manifest,) = books.kept(STUDY)
        assert manifest.entries == archive.own_entries(STUDY)
        assert books.known(STUDY).held == b"\1"
