"""All the rules of safety: what is watched in every campaign."""

from meshpacs_sim.trials.checkers import (
    AnsweredMeansAnswered,
    CalmIsComplete,
    Checker,
    EvaluatedOnce,
    EverybodyNamed,
    HonestAreNotBlamed,
    NotBeyondTheBall,
    NothingStale,
    OneClosedForEachAsk,
    OneFinal,
    TtlAndTimeFall,
    VisitsAreForRecalls,
)
from meshpacs_sim.trials.honesty import (
    AskedByItsOrigin,
    BootsDoNotFall,
    ExcusesAreTrue,
    FloodsAreHeld,
    OutsideIsOutside,
    RecalledByItsOrigin,
    RelaysCarrySoMuch,
)

SAFETY: tuple[type[Checker], ...] = (
    OneClosedForEachAsk,
    EvaluatedOnce,
    TtlAndTimeFall,
    NotBeyondTheBall,
    OneFinal,
    AnsweredMeansAnswered,
    EverybodyNamed,
    HonestAreNotBlamed,
    VisitsAreForRecalls,
    NothingStale,
    CalmIsComplete,
    AskedByItsOrigin,
    RecalledByItsOrigin,
    BootsDoNotFall,
    ExcusesAreTrue,
    OutsideIsOutside,
    FloodsAreHeld,
    RelaysCarrySoMuch,
)


def safety() -> list[Checker]:
    """One of each."""
    return [make() for make in SAFETY]
