"""An invite is one line that survives mail and chat, and says what is wrong when it did not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshpacs.model.errors import LocalFault
from meshpacs.model.ids import MeshId
from meshpacs.model.limits import INVITE_CHARACTERS
from meshpacs.model.member import Role
from meshpacs.wire import invite as invites
from meshpacs.wire.admission import Grant, granted_by, redeemed
from meshpacs.wire.codec import unpack
from meshpacs.wire.invite import (
    ALPHABET,
    BadInvite,
    Invite,
    invite_psk,
    mesh_psk,
    read_invite,
    write_invite,
)
from tests.wire.mesh_of import NOW_S, SECRET, founder, identity, mesh_of

MESH = mesh_of()
INVITE = MESH.invite(addresses=("192.0.2.7:7117", "[2001:db8::7]:7117", "pacs.example:443"))
TEXT = write_invite(INVITE)


def test_an_invite_comes_back_as_it_was_made() -> None:
    assert len(TEXT) <= INVITE_CHARACTERS
    assert TEXT.startswith("meshpacs:")
    assert read_invite(TEXT) == INVITE


def test_an_invite_carries_a_grant_by_its_founder_and_a_key_to_redeem_it() -> None:
    invite = read_invite(TEXT)
    assert granted_by(founder("Nordlicht").public, MESH.mesh, invite.granted)
    grant = unpack(Grant, invite.granted.body)
    assert (grant.invite, grant.role, grant.expires_s) == (
        invite.public,
        "member",
        invite.expires_s,
    )
    statement = identity("bert").chain[0]
    assert redeemed(grant, MESH.mesh, statement, invite.redeem(statement))
    assert not redeemed(grant, MESH.mesh, statement, bytes(64))


def test_every_member_can_derive_an_invites_psk_and_nobody_else() -> None:
    assert INVITE.psk == invite_psk(SECRET, MESH.mesh, INVITE.public)
    assert INVITE.psk != invite_psk(bytes(32), MESH.mesh, INVITE.public)
    assert INVITE.psk != invite_psk(SECRET, MESH.mesh, bytes(32))
    assert INVITE.psk != invite_psk(SECRET, MeshId(bytes(32)), INVITE.public)
    assert mesh_psk(SECRET, MESH.mesh) != mesh_psk(SECRET, MeshId(bytes(32)))
    assert len(mesh_psk(SECRET, MESH.mesh)) == len(INVITE.psk) == 32


def test_two_invites_have_two_seeds() -> None:
    made = [
        invites.make_invite(
            MESH.founder,
            MESH.mesh,
            SECRET,
            role=Role.MEMBER,
            expires_s=NOW_S,
            addresses=("a.example:1",),
        )
        for _ in range(2)
    ]
    assert made[0].seed != made[1].seed


def test_seed_and_secret_do_not_show_when_printed() -> None:
    assert repr(INVITE) == f"Invite({INVITE.public.hex()[:8]})"


@pytest.mark.parametrize(
    "pasted",
    [
        f"  {TEXT}\n",
        f"<{TEXT}>.",
        f'"{TEXT}",',
        f"**{TEXT}**",
        TEXT[len("meshpacs:") :],
        "MESHPACS:" + TEXT[len("meshpacs:") :],
        "\n".join(TEXT[at : at + 60] for at in range(0, len(TEXT), 60)),
        "\r\n  ".join(TEXT[at : at + 76] for at in range(0, len(TEXT), 76)),
        "\u200b".join((TEXT[:40], TEXT[40:])),
        TEXT.replace(":", ":\u00a0", 1),
    ],
)
def test_what_mail_and_chat_do_to_a_line_does_no_harm(pasted: str) -> None:
    assert read_invite(pasted) == INVITE


def test_the_text_has_only_characters_that_nothing_breaks_or_decorates() -> None:
    assert set(TEXT.removeprefix("meshpacs:")) <= set(ALPHABET)
    assert not set(ALPHABET) & set("0OIl+/=-_.~")


def test_a_text_that_was_cut_off_is_told_from_one_that_was_mistyped() -> None:
    for length in range(len("meshpacs:") + 3, len(TEXT)):
        with pytest.raises(BadInvite, match=f"cut off: it has {length} of {len(TEXT)}"):
            read_invite(TEXT[:length])
    for place in range(len("meshpacs:") + 2, len(TEXT)):
        other = "7" if TEXT[place] != "7" else "8"
        with pytest.raises(BadInvite, match="mistyped"):
            read_invite(TEXT[:place] + other + TEXT[place + 1 :])
    with pytest.raises(BadInvite, match="something was added"):
        read_invite(TEXT + "ab")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is empty"),
        ("meshpacs:", "is empty"),
        ("meshpacs:ab", "too short"),
        ("meshpacs:zzz", "beginning was mistyped"),
        ("meshpacs:2A" + "a" * 300, "too long"),
        ("meshpacs:0abc", "character 10 is '0'"),
        ("https://example.org/", "does not begin with `meshpacs:`"),
        ("meshpacs:1D1", "mistyped"),
    ],
)
def test_what_is_no_invite_is_said_to_be_none(text: str, fault: str) -> None:
    with pytest.raises(BadInvite, match=fault) as told:
        read_invite(text)
    assert "copy the whole line" in told.value.mend


def remade(body: bytes) -> str:
    """An invite's text around these bytes, with a checksum that fits."""
    return invites._text(body + invites._check(body))


