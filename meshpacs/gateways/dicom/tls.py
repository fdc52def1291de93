"""TLS under an association: the same few calls that `Channel` makes of a socket.

Over `ssl.SSLObject` and not trio's SSLStream, which ends a handshake that fails without sending
the alert: the other side would never hear that its certificate is not trusted. And what is read
goes straight into the channel's buffer.
"""

import contextlib
import socket
import ssl

import trio

from meshpacs.model.errors import MeshError, PeerFault, Unavailable
from meshpacs.model.limits import TLS_HANDSHAKES

RECORDS_BYTES = 64 * 1024
"""What is read from, or made for, the socket at once: four TLS records. A guess."""

UNREAD_BYTES = 4 * RECORDS_BYTES
"""What TLS may have made that the peer has not read: of ours at most one piece of `RECORDS_BYTES`,
the rest are answers to a peer that has its keys renewed again and again. A guess."""

FAREWELL_BYTES = 1024 * 1024
FAREWELL_S = 1.0
"""What a peer that is turned away may still send, and for how long, until it is left. Guesses."""

_handshakes = trio.CapacityLimiter(TLS_HANDSHAKES)

HANDSHAKE, ALERT = 0x16, 0x15
"""First bytes of TLS records (RFC 8446 5.1)."""


class TlsSocket:
    """A socket whose bytes are encrypted. One task reads; one writes at a time."""

    def __init__(
        self,
        sock: trio.socket.SocketType,
        context: ssl.SSLContext,
        *,
        host: str | None = None,
    ) -> None:
        """`sock` is connected; `host` is what was dialled, None if the peer has dialled."""
        self.fault: MeshError | None = None
        """Why TLS has failed, in words."""
        self._sock = sock
        self._dialled = host is not None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=host is None, server_hostname=host
        )
        self._raw = memoryview(bytearray(RECORDS_BYTES))
        self._first: int | None = None
        """The first byte that came."""
        self._unsent = memoryview(b"")
        self._sending = trio.Lock()
        self._reading = False

    @property
    def shown(self) -> bytes:
        """The peer's certificate (DER), which was verified."""
        found = self._tls.getpeercert(binary_form=True)
        assert found is not None, "both sides show one"
        return found

    @property
    def version(self) -> str:
        """Of the protocol, as people write it."""
        return (self._tls.version() or "").replace("TLSv", "TLS ")

    async def handshake(self) -> None:
        """Agree with the peer. The caller sets a deadline.

        Raises:
            PeerFault, Unavailable: it failed; the peer was told, and the error says why.
        """
        failed: ssl.SSLError | None = None
        try:
            while not await self._step():
                await self._flush()
                await self._read_raw()
            await self._flush()
        except ssl.SSLError as error:
            failed = error
        except OSError as error:
            raise Unavailable("It has hung up during the TLS handshake.", _HUNG_UP) from error
        if failed is not None:
            fault = self._explained(failed)
            await self._farewell()
            raise fault from failed

    async def _step(self) -> bool:
        """Go on with the handshake as far as it goes; whether it is over. Raises SSLError."""
        try:
            # In a thread, so that many who only greet do not hold up the loop.
            await trio.to_thread.run_sync(self._tls.do_handshake, limiter=_handshakes)
        except ssl.SSLWantReadError:
            return False
        return True

    # ------------------------------------------------------------ as a socket

    def recv_now(self, buffer: memoryview, /) -> int | None:
        """What has come has to be decrypted first: always waited for."""
        del buffer
        return None

    lendable = False
    """It is read and encrypted by tasks."""

    def recv_within(self, buffer: memoryview, wait_s: float, /) -> int | None:
        """Nothing: it is not lendable."""
        del buffer, wait_s
        return None

    def send_now(self, data: memoryview, /) -> int:
        """Nothing: it has to be encrypted first."""
        del data
        return 0

    async def recv_into(self, buffer: memoryview, /) -> int:
        """Read what there is; 0 at the end."""
        self._reading = True
        try:
            return await self._read(buffer)
        finally:
            self._reading = False

    async def _read(self, buffer: memoryview) -> int:
        while True:
            try:
                return self._tls.read(len(buffer), buffer)  # type: ignore[return-value]
            except ssl.SSLWantReadError:
                pass
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                # A connection that is cut without TLS's goodbye is no danger here: DICOM has its
                # own end of an association, and each message its own.
                return 0
            except ssl.SSLError as error:
                raise ConnectionAbortedError(self._explained(error).what) from error
            # A change of keys is answered; by whoever is sending, if somebody is. To wait for that
            # here could be to wait for a peer that does not read before we do.
            if self._outgoing.pending and not self._sending.locked():
                await self._flush()
            if self._outgoing.pending > UNREAD_BYTES:
                raise ConnectionAbortedError("It has its keys renewed without reading.")
            await self._read_raw()

    async def send(self, data: memoryview, /) -> int:
        """Write some of it; how much."""
        try:
            count = self._tls.write(data[:RECORDS_BYTES])
        except ssl.SSLError as error:
            raise ConnectionAbortedError(str(error)) from error
        gone: OSError | None = None
        try:
            await self._flush()
        except OSError as error:
            gone = error
        if gone is not None:
            await self._last_words()
            raise gone
        return count

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Of the connection beneath."""
        self._sock.setsockopt(level, option, value)

    def shutdown(self, how: int, /) -> None:
        """Of the connection beneath."""
        self._sock.shutdown(how)

    async def goodbye(self) -> None:
        """Say that nothing more comes, or what was wrong (RFC 8446 6). Mind a deadline."""
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        with contextlib.suppress(OSError):
            await self._flush()

    # ------------------------------------------------------------ below

    async def _flush(self) -> None:
        """Send what TLS has made; also what an earlier, cancelled call has left."""
        async with self._sending:
            while True:
                if not self._unsent:
                    self._unsent = memoryview(self._outgoing.read())
                if not self._unsent:
                    return
                self._unsent = self._unsent[await self._sock.send(self._unsent) :]

    async def _read_raw(self) -> None:
        size = await self._sock.recv_into(self._raw)
        if not size:
            self._incoming.write_eof()
            return
        if self._first is None:
            self._first = self._raw[0]
        self._incoming.write(self._raw[:size])

    def _explained(self, error: ssl.SSLError) -> MeshError:
        """What it was, in words; the alert for the peer is among what is to be sent."""
        what, mend = _words(error, self._first, dialled=self._dialled)
        gone = isinstance(error, ssl.SSLEOFError)
        self.fault = Unavailable(what, mend) if gone else PeerFault(what, mend)
        return self.fault

    async def _last_words(self) -> None:
        """Of a peer that has hung up while we were sending: it may have said why before.

        In TLS 1.3 it judges our certificate when the handshake is over for us.
        """
        if not self._reading:  # else whoever reads hears it
            with contextlib.suppress(OSError), trio.move_on_after(FAREWELL_S):
                await self.recv_into(memoryview(bytearray(1)))

    async def _farewell(self) -> None:
        """Tell a peer why it is turned away, and let it read that before what it sends is reset."""
        with contextlib.suppress(OSError), trio.move_on_after(FAREWELL_S):
            await self._flush()
            self._sock.shutdown(socket.SHUT_WR)
            left = FAREWELL_BYTES
            while left > 0 and (size := await self._sock.recv_into(self._raw)):
                left -= size


async def look(sock: trio.socket.SocketType) -> None:
    """Look at a caller's first byte, and leave it there; the caller sets a deadline.

    Raises:
        PeerFault: it does not begin with TLS; the error says with what.
        Unavailable: it has hung up.
    """
    try:
        first = await sock.recv(1, socket.MSG_PEEK)
    except OSError:
        first = b""
    if not first:
        raise Unavailable("It has hung up before it said anything.")
    if first[0] == HANDSHAKE:
        return
    if first[0] == 1:  # A-ASSOCIATE-RQ
        raise PeerFault(
            "It speaks DICOM without TLS to the port for TLS.",
            "Switch TLS on at that machine, or have it call the port of dicom.listen.",
        )
    raise PeerFault(
        "It speaks neither TLS nor DICOM.", "Look what that system takes this port for."
    )


_HUNG_UP = (
    "Its own log may say why: it may not speak TLS on that port, not trust our certificate, or "
    "find no common version."
)

_TRUST_US = (
    "Have that machine trust authority.pem of this node; `meshpacs dicom tls list` shows where it "
    "is, and for whom our certificate is made out."
)

_TRUST_IT = "Get its certificate, or that of who has signed it: meshpacs dicom tls trust NAME FILE."

_OLD = "Update it, or set it to TLS 1.2 or 1.3: older ones are not safe (RFC 8996)."

_REASONS = {
    "UNSUPPORTED_PROTOCOL": ("It offers no version of TLS from 1.2 on.", _OLD),
    "VERSION_TOO_LOW": ("It offers no version of TLS from 1.2 on.", _OLD),
    "NO_SHARED_CIPHER": (
        "It offers none of the cipher suites that BCP 195 recommends.",
        "Set it to DICOM's BCP 195 profile (PS3.15 B.12), and look whether it has a certificate.",
    ),
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": (
        "It shows no certificate.",
        f"Give that machine a key and a certificate. {_TRUST_IT}",
    ),
    "EE_KEY_TOO_SMALL": (
        "The key of its certificate is too small.",
        "Have one made of RSA 2048 or more (RFC 9325 4.5).",
    ),
    "CA_KEY_TOO_SMALL": (
        "The key of who has signed its certificate is too small.",
        "Have one made of RSA 2048 or more (RFC 9325 4.5).",
    ),
    "CA_MD_TOO_WEAK": (
        "Its certificate is signed by a digest that is not safe any more.",
        "Have one made with SHA-256 or better (RFC 9325 4.5).",
    ),
}
"""By OpenSSL's reason, what we have found wrong."""

