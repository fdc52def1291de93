"""`meshpacs dicom commit`: does another archive answer for what was sent to it?"""

from pathlib import Path

import click

from meshpacs.cli.dicom.machine import machine, machine_options
from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home

MARGIN_S = 200.0
"""Seconds beyond the wait that a node may take: to reach the archive, and to be taken in."""


FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@machine_options
@click.argument("files", nargs=-1, metavar="[FILE]…", type=FILE)
@click.option("--study", "study_uid", default="", help="All of a study that is in this archive.")
@click.option(
    "--wait",
    "wait_s",
    type=click.IntRange(1, 24 * 3600),
    default=60,
    show_default=True,
    help="Seconds that its report is waited for.",
)
@json_option
@home_option
def commit(
    whom: str,
    called: str | None,
    calling: str | None,
    files: tuple[Path, ...],
    study_uid: str,
    wait_s: int,
    *,
    over_tls: bool,
    as_json: bool,
    home: Home,
) -> int:
    """Ask another archive whether it answers for instances; exits 1 unless it does for all.

    The node must be up: many archives report on an association of their own, to this node's title
    and port. That archive needs to know both, and the AE book here its title with the service
    commit.
    """
    from meshpacs.cli.client import Client
    from meshpacs.cli.screen import print_json, safe

    whose = machine(whom, called, calling, home, over_tls=over_tls)
    title = whose.called
    said = Client(home).post(
        "/v1/dicom/commit",
        {
            "title": title,
            "host": whose.host,
            "port": whose.port,
            "calling": whose.calling,
            "study_uid": study_uid,
            "references": [_reference(file) for file in files],
            "wait_s": wait_s,
            "tls": whose.tls is not None,
        },
        answer_s=wait_s + MARGIN_S,
    )
    if as_json:
        print_json(said)
    elif not said["reported"]:
        click.echo(f"{safe(title)} has taken the request in, and not reported within {wait_s} s.")
    else:
        click.echo(f"{safe(title)} answers for {said['committed']} instances.")
        for one in said["failed"]:
            click.echo(f"not for {safe(one['sop_uid'])}: {one['reason']}")
    return 0 if said["reported"] and not said["failed"] else 1


def _reference(file: Path) -> tuple[str, str]:
    """What a file says that it is."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    from meshpacs.model.errors import LocalFault

    tags = ["SOPClassUID", "SOPInstanceUID"]
    try:
        found = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=tags)
        return str(found.SOPClassUID), str(found.SOPInstanceUID)
    except (OSError, InvalidDicomError, AttributeError, ValueError) as error:
        raise LocalFault(f"{file} is no readable DICOM file.", "Leave it out.") from error
