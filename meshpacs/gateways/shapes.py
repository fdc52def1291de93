"""What the admin API says, as JSON: the node's views field by field (documented in docs/CLI.md).

Ids are hexadecimal, times Unix microseconds, enumerations their values. A member is always
`{"node": …, "name": …}`, so that nobody has to read hexadecimal.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from meshpacs.dimse.commitment import Report as CommitmentReport
from meshpacs.model.answer import Report
from meshpacs.model.identifier import readable
from meshpacs.model.ids import NodeId
from meshpacs.model.merge import Match
from meshpacs.node.views import DeleteView, FetchDone, Found, Health, ImportSummary, TrailView

Json = dict[str, Any]


def plain(value: object) -> Any:
    """Any of the node's views, as JSON's own kinds of values."""
    match value:
        case Health():
            return value.name.lower()
        case Enum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return value.hex()
        case Path():
            return str(value)
        case Mapping():
            return {plain(key): plain(item) for key, item in value.items()}
        case tuple() | list():
            return [plain(item) for item in value]
        case _:
            assert is_dataclass(value)
            return {field.name: plain(getattr(value, field.name)) for field in fields(value)}


def member(node: NodeId, names: Mapping[NodeId, str]) -> Json:
    """A member by name; one whose name is not known is called by the start of its id."""
    return {"node": node.hex(), "name": names.get(node, f"node {node[:4].hex()}")}


def committed_shape(title: str, uid: str, report: CommitmentReport | None) -> Json:
    """What another archive says of our request for commitment, or that it has said nothing yet."""
    failed = report.failed if report is not None else ()
    return {
        "title": title,
        "transaction_uid": uid,
        "reported": report is not None,
        "committed": len(report.committed) if report is not None else 0,
        "failed": [{"sop_uid": ref.sop_uid, "reason": f"{why:04X}"} for ref, why in failed],
    }


def found_shape(found: Found) -> Json:
    """A finished query: its matches, and how complete they are."""
    return {
        "complete": found.complete,
        "truncated": found.truncated,
        "unresolved": found.unresolved,
        "matches": [match_shape(match, found.names) for match in found.matches],
        "report": None if found.report is None else report_shape(found.report, found.names),
    }


def match_shape(match: Match, names: Mapping[NodeId, str]) -> Json:
    """One row: attributes by keyword, and who holds it."""
    return {
        "attributes": readable(match.record),
        "holders": [member(node, names) for node in match.holders],
        "differing": match.differing,
        "unresolved": match.unresolved,
    }


def report_shape(report: Report, names: Mapping[NodeId, str]) -> Json:
    """Every member and what became of its part."""
    return {
        "query_id": report.query_id.hex(),
        "complete": report.complete,
        "cancelled": report.cancelled,
        "doubtful": report.doubtful,
        "took_us": report.took_us,
        "members": [
            member(answer.node, names)
            | {key: value for key, value in plain(answer).items() if key != "node"}
            for answer in report.members
        ],
    }


def fetched_shape(done: FetchDone) -> Json:
    """The end of a fetch."""
    shape: Json = plain(done)
    del shape["names"]
    shape["from_members"] = [
        member(node, done.names) | {"instances": count} for node, count in done.from_members.items()
    ]
    shape["unheard"] = [member(node, done.names) for node in done.unheard]
    return shape


def deleted_shape(view: DeleteView) -> Json:
    """A study that was, or would be, deleted here."""
    shape: Json = plain(view)
    del shape["names"]
    shape["copies"] = [
        member(node, view.names) | {"instances": count} for node, count in view.copies.items()
    ]
    shape["unheard"] = [member(node, view.names) for node in view.unheard]
    return shape


def trail_shape(view: TrailView, names: Mapping[NodeId, str]) -> Json:
    """One query that passed here."""
    shape: Json = plain(view)
    shape["origin"] = member(view.origin, names)
    for step, told in zip(view.passes, shape["passes"], strict=True):
        told["parent"] = None if step.parent is None else member(step.parent, names)
        told["children"] = [member(node, names) for node in step.children]
        told["unreached"] = [member(node, names) for node in step.unreached]
    return shape


def summary_shape(summary: ImportSummary) -> Json:
    """An import so far."""
    shape: Json = plain(summary)
    return shape
