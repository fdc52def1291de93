"""Options that several commands have, and the home that they choose."""

from collections.abc import Callable
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
        )
    ):
        command = option(command)
    return command


def config_flags(
    mesh_listen: tuple[str, ...], advertise: tuple[str, ...], http_listen: str | None
) -> dict[str, Any]:
    """The address options that were given, as fields of `Config`."""
    flags: dict[str, Any] = {}
    if mesh_listen:
        flags["mesh_listen"] = mesh_listen
    if advertise:
        flags["advertise"] = advertise
    if http_listen is not None:
        flags["http_listen"] = http_listen
    return flags
