"""`Noise_XXpsk0_25519_ChaChaPoly_SHA256`, without I/O (PROTOCOL 2.1, 2.2).

To the letter of the Noise Protocol Framework, revision 34 (2018-07-11); section numbers below are
its own. The names are the specification's, too: `ck` chaining key, `h` handshake hash, `k` cipher
key, `n` nonce. The pattern:

    XXpsk0:
      -> psk, e
      <- e, ee, s, es
      -> s, se

Whoever lacks the psk cannot even write the first message, so a stranger gets no answer. The only
thing added here is what section 11.3 leaves to applications: REKEY() by count.
"""

import hashlib
import hmac
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from nacl import bindings
from nacl.exceptions import RuntimeError as SodiumError

from meshpacs.model.errors import LocalFault, PeerFault

Buffer = bytes | bytearray | memoryview

PROTOCOL_NAME = b"Noise_XXpsk0_25519_ChaChaPoly_SHA256"

KEY_BYTES = 32
"""DHLEN, HASHLEN and the cipher's key alike. Sections 12.1, 12.5."""

TAG_BYTES = 16
"""Poly1305's tag. Section 12.3."""

MESSAGE_BYTES = 65_535
"""The longest Noise message. Section 3."""

MAX_NONCE = 2**64 - 1
"""Reserved for REKEY. Section 5.1."""

REKEY_RECORDS = 2**16
"""Records under one key: 4 GiB. PROTOCOL 2.2."""


class Forged(PeerFault):
    """What came was not made by who holds the key, was changed on the way, or came twice."""


class Exhausted(LocalFault):
    """A key has been used as often as it may be; the link must be made anew."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An X25519 key pair. The private half never appears in a representation."""

    private: bytes
    public: bytes

    @classmethod
    def of(cls, private: bytes) -> "KeyPair":
        """The pair that belongs to a private key of 32 random bytes."""
        return cls(private, bindings.crypto_scalarmult_base(private))

    def __repr__(self) -> str:
        """Without the private half."""
        return f"KeyPair(public={self.public.hex()})"


class Cipher:
    """A CipherState with a key (section 5.1), rekeyed every `REKEY_RECORDS` messages."""

    __slots__ = ("_aead", "n")

    def __init__(self, key: bytes) -> None:
        """InitializeKey; a CipherState without a key is no object here."""
        self._aead = ChaCha20Poly1305(key)
        self.n = 0
        """The nonce of the next message."""

    def encrypt(self, plain: bytes, ad: bytes = b"") -> bytes:
        """EncryptWithAd; `TAG_BYTES` longer than the clear text.

        Raises:
            Exhausted: the nonces are used up.
        """
        sealed = self._aead.encrypt(self._nonce(), plain, ad)
        self._advance()
        return sealed

    def encrypt_into(self, plain: Buffer, sealed: memoryview) -> None:
        """The same without associated data, from where the clear text lies to where it goes.

        `sealed` is exactly `TAG_BYTES` longer than `plain`. A copy costs a tenth of encrypting.

        Raises:
            Exhausted: the nonces are used up.
        """
        self._aead.encrypt_into(self._nonce(), plain, None, sealed)
        self._advance()

    def decrypt(self, sealed: Buffer, ad: bytes = b"") -> bytes:
        """DecryptWithAd; nothing changes if it fails.

        Raises:
            Forged: the tag does not fit.
            Exhausted: the nonces are used up.
        """
        nonce = self._nonce()
        try:
            plain = self._aead.decrypt(nonce, sealed, ad)
        except InvalidTag:
            raise _forged(sealed) from None
        self._advance()
        return plain

    def decrypt_into(self, sealed: Buffer, plain: memoryview) -> None:
        """The same without associated data, to where the clear text goes.

        What stands in `plain`, which is `TAG_BYTES` shorter, means nothing after an error.

        Raises:
            Forged: the tag does not fit.
            Exhausted: the nonces are used up.
        """
        try:
            self._aead.decrypt_into(self._nonce(), sealed, None, plain)
        except InvalidTag:
            raise _forged(sealed) from None
        self._advance()

    def rekey(self) -> None:
        """REKEY (section 4.2): a key from which the one before cannot be found."""
        made = self._aead.encrypt(_nonce_bytes(MAX_NONCE), bytes(KEY_BYTES), b"")
        self._aead = ChaCha20Poly1305(made[:KEY_BYTES])

    def _nonce(self) -> bytes:
        if self.n >= MAX_NONCE:
            raise Exhausted("A link's key has encrypted all that it may.", "Dial again.")
        return _nonce_bytes(self.n)

    def _advance(self) -> None:
        self.n += 1
        if self.n % REKEY_RECORDS == 0:
            self.rekey()


