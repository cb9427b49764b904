"""Clocks for benchmarks: ours and the peer in turns, the best of several rounds."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence


def best_seconds(
    works: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Return the least seconds of each work over the rounds, every work once a round.

    The default clock counts this process's CPU seconds, which neighbours on a shared machine move
    less than the time on the wall.
    """
    best = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            started = clock()
            work()
            best[name] = min(best[name], clock() - started)
    return best


def children_seconds() -> float:
    """Return the CPU seconds of all ended child processes: a clock for `best_seconds`."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def command(words: Sequence[str]) -> Callable[[], object]:
    """Return a work that runs a command to its end; CalledProcessError if it fails."""
    return lambda: subprocess.run(words, check=True, capture_output=True)
