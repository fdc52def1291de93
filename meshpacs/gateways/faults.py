"""Faults as the admin API tells them: what is wrong, and what mends it."""

from meshpacs.model.errors import Damaged, LocalFault, MeshError, PeerFault


def fault_body(fault: MeshError) -> dict[str, str]:
    """`{"what": …, "mend": …}`."""
    return {"what": fault.what, "mend": fault.mend}


def fault_status(fault: MeshError) -> int:
    """The HTTP status that says who must act (RFC 9110, section 15)."""
    match fault:
        case LocalFault():
            return 400
        case PeerFault():
            return 502
        case Damaged():
            return 500
        case _:
            return 503


def only_fault(error: BaseException) -> MeshError | None:
    """The one fault inside nested exception groups, as nurseries raise them; else None."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, MeshError) else None
