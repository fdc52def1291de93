"""The page about reproductions: each value as published and as ours, the rule, the verdict."""

from collections.abc import Sequence
from html import escape

from meshpacs_sim.lab import page
from meshpacs_sim.lab.page import Table
from meshpacs_sim.pictures.numerals import plain, with_interval
from meshpacs_sim.reproductions.finding import Finding, Reproduction
from meshpacs_sim.reproductions.published import Source

DIGITS = 5
READINGS = {
    "read": "the text was read for this",
    "recomputed": "the value follows from a formula, computed here; the text was not read again",
}


def html_of(made: Sequence[tuple[str, Reproduction]]) -> bytes:
    """The page; the same findings give the same bytes."""
    findings = [finding for _, each in made for finding in each.findings]
    missed = sum(not finding.passed for finding in findings)
    verdict = "all found again" if not missed else f"{missed} not found again"
    opening = page.paragraphs(
        f"{len(findings)} published or analytic values in {len(made)} reproductions: {verdict}.\n\n"
        "Graphs, floods and walkers are those that scenarios run on. Seeds are fixed, so that a "
        "second run gives the same page. Intervals are of 95 %; a value whose expectation is exact "
        "must lie in the interval of 99.9 %, because at 95 % one right value in twenty would miss."
    )
    sections = [(f"r-{name}", each.published.title, _section(each)) for name, each in made]
    return page.page("Published results, found again", sections, opening, "meshpacs-sim reproduce")


def csv_of(made: Sequence[tuple[str, Reproduction]]) -> str:
    """The same as a table for programs."""
    import csv
    import io

    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow(["reproduction", "what", "expected", "ours", "low", "high", "rule", "passed"])
    for name, each in made:
        for finding in each.findings:
            ours = finding.ours
            numbers = [finding.expected, ours.value, ours.low, ours.high]
            words = [repr(float(number)) for number in numbers]
            writer.writerow([name, finding.what, *words, finding.rule, finding.passed])
    return held.getvalue()


def _section(made: Reproduction) -> str:
    pictures = "".join(page.figure(each.title, each.inline()) for each in made.pictures)
    table = page.table(
        Table(
            f"{made.published.title}: every value",
            ("value", "expected", "ours, 95 % interval", "passes", "verdict"),
            [_row(finding) for finding in made.findings],
        )
    )
    passed = sum(finding.passed for finding in made.findings)
    summary = f"{passed} of {len(made.findings)} values found again"
    return (
        page.paragraphs(made.published.claim)
        + "<ul>\n"
        + "".join(f"<li>{_source(source)}</li>\n" for source in made.published.sources)
        + "</ul>\n"
        + pictures
        + page.folded(summary, table)
    )


def _row(finding: Finding) -> tuple[str, ...]:
    expected = plain(finding.expected, DIGITS)
    verdict = "found again" if finding.passed else "NOT FOUND"
    return (finding.what, expected, with_interval(finding.ours), finding.rule, verdict)


def _source(source: Source) -> str:
    cite = page.link(source.link, source.cite) if source.link else escape(source.cite)
    return f"{cite} ({escape(READINGS[source.reading])})"
