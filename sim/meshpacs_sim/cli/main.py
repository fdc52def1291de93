"""The `meshpacs-sim` command: finds the command's file only when it is asked for.

Help works in any installation; everything else needs the extra `sim`, and says so.
"""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from meshpacs import __version__
from meshpacs.model.errors import MeshError

BROKEN = 2
"""The exit code for refused and broken; 1 is a result that fails its rule, 0 is fine."""

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""

COMMANDS = {
    "new": ("new", "A scenario to begin with; without a file name, a list of them."),
    "describe": ("describing", "A scenario in words."),
    "graph": ("graphing", "What the mesh of a scenario is like, in numbers."),
    "churn": ("churning", "Who is up when in a scenario, in numbers or as a CSV file."),
    "run": ("running", "Run a scenario once."),
    "sweep": ("sweeping", "Run a scenario over a grid of values and seeds; goes on where it was."),
    "plot": ("plotting", "Pictures of a folder of results."),
    "report": ("reporting", "One page about a folder of results."),
    "plan": ("planning", "How often clinics can have priors, and what their lines carry."),
    "reproduce": ("reproducing", "Published results, found again."),
    "keys": ("keys", "Every key of a scenario file, with its default."),
}
"""Each command's file, and its line in `--help`. A new command is a line here and a file."""

EXTRA = ("matplotlib", "numba", "numpy", "pyarrow", "scipy")
"""What the extra `sim` installs."""


class LazyGroup(click.Group):
    """Imports a command's file when that command is run, or its own help is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a person meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import its file, if what it needs is installed."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        if any(importlib.util.find_spec(name) is None for name in EXTRA):
            raise click.ClickException(
                'this needs the simulator\'s libraries: pip install "meshpacs[sim]"'
            )
        module = importlib.import_module(f"meshpacs_sim.cli.{COMMANDS[cmd_name][0]}")
        command = module.__dict__[cmd_name]
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="meshpacs-sim")
def meshpacs_sim() -> None:
    """Meshes that are imagined: scenarios, runs, sweeps, and what they show."""


def run(words: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Expected faults become two sentences, not a traceback."""
    try:
        outcome: Any = meshpacs_sim.main(words, prog_name="meshpacs-sim", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return BROKEN
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except MeshError as fault:
        click.secho(f"meshpacs-sim: {fault.what}", err=True, fg="red")
        if fault.mend:
            click.echo(f"  {fault.mend}", err=True)
        return BROKEN
    return outcome if isinstance(outcome, int) else 0


def main() -> NoReturn:
    """The entry point of the installed program."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    code = run()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # `meshpacs-sim keys | head` is no fault; keep Python from complaining at exit.
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
