"""`meshpacs up`: the composition root. Opens the node, starts its front doors, says `ready`."""

import click

from meshpacs.cli.options import address_options, config_flags, home_option
from meshpacs.node.home import Home


@click.command()
@address_options
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option("--log-format", type=click.Choice(["auto", "console", "json"]))
@home_option
def up(
    mesh_listen: tuple[str, ...],
    advertise: tuple[str, ...],
    http_listen: str | None,
    log_level: str | None,
    log_format: str | None,
    *,
    home: Home,
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
    flags = config_flags(mesh_listen, advertise, http_listen)
    if log_level is not None:
        flags["log_level"] = log_level
    if log_format is not None:
        flags["log_format"] = log_format
    config = ConfigFile(home.config, flags)
    set_up_logs(config.config.log_level, config.config.log_format)
    tell_warnings_by_place()
    trio.run(serve, home, config)
    return 0
