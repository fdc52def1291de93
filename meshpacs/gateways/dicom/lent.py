"""An association that a thread has for a while: it waits, reads and answers by itself."""

from time import monotonic

import trio

from meshpacs.dimse.association import Association
from meshpacs.dimse.commands import Command
from meshpacs.dimse.messages import command_pdus
from meshpacs.dimse.pdu import DataFragment
from meshpacs.gateways.dicom.transport import Reading, Transport, quick_ack
from meshpacs.model.errors import PeerFault, Unavailable
from meshpacs.model.ids import Micros


class Lent:
    """What a thread may do with it: take data and answer.

    Whatever else the peer says is left to the event loop; nobody there reads or sends meanwhile.
    """

    def __init__(
        self,
        association: Association,
        sock: Transport,
        reading: Reading,
        room: int,
        since: Micros,
        until_s: float,
    ) -> None:
        """`room`: bytes of a message that one PDU to this peer holds; lent until `until_s`, of
        `time.monotonic`.
        """
        self._association = association
        self._sock = sock
        self._reading = reading
        self._room = room
        self._since = since
        self._until_s = until_s
        self.unsent = memoryview(b"")
        """Of an answer, what the socket had no room for: then it is to be given back."""

    def receive(self, wait_s: float) -> DataFragment | None:
        """The next fragment; None if nothing came in that time, or something else than data, or
        it is to be given back.

        A fragment's data is valid until the next call.

        Raises:
            trio.Cancelled: whoever has lent it was cancelled.
        """
        reading = self._reading
        while self._association.passes and self._may_stay():
            try:
                read = next(reading.events, None)
            except PeerFault as fault:
                reading.fail_again(fault)
                return None
            if type(read) is DataFragment:
                return read
            if read is not None:
                reading.put_back(read)
                return None
            if not self._read(wait_s):
                return None
        return None

    def _may_stay(self) -> bool:
        """Asked before each fragment and each read: a sender can make a PDU, and a command set,
        last as long as it likes.
        """
        trio.from_thread.check_cancelled()
        return not self.unsent and monotonic() < self._until_s

    def _read(self, wait_s: float) -> bool:
        buffer = self._reading.buffer
        try:
            size = self._sock.recv_now(buffer)
            if size is None:
                # Only now: a sender may be held back by what we have not acknowledged.
                quick_ack(self._sock)
                size = self._sock.recv_within(buffer, wait_s)
        except OSError:
            return False  # whoever reads next finds that it has ended
        if not size:
            return False
        self._reading.feed(size)
        return True

    def send(self, context: int, command: Command) -> None:
        """Answer with a command set, without waiting; see `unsent`.

        Raises:
            Unavailable: the association is gone.
        """
        if not self._association.may_send(self._since):
            raise Unavailable("The association is gone.")
        view = memoryview(command_pdus(context, command, self._room))
        try:
            self.unsent = view[self._sock.send_now(view) :]
        except OSError as error:
            raise Unavailable("The peer has hung up.") from error
