"""`meshpacs trails`: by whom the last queries came here, and to whom they went on."""

from typing import Any
from urllib.parse import quote

import click

from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home

Json = dict[str, Any]


@click.command()
@click.argument("query", default="")
@json_option
@home_option
def trails(query: str, *, as_json: bool, home: Home) -> int:
    """By whom the last queries came here first, and to whom they went on.

    QUERY is the beginning of one's id, as `find --json` tells it. What was asked is not shown.
    """
    from meshpacs.cli.client import Client
    from meshpacs.cli.screen import print_json

    document = Client(home).get(f"/v1/trails?query={quote(query, safe='', errors='replace')}")
    if as_json:
        print_json(document)
    else:
        show(document["trails"])
    return 0


def show(listed: list[Json]) -> None:
    """One line for each copy that was accepted; the first of a query says whose it is."""
    from meshpacs.cli.screen import clock, console, table, text

    out = console()
    if not listed:
        out.print("No such query has passed here since this node started, or it was long ago.")
        return
    made = table(
        "Query", "Asked by", "When", "Came from", "Hops", "Went on to", "Not reached in time",
        right=("Hops",),
    )  # fmt: skip
    for trail in listed:
        first = (trail["query_id"][:8], trail["origin"]["name"], clock(trail["heard_us"]))
        for step in trail["passes"]:
            parent = step["parent"]
            made.add_row(
                *(text(words) for words in first),
                text(parent["name"] if parent else "here"),
                str(step["hops"]),
                text(", ".join(child["name"] for child in step["children"]) or "nobody"),
                text(", ".join(other["name"] for other in step["unreached"]), "yellow"),
            )
            first = ("", "", "")
    out.print(made)
