"""Keys, certificates and a TLS door for tests."""

import datetime as dt
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from meshpacs.gateways.dicom.door import DicomDoor
from meshpacs.gateways.dicom.reporting import Reporter
from meshpacs.gateways.dicom.requested import Requests
from meshpacs.gateways.dicom.session import House
from meshpacs.gateways.dicom.titles import Allowing, Titles
from meshpacs.model.address import parse_address
from meshpacs.node import certificates, credentials
from meshpacs.node.certificates import Made, make_authority, make_certificate
from meshpacs.node.credentials import Credentials, read_credentials
from meshpacs.node.home import Home
from meshpacs.node.mesh import Mesh
from meshpacs.node.worklist import Worklist
from tests.gateways.dicom.doors import Opened, Strangers

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Pair:
    """A machine's key and certificate, as files."""

    key: Path
    chain: Path


@dataclass(frozen=True)
class Kit:
    """A node's home with credentials, and what machines around it have."""

    home: Home
    ct1: Pair
    """Signed by the node's authority, and trusted under its own title."""
    ward: Pair
    """Signed by the node's authority."""
    stranger: Pair
    """Signed by nobody that the node knows."""
    expired: Pair

    @property
    def authority(self) -> Path:
        """What machines trust."""
        return credentials.authority_file(self.home)

    def client(
        self, pair: Pair | None = None, *, version: ssl.TLSVersion | None = None
    ) -> ssl.SSLContext:
        """What a machine dials with that checks no more than it must."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.authority)
        if pair is not None:
            context.load_cert_chain(pair.chain, pair.key)
        if version is not None:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
        return context


def put(folder: Path, name: str, made: Made) -> Pair:
    """Write both files."""
    pair = Pair(folder / f"{name}.key", folder / f"{name}.pem")
    pair.key.write_bytes(made.key)
    pair.key.chmod(0o600)
    pair.chain.write_bytes(made.certificate)
    return pair


def make_kit(folder: Path) -> Kit:
    """Everything, with keys that are made quickly."""
    home = Home(folder / "home")
    trusted = home.dicom_tls / "trusted"
    trusted.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificates, "KEY_BITS", 2048)
        authority = make_authority("Nord")
        put(home.dicom_tls, "authority", authority)
        put(home.dicom_tls, "node", make_certificate(authority, "Nord", [HOST, "pacs.example"]))
        ct1 = put(folder, "ct1", make_certificate(authority, "CT1", [HOST]))
        ward = put(folder, "ward", make_certificate(authority, "WARD", [HOST]))
        stranger = put(folder, "stranger", make_certificate(make_authority("S"), "S", [HOST]))
        patch.setattr(certificates, "_now", lambda: dt.datetime.now(dt.UTC) - dt.timedelta(4000))
        long_ago = make_authority("Past")
        expired = put(folder, "expired", make_certificate(long_ago, "Past", [HOST]))
    (leaf, _) = certificates.read_certificates(ct1.chain.read_bytes(), "ct1")
    (trusted / "CT1.pem").write_bytes(certificates.as_pem([leaf]))
    (trusted / "OLD.pem").write_bytes(expired.chain.read_bytes())
    return Kit(home, ct1, ward, stranger, expired)


def held(home: Home) -> Credentials:
    """What a home's files say now."""
    found = read_credentials(home)
    assert found is not None
    return found


@asynccontextmanager
async def secured(mesh: Mesh, home: Home, book: Allowing | None = None) -> AsyncIterator[Opened]:
    """A door for TLS on loopback, with what the home holds at first."""
    names = Titles(lambda: ("MESHPACS",), book or Strangers())
    found = read_credentials(home)
    house = House(
        mesh,
        names,
        lambda: "latin_1",
        tuple,
        Worklist(home.folder, "ISO_IR 100"),
        Reporter(mesh, names.others, tuple, lambda: found),
        Requests(),
        lambda: found,
    )
    door = DicomDoor(house)
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(door.serve_tls, (f"{HOST}:0",), stop)
        host, port = parse_address(address)
        try:
            yield Opened(door, host, port, names)
        finally:
            stop.set()
