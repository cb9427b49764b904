"""How sources are compared, and how the command line writes it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from taskgrain.errors import ConfigError, nearest
from taskgrain.names import ClipMetric
from taskgrain.results import Shots
from taskgrain.transfer.probes import ProbeName

# The probes that are fitted without torch, which the command does not load.
COMPARED_PROBES: tuple[ProbeName, ...] = (
    "nearest-mean",
    "k-nn",
    "ridge",
    "rbf-ridge",
    "logistic-regression",
    "logistic-regression-cv",
)


@dataclass(frozen=True, slots=True)
class ComparePlan:
    """How sources are compared: the same for all of them.

    Raises:
        ConfigError: naming the option of the command line that is out of range.
    """

    probes: tuple[ProbeName, ...]
    shots: tuple[Shots, ...]
    num_draws: int = 50  # support draws at each number of shots
    seed: int = 0  # of the division of clips, the support draws, permutations and resamples
    primary: str | None = None  # the source that the others are compared with; None: the first
    metric: ClipMetric = "top-1"  # of the tables, and of the one family of tests
    support_share: float = 0.5  # of the clips to learn from, where the labels do not say which

    def __post_init__(self) -> None:
        if self.num_draws < 1:
            raise ConfigError(f"--draws {self.num_draws}: expected at least 1")
        if self.seed < 0:
            raise ConfigError(f"--seed {self.seed}: expected at least 0")
        if not 0.0 < self.support_share < 1.0:
            raise ConfigError(f"--support {self.support_share:g}: expected between 0 and 1")


def parse_probes(text: str) -> tuple[ProbeName, ...]:
    """Read names of probes that need no torch, separated by commas.

    Raises:
        ConfigError: naming one that is not known here, or is there twice.
    """
    return tuple(_probe(each) for each in _parts("--probes", text))


def parse_shots(text: str) -> tuple[Shots, ...]:
    """Read numbers and "all", separated by commas.

    Raises:
        ConfigError: naming one that is neither, or is there twice.
    """
    return tuple(_shots(each) for each in _parts("--shots", text))


def _parts(option: str, text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    twice = [part for part, times in Counter(parts).items() if times > 1]
    if twice:
        raise ConfigError(f"{option} {text!r}: {twice[0]!r} is there twice")
    return parts


def _probe(name: str) -> ProbeName:
    # A loop rather than `in`: it tells mypy which of the names it is.
    for known in COMPARED_PROBES:
        if name == known:
            return known
    raise ConfigError(
        f"--probes: no probe {name!r} here; expected some of {', '.join(COMPARED_PROBES)}"
        f"{nearest(name, COMPARED_PROBES)}"
    )


def _shots(text: str) -> Shots:
    if text == "all":
        return "all"
    if text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text) > 0:
        return int(text)
    raise ConfigError(f'--shots: {text!r} is no number of shots; expected 1, 2, ... or "all"')
