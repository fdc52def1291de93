"""Contributions to a study: their chains, and the union that is the study."""

from contextlib import suppress
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshpacs.model import limits
from meshpacs.model.content import Entry
from meshpacs.model.errors import PeerFault
from meshpacs.model.ids import Digest, NodeId
from meshpacs.wire.codec import Malformed
from meshpacs.wire.manifest import (
    NOTHING_BEFORE,
    Conflict,
    Forked,
    Manifest,
    Signed,
    digest,
    draft,
    follows,
    read_body,
    read_signed,
    union,
    write_body,
    write_signed,
)

ANNA, BERT, CARL = (NodeId(letter * 32) for letter in (b"a", b"b", b"c"))
HEAD = Digest(b"h" * 32)
STUDY = "1.2.3"


def entry(uid: str, root: bytes = b"r", *, series: str = "1.9", syntax: str = "1.2.1") -> Entry:
    return Entry(uid, "1.5", series, "CT", syntax, 100, Digest(root * 32))


def first(origin: NodeId, *entries: Entry) -> Manifest:
    return draft(origin, STUDY, entries, roster_head=HEAD)


def after(older: Manifest, *entries: Entry) -> Manifest:
    before = (older, digest(write_body(older)))
    return draft(older.origin, STUDY, entries, roster_head=HEAD, after=before)


def test_a_manifest_and_its_envelope_come_back_as_they_were() -> None:
    manifest = first(ANNA, entry("2"), entry("1"))
    assert [e.sop_uid for e in manifest.entries] == ["1", "2"]
    assert (manifest.version, manifest.previous) == (1, NOTHING_BEFORE)
    signed = Signed(write_body(manifest), b"s" * 64)
    assert read_signed(write_signed(signed)) == signed
    assert read_body(signed.manifest) == manifest


def test_a_large_manifest_passes() -> None:
    manifest = first(ANNA, *(entry(f"1.2.{n:06}") for n in range(2_000)))
    signed = Signed(write_body(manifest), b"s" * 64)
    assert len(signed.manifest) > limits.BODY_BYTES
    assert read_body(read_signed(write_signed(signed)).manifest) == manifest


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"entries": (entry("2"), entry("1"))}, "entries[1]"),
        ({"entries": (entry("1"), entry("1", b"q"))}, "entries[1]"),
        (
            {"entries": (replace(entry("1"), size_bytes=limits.INSTANCE_BYTES + 1),)},
            "entries[0].size_bytes",
        ),
        ({"version": 0}, "version"),
        ({"version": 2}, "previous"),
        ({"previous": HEAD}, "previous"),
    ],
)
def test_a_manifest_that_breaks_the_rules_is_refused_by_name(
    changes: dict[str, object], words: str
) -> None:
    with pytest.raises(Malformed) as caught:
        read_body(write_body(replace(first(ANNA), **changes)))  # type: ignore[arg-type]
    assert words in str(caught.value)


def test_too_many_entries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshpacs.wire.manifest.STUDY_INSTANCES", 1)
    with pytest.raises(Malformed, match="more than 1"):
        read_body(write_body(first(ANNA, entry("1"), entry("2"))))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_garbage_is_never_anything_but_a_peers_fault(data: st.DataObject) -> None:
    payload = bytearray(write_body(first(ANNA, entry("1"), entry("2"))))
    for place, change in data.draw(
        st.lists(st.tuples(st.integers(0, len(payload) - 1), st.integers(0, 255)), max_size=4)
    ):
        payload[place] = change
    with suppress(PeerFault):
        read_body(payload)
    with suppress(PeerFault):
        read_signed(payload)


# ---------------------------------------------------------------- chains


def test_the_next_version_names_the_one_before() -> None:
    one = first(ANNA, entry("1"))
    two = after(one, entry("1"), entry("2"))
    mark = digest(write_body(one))
    assert (two.version, two.previous) == (2, mark)
    assert follows(two, one, mark)
    assert not follows(one, two, digest(write_body(two)))
    assert not follows(one, one, mark)


def test_of_versions_further_on_only_the_number_can_be_judged() -> None:
    one = first(ANNA)
    two = after(one, entry("1"))
    three = after(two, entry("1"), entry("2"))
    assert follows(three, one, digest(write_body(one)))


def test_other_origins_and_studies_are_other_chains() -> None:
    one = first(ANNA)
    assert not follows(replace(after(one), origin=BERT), one, digest(write_body(one)))
    assert not follows(replace(after(one), study_uid="9"), one, digest(write_body(one)))


def test_two_bodies_of_one_version_are_a_fork() -> None:
    one, other = first(ANNA, entry("1")), first(ANNA, entry("2"))
    with pytest.raises(Forked) as caught:
        follows(one, other, digest(write_body(other)))
    assert (caught.value.origin, caught.value.study_uid, caught.value.version) == (ANNA, STUDY, 1)
    with pytest.raises(Forked):
        follows(after(one), other, digest(write_body(other)))


# ---------------------------------------------------------------- union


def test_a_study_is_the_union_of_its_origins_latest_versions() -> None:
    ct = first(ANNA, entry("1"), entry("2"))
    more = after(ct, entry("1"), entry("2"), entry("5", series="1.7"))
    sr = first(BERT, entry("3"))
    for known in permutations([ct, more, sr]):
        study = union(known)
        assert [e.sop_uid for e in study.entries] == ["1", "2", "3", "5"]
        assert study.conflicts == ()
        assert study.origins == {ANNA: 2, BERT: 1}


def test_an_instance_that_left_the_latest_version_is_gone() -> None:
    one = first(ANNA, entry("1"), entry("2"))
    assert [e.sop_uid for e in union([one, after(one, entry("2"))]).entries] == ["2"]


def test_equal_contents_are_one_instance() -> None:
    study = union([first(ANNA, entry("1")), first(BERT, replace(entry("1"), modality="OT"))])
    assert study.entries == (entry("1"),)
    assert study.conflicts == ()


def test_of_different_contents_the_one_with_more_origins_wins() -> None:
    known = [
        first(ANNA, entry("1", b"a")),
        first(BERT, entry("1", b"b")),
        first(CARL, entry("1", b"b")),
    ]
    for order in permutations(known):
        study = union(order)
        assert study.entries == (entry("1", b"b"),)
        assert study.conflicts == (Conflict("1", entry("1", b"b"), (entry("1", b"a"),)),)


def test_among_as_many_origins_the_smallest_root_wins() -> None:
    known = [first(ANNA, entry("1", b"b")), first(BERT, entry("1", b"a"))]
    for order in permutations(known):
        assert union(order).entries == (entry("1", b"a"),)


def test_of_a_fork_everybody_takes_the_same_side() -> None:
    known = [first(ANNA, entry("1")), first(ANNA, entry("2"))]
    assert union(known) == union(reversed(known))


def test_nothing_known_is_no_study() -> None:
    assert union([]).entries == ()
