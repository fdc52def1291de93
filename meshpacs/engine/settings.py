"""The engine's numbers, each with its source."""

from dataclasses import dataclass

from meshpacs.model.ids import MILLISECOND, SECOND, Micros, NodeId


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in microseconds unless the name says otherwise."""

    budget_us: Micros = 10 * SECOND
    """How long a query of ours may take, when nobody says otherwise. A guess: viewers give up at
    about 15 s."""

    hop_us: Micros = 100 * MILLISECOND
    """What a hop takes off the remaining time beside one round trip. Protocol 4.4."""

    ack_us: Micros = 1 * SECOND
    """An Ask not acknowledged within max(this, 4 RTT) closes its branch. Protocol 2.5."""

    visit_us: Micros = 1500 * MILLISECOND
    """How long a member that is asked directly has to acknowledge, dialling included. Ours: with
    `ack_us` before it, an answer is complete within 3 s though one member is frozen."""

    recall_us: Micros = 3 * SECOND
    """So long before a query's deadline its origin stops waiting for the flood and asks the
    unaccounted directly; at most a third of the budget. A guess."""

    budget_most_us: Micros = 30 * SECOND
    """The longest a query may take. Protocol 4.4."""

    keepalive_us: Micros = 30 * SECOND
    """Between pings on an idle link. Protocol 2.5, from memberlist."""

    misses: int = 3
    """Pings unanswered, times (local health + 1), until a link is dead. Protocol 2.5."""

    skew_us: Micros = 300 * SECOND
    """Clocks further apart are answered `skewed`. Protocol 4.5."""

    full_mesh: int = 8
    """Up to so many members everybody links with everybody. Protocol 7."""

    neighbours: int = 6
    """Links wanted above that. Protocol 7, HyParView's active view + 1."""

    self_dialled: int = 2
    """Of these, dialled by ourselves at least, so that nobody can surround us. Protocol 7."""

    neighbours_most: int = 16
    """Links accepted at most above that; a further one is told to look elsewhere. A guess."""

    redial_us: Micros = 2 * SECOND
    """First pause before dialling a member again; doubles up to `redial_most_us`. A guess."""

    redial_most_us: Micros = 60 * SECOND

    frozen_overlay: bool = False
    """Keep the links that the driver makes and dial none: for simulations and counts."""

    frozen_neighbours: tuple[NodeId, ...] = ()
    """With a frozen overlay: dial these, again as they fail, and turn away everybody else. Empty:
    dial nobody and turn nobody away."""

    whole_mesh_up_to: int = 200
    """Members up to which a query asks everyone by default. Protocol 4.3."""
