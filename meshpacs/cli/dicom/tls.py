"""`meshpacs dicom tls`: this node's key for DICOM over TLS, and whom it trusts.

The commands write files in the home; a running node takes a change over within two seconds.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home

if TYPE_CHECKING:
    # Imported where used: it takes longer than `--help` may.
    from meshpacs.node.certificates import Certificate, Made


@click.group()
def tls() -> None:
    """Keys and trust for DICOM over TLS."""


@tls.command()
@click.option(
    "--host",
    "hosts",
    multiple=True,
    help="A name or address by which this node is reached; may be repeated.",
)
@click.option("--renew", is_flag=True, help="A new key and certificate; others go on to trust it.")
@json_option
@home_option
def init(hosts: tuple[str, ...], *, renew: bool, as_json: bool, home: Home) -> None:
    """Make this node's key and certificate, and the authority that signs it.

    Without --host the certificate is made out for all names and addresses of this machine, or
    with --renew for those of the one before.
    """
    from meshpacs.model.errors import LocalFault
    from meshpacs.node import credentials
    from meshpacs.node.certificates import (
        hosts_of,
        make_authority,
        make_certificate,
        read_certificates,
    )
    from meshpacs.node.config import load_config
    from meshpacs.node.home import make_folder, write_durably, write_secret

    home.require_made()
    config = load_config(home.config)
    key, chain = credentials.key_file(home), credentials.chain_file(home)
    if (key.exists() or chain.exists()) and not renew:
        raise LocalFault(
            f"This node has a key or certificate already, in {home.dicom_tls}.",
            "`meshpacs dicom tls list` shows it; --renew makes a new one, by the same authority.",
        )
    authority = _authority(home) if renew else make_authority(config.name)
    if renew and not hosts and chain.exists():
        hosts = hosts_of(read_certificates(chain.read_bytes(), str(chain))[0])
    certificate = make_certificate(authority, config.name, hosts or _own_hosts(config))
    make_folder(home.dicom_tls)
    make_folder(home.dicom_tls / "trusted")
    if not renew:
        write_secret(credentials.authority_key_file(home), authority.key)
        write_durably(credentials.authority_file(home), authority.certificate)
    write_secret(key, certificate.key)
    write_durably(chain, certificate.certificate)
    _show(home, as_json=as_json)


@tls.command()
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--host",
    "hosts",
    multiple=True,
    required=True,
    help="A name or address by which it is reached; may be repeated.",
)
@json_option
@home_option
def issue(name: str, folder: Path, hosts: tuple[str, ...], *, as_json: bool, home: Home) -> None:
    """Make a key and a certificate for a machine that cannot make its own.

    NAME is its AE title. The files NAME.key, NAME.pem and authority.pem are put into FOLDER, to be
    carried to that machine; the key is nowhere else. The certificate is trusted under NAME.
    """
    from meshpacs.cli.screen import print_json
    from meshpacs.model.errors import LocalFault
    from meshpacs.node import credentials
    from meshpacs.node.certificates import as_pem, make_certificate, read_certificates
    from meshpacs.node.home import make_folder, write_durably, write_secret

    home.require_made()
    _check_name(name)
    if name.casefold() == "authority":
        raise LocalFault("That name is the authority's own file's.", "Say the machine's AE title.")
    authority = _authority(home)
    made = make_certificate(authority, name, hosts)
    key, chain = (folder / credentials.trusted_file(home, name).with_suffix(s).name for s in _ENDS)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_secret(key, made.key)
        write_durably(chain, made.certificate)
        write_durably(folder / "authority.pem", authority.certificate)
    except OSError as error:
        raise LocalFault(
            f"{folder} cannot be written: {error.strerror}.", "Choose another folder."
        ) from error
    leaf = read_certificates(made.certificate, str(chain))[0]
    make_folder(home.dicom_tls / "trusted")
    write_durably(credentials.trusted_file(home, name), as_pem([leaf]))
    if as_json:
        files = {"key": str(key), "certificate": str(chain)}
        print_json({"name": name, **files, **_facts(leaf)})
        return
    click.echo(f"For {name}, which is to have both and to keep the first to itself:")
    click.echo(f"  {key}")
    click.echo(f"  {chain}")
    click.echo(f"and to trust:\n  {folder / 'authority.pem'}")


_ENDS = (".key", ".pem")


@tls.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@home_option
def trust(name: str, file: Path, *, as_json: bool, home: Home) -> None:
    """Trust the certificate in FILE, or whatever it has signed.

    NAME is the AE title of the machine that it belongs to: who shows nothing that goes with FILE
    may then not call itself so. An authority of several machines is trusted under a name of its
    own. What was trusted under NAME before is replaced.
    """
    from meshpacs.model.errors import LocalFault
    from meshpacs.node import credentials
    from meshpacs.node.certificates import as_pem, read_certificates, to_trust
    from meshpacs.node.home import make_folder, write_durably

    home.require_made()
    _check_name(name)
    try:
        certificates = to_trust(read_certificates(file.read_bytes(), str(file)))
    except OSError as error:
        what = f"{file} cannot be read: {error.strerror}."
        raise LocalFault(what, "Look at its name.") from error
    make_folder(home.dicom_tls)
    make_folder(home.dicom_tls / "trusted")
    # Only certificates are kept of the file: a private key that lies in it is no business of ours.
    write_durably(credentials.trusted_file(home, name), as_pem(certificates))
    _tell([(name, certificates)], as_json=as_json)


@tls.command()
@click.argument("name")
@json_option
@home_option
def remove(name: str, *, as_json: bool, home: Home) -> None:
    """Trust no more what was trusted under NAME; associations that are open go on to their end."""
    from meshpacs.model.errors import LocalFault
    from meshpacs.node import credentials
    from meshpacs.node.home import sync_folder

    home.require_made()
    known = credentials.read_trusted(home)
    if name not in known:
        raise LocalFault(
            f"Nothing is trusted as {name!r}.", "`meshpacs dicom tls list` shows what is."
        )
    credentials.trusted_file(home, name).unlink()
    sync_folder(home.dicom_tls / "trusted")
    _tell([(name, known[name])], as_json=as_json)


@tls.command("list")
@json_option
@home_option
def list_(*, as_json: bool, home: Home) -> None:
    """Show this node's certificate, and whom it trusts."""
    home.require_made()
    _show(home, as_json=as_json)


