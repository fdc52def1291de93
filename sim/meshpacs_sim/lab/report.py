"""`report`: one page with everything that a folder of results says, and what speaks against it."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from meshpacs.model.errors import LocalFault
from meshpacs_sim.lab import page
from meshpacs_sim.lab.cautions import cautions_of
from meshpacs_sim.lab.comparisons import comparisons_of
from meshpacs_sim.lab.groups import Gathered
from meshpacs_sim.lab.page import Table
from meshpacs_sim.lab.plots import pictures_of
from meshpacs_sim.lab.sources import SOURCES
from meshpacs_sim.lab.summaries import Finding, Summary, summary_of
from meshpacs_sim.pictures.numerals import NOTHING, ends, percent, plain
from meshpacs_sim.statistics.intervals import Estimate

SIDE_BY_SIDE = 6
"""Groups that stand beside each other in a table; of more each has its own row."""

CHIEF = ("retrievable", "discovered", "messages", "bytes", "latency_p50_ms", "reached")
"""What the first table tells of each group."""

HEADS = {
    "retrievable": "could be had",
    "discovered": "discovered",
    "messages": "messages per query",
    "bytes": "bytes per query",
    "latency_p50_ms": "milliseconds to the first copy (median)",
    "reached": "nodes that learnt of it",
}


def report(results: Path, out: Path, *, manifest: bool = True) -> None:
    """Write the page about a folder that `run` or `sweep` has written.

    The same results give the same bytes; without the manifest, which tells when and where they
    were made, so does the same scenario.

    Raises:
        LocalFault: there are no results, or the page cannot be written.
        Damaged: a table cannot be read.
    """
    made = html_of(Gathered.load(results), manifest=manifest)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(made)
    except OSError as error:
        raise LocalFault(f"{out} cannot be written: {error}.", "Name another --out.") from error


def html_of(gathered: Gathered, *, manifest: bool = True) -> bytes:
    """The page."""
    summaries = [summary_of(group) for group in gathered.groups]
    pictures = pictures_of(gathered, summaries)
    figures = "".join(page.figure(each.title, each.inline()) for each in pictures)
    sections = [
        ("pictures", "Pictures", figures or page.paragraphs("There is nothing to draw.")),
        ("compared", "Compared", _compared(gathered, summaries)),
        ("measures", "Every measure", _measures(summaries)),
        ("copies", "By number of copies", _by_copies(summaries)),
        ("messages", "Messages by type", _kinds(summaries)),
        ("scenario", "Scenario", _scenario(gathered)),
        ("how", "How it was measured", _how()),
    ]
    if manifest:
        sections.append(("manifest", "Manifest", _manifest(gathered)))
    opening = page.paragraphs(gathered.about) + _cautions(cautions_of(gathered, summaries))
    closing = page.paragraphs("Made by meshpacs-sim. Nothing here is loaded from elsewhere.")
    return page.page(gathered.name, sections, opening, closing)


# ---------------------------------------------------------------- sections


def _cautions(cautions: Sequence[str]) -> str:
    if not cautions:
        return ""
    return (
        '<section class="cautions" aria-labelledby="cautions">\n'
        f'<h2 id="cautions">Before you believe it</h2>\n{page.listed(cautions)}</section>\n'
    )


def _compared(gathered: Gathered, summaries: Sequence[Summary]) -> str:
    rows = [[each.group.name, *(_cell(each.findings[key]) for key in CHIEF)] for each in summaries]
    heads = ["", *(HEADS[key] for key in CHIEF)]
    html = page.table(Table(f"In short, {_above(summaries)}", heads, rows))
    compared = comparisons_of(gathered.groups)
    if compared:
        rows = [
            [
                each.group.name,
                each.other.name,
                _points(each.differences["retrievable"]),
                _points(each.differences["discovered"]),
                _told(each.differences["messages"]),
                _told(each.differences["bytes"]),
            ]
            for each in compared
        ]
        heads = ["", "less", *(HEADS[key] for key in CHIEF[:4])]
        caption = "Differences on the same chance: same meshes, same questions"
        html += page.table(Table(caption, heads, rows))
        html += page.paragraphs(
            "An interval without 0 in it is a difference that chance does not explain. Shares"
            " differ by so many points of a hundred."
        )
    return html


def _above(summaries: Sequence[Summary]) -> str:
    sure = summaries[0].group.scenario.measure.confidence
    return f"each value above its {100 * sure:g} % interval"


def _points(estimate: Estimate | None) -> str:
    if estimate is None:
        return NOTHING
    value, low, high = (100 * each for each in (estimate.value, estimate.low, estimate.high))
    return _told(Estimate(value, low, high, estimate.n))


def _measures(summaries: Sequence[Summary]) -> str:
    tables = []
    for first in range(0, len(summaries), SIDE_BY_SIDE):
        beside = summaries[first : first + SIDE_BY_SIDE]
        rows = []
        for key, finding in beside[0].findings.items():
            cells = [_cell(each.findings[key]) for each in beside]
            if any(cell != NOTHING for cell in cells):
                rows.append([_sentence(finding.label), *cells])
        heads = ["", *(each.group.name for each in beside)]
        tables.append(page.table(Table(f"All, {_above(beside)}", heads, rows)))
    return "".join(tables) + page.paragraphs(
        "“unknown” is an end, or an interval, that so few observations do not bound; – is something"
        " that there was nothing to observe of, or that this fidelity does not tell."
    )


def _by_copies(summaries: Sequence[Summary]) -> str:
    rows = [
        [
            each.group.name,
            plain(row.copies),
            plain(row.queries),
            _told(row.retrievable, share=True),
            _told(row.discovered, share=True),
            _told(row.messages),
        ]
        for each in summaries
        for row in each.by_copies
    ]
    heads = ["", "copies", "queries", "could be had", "discovered", HEADS["messages"]]
    return page.table(Table("By number of copies, online or not", heads, rows))


def _kinds(summaries: Sequence[Summary]) -> str:
    tables = []
    for purpose, rate in (("search", "per query"), ("upkeep", "per node and hour")):
        rows = [
            [each.group.name, kind.type, _told(kind.messages), _told(kind.bytes)]
            for each in summaries
            for kind in each.kinds
            if kind.purpose == purpose
        ]
        if rows:
            heads = ["", "type", f"messages {rate}", f"bytes {rate}"]
            tables.append(page.table(Table(f"{purpose.capitalize()}, {rate}", heads, rows)))
    return "".join(tables) or page.paragraphs("No message was sent.")


def _scenario(gathered: Gathered) -> str:
    known = {gathered.name, " ".join(gathered.about.split())}
    paragraphs = (" ".join(each.split()) for each in gathered.words.split("\n\n"))
    words = "\n\n".join(each for each in paragraphs if each not in known)
    return page.paragraphs(words) + page.folded("The scenario's file", page.verbatim(gathered.text))


def _how() -> str:
    items = "".join(
        f"<li>{escape(source.what)} {page.link(source.address, source.name)}.</li>\n"
        for source in SOURCES
    )
    return f"<ul>\n{items}</ul>\n"


def _manifest(gathered: Gathered) -> str:
    first = gathered.manifests[0]
    machine = first.get("machine", {})
    code = first.get("code", {})
    rows = [
        ["version", str(code.get("version", ""))],
        ["commit", str(code.get("git", "")) or "not run from a clone"],
        ["runs", plain(len(gathered.manifests))],
        ["machine", f"{machine.get('system', '')}, {machine.get('cores', '')} cores"],
        ["Python", str(machine.get("python", ""))],
        *([name, str(version)] for name, version in machine.get("packages", {}).items()),
    ]
    each = [
        [
            str(told.get("digest", ""))[:16],
            str(told.get("seed", "")),
            str(told.get("queries", "")),
            str(told.get("started", "")),
            f"{plain(float(told.get('took_s', 0)))} s",
            "yes" if told.get("interrupted") else "no",
        ]
        for told in gathered.manifests
    ]
    heads = ["scenario", "seed", "queries", "began", "took", "interrupted"]
    return page.table(Table("The first run", ["", ""], rows)) + page.folded(
        f"Each of {len(each)} runs", page.table(Table("Runs", heads, each))
    )


# ---------------------------------------------------------------- cells


def _cell(finding: Finding) -> str:
    return _told(finding.estimate, share=finding.share)


def _told(estimate: Estimate | None, *, share: bool = False) -> str:
    """A value, and on a line below its ends."""
    if estimate is None:
        return NOTHING
    value = (percent if share else plain)(estimate.value)
    return f"{value}\n{ends(estimate, share=share)}".strip()


def _sentence(label: str) -> str:
    return label[0].upper() + label[1:]
