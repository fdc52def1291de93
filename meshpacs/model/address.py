"""Addresses as people write them: `host:port`, an IPv6 address in brackets."""

import ipaddress

from meshpacs.model.errors import LocalFault

MEND = "Write HOST:PORT, such as 192.0.2.7:7117 or [2001:db8::7]:7117."


def parse_address(text: str, *, any_port: bool = False) -> tuple[str, int]:
    """Host (an IPv6 address without its brackets) and port; 0 only where `any_port` is said.

    Raises:
        LocalFault: it is not `host:port`.
    """
    host, colon, digits = text.rpartition(":")
    if not colon or not digits.isascii() or not digits.isdigit():
        raise LocalFault(f"{text!r} has no port.", MEND)
    port = int(digits)
    if port > 65_535 or (port == 0 and not any_port):
        raise LocalFault(f"{text!r} has a port that is not within 1 to 65535.", MEND)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not _is_ipv6(host):
            raise LocalFault(f"{text!r} has no IPv6 address within its brackets.", MEND)
    elif ":" in host:
        raise LocalFault(f"{text!r} needs brackets around its IPv6 address.", MEND)
    if not host or any(character.isspace() or character in "/@[]?#" for character in host):
        raise LocalFault(f"{text!r} has no host.", MEND)
    return host, port


def write_address(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it; names other than localhost count as reachable."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def subscriber(host: str) -> str:
    """Whom a host's address is counted by: an IPv4 address itself, of IPv6 its /64 network.

    That is what one subscriber is given (RFC 6177). What is no address counts by itself.
    """
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:  # a listener for both families
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), 64), strict=False))


def is_wildcard(host: str) -> bool:
    """Whether it stands for every address of the machine, so that nobody can dial it."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
