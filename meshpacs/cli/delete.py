"""`meshpacs delete`: take a study out of this archive."""

from typing import Any

import click

from meshpacs.cli.options import home_option, json_option
from meshpacs.node.home import Home

Json = dict[str, Any]


@click.command()
@click.argument("study_uid")
@click.option("--even-if-last", is_flag=True, help="Also what no other clinic has.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@home_option
def delete(study_uid: str, *, even_if_last: bool, yes: bool, as_json: bool, home: Home) -> int:
    """Take a study out of this archive for ever. Other clinics that have it keep theirs.

    First all clinics are asked whether they have it, too. What no other clinic that answered has is
    not deleted, unless --even-if-last is given.
    """
    from meshpacs.cli.client import FIND_S, Client
    from meshpacs.cli.screen import print_json

    client = Client(home)
    body: Json = {"study_uid": study_uid, "even_if_last": even_if_last}
    if not yes:
        for sentence in sentences(client.post("/v1/delete", body, answer_s=FIND_S)):
            click.echo(sentence, err=True)
        click.confirm("Delete it from this archive?", abort=True, err=True)
    # However long it takes: an answer that nobody waited for would leave open what is gone.
    gone = client.post("/v1/delete", body | {"confirmed": True}, answer_s=None)
    if as_json:
        print_json(gone)
        return 0
    for sentence in sentences(gone):
        click.echo(sentence)
    return 0


def sentences(view: Json) -> list[str]:
    """What is here, who else has it, and what would be lost."""
    from meshpacs.cli.screen import plural, safe, size

    verb = "deleted" if view["deleted"] else "here"
    first = f"{plural(view['instances'], 'instance')} {verb}, {size(view['bytes'])}"
    if view["aside"]:
        first += f", and {view['aside']} kept aside in conflict"
    told = [f"{first}."]
    for holder in view["copies"]:
        count = holder["instances"]
        all_of_them = count == view["instances"]
        told.append(f"{safe(holder['name'])} has {'all' if all_of_them else count} of them.")
    if view["last"]:
        told.append(f"No other clinic that answered has {view['last']} of them.")
    if view["unheard"]:
        names = ", ".join(safe(member["name"]) for member in view["unheard"])
        told.append(f"Not heard: {names}.")
    return told
