"""The handshake is the public one, and no message of it can be changed, repeated or reordered."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings
from noise.connection import Keypair, NoiseConnection

from meshpacs.model.errors import LocalFault
from meshpacs.wire import noise
from meshpacs.wire.noise import Cipher, Exhausted, Forged, Handshake, KeyPair
from tests.wire.vectors_noise import (
    FLYNN,
    INIT_EPHEMERAL,
    INIT_STATIC,
    PSK,
    RESP_EPHEMERAL,
    RESP_STATIC,
    SNOW,
    Vector,
    counting,
)


def side(
    *,
    initiator: bool,
    psk: bytes = PSK,
    prologue: bytes = b"",
    ephemeral: bytes | None = None,
    static: bytes | None = None,
) -> Handshake:
    return Handshake(
        initiator=initiator,
        static=KeyPair.of(static or (INIT_STATIC if initiator else RESP_STATIC)),
        ephemeral=KeyPair.of(ephemeral or (INIT_EPHEMERAL if initiator else RESP_EPHEMERAL)),
        psk=psk,
        prologue=prologue,
    )


def shaken(anna: Handshake, bert: Handshake, payloads: tuple[bytes, ...] = (b"", b"", b"")) -> None:
    assert bert.read(anna.write(payloads[0])) == payloads[0]
    assert anna.read(bert.write(payloads[1])) == payloads[1]
    assert bert.read(anna.write(payloads[2])) == payloads[2]


# ---------------------------------------------------------------- public vectors


@pytest.mark.parametrize("vector", FLYNN, ids=["bare", "prologue", "payloads"])
def test_flynns_vectors_come_out_byte_for_byte(vector: Vector) -> None:
    anna = side(initiator=True, prologue=vector.prologue)
    bert = side(initiator=False, prologue=vector.prologue)
    turns = [(anna, bert), (bert, anna), (anna, bert)]
    for (writer, reader), payload, message in zip(
        turns, vector.payloads, vector.messages, strict=False
    ):
        assert writer.write(payload) == message
        assert reader.read(message) == payload
    assert anna.hash == bert.hash
    out, back = anna.split()
    there, answer = bert.split()[::-1]
    assert out.encrypt(vector.payloads[3]) == vector.messages[3]
    assert there.decrypt(vector.messages[3]) == vector.payloads[3]
    assert answer.encrypt(vector.payloads[4]) == vector.messages[4]
    assert back.decrypt(vector.messages[4]) == vector.payloads[4]


def test_snows_expected_last_message_comes_out() -> None:
    common = {"psk": counting(4), "prologue": SNOW.prologue}
    anna = Handshake(
        initiator=True,
        static=KeyPair.of(counting(0)),
        ephemeral=KeyPair.of(counting(32)),
        **common,
    )
    bert = Handshake(
        initiator=False,
        static=KeyPair.of(counting(1)),
        ephemeral=KeyPair.of(counting(33)),
        **common,
    )
    bert.read(anna.write(SNOW.payloads[0]))
    anna.read(bert.write(SNOW.payloads[1]))
    assert anna.write(SNOW.payloads[2]) == SNOW.messages[2]


# ---------------------------------------------------------------- an independent implementation


def theirs(*, initiator: bool, prologue: bytes) -> NoiseConnection:
    connection = NoiseConnection.from_name(noise.PROTOCOL_NAME)
    connection.set_as_initiator() if initiator else connection.set_as_responder()
    connection.set_psks(PSK)
    connection.set_prologue(prologue)
    connection.set_keypair_from_private_bytes(
        Keypair.STATIC, INIT_STATIC if initiator else RESP_STATIC
    )
    connection.start_handshake()
    return connection


@pytest.mark.parametrize("initiator", [True, False], ids=["we dial", "they dial"])
def test_noiseprotocol_shakes_hands_with_us_and_rekeys_alike(
    initiator: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise, "REKEY_RECORDS", 3)
    ours = side(initiator=initiator, prologue=b"a mesh")
    other = theirs(initiator=not initiator, prologue=b"a mesh")
    for turn, payload in enumerate((b"first", b"second", b"third")):
        if initiator == (turn != 1):
            assert other.read_message(ours.write(payload)) == payload
        else:
            assert ours.read(bytes(other.write_message(payload))) == payload
    assert ours.finished
    assert other.handshake_finished
    assert ours.remote_static == KeyPair.of(RESP_STATIC if initiator else INIT_STATIC).public
    assert other.get_handshake_hash() == ours.hash
    send, receive = ours.split()
    for count in range(1, 8):
        text = f"record {count}".encode()
        assert other.decrypt(send.encrypt(text)) == text
        assert receive.decrypt(bytes(other.encrypt(text))) == text
        if count % 3 == 0:
            other.rekey_inbound_cipher()
            other.rekey_outbound_cipher()


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_no_bit_of_any_handshake_message_can_be_flipped(turn: int) -> None:
    def until(turn: int) -> tuple[Handshake, bytes]:
        """The handshake's state before it reads message `turn`, and that message."""
        anna, bert = side(initiator=True), side(initiator=False)
        message = anna.write(b"knock")
        for step in itertools.count():
            reader = anna if step == 1 else bert
            if step == turn:
                return reader, message
            reader.read(message)
            message = reader.write(b"payload")
        raise AssertionError

    _, message = until(turn)
    for bit in range(8 * len(message)):
        reader, message = until(turn)
        changed = bytearray(message)
        changed[bit // 8] ^= 1 << bit % 8
        # Even bit 255, which X25519 itself ignores (RFC 7748, section 5): h covers it.
        with pytest.raises(Forged):
            reader.read(bytes(changed))


@pytest.mark.parametrize(
    ("psk", "prologue"), [(bytes(32), b""), (PSK, b"another mesh")], ids=["psk", "prologue"]
)
def test_a_stranger_cannot_write_a_first_message_that_is_read(psk: bytes, prologue: bytes) -> None:
    stranger = side(initiator=True, psk=psk, prologue=prologue)
    with pytest.raises(Forged):
        side(initiator=False).read(stranger.write())


def test_a_third_message_of_another_handshake_is_forged() -> None:
    anna, bert = side(initiator=True), side(initiator=False)
    shaken(anna, bert)
    again = side(initiator=False, ephemeral=counting(7))
    first = side(initiator=True)
    again.read(first.write())
    first.read(again.write())
    old, older = side(initiator=True), side(initiator=False)
    older.read(old.write())
    old.read(older.write())
    with pytest.raises(Forged):
        again.read(old.write())


@pytest.mark.parametrize("length", [0, 31, 32, 47])
def test_a_short_message_is_forged(length: int) -> None:
    with pytest.raises(Forged):
        side(initiator=False).read(bytes(length))


def test_a_message_beyond_the_limit_is_neither_read_nor_written() -> None:
    with pytest.raises(Forged, match="too long"):
        side(initiator=False).read(bytes(65_536))
    with pytest.raises(LocalFault, match="too long"):
        side(initiator=True).write(bytes(65_500))


LOW_ORDER = (
    bytes(32),
    (1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
)
"""The points of order 1, 2, 4 and 8, as libsodium and RFC 7748 list them."""


@pytest.mark.parametrize("point", LOW_ORDER)
def test_an_all_zero_agreement_is_refused(point: bytes) -> None:
    with pytest.raises(Forged, match="low order"):
        noise.agree(INIT_STATIC, point)


def test_an_all_zero_agreement_is_refused_even_if_the_library_lets_it_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bindings, "crypto_scalarmult", lambda _private, _public: bytes(32))
    with pytest.raises(Forged, match="low order"):
        noise.agree(INIT_STATIC, INIT_EPHEMERAL)


# ---------------------------------------------------------------- turns


def test_messages_out_of_turn_are_our_own_fault() -> None:
    anna, bert = side(initiator=True), side(initiator=False)
    with pytest.raises(LocalFault):
        bert.write()
    with pytest.raises(LocalFault):
        anna.read(b"")
    with pytest.raises(LocalFault):
        anna.split()
    shaken(anna, bert)
    with pytest.raises(LocalFault):
        anna.write()


def test_a_handshake_that_failed_stays_failed() -> None:
    anna, bert = side(initiator=True), side(initiator=False)
    message = anna.write()
    with pytest.raises(Forged):
        bert.read(bytes(48))
    with pytest.raises(LocalFault):
        bert.read(message)


# ---------------------------------------------------------------- ciphers


def test_a_record_that_is_repeated_skipped_or_changed_is_forged() -> None:
    send, receive = Cipher(bytes(32)), Cipher(bytes(32))
    first, second = send.encrypt(b"one"), send.encrypt(b"two")
    with pytest.raises(Forged):
        receive.decrypt(second)
    assert receive.decrypt(first) == b"one"
    with pytest.raises(Forged):
        receive.decrypt(first)
    for bit in range(8 * len(second)):
        changed = bytearray(second)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Forged):
            receive.decrypt(bytes(changed))
    assert receive.decrypt(second) == b"two"
    with pytest.raises(Forged, match="less than its tag"):
        receive.decrypt(bytes(15))