def body_of(text: str) -> bytes:
    return invites._bytes58(text.removeprefix("meshpacs:")[2:])[:-4]


FIXED = invites.FIXED_BYTES


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"\x02" + body_of(TEXT)[1:], "version 2"),
        (body_of(TEXT)[:100], "ends too early"),
        (body_of(TEXT) + b"x", "makes no sense"),
        (body_of(TEXT)[:49] + b"\x05" + body_of(TEXT)[50:], "makes no sense"),
        (body_of(TEXT)[:FIXED] + b"\x00", "makes no sense"),
        (body_of(TEXT)[:FIXED] + b"\x01\x09abcdef", "unknown kind"),
        (body_of(TEXT)[:FIXED] + b"\x01\x01\x03a b\x00\x50", "makes no sense"),
        (body_of(TEXT)[:FIXED] + b"\x01\x04\x7f\x00\x00\x01\x00\x00", "port"),
    ],
)
def test_an_invite_that_was_made_wrong_is_refused(body: bytes, fault: str) -> None:
    with pytest.raises(BadInvite, match=fault):
        read_invite(remade(body))


def test_addresses_beyond_the_room_are_left_out_from_the_end() -> None:
    names = tuple(f"clinic-{number}.example:7117" for number in range(8))
    text = write_invite(replace(INVITE, addresses=names))
    assert len(text) <= INVITE_CHARACTERS
    assert read_invite(text).addresses == names[:2]


def test_an_invite_without_a_usable_address_cannot_be_written() -> None:
    with pytest.raises(LocalFault, match="needs an address"):
        write_invite(replace(INVITE, addresses=()))
    with pytest.raises(LocalFault, match="No address fits"):
        write_invite(replace(INVITE, addresses=(f"{'x.' * 120}example:1",)))
    for address in ("ü" * 70 + ":1", "x" * 300 + ":1"):
        with pytest.raises(LocalFault, match="cannot stand in an invite"):
            write_invite(replace(INVITE, addresses=(address,)))
    with pytest.raises(LocalFault, match="no port"):
        MESH.invite(addresses=("nowhere",))


def test_a_name_beyond_ascii_is_written_as_the_network_knows_it() -> None:
    text = write_invite(replace(INVITE, addresses=("klinik-süd.example:7117",)))
    assert read_invite(text).addresses == ("xn--klinik-sd-x9a.example:7117",)


hosts = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
    st.from_regex(r"[a-z][a-z0-9\-]{0,20}(\.[a-z]{2,5})?", fullmatch=True),
)
addresses = st.builds(lambda host, port: f"{host}:{port}", hosts, st.integers(1, 65535))


@given(
    st.binary(min_size=32, max_size=32),
    st.sampled_from(Role),
    st.integers(0, 2**32 - 1),
    st.binary(min_size=16, max_size=16),
    st.lists(addresses, min_size=1, max_size=2),
)
def test_any_invite_comes_back(
    mesh: bytes, role: Role, expires_s: int, seed: bytes, some: list[str]
) -> None:
    made = Invite(MeshId(mesh), bytes(16), role, expires_s, seed, seed, bytes(64), tuple(some))
    text = write_invite(made)
    assert len(text) <= INVITE_CHARACTERS
    back = read_invite(text)
    # With two long names there may be room for the first alone.
    long = sum(map(len, some)) > 40
    assert back.addresses in ((tuple(some), tuple(some[:1])) if long else (tuple(some),))
    assert replace(back, addresses=made.addresses) == made


@given(st.text(max_size=320))
def test_no_text_does_worse_than_to_be_refused(text: str) -> None:
    with pytest.raises(BadInvite):
        read_invite(text)


@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_to_be_refused(body: bytes) -> None:
    with pytest.raises(BadInvite):
        read_invite(remade(body_of(TEXT)[:FIXED] + b"\x08" + body[:60]))
