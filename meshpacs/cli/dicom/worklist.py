"""`meshpacs dicom worklist`: what modalities are told to do, and which files cannot be used."""

from typing import TYPE_CHECKING

import click

from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home

if TYPE_CHECKING:
    from meshpacs.node.worklist import Step

OF_STEP = {
    "date": 0x0040_0002,
    "time": 0x0040_0003,
    "modality": 0x0008_0060,
    "station": 0x0040_0001,
    "step": 0x0040_0007,
}
OF_ALL = {
    "patient_name": 0x0010_0010,
    "patient_id": 0x0010_0020,
    "accession": 0x0008_0050,
    "study_uid": 0x0020_000D,
}
"""What is shown, by its name in the JSON."""

WIDTHS = {"date": 8, "time": 6, "modality": 4, "station": 16, "step": 24, "patient_name": 24}


@click.command()
@click.option("--title", help="Only what is for those who call us by this AE title.")
@json_option
@home_option
def worklist(title: str | None, *, as_json: bool, home: Home) -> int:
    """Show what is scheduled; exits 1 if a file of the worklist cannot be used.

    A modality sees what matches its own question. Files are *.wl or *.json, in the folder that
    the key dicom.worklist of the configuration names; docs/CLI.md has an example.
    """
    from meshpacs.cli.screen import few_logs, print_json, safe
    from meshpacs.node.config import load_config
    from meshpacs.node.worklist import Worklist

    home.require_made()
    config = load_config(home.config)
    folder = config.worklist_folder(home.folder)
    known = Worklist(folder, config.default_charset)
    with few_logs():
        found = known.listing(title) if title else known.everything()
    steps = [_facts(step) for step in found.steps]
    if as_json:
        unusable = [{"file": str(u.file), "what": u.what} for u in found.unusable]
        print_json({"folder": str(folder), "steps": steps, "unusable": unusable})
        return 1 if unusable else 0
    for facts in steps:
        click.echo("  ".join(safe(facts[name]).ljust(WIDTHS.get(name, 0)) for name in SHOWN))
    for file in found.unusable:
        click.echo(f"{safe(str(file.file))}: {safe(file.what)}", err=True)
    if not steps:
        there = "Nothing is scheduled in" if folder.is_dir() else "Put *.wl or *.json files into"
        click.echo(f"{there} {folder}.")
    return 1 if found.unusable else 0


SHOWN = (*OF_STEP, "patient_name", "patient_id")


def _facts(step: "Step") -> dict[str, str]:
    from meshpacs.dimse.worklist import STEPS
    from meshpacs.model.identifier import to_text

    (item,) = step.record[STEPS]
    assert not isinstance(item, str), "a sequence has items"
    facts = {name: to_text(item.get(tag, ())) for name, tag in OF_STEP.items()}
    facts |= {name: to_text(step.record.get(tag, ())) for name, tag in OF_ALL.items()}
    return facts | {"file": str(step.file)}
