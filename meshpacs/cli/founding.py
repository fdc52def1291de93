"""`meshpacs init` and `meshpacs join`: how a node comes to be."""

from typing import Any

import click

from meshpacs.cli.options import address_options, config_flags, home_option, json_option
from meshpacs.node.home import Home


@click.command()
@click.option("--name", required=True, help="The clinic's name, which the others see.")
@click.option("--mesh-name", help="The mesh's name; by default the clinic's.")
@address_options
@json_option
@home_option
def init(
    name: str,
    mesh_name: str | None,
    *,
    as_json: bool,
    home: Home,
    **addresses: Any,
) -> None:
    """Make a node and found a mesh with it.

    Prints the founder's recovery key, once: write it on paper. The addresses are written to
    config.toml.
    """
    from meshpacs.cli.screen import print_json, safe
    from meshpacs.node.founding import found

    config = _config(name, config_flags(addresses))
    made = found(home, config, mesh_name or name)
    if as_json:
        print_json(
            {
                "home": str(home.folder),
                "node": made.node.hex(),
                "name": made.name,
                "mesh": made.mesh.hex(),
                "mesh_name": made.mesh_name,
                "recovery_key": made.recovery_key,
            }
        )
        return
    click.echo(f"{safe(made.name)} has founded the mesh {safe(made.mesh_name)}.")
    click.echo(f"  node  {made.node.hex()[:8]} in {home.folder}")
    click.echo(f"  mesh  {made.mesh.hex()[:8]}")
    click.echo("The founder's recovery key, for paper; it is not shown again:")
    click.echo(f"  {made.recovery_key}")
    click.echo("Next: `meshpacs up`, and in another window `meshpacs invite` for each clinic.")


@click.command()
@click.argument("invite")
@click.option("--name", required=True, help="The clinic's name, which the others see.")
@address_options
@json_option
@home_option
def join(
    invite: str,
    name: str,
    *,
    as_json: bool,
    home: Home,
    **addresses: Any,
) -> None:
    """Make a node and join a mesh by an INVITE; any member that is up lets it in.

    The addresses are written to config.toml.
    """
    import trio

    from meshpacs.cli.screen import print_json, safe
    from meshpacs.node.joining import join as join_mesh

    config = _config(name, config_flags(addresses))
    made = trio.run(join_mesh, home, invite, config)
    if as_json:
        print_json(
            {
                "home": str(home.folder),
                "node": made.node.hex(),
                "name": made.name,
                "mesh": made.mesh.hex(),
                "mesh_name": made.mesh_name,
                "members": made.members,
                "through": {"node": made.through.hex(), "name": made.through_name},
            }
        )
        return
    click.echo(
        f"{safe(made.name)} is one of {made.members} in the mesh {safe(made.mesh_name)}, "
        f"let in by {safe(made.through_name)}."
    )
    click.echo(f"  node  {made.node.hex()[:8]} in {home.folder}")
    click.echo("Next: `meshpacs up`.")


def _config(name: str, flags: dict[str, Any]) -> Any:
    """What will stand in config.toml, checked as if it stood there already."""
    from meshpacs.node.config import Config, parse_config
    from meshpacs.node.template import default_toml

    return parse_config(default_toml(Config(name=name, **flags)), "the command line")
