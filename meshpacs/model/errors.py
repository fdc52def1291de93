"""Errors, named by who must act on them.

Each carries `what` (one sentence: what is wrong, naming the file, field or peer) and `mend` (one
sentence: what to do about it; empty where nobody can do anything). `str(error)` is both.
"""


class MeshError(Exception):
    """The root of every error that meshpacs raises on purpose."""

    def __init__(self, what: str, mend: str = "") -> None:
        """Say what is wrong and what mends it."""
        super().__init__(what, mend)
        self.what = what
        self.mend = mend

    def __str__(self) -> str:
        """Both sentences."""
        return f"{self.what} {self.mend}".strip()


class LocalFault(MeshError):
    """Ours: the operator's input or our own code is wrong."""


class PeerFault(MeshError):
    """Theirs: what a peer sent breaks the protocol; our state is unchanged."""


class Unavailable(MeshError):
    """Nobody's fault: it cannot be had here or now; try elsewhere or later."""


class Damaged(MeshError):
    """The disk: what was stored can no longer be read as it was written."""


def fault_within(group: BaseExceptionGroup[BaseException]) -> MeshError | None:
    """The fault that a group stands for, as nurseries raise them; None if it holds anything else.

    Of several a peer's breach comes first: it is why the others happened.
    """
    faults, rest = group.split(MeshError)
    if rest is not None or faults is None:
        return None
    found: list[MeshError] = []
    groups: list[BaseException] = [faults]
    while groups:
        error = groups.pop()
        if isinstance(error, BaseExceptionGroup):
            groups.extend(reversed(error.exceptions))
        else:
            assert isinstance(error, MeshError)
            found.append(error)
    return next((fault for fault in found if isinstance(fault, PeerFault)), found[0])
