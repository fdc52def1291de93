"""`meshpacs find`: ask the mesh, and hear how complete the answer is."""

from contextlib import closing
from typing import Any

import click

from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home

Json = dict[str, Any]

PATIENT = ("Patient", "PatientName", "PatientID")

COLUMNS = {
    "PATIENT": (
        PATIENT,
        ("Issuer", "IssuerOfPatientID", ""),
        ("Born", "PatientBirthDate", "PatientSex"),
        ("Has", "NumberOfPatientRelatedStudies", "NumberOfPatientRelatedInstances"),
    ),
    "STUDY": (
        PATIENT,
        ("Date", "StudyDate", "ModalitiesInStudy"),
        ("Study", "StudyDescription", "StudyInstanceUID"),
        ("Has", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    ),
    "SERIES": (
        PATIENT,
        ("Number", "SeriesNumber", "Modality"),
        ("Series", "SeriesDescription", "SeriesInstanceUID"),
        ("Has", "NumberOfSeriesRelatedInstances", ""),
    ),
    "IMAGE": (
        PATIENT,
        ("Number", "InstanceNumber", "NumberOfFrames"),
        ("Instance", "SOPClassUID", "SOPInstanceUID"),
    ),
}
"""What a table shows at each level: a column's title, and what stands in its two lines. UIDs are to
be copied, so they must not be broken over lines in a window of usual width."""

COUNTED = {
    "NumberOfPatientRelatedStudies": ("study", "studies"),
    "NumberOfPatientRelatedInstances": ("instance", "instances"),
    "NumberOfStudyRelatedSeries": ("series", "series"),
    "NumberOfStudyRelatedInstances": ("instance", "instances"),
    "NumberOfSeriesRelatedInstances": ("instance", "instances"),
    "NumberOfFrames": ("frame", "frames"),
}


@click.command()
@click.argument("keys", nargs=-1, metavar="[KEY=VALUE]…")
@click.option(
    "--level",
    type=click.Choice(["patient", "study", "series", "image"], case_sensitive=False),
    default="study",
    show_default=True,
)
@click.option(
    "--scope",
    type=click.Choice(["auto", "local", "mesh"]),
    default="auto",
    help="local: this node's archive. mesh: everyone. auto: what suits the mesh's size.",
)
@click.option("--ball", type=int, metavar="TTL", help="Everyone within so many hops, 1 to 16.")
@click.option("--limit", type=int, help="Rows that one clinic returns at most.")
@click.option("--wait", type=float, metavar="SECONDS", help="How long to wait; at most 30.")
@json_option
@home_option
def find(
    keys: tuple[str, ...],
    level: str,
    scope: str,
    ball: int | None,
    limit: int | None,
    wait: float | None,
    *,
    as_json: bool,
    home: Home,
) -> int:
    """Ask for patients, studies, series or images.

    KEY is an attribute's keyword or gggg,eeee; VALUE may hold * and ?, and - for ranges of dates:

        meshpacs find 'PatientName=Meier*' StudyDate=20240101-20241231

    Exits 0 if every clinic that was asked has answered, 1 if not, 2 if nothing could be asked.
    """
    from meshpacs.cli.client import FIND_S, Client
    from meshpacs.cli.screen import print_json

    body: Json = {"keys": list(keys), "level": level.upper(), "scope": scope}
    if ball is not None:
        body["ball"] = ball
    if limit is not None:
        body["limit"] = limit
    if wait is not None:
        body["budget_s"] = wait
    found: Json = {}
    with closing(Client(home).lines("/v1/find", body, answer_s=FIND_S)) as events:
        for event in events:
            if event["event"] == "found":
                found = event
    del found["event"]
    if as_json:
        print_json(found)
    else:
        show(found)
    return 0 if found["complete"] else 1


def show(found: Json) -> None:
    """The rows, and always how complete they are."""
    from meshpacs.cli.completeness import completeness, verdict
    from meshpacs.cli.screen import console

    out = console()
    if found["matches"]:
        out.print(matches_table(found))
    for number, sentence in enumerate(completeness(found["report"])):
        out.print(sentence, style="bold" if number == 0 else "yellow", markup=False)
    if found["unresolved"]:
        out.print(
            "Clinics hold different parts, and not all could say which: "
            "counts with ≥ are the least there is.",
            style="yellow",
        )
    if last := verdict(found):
        out.print(last, style="green" if found["complete"] else "bold yellow", markup=False)


def matches_table(found: Json) -> Any:
    """Two lines a match: what describes it, and below that what names it."""
    from rich.table import Table
    from rich.text import Text

    from meshpacs.cli.screen import safe, table, text

    columns = COLUMNS[found["level"]]
    made: Table = table(*(title for title, _, _ in columns), "Held by")
    for match in found["matches"]:
        cells = []
        for _, first, second in columns:
            lines = [text(_value(match, first)), text(_value(match, second), "dim")]
            cells.append(Text("\n").join(line for line in lines if line.plain))
        holders = sorted(safe(holder["name"]) for holder in match["holders"])
        cells.append(text("\n".join(holders), "cyan"))
        if match["differing"]:
            cells[-1].append("\n(differing)", style="yellow")
        made.add_row(*cells)
    return made


def _value(match: Json, keyword: str) -> str:
    value = str(match["attributes"].get(keyword, ""))
    if keyword == "PatientName":
        return _name(value)
    if keyword.endswith("Date") and len(value) == 8 and value.isdigit():
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"
    if keyword in COUNTED and value:
        words = COUNTED[keyword][value != "1"]
        least = "≥" if match["unresolved"] and keyword != "NumberOfFrames" else ""
        return f"{least}{value} {words}"
    return value.replace("\\", ", ")


def _name(value: str) -> str:
    """A person's name as people write it: family, given; the first group that is not empty."""
    group = next((part for part in value.split("=") if part.strip("^ ")), "")
    family, _, rest = group.partition("^")
    given = rest.replace("^", " ").strip()
    return f"{family}, {given}" if family and given else family or given