_ALERTS = {
    "PROTOCOL_VERSION": ("It refuses TLS 1.2 and 1.3.", _OLD),
    "HANDSHAKE_FAILURE": (
        "It finds no cipher suite in common with us, or no certificate that it can use.",
        "Set it to DICOM's BCP 195 profile (PS3.15 B.12).",
    ),
    "CERTIFICATE_EXPIRED": (
        "It says that our certificate has expired.",
        "Look at `meshpacs dicom tls list`, and at that machine's clock.",
    ),
    "CERTIFICATE_REQUIRED": ("It says that we have shown no certificate.", _TRUST_US),
    "UNKNOWN_CA": ("It does not trust our certificate.", _TRUST_US),
    "BAD_CERTIFICATE": ("It does not take our certificate.", _TRUST_US),
    "CERTIFICATE_UNKNOWN": ("It does not take our certificate.", _TRUST_US),
    "UNSUPPORTED_CERTIFICATE": ("It does not take our certificate.", _TRUST_US),
    "ACCESS_DENIED": ("It does not let us in.", _TRUST_US),
    "DECRYPT_ERROR": ("It cannot verify our certificate.", _TRUST_US),
}
"""By the alert that the peer has sent (RFC 8446 6.2)."""

_UNTRUSTED = {
    9: ("Its certificate is not valid yet.", "Look at the clocks of both machines."),
    10: ("Its certificate has expired.", "Have a new one made, and look at this machine's clock."),
    62: (
        "Its certificate is made out for another name than the one dialled.",
        "Dial a name in it, or trust it by its AE title: meshpacs dicom tls trust TITLE FILE.",
    ),
}
"""By OpenSSL's X509_V_ERR numbers."""
_UNTRUSTED[64] = _UNTRUSTED[62]


def _words(error: ssl.SSLError, first: int | None, *, dialled: bool) -> tuple[str, str]:
    """What has failed, and what mends it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        return _UNTRUSTED.get(
            code, (f"Its certificate is not trusted: {error.verify_message}.", _TRUST_IT)
        )
    if isinstance(error, ssl.SSLEOFError):
        return "It has hung up during the TLS handshake.", _HUNG_UP
    reason = error.reason or ""
    alert = reason.partition("ALERT_")[2]
    found = _REASONS.get(reason) or _ALERTS.get(alert)
    if found is not None:
        return found
    if first is not None and first not in (HANDSHAKE, ALERT):
        if dialled and first in (2, 3, 7):  # A-ASSOCIATE-AC, -RJ, A-ABORT
            return (
                "It speaks DICOM without TLS on that port.",
                "Give the port on which it speaks TLS, or add it to the AE book without --tls.",
            )
        return "It does not speak TLS.", "Look whether it is the right port."
    return f"TLS has failed: {reason.lower().replace('_', ' ') or error}.", _HUNG_UP
