"""The `meshpacs` command: finds the command's file only when it is asked for.

`meshpacs --help` imports click and nothing else of weight; a test counts the modules.
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from meshpacs import __version__
from meshpacs.model.errors import MeshError

BROKEN = 2
"""The exit code for refused and broken; 1 is degraded, 0 is fine."""

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""

COMMANDS = {
    "init": ("founding", "Make a node and found a mesh with it."),
    "join": ("founding", "Make a node and join a mesh by an invite."),
    "invite": ("membership", "Make an invite for one clinic."),
    "revoke": ("membership", "Take a member's membership."),
    "up": ("up", "Run the node in the foreground."),
    "down": ("down", "Stop the node that is up."),
    "status": ("status", "How this node is; exits 0 fine, 1 degraded, 2 broken."),
    "peers": ("peers", "The other members as seen from here."),
    "trails": ("trails", "By whom the last queries came here, and to whom they went on."),
    "find": ("find", "Ask the mesh, and hear how complete the answer is."),
    "fetch": ("fetch", "Bring a study here, verified."),
    "delete": ("delete", "Take a study out of this archive."),
    "import": ("importing", "Take in DICOM files, folders, zip files and media."),
    "conflicts": ("conflicts", "Instances that came with two contents."),
    "dicom": ("dicom.group", "The DICOM machines that this node knows."),
    "config": ("config", "Check the configuration file."),
}
"""Each command's file, and its line in `--help`."""


class LazyGroup(click.Group):
    """Imports a command's file when that command is run, or its own help is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a person meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import its file."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"meshpacs.cli.{COMMANDS[cmd_name][0]}")
        command = module.__dict__[cmd_name if cmd_name != "import" else "take_in"]
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="meshpacs")
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="The node's folder. Else MESHPACS_HOME, else the platform's data folder.",
)
@click.pass_context
def meshpacs(ctx: click.Context, home: Path | None) -> None:
    """Every clinic keeps its own archive; together they act as one."""
    ctx.obj = home


def run(words: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Expected faults become two sentences, not a traceback."""
    as_json = "--json" in (words if words is not None else sys.argv)
    try:
        outcome: Any = meshpacs.main(args=words, prog_name="meshpacs", standalone_mode=False)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        if as_json:
            context = error.ctx if isinstance(error, click.UsageError) else None
            path = context.command_path if context else "meshpacs"
            print_fault(error.format_message(), f"See `{path} --help`.")
        return BROKEN
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except MeshError as fault:
        tell(fault, as_json=as_json)
        return BROKEN
    except BaseExceptionGroup as group:
        from meshpacs.gateways.faults import only_fault

        inner = only_fault(group)
        if inner is None:
            raise
        tell(inner, as_json=as_json)
        return BROKEN
    return outcome if isinstance(outcome, int) else 0


def tell(fault: MeshError, *, as_json: bool) -> None:
    """Say what is wrong and what mends it, to standard error; with --json also as JSON."""
    click.secho(f"meshpacs: {fault.what}", err=True, fg="red")
    if fault.mend:
        click.echo(f"  {fault.mend}", err=True)
    if as_json:
        print_fault(fault.what, fault.mend)


def print_fault(what: str, mend: str) -> None:
    """A fault as a document, for programs."""
    import json

    click.echo(json.dumps({"error": {"what": what, "mend": mend}}))


def main() -> NoReturn:
    """The entry point of the installed program."""
    for stream in (sys.stdout, sys.stderr):
        # Patients' names are not all of the terminal's character set; better a mark than a crash.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    code = run()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # `meshpacs find | head` is no fault; keep Python from complaining at exit.
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
