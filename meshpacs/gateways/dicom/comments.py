"""What a peer is told of a failure of ours: an Error Comment, which is 64 characters of somebody
else's log. Our own sentences may name files, addresses or what was asked; they stay in our log.
"""

import structlog

from meshpacs.model.errors import Damaged, LocalFault, MeshError
from meshpacs.node.commitments import NoPlace
from meshpacs.node.views import NotKept, Why

log = structlog.get_logger()

LATER = "It cannot be done now; the node's log says why."
BEYOND = "More is asked than this node can do at once."
DAMAGED = "The archive cannot be read; the node's log says why."
NO_ROOM = "There is no room left for it."
NO_TLS = "This node cannot speak TLS to it; its log says why."
NOT_KEPT = "It could not be kept; the node's log says why."


def comment_on(fault: MeshError, calling: str) -> str:
    """The comment; what it stands for is logged."""
    log.warning("dicom_request_failed", calling=calling, what=fault.what, mend=fault.mend)
    match fault:
        case Damaged():
            return DAMAGED
        case NoPlace():
            return NO_ROOM
        case LocalFault():
            return BEYOND
        case _:
            return LATER


def comment_on_machine(fault: MeshError, title: str, host: str, port: int) -> str:
    """Of a machine of the book: what is wrong with it, and never where in this clinic's network.

    It may go to another member (PROTOCOL 12.4); what it stands for is logged.
    """
    log.warning("dicom_machine_failed", title=title, what=fault.what, mend=fault.mend)
    if isinstance(fault, LocalFault):  # of the files of our TLS
        return NO_TLS
    # What follows the address is the system's own word, with what a name stands for.
    told = fault.what.partition(f" at {host}:{port}")[0]
    return LATER if host in told else told


def comment_on_refused(fault: NotKept) -> str:
    """Of an instance: what is wrong with it is the sender's to know, what is wrong here is not."""
    match fault.why:
        case Why.NO_ROOM:
            return NO_ROOM
        case Why.FAILED:
            return NOT_KEPT
        case _:
            return fault.what
