"""Who keeps which study: its maker, and as many others as the plan wants."""

from meshpacs_sim.planning.hours import Together
from meshpacs_sim.planning.work import Study


class Kept:
    """A number of copies, and who is ever open together with whom."""

    def __init__(self, copies: int, together: Together) -> None:
        """`copies` counts the one at the maker's, too."""
        self._others = copies - 1
        self._meeting = [together.meeting(site) for site in range(len(together.sites))]

    def copied_to(self, study: Study) -> tuple[int, ...]:
        """Sites to which copies of this study get, in order.

        A site that is never open together with the maker was chosen like any other, and gets none:
        with one copy more, those that there were stay where they are.
        """
        meeting = self._meeting[study.site]
        return tuple(site for site in study.order[: self._others] if meeting >> site & 1)

    def holders(self, study: Study) -> int:
        """All who keep it once it has got there; bit i is site i."""
        mask = 1 << study.site
        for site in self.copied_to(study):
            mask |= 1 << site
        return mask
