"""What strategies have in common: parameters within bounds, and nothing to keep up."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, get_type_hints

from msgspec import Meta

from meshpacs_sim.strategies.search import Scene, Upkeep

Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True)
class Parameters:
    """A dataclass whose annotations bound its fields, as `msgspec.Meta` writes it."""

    def __post_init__(self) -> None:
        """Hold the fields to their annotations.

        Raises:
            ValueError: naming the field and the bound.
        """
        hints = get_type_hints(type(self), include_extras=True)
        for each in fields(self):
            for meta in getattr(hints[each.name], "__metadata__", ()):
                _hold(f"{type(self).__name__}.{each.name}", getattr(self, each.name), meta)

    def upkeep(
        self,
        scene: Scene,  # noqa: ARG002 - it costs nothing, whatever the scene
        joins: int,  # noqa: ARG002
        leaves: int,  # noqa: ARG002
        changes: int,  # noqa: ARG002
    ) -> Upkeep:
        """Nothing: who only asks keeps nothing up but its links."""
        return Upkeep(0, 0, 0.0)


def _hold(name: str, value: Any, meta: object) -> None:
    if not isinstance(meta, Meta):
        return
    for word, bound, good in (
        ("at least", meta.ge, meta.ge is None or value >= meta.ge),
        ("more than", meta.gt, meta.gt is None or value > meta.gt),
        ("at most", meta.le, meta.le is None or value <= meta.le),
        ("less than", meta.lt, meta.lt is None or value < meta.lt),
    ):
        if not good:
            raise ValueError(f"{name} is {value}; it must be {word} {bound}")
