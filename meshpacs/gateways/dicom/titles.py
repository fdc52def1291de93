"""Who we are and who may call: what the DICOM door asks before it lets anybody in."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from meshpacs.dimse.pdu import (
    APPLICATION_CONTEXT,
    APPLICATION_CONTEXT_NOT_SUPPORTED,
    CALLED_TITLE_NOT_RECOGNIZED,
    CALLING_TITLE_NOT_RECOGNIZED,
    NO_REASON_GIVEN,
    AssociateReject,
    AssociateRequest,
    reject_words,
)
from meshpacs.dimse.services import Service
from meshpacs.gateways.dicom.once import Once
from meshpacs.model.address import is_loopback
from meshpacs.model.limits import PDU_BYTES_LEAST
from meshpacs.model.titles import is_ae_title
from meshpacs.node.book import Entry

log = structlog.get_logger()


class Allowing(Protocol):
    """Knows other machines."""

    def allows(self, title: str, host: str) -> frozenset[str]:
        """The services that this caller may use from there; none for a stranger."""
        ...

    def prefers(self, title: str, host: str) -> str | None:
        """The transfer syntax that this caller is best sent."""
        ...

    def destination(self, title: str) -> tuple[Entry, ...]:
        """Where instances for this title are to be sent: one entry, none, or several."""
        ...

    def entries_of(self, title: str, host: str) -> tuple[Entry, ...]:
        """What is noted of this caller."""
        ...


@dataclass(slots=True)
class Titles:
    """What the door knows of names."""

    ours: Callable[[], tuple[str, ...]]
    """The titles that we answer to, as configured now."""
    others: Allowing
    _told: Once = field(default_factory=Once)

    def services(self, calling: str, host: str) -> frozenset[Service]:
        """What a caller may use. This machine itself: everything."""
        if is_loopback(host):
            return frozenset(Service)
        known = {service.value for service in Service}
        return frozenset(Service(name) for name in self.others.allows(calling, host) & known)

    def judge(
        self,
        request: AssociateRequest,
        host: str,
        vouched_for: Callable[[str], bool] = lambda _: True,
    ) -> AssociateReject | None:
        """Why an association is refused, or None.

        `vouched_for` says of a caller over TLS whether its certificate goes with a title.
        """
        if request.application_context != APPLICATION_CONTEXT:
            mend = "That system does not speak DICOM as PS3.7 has it."
            return self._refused(APPLICATION_CONTEXT_NOT_SUPPORTED, request, host, mend)
        if request.called not in self.ours():
            mend = f"Call {' or '.join(self.ours())} there, or set dicom.ae_titles here."
            return self._refused(CALLED_TITLE_NOT_RECOGNIZED, request, host, mend)
        if not is_ae_title(request.calling):
            mend = "Give that machine an AE title of 1 to 16 ASCII characters, without backslashes."
            return self._refused(CALLING_TITLE_NOT_RECOGNIZED, request, host, mend)
        if not vouched_for(request.calling):
            mend = (
                "Its certificate is not the one that is trusted by that title. If it should be: "
                f"meshpacs dicom tls trust {shlex.quote(request.calling)} FILE"
            )
            return self._refused(CALLING_TITLE_NOT_RECOGNIZED, request, host, mend)
        if 0 < request.user.max_length < PDU_BYTES_LEAST:
            mend = f"Set its maximum PDU length to at least {PDU_BYTES_LEAST}; 0 is no limit."
            return self._refused(NO_REASON_GIVEN, request, host, mend)
        if not self.services(request.calling, host):
            mend = f"meshpacs dicom ae add {shlex.quote(request.calling)} {host}"
            return self._refused(CALLING_TITLE_NOT_RECOGNIZED, request, host, mend)
        return None

    def _refused(
        self, reason: AssociateReject, request: AssociateRequest, host: str, mend: str
    ) -> AssociateReject:
        """Log once what to change; a scanner that tries every minute fills no log."""
        if self._told.first(request.called, request.calling, host, reject_words(reason)):
            log.warning(
                "dicom_caller_refused",
                calling=request.calling,
                called=request.called,
                host=host,
                why=reject_words(reason),
                mend=mend,
            )
        return reason
