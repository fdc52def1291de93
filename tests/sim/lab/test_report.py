"""The page: all in one file, nothing from elsewhere, nothing of a scenario's taken as HTML."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from meshpacs.model.errors import LocalFault
from meshpacs_sim.lab.groups import Gathered
from meshpacs_sim.lab.plots import pictures_of
from meshpacs_sim.lab.report import html_of, report
from meshpacs_sim.lab.running import keep
from meshpacs_sim.lab.scenario import Mesh
from meshpacs_sim.lab.searching import AskBall
from meshpacs_sim.lab.summaries import summary_of
from tests.sim.lab.invented import gathered, queries, run, scenario, tables, waves

VOID = {"meta", "br", "link", "img"}
NASTY = '</title><script>alert("x")</script> & $y$'


class Outline(HTMLParser):
    """Tags with their attributes; fails where one is closed that is not open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def compared(**changes: Any) -> Gathered:
    """Two ways to search on meshes of two sizes, with nodes that come and go."""
    runs = []
    for size in (10, 40):
        for search, hits in ((scenario().search, 30), (AskBall(ttl=2), 12)):
            found = [number < hits for number in range(40)]
            rows = queries(
                40,
                messages=[size * cost for cost in waves(size, 40, 50.0)],
                retrievable=found,
                hops=[2 if hit else -1 for hit in found],
                latency_us=[50_000 if hit else -1 for hit in found],
                warm_up=[number < 4 for number in range(40)],
            )
            moments = [(number * 10**9, 9, 3, 8, 5 + number % 3) for number in range(20)]
            of = scenario(1, search=search, mesh=Mesh(size=size), **changes)
            values = {"search": {"strategy": str(hits)}, "mesh.size": size}
            runs.append((run(tables(rows, moments=moments), of), values))
    return Gathered.of(runs)


@pytest.fixture(scope="module")
def page() -> str:
    return html_of(compared(name=NASTY, about=NASTY)).decode()


@pytest.fixture(scope="module")
def outline(page: str) -> Outline:
    return Outline(page)


def test_every_tag_is_closed_and_no_name_is_used_twice(outline: Outline) -> None:
    names = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(names) == len(set(names))


def test_what_a_scenario_says_stays_text(page: str, outline: Outline) -> None:
    assert outline.of("script") == []
    assert "<h1>&lt;/title&gt;&lt;script&gt;" in page
    assert "<title>&lt;/title&gt;&lt;script&gt;" in page


def test_nothing_is_loaded_from_elsewhere(page: str, outline: Outline) -> None:
    assert not outline.of("link") + outline.of("img") + outline.of("iframe")
    assert not re.search(r"@import|src=|url\((?!#)", page)
    outside = [
        (tag, value)
        for tag, attributes in outline.tags
        for key, value in attributes.items()
        if value and "//" in value and not key.startswith("xmlns") and key != "aria-label"
    ]
    assert {tag for tag, _ in outside} == {"a"}
    assert "default-src 'none'" in page


def test_it_can_be_read_aloud_and_on_a_phone(page: str, outline: Outline) -> None:
    assert outline.of("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in outline.of(
        "meta"
    )
    pictures = outline.of("svg")
    assert len(pictures) >= 8
    assert all(each["role"] == "img" and len(str(each["aria-label"])) > 40 for each in pictures)
    assert all(each.get("scope") in {"row", "col"} for each in outline.of("th"))
    assert len(outline.of("caption")) == len(outline.of("table")) >= 6
    anchors = {attributes.get("id") for _, attributes in outline.tags}
    inside = [str(each["href"])[1:] for each in outline.of("a") if str(each["href"])[0] == "#"]
    assert inside
    assert set(inside) <= anchors
    assert "@media print" in page


def test_it_holds_the_numbers_the_scenario_how_it_was_measured_and_what_speaks_against_it(
    page: str,
) -> None:
    for words in (
        "Before you believe it",
        "1 seed: the intervals",
        "ball, size 10",
        "<td>22.2 %<br><small>",  # 8 of 36 after the warm-up
        "Differences on the same chance",
        "Gini&#x27;s coefficient of messages received",
        "kind = &quot;regular&quot;",
        "random graph in which every node has equally many neighbours",
        "https://doi.org/10.1080/01621459.1927.10502953",
        "c0ffee",
    ):
        assert words in page, words


