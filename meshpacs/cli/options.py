"""Options that several commands have, and the home that they choose."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from meshpacs.node.home import Home, locate

Command = TypeVar("Command", bound=Callable[..., Any])


def home_option(command: Command) -> Command:
    """`--home`, also after the command's name; there it wins."""

    def chosen(ctx: click.Context, _option: click.Parameter, value: Path | None) -> Home:
        root = ctx.find_root().obj
        return Home(locate(value if value is not None else root))

    return click.option(
        "--home",
        type=click.Path(path_type=Path, file_okay=False),
        callback=chosen,
        help="The node's folder. Else MESHPACS_HOME, else the platform's data folder.",
    )(command)


def json_option(command: Command) -> Command:
    """`--json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document (docs/CLI.md)."
    )(command)


def address_options(command: Command) -> Command:
    """Where to listen and what to advertise."""
    for option in reversed(
        (
            click.option(
                "--mesh-listen",
                multiple=True,
                metavar="HOST:PORT",
                help="Where other members reach this node. Default: this machine only.",
            ),
            click.option(
                "--advertise",
                multiple=True,
                metavar="HOST:PORT",
                help="What other members are told to dial, if that differs.",
            ),
            click.option(
                "--http-listen", metavar="HOST:PORT", help="Where the commands talk to this node."
            ),
            click.option(
                "--dicom-listen",
                multiple=True,
                metavar="HOST:PORT",
                help="Where DICOM is spoken. Default: port 11112, this machine only.",
            ),
            click.option(
                "--dicom-port",
                type=click.IntRange(0, 65535),
                help="The same, on this machine only: 127.0.0.1 and this port.",
            ),
            click.option(
                "--dicom-tls-listen",
                multiple=True,
                metavar="HOST:PORT",
                help="Where DICOM is spoken over TLS. Default: nowhere; 2762 is the usual port.",
            ),
            click.option(
                "--dicom-tls-port",
                type=click.IntRange(0, 65535),
                help="The same, on this machine only: 127.0.0.1 and this port.",
            ),
            click.option(
                "--no-plain-dicom", is_flag=True, help="No DICOM without TLS, on any address."
            ),
            click.option(
                "--ae-title",
                multiple=True,
                help="What DICOM callers call this node. Default: MESHPACS.",
            ),
        )
    ):
        command = option(command)
    return command


def config_flags(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `address_options` that were given, as fields of `Config`."""
    fields = {
        "mesh_listen": "mesh_listen",
        "advertise": "advertise",
        "http_listen": "http_listen",
        "dicom_listen": "dicom_listen",
        "dicom_tls_listen": "dicom_tls_listen",
        "ae_title": "ae_titles",
    }
    flags = {field: given[name] for name, field in fields.items() if given[name] not in (None, ())}
    for name in ("dicom", "dicom_tls"):
        if (port := given[f"{name}_port"]) is not None:
            flags[f"{name}_listen"] = (*given[f"{name}_listen"], f"127.0.0.1:{port}")
    if given["no_plain_dicom"]:
        if "dicom_listen" in flags:
            raise click.UsageError("--no-plain-dicom cannot go with --dicom-listen, --dicom-port.")
        flags["dicom_listen"] = ()
    return flags
