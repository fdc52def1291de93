"""`meshpacs up`: the composition root. Opens the node, starts its front doors, says `ready`."""

import re
from functools import partial
from typing import Any

import click

from meshpacs.cli.options import address_options, config_flags, home_option
from meshpacs.model.ids import NodeId
from meshpacs.node.home import Home


def _nodes(
    _ctx: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> tuple[NodeId, ...]:
    for value in values:
        if not re.fullmatch("[0-9a-f]{64}", value):
            raise click.BadParameter(f"{value!r} is no node id; that is 64 hexadecimal digits.")
    return tuple(NodeId(bytes.fromhex(value)) for value in values)


@click.command()
@address_options
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option("--log-format", type=click.Choice(["auto", "console", "json"]))
@click.option(
    "--only-neighbour",
    multiple=True,
    hidden=True,  # for counts and tests, see docs/CLI.md
    callback=_nodes,
)
@home_option
def up(
    log_level: str | None,
    log_format: str | None,
    only_neighbour: tuple[NodeId, ...],
    *,
    home: Home,
    **addresses: Any,
) -> int:
    """Run the node in the foreground, until SIGTERM, Ctrl-C or `meshpacs down`.

    Prints one line `ready {…}` to standard output once it serves; logs to standard error.
    What is given here wins over config.toml.
    """
    import trio

    from meshpacs.cli.serve import serve
    from meshpacs.node.config import ConfigFile
    from meshpacs.node.logs import set_up_logs, tell_warnings_by_place

    home.require_made()
    flags = config_flags(addresses)
    if log_level is not None:
        flags["log_level"] = log_level
    if log_format is not None:
        flags["log_format"] = log_format
    config = ConfigFile(home.config, flags)
    set_up_logs(config.config.log_level, config.config.log_format)
    tell_warnings_by_place()
    trio.run(partial(serve, home, config, only_neighbours=only_neighbour))
    return 0
