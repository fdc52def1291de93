"""Addresses in words, and which of them others are told."""

import socket
from typing import Any, Self

import pytest

from meshpacs.node import reach as reach_module
from meshpacs.node.reach import advertised, only_loopback, own_addresses, reach


class Asking:
    """A datagram socket of a machine with one IPv4 network and a link-local IPv6 address."""

    def __init__(self, family: int, kind: int) -> None:
        self.family = family

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def connect(self, where: tuple[str, int]) -> None:
        pass

    def getsockname(self) -> tuple[Any, ...]:
        return ("192.0.2.5", 4) if self.family == socket.AF_INET else ("fe80::1%eth0", 4)


class Unconnected(Asking):
    def connect(self, where: tuple[str, int]) -> None:
        raise OSError(101, "Network is unreachable")


def test_an_address_is_told_in_words() -> None:
    assert reach("mesh", "127.0.0.1:7117").words == "from this machine only"
    assert reach("mesh", "[::1]:7117").words == "from this machine only"
    assert reach("http", "0.0.0.0:7118").words == (
        "from every network this machine is on, where firewalls let port 7118 through"
    )
    assert reach("mesh", "192.0.2.5:7117").words == (
        "from networks that reach 192.0.2.5, where firewalls let port 7117 through"
    )


def test_what_is_chosen_is_told_else_what_is_listened_on() -> None:
    assert advertised(("127.0.0.1:1",), ("a.example:2",)) == ("a.example:2",)
    assert advertised(("127.0.0.1:1", "[::1]:2"), ()) == ("127.0.0.1:1", "[::1]:2")


def test_a_wildcard_stands_for_this_machines_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach_module.socket, "socket", Asking)  # type: ignore[attr-defined]
    assert own_addresses() == ("192.0.2.5",), "a link-local address is of no use to others"
    assert advertised(("0.0.0.0:7117", "[::]:7117"), ()) == ("192.0.2.5:7117",)


def test_a_machine_without_a_network_advertises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach_module.socket, "socket", Unconnected)  # type: ignore[attr-defined]
    assert advertised(("0.0.0.0:7117",), ()) == ()


def test_loopback_alone_is_known_as_such() -> None:
    assert only_loopback(("127.0.0.1:1", "localhost:2", "[::1]:3"))
    assert not only_loopback(("127.0.0.1:1", "192.0.2.5:2"))
