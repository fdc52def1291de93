"""Tells systemd how the service is (sd_notify(3)); does nothing where nobody listens."""

import os
import socket


def notify(state: str) -> None:
    """Send `READY=1`, `STOPPING=1` or the like to NOTIFY_SOCKET."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address or not hasattr(socket, "AF_UNIX"):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # the abstract namespace, unix(7)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        try:
            channel.sendto(state.encode(), address)
        except OSError:
            return  # a supervisor that went away is no reason to stop serving clinics
