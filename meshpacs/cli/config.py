"""`meshpacs config check`: read the configuration, and start nothing."""

from pathlib import Path

import click

from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home


@click.group()
def config() -> None:
    """Check the configuration file."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@json_option
@home_option
def check(file: Path | None, *, as_json: bool, home: Home) -> None:
    """Read FILE, or the home's config.toml, whole; exits 2 if anything in it is wrong."""
    from meshpacs.cli.screen import print_json, safe
    from meshpacs.node.config import KEYS, load_config

    chosen = file if file is not None else home.config
    found = load_config(chosen)
    values = {key: getattr(found, field) for field, key in KEYS.items()}
    if as_json:
        print_json({"file": str(chosen), "values": values})
        return
    for key, value in values.items():
        shown = ", ".join(value) or "(as listened on)" if isinstance(value, tuple) else value
        click.echo(f"{key:<24} {safe(shown)}")
    click.echo(f"{chosen} is fine.")
