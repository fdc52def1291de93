"""`meshpacs find`: ask the mesh, and hear how complete the answer is."""

from contextlib import closing
from typing import Any

import click

from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home

Json = dict[str, Any]

COLUMNS = {
    "PATIENT": (
        ("Patient", "PatientName"),
        ("ID", "PatientID"),
        ("Issuer", "IssuerOfPatientID"),
        ("Born", "PatientBirthDate"),
        ("Sex", "PatientSex"),
        ("Studies", "NumberOfPatientRelatedStudies"),
        ("Instances", "NumberOfPatientRelatedInstances"),
    ),
    "STUDY": (
        ("Patient", "PatientName"),
        ("ID", "PatientID"),
        ("Date", "StudyDate"),
        ("Modalities", "ModalitiesInStudy"),
        ("Study", "StudyDescription"),
        ("Series", "NumberOfStudyRelatedSeries"),
        ("Instances", "NumberOfStudyRelatedInstances"),
    ),
    "SERIES": (
        ("Patient", "PatientName"),
        ("Modality", "Modality"),
        ("Number", "SeriesNumber"),
        ("Series", "SeriesDescription"),
        ("Instances", "NumberOfSeriesRelatedInstances"),
    ),
    "IMAGE": (
        ("Patient", "PatientName"),
        ("Number", "InstanceNumber"),
        ("SOP class", "SOPClassUID"),
        ("Frames", "NumberOfFrames"),
        ("Instance", ""),
    ),
}
"""What a table shows at each level: title and keyword."""

UNIQUE = {
    "PATIENT": ("", ""),
    "STUDY": ("Study", "StudyInstanceUID"),
    "SERIES": ("Series", "SeriesInstanceUID"),
    "IMAGE": ("Instance", "SOPInstanceUID"),
}
"""The column under whose text the level's own UID stands."""

NUMBERS = frozenset(
    {
        "NumberOfPatientRelatedStudies",
        "NumberOfPatientRelatedInstances",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
        "NumberOfSeriesRelatedInstances",
        "SeriesNumber",
        "InstanceNumber",
        "NumberOfFrames",
    }
)


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
    """One line a match, its UID below what describes it."""
    from meshpacs.cli.screen import safe, table, text

    level = found["level"]
    columns = COLUMNS[level]
    under, uid_keyword = UNIQUE[level]
    right = [title for title, keyword in columns if keyword in NUMBERS]
    made = table(*(title for title, _ in columns), "Held by", right=right)
    for match in found["matches"]:
        attributes = match["attributes"]
        cells = []
        for title, keyword in columns:
            cell = text(_value(attributes, keyword, match))
            if title == under:
                uid = safe(attributes.get(uid_keyword, ""))
                cell.append(("\n" if cell.plain else "") + uid, style="dim")
            cells.append(cell)
        holders = ", ".join(safe(holder["name"]) for holder in match["holders"])
        cells.append(text(holders + (" (differing)" if match["differing"] else ""), "cyan"))
        made.add_row(*cells)
    return made


def _value(attributes: Json, keyword: str, match: Json) -> str:
    value = str(attributes.get(keyword, ""))
    if keyword == "PatientName":
        return _name(value)
    if keyword.endswith("Date") and len(value) == 8 and value.isdigit():
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"
    if keyword in NUMBERS and match["unresolved"] and value:
        return f"≥{value}"
    return value.replace("\\", ", ")


def _name(value: str) -> str:
    """A person's name as people write it: family, given; the first group that is not empty."""
    group = next((part for part in value.split("=") if part.strip("^ ")), "")
    family, _, rest = group.partition("^")
    given = rest.replace("^", " ").strip()
    return f"{family}, {given}" if family and given else family or given