def test_the_key_changes_after_two_to_the_sixteenth_records() -> None:
    send, receive, kept = Cipher(bytes(32)), Cipher(bytes(32)), Cipher(bytes(32))
    send.n = receive.n = kept.n = 2**16 - 1
    assert receive.decrypt(send.encrypt(b"last")) == b"last"
    after = send.encrypt(b"first")
    kept.n = 2**16
    with pytest.raises(Forged):
        kept.decrypt(after)
    assert receive.decrypt(after) == b"first"
    assert receive.n == 2**16 + 1


def test_the_reserved_nonce_is_never_used() -> None:
    cipher = Cipher(bytes(32))
    cipher.n = 2**64 - 2
    cipher.encrypt(b"")
    with pytest.raises(Exhausted):
        cipher.encrypt(b"")
    with pytest.raises(Exhausted):
        cipher.decrypt(bytes(16))


def test_a_key_pair_does_not_show_its_private_half() -> None:
    pair = KeyPair.of(INIT_STATIC)
    assert pair.public.hex() in repr(pair)
    assert pair.private.hex() not in repr(pair)


@given(st.binary(max_size=200), st.binary(max_size=40), st.integers(0, 2**64 - 2))
def test_what_is_encrypted_is_decrypted(plain: bytes, ad: bytes, n: int) -> None:
    send, receive = Cipher(PSK), Cipher(PSK)
    send.n = receive.n = n
    sealed = send.encrypt(plain, ad)
    assert len(sealed) == len(plain) + noise.TAG_BYTES
    assert receive.decrypt(sealed, ad) == plain


@given(st.binary(max_size=200), st.integers(0, 2**64 - 2))
def test_what_is_encrypted_in_place_is_the_same(plain: bytes, n: int) -> None:
    send, receive, other = Cipher(PSK), Cipher(PSK), Cipher(PSK)
    send.n = receive.n = other.n = n
    sealed, opened = bytearray(len(plain) + noise.TAG_BYTES), bytearray(len(plain))
    send.encrypt_into(plain, memoryview(sealed))
    assert sealed == other.encrypt(plain)
    changed = bytes((sealed[0] ^ 1,)) + sealed[1:]
    with pytest.raises(Forged):
        receive.decrypt_into(changed, memoryview(opened))
    receive.decrypt_into(sealed, memoryview(opened))
    assert opened == plain
    assert receive.n == send.n
