"""Small plans for tests: a few sites, a day, lines that are wide enough."""

from typing import Any

from meshpacs_sim.planning.plan import Plan


def site(name: str, hours: str = "always on", **more: Any) -> dict[str, Any]:
    return {"name": name, "open": hours, "down_mbit": 1000, "up_mbit": 1000, **more}


def plan(*sites: dict[str, Any], **more: Any) -> Plan:
    return Plan.of({"days": 1, "repeats": 1, "archive_days": 30, "site": list(sites), **more})


def unlike(seed: int, **more: Any) -> Plan:
    """Four sites whose hours overlap in some ways, and one of which is narrow."""
    return plan(
        site("A", questions_a_day=30, studies_a_day=10),
        site("B", "Mon-Fri 08:00-12:00", questions_a_day=20, studies_a_day={"DX": 12}),
        site("C", "Mon-Fri 10:00-18:00", questions_a_day=20, studies_a_day=8, partner="A"),
        site("D", "Mon-Fri 15:00-23:00", questions_a_day=20, studies_a_day=8) | {"up_mbit": 2},
        elsewhere_percent=80,
        seed=seed,
        **more,
    )


def nothing_standing(site: int, hour: int) -> tuple[int, int]:
    """Lines of which images have all."""
    return 0, 0
