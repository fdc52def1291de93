"""What a DICOM peer can do wrong, named so that the answer is known."""

from meshpacs.model.errors import PeerFault


class MalformedPdu(PeerFault):
    """A PDU breaks PS3.8 9.3; the association is to be aborted."""


class UnknownPdu(PeerFault):
    """A PDU type that PS3.8 9.3.1 does not have; mostly the peer speaks another protocol."""


class TlsSpoken(UnknownPdu):
    """The peer speaks TLS where DICOM without it is spoken."""


class PduTooLarge(PeerFault):
    """A declared length exceeds a limit; nothing of it was buffered."""


class MalformedMessage(PeerFault):
    """A command set or the order of fragments breaks PS3.7; the association is to be aborted."""


class MalformedIdentifier(PeerFault):
    """An identifier cannot be read as a data set; the request is answered with a failure."""


class OversizedIdentifier(MalformedIdentifier):
    """It may be right, but has more of something than is taken in."""


class IdentifierMismatch(MalformedIdentifier):
    """An identifier is not one of its SOP class: a unique key or the level is missing or wrong."""

    def __init__(self, what: str, *offending: int) -> None:
        """`what` goes to the peer as Error Comment; it names tags, never values."""
        super().__init__(what)
        self.offending = offending