def test_the_same_results_give_the_same_bytes(page: str) -> None:
    assert html_of(compared(name=NASTY, about=NASTY)) == page.encode()


def test_every_picture_that_the_results_have_something_for_is_drawn(outline: Outline) -> None:
    titles = [str(each["aria-label"]).split(". ")[0] for each in outline.of("svg")]
    assert titles == [
        "What is found, and what it costs",
        "Success by number of copies",
        "Queries after which a copy could be had, by size",
        "Messages per query, by size",
        "Milliseconds to the first copy, median, by size",
        "Messages of the busiest node for 1,000 queries, by size",
        "Time to the first copy",
        "Hops to the first copy",
        "Who bears the load",
        "Availability over time",
    ]
    told = dict(zip(titles, [str(each["aria-label"]) for each in outline.of("svg")], strict=True))
    cost = told["What is found, and what it costs"]
    assert "size 40. everyone: 72.2 %" in cost
    assert "a holder known in 100 %" in cost
    copies = told["Success by number of copies"]
    assert "size 40. everyone: could be had, queries by copies of what is looked for" in copies
    by_size = told["Queries after which a copy could be had, by size"]
    assert "everyone, queries after which a copy could be had by size (mesh.size)" in by_size
    assert "size 10. everyone: Gini 0," in told["Who bears the load"]
    assert "simulated time (hours)" in told["Availability over time"]


def test_rare_and_popular_content_stand_beside_each_other_each_with_its_own_cost() -> None:
    def costing(rare: int, popular: int) -> Any:
        some = queries(8, messages=[rare, popular] * 4, retrievable=[False, True] * 4)
        return tables(some, kinds=[("search", "Ask", 40, 4_000), ("upkeep", "all", 70, 700)])

    runs = [
        (run(costing(20, 4), scenario(1)), {"search": 1}),
        (run(costing(300, 2), scenario(1, search=AskBall())), {"search": 2}),
    ]
    whole = Gathered.of(runs)
    first = next(pictures_of(whole, [summary_of(group) for group in whole.groups]))
    assert first.name == "rare-and-popular"
    dear, cheap = first.told.split(" everyone: ")
    assert dear.startswith("ball: queries that found a copy, 1 copy 0 %")
    assert "1 copy: a holder known, online or not 100 %" in dear
    assert "messages per query, of all nodes, 1 copy 300;" in dear
    assert "messages per query, of all nodes, 3 copies 2;" in dear
    assert "messages per query, of all nodes, 1 copy 20;" in cheap
    assert "upkeep: messages per node and hour 7 " in cheap


NOTHING = tables(queries(0), moments=(), kinds=())


def test_results_of_nothing_make_a_page_all_the_same() -> None:
    page = html_of(gathered(NOTHING)).decode()
    Outline(page)
    assert "There is nothing to draw." in page
    assert "No message was sent." in page


def test_without_the_manifest_a_page_tells_neither_when_nor_where() -> None:
    one, other = gathered(tables()), gathered(tables())
    other.manifests[0]["started"] = "2001-02-03T04:05:06+00:00"  # type: ignore[index]
    assert html_of(one) != html_of(other)
    assert html_of(one, manifest=False) == html_of(other, manifest=False)
    assert b"Manifest" not in html_of(one, manifest=False)


def test_a_folder_becomes_a_file(tmp_path: Path) -> None:
    keep(run(NOTHING).files(), tmp_path / "results")
    report(tmp_path / "results", tmp_path / "deep" / "report.html")
    assert (tmp_path / "deep" / "report.html").read_bytes() == html_of(gathered(NOTHING))


def test_a_folder_without_results_and_a_place_that_cannot_be_written_are_named(
    tmp_path: Path,
) -> None:
    with pytest.raises(LocalFault, match="nowhere"):
        report(tmp_path / "nowhere", tmp_path / "page.html")
    keep(run(NOTHING).files(), tmp_path / "results")
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalFault, match=r"file.page\.html cannot be written"):
        report(tmp_path / "results", tmp_path / "file" / "page.html")


def test_too_many_points_for_a_person_are_refused() -> None:
    one = run(tables())
    runs = [(replace(one, scenario=scenario(1)), {"mesh.size": n}) for n in range(401)]
    with pytest.raises(LocalFault, match="401 points are too many"):
        Gathered.of(runs)
