"""How sources are compared, and how the command line writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

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
Folds = int | Literal["recordings"]
"""Into how many folds clips are dealt; "recordings" makes each recording one."""
SHOTS = "1,5,all"
DRAWS = 50
SHARE = 0.5


@dataclass(frozen=True, slots=True)
class ComparePlan:
    """How sources are compared: the same for all of them.

    Raises:
        ConfigError: naming the option of the command line that is out of range.
    """

    probes: tuple[ProbeName, ...]
    shots: tuple[Shots, ...]
    num_draws: int = DRAWS  # support draws at each number of shots
    seed: int = 0  # of the division of clips, the support draws, permutations and resamples
    primary: str | None = None  # the source that the others are compared with; None: the first
    metric: ClipMetric = "top-1"  # of the tables, and of the one family of tests
    support_share: float = SHARE  # of the clips to learn from, where the labels do not say which
    folds: Folds | None = None  # every clip is answered by what the other folds teach
    folds_if_small: bool = False  # where a division would leave too few clips to judge by

    def __post_init__(self) -> None:
        if self.num_draws < 1:
            raise ConfigError(f"--draws {self.num_draws}: expected at least 1")
        if self.seed < 0:
            raise ConfigError(f"--seed {self.seed}: expected at least 0")
        if not 0.0 < self.support_share < 1.0:
            raise ConfigError(f"--support {self.support_share:g}: expected between 0 and 1")
        if isinstance(self.folds, int) and self.folds < 2:
            raise ConfigError(f"--folds {self.folds}: expected at least 2")


def plan_of(
    divides: Mapping[str, str | int | float | None],
    folds: str | None,
    *,
    probes: str,
    seed: int,
    primary: str | None,
    metric: ClipMetric,
) -> ComparePlan:
    """Make the plan of what the command line gives.

    Args:
        divides: `--shots`, `--draws` and `--support`, which ask for a division; None: not given.
        folds: `--folds`.
        probes: `--probes`; the others are likewise.

    Raises:
        ConfigError: naming an option that cannot be read, or that another one contradicts.
    """
    given = [option for option, value in divides.items() if value is not None]
    if folds is not None and given:
        raise ConfigError(
            f"{given[0]}: --folds {folds} learns from all clips of the other folds; give one of "
            "the two"
        )
    shots, draws, support = (divides[name] for name in ("--shots", "--draws", "--support"))
    return ComparePlan(
        probes=parse_probes(probes),
        shots=parse_shots(SHOTS if shots is None else str(shots)),
        num_draws=DRAWS if draws is None else int(draws),
        seed=seed,
        primary=primary,
        metric=metric,
        support_share=SHARE if support is None else float(support),
        folds=None if folds is None else parse_folds(folds),
        folds_if_small=not given,
    )


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


def parse_folds(text: str) -> Folds:
    """Read a number of folds, or "recordings".

    Raises:
        ConfigError: if it is neither.
    """
    if text == "recordings":
        return "recordings"
    if _is_count(text):
        return int(text)
    advice = nearest(text, ["recordings"])
    raise ConfigError(f'--folds {text!r}: expected a number from 2, or "recordings"{advice}')


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text) > 0


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
    if _is_count(text):
        return int(text)
    raise ConfigError(f'--shots: {text!r} is no number of shots; expected 1, 2, ... or "all"')
