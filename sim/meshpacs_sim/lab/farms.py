"""Where runs of a sweep are done: processes of this machine, or a Dask cluster."""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

from meshpacs.model.errors import LocalFault, MeshError
from meshpacs_sim.lab.results import Format
from meshpacs_sim.lab.running import run
from meshpacs_sim.lab.scenario import Scenario

Files = dict[str, bytes]

CONNECT_S = 20
"""How long a scheduler may take to answer. A guess."""


class Farm(Protocol):
    """Does runs, in any order."""

    def done(
        self, scenarios: Sequence[Scenario], form: Format
    ) -> Iterator[tuple[int, Files | str]]:
        """Each run's number with its files, or with what was wrong with it, as they end."""
        ...


def one(tree: dict[str, Any], form: Format) -> Files | str:
    """One run, in whatever process: its files, or what was wrong."""
    try:
        made = run(Scenario.of(tree))
    except MeshError as fault:
        return str(fault)
    return "interrupted" if made.manifest["interrupted"] else made.files(form)


class Local:
    """Processes of this machine; with one job, this process."""

    def __init__(self, jobs: int) -> None:
        """So many at once."""
        self._jobs = jobs

    def done(
        self, scenarios: Sequence[Scenario], form: Format
    ) -> Iterator[tuple[int, Files | str]]:
        """In the order in which they end.

        Raises:
            KeyboardInterrupt: the person has had enough; nothing is left behind that runs.
        """
        if self._jobs == 1 or len(scenarios) == 1:
            yield from self._here(scenarios, form)
            return
        # Spawned, not forked: a fork copies whatever threads of numba and pyarrow hold.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(
            min(self._jobs, len(scenarios)), context, _leave_it_to_the_parent
        )
        try:
            numbers = {
                pool.submit(one, each.tree, form): number for number, each in enumerate(scenarios)
            }
            for future in as_completed(numbers):
                yield numbers[future], _outcome(future)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise
        pool.shutdown()

    def _here(
        self, scenarios: Sequence[Scenario], form: Format
    ) -> Iterator[tuple[int, Files | str]]:
        for number, scenario in enumerate(scenarios):
            files = one(scenario.tree, form)
            if files == "interrupted":
                raise KeyboardInterrupt
            yield number, files


class Cluster:
    """A Dask cluster; its workers need this very program installed."""

    def __init__(self, address: str) -> None:
        """The scheduler's address, as `tcp://host:8786`."""
        self._address = address

    def done(
        self, scenarios: Sequence[Scenario], form: Format
    ) -> Iterator[tuple[int, Files | str]]:
        """In the order in which they end.

        Raises:
            LocalFault: there is no Dask here, or no scheduler there.
        """
        try:
            from distributed import Client
            from distributed import as_completed as as_done
        except ImportError:
            raise LocalFault(
                "A Dask cluster needs the package distributed.", 'pip install "meshpacs[dask]"'
            ) from None
        try:
            client = Client(self._address, timeout=CONNECT_S)
        except (OSError, ValueError) as error:
            raise LocalFault(
                f"No scheduler answers at {self._address}: {error}.",
                "Start `dask scheduler`, and name its address.",
            ) from error
        with client:
            # Not pure: Dask must not take a run for done because it knows one of the same key.
            futures = [client.submit(one, each.tree, form, pure=False) for each in scenarios]
            numbers = {future.key: number for number, future in enumerate(futures)}
            for future in as_done(futures):
                try:
                    told = future.result()
                except Exception as error:  # noqa: BLE001 - whatever a far worker raises
                    told = f"{type(error).__name__}: {error}"
                yield numbers[future.key], told


def cores() -> int:
    """How many processes this one may run on at once."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _leave_it_to_the_parent() -> None:
    """A worker's answer to Ctrl-C, which reaches all processes of a terminal: none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _outcome(future: Future[Files | str]) -> Files | str:
    try:
        return future.result()
    except BrokenProcessPool:
        raise LocalFault(
            "A process of the sweep was ended from outside, perhaps for want of memory.",
            "Try again with fewer --jobs; what has ended is kept.",
        ) from None
