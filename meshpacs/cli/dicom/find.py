"""`meshpacs dicom find`: what another archive answers."""

import click

from meshpacs.cli.dicom.machine import machine, machine_options
from meshpacs.cli.dicom.order import said_of
from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home


@click.command()
@machine_options
@click.argument("keys", nargs=-1, metavar="[KEY=VALUE]…")
@click.option(
    "--level",
    type=click.Choice(["patient", "study", "series", "image"], case_sensitive=False),
    default="study",
    show_default=True,
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=500, show_default=True)
@json_option
@home_option
def find(
    whom: str,
    called: str | None,
    calling: str | None,
    keys: tuple[str, ...],
    level: str,
    limit: int,
    *,
    over_tls: bool,
    as_json: bool,
    home: Home,
) -> int:
    """Ask another DICOM archive, as a workstation would; exits 1 if its answer is not whole.

    AE is a title of the AE book, TITLE@HOST:PORT, or HOST:PORT with --called. KEYs are those
    of `meshpacs find`; one without a value is asked to be shown.
    """
    import trio

    from meshpacs.cli.screen import print_json, safe
    from meshpacs.dimse.contexts import EXPLICIT_LITTLE, IMPLICIT_LITTLE
    from meshpacs.dimse.services import PATIENT_ROOT_FIND, STUDY_ROOT_FIND
    from meshpacs.dimse.statuses import SUCCESS
    from meshpacs.gateways.dicom.asking import Answer, ask
    from meshpacs.gateways.dicom.requesting import Wish, associated
    from meshpacs.model.attributes import Level
    from meshpacs.model.identifier import parse_keys, readable

    whose = machine(whom, called, calling, home, over_tls=over_tls)
    wanted = Level(level.upper())
    parsed = parse_keys(keys or USUAL[level.lower()], wanted)
    sop_class = PATIENT_ROOT_FIND if wanted is Level.PATIENT else STUDY_ROOT_FIND
    syntaxes = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
    wish = Wish(whose.called, whose.calling, ((sop_class, syntaxes),))

    async def work() -> Answer:
        async with associated(whose.host, whose.port, wish, tls=whose.tls) as requestor:
            return await ask(requestor, sop_class, wanted, parsed, limit=limit)

    answer = trio.run(work)
    whole = answer.status == SUCCESS and not answer.comment and not answer.cut
    rows = [readable(row) for row in answer.rows]
    if as_json:
        facts = {"status": f"{answer.status:04X}", "comment": answer.comment, "cut": answer.cut}
        print_json({"title": whose.called, **facts, "rows": rows})
        return 0 if whole else 1
    for row in rows:
        for keyword, text in row.items():
            click.echo(f"{keyword:<32} {safe(text)}")
        click.echo()
    more = ", and there are more" if answer.cut else ""
    status = f"{answer.status:04X}{said_of(answer.comment)}"
    click.echo(f"{len(rows)} found{more}. Status {status}.")
    return 0 if whole else 1


USUAL = {
    "patient": ("PatientName", "PatientBirthDate", "PatientSex"),
    "study": ("PatientName", "PatientID", "StudyDate", "ModalitiesInStudy", "StudyDescription"),
    "series": ("Modality", "SeriesNumber", "SeriesDescription"),
    "image": ("InstanceNumber", "SOPClassUID"),
}
"""What is shown at each level where no KEY is given."""
