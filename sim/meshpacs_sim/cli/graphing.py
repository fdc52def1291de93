"""`meshpacs-sim graph`: what a scenario's mesh is like, in numbers."""

from collections.abc import Iterator
from pathlib import Path

import click

from meshpacs_sim.cli import options
from meshpacs_sim.graphs.traits import Traits, traits_of
from meshpacs_sim.lab.grids import Grid
from meshpacs_sim.lab.stage import Stage


@click.command()
@options.scenario_file
@click.option("--degrees", is_flag=True, help="Instead, how many nodes have each degree, as CSV.")
def graph(scenario: Path, *, degrees: bool) -> None:
    """Tell what the mesh of a scenario is like: degrees, pieces, paths, clustering.

    Of a file with a sweep it is the mesh of what is not swept. A million nodes take some ten
    seconds.
    """
    stage = Stage(Grid.load(scenario).base)
    traits = traits_of(stage.overlay, stage.seed("traits"))
    if degrees:
        click.echo("degree,nodes")
        for degree, nodes in traits.degree_counts:
            click.echo(f"{degree},{nodes}")
        return
    click.echo(traits.name)
    for name, value in _rows(traits):
        click.echo(f"  {name:<14}{value}")


def _rows(traits: Traits) -> Iterator[tuple[str, str]]:
    yield "nodes", f"{traits.nodes:,}"
    yield "edges", f"{traits.edges:,}"
    ends = f"{traits.degree_least:,} to {traits.degree_most:,}"
    middle = f"mean {traits.degree_mean:.4g}, median {traits.degree_median:,}"
    yield "degrees", f"{ends}, {middle}, Gini {traits.degree_gini:.3f}"
    alike = traits.assortativity
    yield "assortativity", "none, as all degrees are the same" if alike is None else f"{alike:.4f}"
    share = f", the largest with {traits.largest_share:.2%} of the nodes"
    yield "pieces", f"{traits.pieces:,}" + (share if traits.pieces > 1 else "")
    origins = "all nodes" if traits.paths_exact else f"{traits.path_origins} drawn nodes"
    error = "" if traits.paths_exact else f" ± {traits.path_error:.2g}"
    yield "mean path", f"{traits.path_mean:.4g}{error} hops, from {origins}"
    yield "longest path", f"{traits.diameter:,} hops{'' if traits.paths_exact else ' or more'}"
    near = "" if traits.clustering_exact else ", from drawn pairs of neighbours"
    yield "clustering", f"{traits.clustering:.4g}, transitivity {traits.transitivity:.4g}{near}"
