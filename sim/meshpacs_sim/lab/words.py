"""A scenario in words that a colleague can read who has never seen the file."""

import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from meshpacs_sim.lab.grids import Grid, brief, seeds_of
from meshpacs_sim.lab.harming import Nobody
from meshpacs_sim.lab.scenario import Content, Scenario
from meshpacs_sim.lab.shapes import Snap
from meshpacs_sim.lab.work import Workload
from meshpacs_sim.strategies.placement import Placement
from meshpacs_sim.strategies.replication import Replication
from meshpacs_sim.world.conditions import Conditions

LISTED = 7
"""Values that a sentence lists; of more it says how many. A week has as many."""

WIDTH = 100
"""Columns of the text."""


def described(swept: Grid) -> str:
    """The whole of it, a paragraph for each thing."""
    base = swept.base
    paragraphs = [f"{base.name}", *([base.about] if base.about else []), *_sentences(base)]
    if len(swept.points) > 1:
        paragraphs.append(_varied(swept))
    return "\n\n".join(textwrap.fill(" ".join(each.split()), WIDTH) for each in paragraphs) + "\n"


def _sentences(scenario: Scenario) -> Iterator[str]:
    mesh, measure = scenario.mesh, scenario.measure
    how = (
        "the very program that clinics run, message for message"
        if scenario.fidelity == "engine"
        else "compiled arrays"
    )
    of_file = isinstance(mesh.topology, Snap) and mesh.overlay == "frozen"
    nodes = "the nodes of a file" if of_file else f"{mesh.size:,} nodes"
    yield f"Mesh: {nodes}, simulated by {how}. {_overlay(scenario)}"
    yield f"Search: {in_words(scenario.search)}"
    if isinstance(scenario.workload, Workload):
        yield _drawn(scenario.content)
    yield f"Workload: {in_words(scenario.workload)}"
    yield f"Churn: {in_words(scenario.churn)}"
    yield f"Roads: {in_words(scenario.roads)}"
    if scenario.links != Conditions():
        yield f"Links: {in_words(scenario.links)}"
    if scenario.adversaries != Nobody():
        yield f"Adversaries: {in_words(scenario.adversaries)}"
    yield _measured(scenario, measure.queries)


def _drawn(content: Content) -> str:
    popular = (
        "all are asked for equally often"
        if not content.zipf
        else f"the i-th is asked for as often as 1 / i^{content.zipf:g} (Zipf)"
    )
    noun = "node" if content.copies == (1,) else "nodes"
    held = f"each held by {_copies(content.copies)} drawn {noun}"
    if isinstance(content.placement, Placement):
        held = f"with copies at drawn nodes; {popular}. {in_words(content.placement)}"
    else:
        held = f"{held}; {popular}."
    if isinstance(content.replication, Replication):
        held += (
            f" Before the run, {content.earlier_searches:,} searches by random walkers: "
            f"{in_words(content.replication)}"
        )
    return f"Content: {content.contents:,} studies, {held}"


def _overlay(scenario: Scenario) -> str:
    if scenario.mesh.overlay == "own":
        return "It makes and mends its links itself."
    return f"Topology: {in_words(scenario.mesh.topology)}"


def _measured(scenario: Scenario, queries: int) -> str:
    measure = scenario.measure
    text = f"Measured: {queries:,} queries after {measure.warm_up_s:g} s"
    if measure.duration_s:
        text += f", within {measure.duration_s:,g} s"
    if measure.warm_up_queries:
        text += f", of which the first {measure.warm_up_queries:,} are warm-up"
    if measure.half_width:
        text += (
            f"; fewer if the {measure.confidence:.0%} interval around {measure.of} is at most "
            f"{measure.half_width:.1%} to each side, looked at every {measure.batch:,} queries"
        )
    return f"{text}. Seed {scenario.seed}."


def _varied(swept: Grid) -> str:
    values: dict[str, dict[str, None]] = {}
    for point in swept.points:
        for key, value in point.values.items():
            values.setdefault(key, {})[brief(value)] = None
    told = "; ".join(f"{key}: {', '.join(each)}" for key, each in values.items())
    seeds = seeds_of(swept.points)
    listed = f"{len(seeds)} seeds ({_some(seeds)})" if len(seeds) > 1 else f"seed {seeds[0]}"
    instead = " in place of what is said above" if told else ""
    return (
        f"Sweep: {len(swept.points):,} runs over {told or 'nothing else'}{instead}, with {listed}."
    )


def in_words(value: Any) -> str:
    """What a class that a table picks says of itself, and with which parameters."""
    text = " ".join((type(value).__doc__ or type(value).__name__).split("\n\n")[0].split())
    told = ", ".join(f"{each.name} {_plain(getattr(value, each.name))}" for each in fields(value))
    return f"{text.rstrip('.')} ({told})." if told else text


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        if len(value) > LISTED or any(map(is_dataclass, value)):
            return f"({len(value)} of them)"
        return ", ".join(map(_plain, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _copies(copies: tuple[int, ...]) -> str:
    if len(copies) == 1:
        return f"{copies[0]:,}"
    return f"{', '.join(f'{each:,}' for each in copies[:-1])} or {copies[-1]:,} (in turn)"


def _some(seeds: tuple[int, ...]) -> str:
    if len(seeds) > 4 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds[:8])) + (", …" if len(seeds) > 8 else "")
