"""Who calls at the front doors, held to the rules of who calls at the mesh's own door."""

from meshpacs.links.callers import Caller, Callers, peer_address
from meshpacs.model.limits import (
    ADMIN_CALLERS,
    ADMIN_STRANGERS,
    DICOM_ASSOCIATIONS,
    DICOM_STRANGERS,
)

__all__ = ["Caller", "Callers", "admin_callers", "dicom_callers", "peer_address"]


def admin_callers() -> Callers:
    """Room for all who call at one admin API."""
    return Callers(ADMIN_STRANGERS, ADMIN_CALLERS)


def dicom_callers() -> Callers:
    """Room for all who call at one node's DICOM doors."""
    return Callers(DICOM_STRANGERS, DICOM_ASSOCIATIONS)
