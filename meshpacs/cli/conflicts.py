"""`meshpacs conflicts`: instances that came with two contents."""

from typing import Any

import click

from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home

Json = dict[str, Any]

MEANING = (
    "What came first is kept: it is found and fetched. What came later lies aside; nothing of it "
    "is lost. An instance was changed or encoded anew and kept its UID; who did so can say why."
)
"""No command settles a conflict yet."""


@click.command()
@json_option
@home_option
def conflicts(*, as_json: bool, home: Home) -> int:
    """Instances that came with two contents: the first is kept, the second lies aside.

    Exits 1 if there are any.
    """
    from meshpacs.cli.client import Client
    from meshpacs.cli.screen import print_json

    document = Client(home).get("/v1/conflicts")
    if as_json:
        print_json(document)
    else:
        show(document["conflicts"])
    return int(bool(document["conflicts"]))


def show(listed: list[Json]) -> None:
    """One line a conflict."""
    from meshpacs.cli.screen import clock, console, size, table, text

    out = console()
    if not listed:
        out.print("No conflicts: every instance came with one content.", style="green")
        return
    made = table("SOP Instance UID", "Kept", "Aside", "Came", "From")
    for conflict in listed:
        made.add_row(
            text(conflict["sop_uid"]),
            f"{conflict['kept_root'][:8]}, {size(conflict['kept_bytes'])}",
            f"{conflict['aside_root'][:8]}, {size(conflict['aside_bytes'])}",
            clock(conflict["arrived_us"]),
            text(conflict["origin"]),
        )
    out.print(made)
    out.print(MEANING)
