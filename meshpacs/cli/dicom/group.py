"""All commands of `meshpacs dicom`."""

import click

from meshpacs.cli.dicom.ae import ae
from meshpacs.cli.dicom.check import check
from meshpacs.cli.dicom.commit import commit
from meshpacs.cli.dicom.echo import echo
from meshpacs.cli.dicom.find import find
from meshpacs.cli.dicom.get import get
from meshpacs.cli.dicom.move import move
from meshpacs.cli.dicom.store import store
from meshpacs.cli.dicom.tls import tls
from meshpacs.cli.dicom.worklist import worklist


@click.group()
def dicom() -> None:
    """What concerns DICOM's own network language."""


for command in (check, echo, find, store, get, move, commit, worklist, ae, tls):
    dicom.add_command(command)
