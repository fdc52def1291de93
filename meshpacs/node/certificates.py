"""X.509 certificates for DICOM over TLS: made for this node, and read wherever they come from.

A node has an authority of its own, which signs its certificate. Other machines are told to trust
the authority; so a new certificate, which is due long before, changes nothing for them.
"""

import datetime as dt
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meshpacs.model.errors import LocalFault

KEY_BITS = 3072
"""RSA, as strong as 128 bits (NIST SP 800-57); RFC 9325 4.5 wants 2048 at least. Not an elliptic
curve: modalities that are old and still serve know none for certificates. A guess about them."""

AUTHORITY_DAYS = 3650
"""Ten years: as long as a modality is in use. A guess."""

NODE_DAYS = 825
"""As much as the strictest take: Apple's systems (its support article HT210176)."""

BACKDATED = dt.timedelta(days=1)
"""The clocks of modalities are not always right. A guess."""

Certificate = x509.Certificate


@dataclass(frozen=True, slots=True)
class Made:
    """A private key and its certificate, both PEM."""

    key: bytes
    certificate: bytes


def make_authority(name: str) -> Made:
    """An authority that may sign certificates of machines, and no further authorities."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    subject = _subject(f"{name} (DICOM)"[:64])
    builder = _builder(subject, subject, key.public_key(), AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return Made(_pem(key), builder.sign(key, hashes.SHA256()).public_bytes(_PEM))


def make_certificate(authority: Made, name: str, hosts: Sequence[str]) -> Made:
    """A machine's certificate for both ends of a connection, signed by this authority.

    `hosts` are the names and addresses that others reach it by.

    Raises:
        LocalFault: a host can be neither.
    """
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    signing = serialization.load_pem_private_key(authority.key, None)
    assert isinstance(signing, rsa.RSAPrivateKey), "made by `make_authority`"
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    days = min(NODE_DAYS, (issuer.not_valid_after_utc - _now()).days)
    if days <= 0:
        raise LocalFault(
            "This node's own authority has expired.",
            "Move the folder dicom-tls in its home away, run `meshpacs dicom tls init`, and have "
            "the other machines trust the new one.",
        )
    builder = _builder(_subject(name), issuer.subject, key.public_key(), days)
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(signs_certificates=False), True),
        (
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            False,
        ),
        (x509.SubjectAlternativeName([_general(host) for host in dict.fromkeys(hosts)]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    made = builder.sign(signing, hashes.SHA256()).public_bytes(_PEM)
    # The authority goes along: some receivers look for the whole chain in what they are sent.
    return Made(_pem(key), made + authority.certificate)


def read_certificates(data: bytes, where: str) -> tuple[Certificate, ...]:
    """All certificates in a file, PEM or DER.

    Raises:
        LocalFault: there is none, or one cannot be read.
    """
    mend = "Give an X.509 certificate as a PEM or DER file (.pem, .crt, .cer)."
    try:
        if b"-----BEGIN" in data:
            return tuple(x509.load_pem_x509_certificates(data))
        return (x509.load_der_x509_certificate(data),)
    except ValueError as error:
        raise LocalFault(f"{where} holds no certificate that can be read.", mend) from error


def to_trust(certificates: Sequence[Certificate]) -> tuple[Certificate, ...]:
    """What of a file is meant by trusting it.

    A machine's own certificate alone, though the file goes on with those that have signed it: who
    else they sign is not that machine. Of a file that begins with an authority, all.
    """
    return tuple(certificates) if _is_authority(certificates[0]) else (certificates[0],)


def _is_authority(certificate: Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return found.value.ca


def as_pem(certificates: Iterable[Certificate]) -> bytes:
    """Certificates as one PEM file."""
    return b"".join(certificate.public_bytes(_PEM) for certificate in certificates)


def subject_of(certificate: Certificate) -> str:
    """Who a certificate says that its holder is, in RFC 4514's form."""
    return certificate.subject.rfc4514_string()


def hosts_of(certificate: Certificate) -> tuple[str, ...]:
    """The names and addresses in a certificate."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    kinds = (x509.DNSName, x509.IPAddress)
    return tuple(str(name.value) for name in names if isinstance(name, kinds))


def fingerprint_of(certificate: Certificate) -> str:
    """SHA-256, as people compare it."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def until_us(certificate: Certificate) -> int:
    """When it expires, in Unix microseconds."""
    return int(certificate.not_valid_after_utc.timestamp()) * 1_000_000


def vouched_for(leaf: Certificate, trusted: Iterable[Certificate]) -> bool:
    """Whether a certificate is one of these, or was signed by one of these."""
    return any(leaf == one or _signed_by(leaf, one) for one in trusted)


def _signed_by(leaf: Certificate, issuer: Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


_PEM = serialization.Encoding.PEM


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )  # fmt: skip


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey, days: int
) -> x509.CertificateBuilder:
    now = _now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        return x509.DNSName(host.encode("idna").decode("ascii"))
    except UnicodeError as error:
        raise LocalFault(
            f"{host!r} is no host's name or address.", "Say it as in pacs.example.org."
        ) from error
