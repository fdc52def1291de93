"""Addresses are `host:port`; what is not is refused in words."""

import pytest

from meshpacs.model.address import (
    is_loopback,
    is_wildcard,
    parse_address,
    subscriber,
    write_address,
)
from meshpacs.model.errors import LocalFault


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.0.2.7:7117", "192.0.2.7", 7117),
        ("[2001:db8::7]:1", "2001:db8::7", 1),
        ("clinic.example.org:65535", "clinic.example.org", 65_535),
    ],
)
def test_a_good_address_is_read_and_written_the_same(text: str, host: str, port: int) -> None:
    assert parse_address(text) == (host, port)
    assert write_address(host, port) == text


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no port"),
        ("7117", "no port"),
        ("host:", "no port"),
        ("host:abc", "no port"),
        ("host:٣", "no port"),
        ("host:65536", "within"),
        ("host:0", "within"),
        (":7117", "no host"),
        ("a b:1", "no host"),
        ("http://x:1", "brackets"),
        ("x/y:1", "no host"),
        ("::1:7117", "brackets"),
        ("[host]:1", "no IPv6"),
        ("[::1:1", "brackets"),
    ],
)
def test_anything_else_is_refused_in_words(text: str, word: str) -> None:
    with pytest.raises(LocalFault, match=word):
        parse_address(text)


def test_port_zero_stands_for_any_only_where_that_is_said() -> None:
    assert parse_address("[::]:0", any_port=True) == ("::", 0)


def test_loopback_and_wildcard_are_known_by_address_and_names_are_not_guessed() -> None:
    assert is_loopback("127.9.9.9")
    assert is_loopback("::1")
    assert is_loopback("LocalHost")
    assert not is_loopback("192.0.2.1")
    assert not is_loopback("clinic.example.org")
    assert is_wildcard("0.0.0.0")
    assert is_wildcard("::")
    assert not is_wildcard("127.0.0.1")
    assert not is_wildcard("clinic.example.org")


@pytest.mark.parametrize(
    ("host", "whose"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:7::1", "2001:db8:0:7::/64"),
        ("2001:db8:0:7:ffff::2%eth0", "2001:db8:0:7::/64"),
        ("unknown", "unknown"),
    ],
)
def test_an_ipv6_subscriber_is_counted_by_its_network(host: str, whose: str) -> None:
    assert subscriber(host) == whose
