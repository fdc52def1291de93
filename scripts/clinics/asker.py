"""A bare DICOM client that asks one C-FIND after another on an association that it keeps.

It does as little as a client can, so that what is measured is the archive that answers. Made of
meshpacs's own encoders, and the same for whoever is asked.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from clinics.clinic import Broken
from meshpacs.dimse.commands import FindRequest, FindResponse
from meshpacs.dimse.contexts import (
    IMPLEMENTATION_CLASS,
    IMPLEMENTATION_VERSION,
    IMPLICIT_LITTLE,
    agreed,
    propose,
)
from meshpacs.dimse.identifiers import write_query
from meshpacs.dimse.messages import Assembly, Begun, command_pdus, data_pdus
from meshpacs.dimse.pdu import (
    AssociateAccept,
    AssociateRequest,
    DataFragment,
    Pdu,
    ReleaseRequest,
    User,
    encode,
)
from meshpacs.dimse.reader import PduReader
from meshpacs.dimse.services import STUDY_ROOT_FIND
from meshpacs.dimse.statuses import SUCCESS, is_pending
from meshpacs.model.attributes import PATIENT_ID, PATIENT_NAME, STUDY_INSTANCE_UID, Level
from meshpacs.model.limits import PDU_BYTES

STUDY_DATE, MODALITIES, ACCESSION, COUNT = 0x0008_0020, 0x0008_0061, 0x0008_0050, 0x0020_1208
RETURNED = (PATIENT_NAME, STUDY_INSTANCE_UID, STUDY_DATE, ACCESSION, MODALITIES, COUNT)
"""What a viewer's list of studies shows."""

ANSWER_S = 60.0


@dataclass
class Asker:
    """One association that was accepted."""

    connection: socket.socket
    reader: PduReader
    assembly: Assembly
    context: int
    room: int
    message_id: int = 0

    def find_patient(self, patient_id: str) -> int:
        """How many studies there are under a number.

        Raises:
            Broken: the answer is no success.
        """
        self.message_id = self.message_id % 65_535 + 1
        request = FindRequest(has_data=True, message_id=self.message_id, sop_class=STUDY_ROOT_FIND)
        keys = ((PATIENT_ID, (patient_id,)), *((tag, ()) for tag in RETURNED))
        data = write_query(Level.STUDY, keys, explicit=False)
        pieces = [command_pdus(self.context, request, self.room)]
        pieces += [head + body for head, body in data_pdus(self.context, data, self.room)]
        self.connection.sendall(b"".join(pieces))
        rows = 0
        while True:
            for found in self._came():
                if not isinstance(found, DataFragment):
                    raise Broken("The archive has ended the association.")
                begun = self.assembly.take(found)
                if not isinstance(begun, Begun):
                    continue
                answer = begun.command
                if not isinstance(answer, FindResponse):
                    raise Broken("A C-FIND was answered with something else.")
                if is_pending(answer.status):
                    rows += 1
                elif answer.status == SUCCESS:
                    return rows
                else:
                    raise Broken(f"A C-FIND was answered with {answer.status:04X}.")

    def _came(self) -> Sequence[Pdu | DataFragment]:
        data = self.connection.recv(65_536)
        if not data:
            raise Broken("The archive has hung up.")
        return tuple(self.reader.feed(memoryview(data)))

    @classmethod
    def calling(cls, connection: socket.socket, called: str, calling: str) -> Self:
        """Ask for an association over a connection.

        Raises:
            Broken: it is not accepted.
        """
        wanted = AssociateRequest(
            called,
            calling,
            propose(((STUDY_ROOT_FIND, (IMPLICIT_LITTLE,)),)),
            User(PDU_BYTES, IMPLEMENTATION_CLASS, IMPLEMENTATION_VERSION),
        )
        connection.sendall(encode(wanted))
        reader = PduReader()
        answers: list[Pdu | DataFragment] = []
        while not answers:
            data = connection.recv(65_536)
            if not data:
                raise Broken(f"{called} has hung up.")
            answers += reader.feed(memoryview(data))
        if not isinstance(answers[0], AssociateAccept):
            raise Broken(f"{called} does not accept the association.")
        agreement = agreed(wanted, answers[0])
        context, *_ = agreement.of(STUDY_ROOT_FIND)
        return cls(connection, reader, Assembly(agreement.contexts), context.id, 16_000)


@contextmanager
def asking(port: int, called: str, calling: str = "FINDSCU") -> Iterator[Asker]:
    """An association for as long as this block lasts."""
    with socket.create_connection(("127.0.0.1", port), ANSWER_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asker = Asker.calling(connection, called, calling)
        yield asker
        connection.sendall(encode(ReleaseRequest()))
        connection.recv(64)