def _check_name(name: str) -> None:
    from meshpacs.model.errors import LocalFault

    if not 1 <= len(name) <= 64 or not name.isprintable() or name != name.strip():
        raise LocalFault(f"{name!r} is no name.", "Say the machine's AE title.")


def _authority(home: Home) -> "Made":
    """The node's own, with its key."""
    from meshpacs.model.errors import LocalFault
    from meshpacs.node import credentials
    from meshpacs.node.certificates import Made
    from meshpacs.node.home import read_secret

    if not credentials.authority_key_file(home).exists():
        raise LocalFault(
            "This node has no authority of its own.",
            "`meshpacs dicom tls init` makes one; where node.key and node.pem come from another "
            "authority, it is that one that signs.",
        )
    return Made(
        read_secret(credentials.authority_key_file(home)),
        credentials.authority_file(home).read_bytes(),
    )


def _own_hosts(config: Any) -> tuple[str, ...]:
    """Names and addresses by which others may dial this machine."""
    import socket

    from meshpacs.model.address import is_wildcard, parse_address
    from meshpacs.node.reach import own_addresses

    listening = (*config.dicom_tls_listen, *config.dicom_listen, *config.advertise)
    said = [parse_address(address, any_port=True)[0] for address in listening]
    found = (*said, socket.gethostname(), *own_addresses(), "localhost", "127.0.0.1", "::1")
    return tuple(dict.fromkeys(host for host in found if not is_wildcard(host)))


def _facts(certificate: "Certificate") -> dict[str, Any]:
    from meshpacs.node.certificates import fingerprint_of, hosts_of, subject_of, until_us

    return {
        "subject": subject_of(certificate),
        "hosts": list(hosts_of(certificate)),
        "until_us": until_us(certificate),
        "sha256": fingerprint_of(certificate),
    }


def _show(home: Home, *, as_json: bool) -> None:
    """All of it; raises LocalFault as `read_credentials` does."""
    from meshpacs.cli.screen import clock, print_json, safe
    from meshpacs.node import credentials

    known = credentials.read_credentials(home)
    if known is None:
        raise credentials.no_key()
    authority = credentials.authority_file(home)
    if as_json:
        print_json(
            {
                "own": _facts(known.own),
                "authority": _facts(known.authority) if known.authority else None,
                "authority_file": str(authority) if known.authority else None,
                "trusted": _trusted(known.trusted.items()),
            }
        )
        return
    own = _facts(known.own)
    click.echo(f"This node shows the certificate {safe(own['subject'])}.")
    click.echo(f"  made out for  {safe(', '.join(own['hosts']))}")
    click.echo(f"  good until    {clock(own['until_us'])}")
    if known.authority is not None:
        click.echo("Every other machine is to trust this file, and may compare its fingerprint:")
        click.echo(f"  {authority}")
        click.echo(f"  SHA-256 {_facts(known.authority)['sha256']}")
    if known.trusted:
        click.echo("Trusted here:")
        _tell(known.trusted.items(), as_json=False)
    else:
        click.echo("Nobody else is trusted here yet. Get each machine's certificate, or that of")
        click.echo("who has signed it: meshpacs dicom tls trust TITLE FILE.")
    click.echo("`meshpacs up --dicom-tls-listen HOST:2762`, or dicom.tls_listen in config.toml,")
    click.echo("has the node listen for TLS.")


def _trusted(entries: Iterable[tuple[str, Sequence["Certificate"]]]) -> list[dict[str, Any]]:
    return [{"name": name, **_facts(one)} for name, many in entries for one in many]


def _tell(entries: Iterable[tuple[str, Sequence["Certificate"]]], *, as_json: bool) -> None:
    from meshpacs.cli.screen import clock, print_json, safe

    trusted = _trusted(entries)
    if as_json:
        print_json({"trusted": trusted})
        return
    for one in trusted:
        click.echo(f"  {safe(one['name'])}: {safe(one['subject'])}, until {clock(one['until_us'])}")
        click.echo(f"    SHA-256 {one['sha256']}")