def _forged(sealed: Buffer) -> Forged:
    if len(sealed) < TAG_BYTES:
        return Forged(f"An encrypted message has {len(sealed)} bytes, less than its tag.")
    return Forged("An encrypted message does not fit its tag.")


def _nonce_bytes(n: int) -> bytes:
    """32 zero bits, then n as 64 bits little-endian (section 12.3)."""
    return bytes(4) + n.to_bytes(8, "little")


def _hash(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def hkdf(chaining_key: bytes, material: bytes, count: int) -> tuple[bytes, ...]:
    """HKDF of section 4.3: `count` outputs, two or three, of 32 bytes."""
    temporary = hmac.digest(chaining_key, material, "sha256")
    outputs: list[bytes] = []
    last = b""
    for number in range(1, count + 1):
        last = hmac.digest(temporary, last + bytes((number,)), "sha256")
        outputs.append(last)
    return tuple(outputs)


def agree(private: bytes, public: bytes) -> bytes:
    """X25519 of a private and a foreign public key.

    Raises:
        Forged: the result is all zeros, which only a public key of low order brings about.
    """
    try:
        shared = bindings.crypto_scalarmult(private, public)
    except SodiumError:  # libsodium's own refusal of the all-zero result
        shared = bytes(KEY_BYTES)
    if not any(shared):
        raise Forged("A peer's public key is of low order.")
    return shared


class Handshake:
    """A HandshakeState (section 5.3) for the one pattern above, with its SymmetricState inside.

    Write and read alternate, the initiator writes first. After the third message `finished` is
    true and `split` gives the two ciphers. An error ends a handshake: it cannot be used further.
    """

    def __init__(
        self, *, initiator: bool, static: KeyPair, ephemeral: KeyPair, psk: bytes, prologue: bytes
    ) -> None:
        """`ephemeral` must be made for this handshake alone, and `psk` has 32 bytes."""
        self.initiator = initiator
        self.remote_static = b""
        """The other side's static key, once its message has been read."""
        self.remote_ephemeral = b""
        self._s = static
        self._e = ephemeral
        self._psk = psk
        self._step = 0
        self._failed = False
        self._cipher: Cipher | None = None
        # PROTOCOL_NAME is longer than HASHLEN, so it is hashed (section 5.2, InitializeSymmetric).
        self._h = _hash(PROTOCOL_NAME)
        self._ck = self._h
        self._mix_hash(prologue)

    @property
    def finished(self) -> bool:
        """Whether all three messages have been written and read."""
        return self._step == 3

    @property
    def hash(self) -> bytes:
        """`h`: the same on both sides after the same messages, and nowhere else."""
        return self._h

    def write(self, payload: bytes = b"") -> bytes:
        """The next message, with this payload encrypted in it."""
        self._enter(writing=True)
        parts: list[bytes] = []
        match self._step:
            case 0:
                self._mix_psk()
                parts.append(self._write_e())
            case 1:
                parts.append(self._write_e())
                self._mix_key(agree(self._e.private, self.remote_ephemeral))  # ee
                parts.append(self._seal(self._s.public))
                self._mix_key(agree(self._s.private, self.remote_ephemeral))  # es
            case _:
                parts.append(self._seal(self._s.public))
                self._mix_key(agree(self._s.private, self.remote_ephemeral))  # se
        parts.append(self._seal(payload))
        message = b"".join(parts)
        if len(message) > MESSAGE_BYTES:
            raise LocalFault(f"A handshake message of {len(message)} bytes is too long.")
        self._leave()
        return message

    def read(self, message: bytes) -> bytes:
        """Take in the other side's message; its payload.

        Raises:
            Forged: it was not made with the same psk, prologue and messages before it.
        """
        self._enter(writing=False)
        if len(message) > MESSAGE_BYTES:
            raise Forged(f"A handshake message of {len(message)} bytes is too long.")
        match self._step:
            case 0:
                self._mix_psk()
                rest = self._read_e(message)
            case 1:
                rest = self._read_e(message)
                self._mix_key(agree(self._e.private, self.remote_ephemeral))  # ee
                rest = self._read_s(rest)
                self._mix_key(agree(self._e.private, self.remote_static))  # es
            case _:
                rest = self._read_s(message)
                self._mix_key(agree(self._e.private, self.remote_static))  # se
        payload = self._open(rest)
        self._leave()
        return payload

    def split(self) -> tuple[Cipher, Cipher]:
        """Split (section 5.2): the ciphers for (what we send, what we receive)."""
        if not self.finished:
            raise LocalFault("A handshake is not finished yet.")
        first, second = (Cipher(key) for key in hkdf(self._ck, b"", 2))
        return (first, second) if self.initiator else (second, first)

    # ------------------------------------------------------------ turns

    def _enter(self, *, writing: bool) -> None:
        if self._failed or self.finished or writing != (self.initiator == (self._step != 1)):
            raise LocalFault("A handshake's messages are out of turn.")
        # Only a message that is taken in whole makes it good again: section 5.3, "any error".
        self._failed = True

    def _leave(self) -> None:
        self._failed = False
        self._step += 1

    # ------------------------------------------------------------ tokens

    def _write_e(self) -> bytes:
        self._mix_e(self._e.public)
        return self._e.public

    def _read_e(self, message: bytes) -> bytes:
        if len(message) < KEY_BYTES:
            raise Forged("A handshake message is too short.")
        self.remote_ephemeral = message[:KEY_BYTES]
        self._mix_e(self.remote_ephemeral)
        return message[KEY_BYTES:]

    def _mix_e(self, public: bytes) -> None:
        # Handshakes with a psk mix the ephemeral keys into ck, too (section 9.2).
        self._mix_hash(public)
        self._mix_key(public)

    def _read_s(self, message: bytes) -> bytes:
        length = KEY_BYTES + TAG_BYTES
        self.remote_static = self._open(message[:length])
        return message[length:]

    # ------------------------------------------------------------ the SymmetricState

    def _mix_hash(self, data: bytes) -> None:
        self._h = _hash(self._h, data)

    def _mix_key(self, material: bytes) -> None:
        self._ck, key = hkdf(self._ck, material, 2)
        self._cipher = Cipher(key)

    def _mix_psk(self) -> None:
        """MixKeyAndHash."""
        self._ck, middle, key = hkdf(self._ck, self._psk, 3)
        self._mix_hash(middle)
        self._cipher = Cipher(key)

    def _seal(self, plain: bytes) -> bytes:
        """EncryptAndHash; with psk0 there is a key from the first token on."""
        assert self._cipher is not None
        sealed = self._cipher.encrypt(plain, self._h)
        self._mix_hash(sealed)
        return sealed

    def _open(self, sealed: bytes) -> bytes:
        """DecryptAndHash."""
        assert self._cipher is not None
        plain = self._cipher.decrypt(sealed, self._h)
        self._mix_hash(sealed)
        return plain
