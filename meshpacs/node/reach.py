"""Under which addresses this node can be reached, and from where, in words."""

import ipaddress
import socket
from collections.abc import Sequence

from meshpacs.model.address import is_loopback, is_wildcard, parse_address, write_address
from meshpacs.model.limits import ADDRESSES
from meshpacs.node.views import ReachView

PROBES = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Documentation addresses (RFC 5737, RFC 3849): a datagram socket that is connected to one sends
nothing, but learns by which of its own addresses this machine would reach the network."""


def own_addresses() -> tuple[str, ...]:
    """This machine's addresses on its way to other networks; none without a network."""
    found: list[str] = []
    for family, probe in PROBES.items():
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asking:
                asking.connect((probe, 9))
                host = str(asking.getsockname()[0])
        except OSError:
            continue
        if not ipaddress.ip_address(host.partition("%")[0]).is_link_local:
            found.append(host)
    return tuple(found)


def advertised(listening: Sequence[str], chosen: Sequence[str]) -> tuple[str, ...]:
    """What other members are told to dial: what the operator chose, else what is listened on."""
    if chosen:
        return tuple(chosen)
    addresses: dict[str, None] = {}
    for address in listening:
        host, port = parse_address(address)
        if not is_wildcard(host):
            addresses[address] = None
            continue
        version = ipaddress.ip_address(host).version
        for own in own_addresses():
            # An IPv6 wildcard socket of trio's takes IPv6 alone.
            if ipaddress.ip_address(own.partition("%")[0]).version == version:
                addresses[write_address(own, port)] = None
    return tuple(addresses)[:ADDRESSES]


def only_loopback(addresses: Sequence[str]) -> bool:
    """Whether nobody beyond this machine can use any of these addresses."""
    return all(is_loopback(parse_address(address)[0]) for address in addresses)


def reach(purpose: str, address: str) -> ReachView:
    """One listener in words."""
    host, port = parse_address(address)
    if is_loopback(host):
        words = "from this machine only"
    elif is_wildcard(host):
        words = f"from every network this machine is on, where firewalls let port {port} through"
    else:
        words = f"from networks that reach {host}, where firewalls let port {port} through"
    return ReachView(purpose, address, words)
