"""N-way K-shot episodes turned into rows of results: values, intervals, differences, chance.

Shapes: E episodes, the same ones for every subject; S encoder seeds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from taskgrain.results import ResultRow
from taskgrain.statistics.intervals import Interval
from taskgrain.statistics.student import has_spread, mean_interval, paired_interval
from taskgrain.transfer.episodes import EpisodeAnswers
from taskgrain.transfer.pairing import by_subject, paired_by_readout

Group = Sequence[EpisodeAnswers]
# Of each seed, or None for all together: what was measured, or why nothing was.
Found = list[tuple[int | None, Interval | str]]


def episode_rows(
    found: Sequence[EpisodeAnswers], pairs: Sequence[tuple[str, str]], *, study: str
) -> list[ResultRow]:
    """Give the rows of one target's episodes, for each probe and number of shots.

    Every subject has a row for each seed with an interval of kind "episodes" (Student's t over
    episodes, conditional on the encoder and on the clips that they are drawn from) and, from two
    seeds up, one without a seed over the "seeds". A pair of sources has a row for every seed,
    paired by episode; and from two seeds up two without a seed: conditional on these encoders,
    and the paired t test over seeds. Then chance, 1 / ways.

    Args:
        found: answers of one target, from the same episodes.
        pairs: (source, versus) for the differences source - versus; equal read-outs are paired.
        study: its name.

    Returns:
        Rows of metric "5-way-accuracy", say, whose `draws` is the number of episodes and whose n
        counts the clips that queries are drawn from. A single episode gives no interval.

    Raises:
        ResultError: if a source of a pair is not there, or lacks a seed that the other has.
        ValueError: if a pair was not asked as many episodes.
    """
    rows: list[ResultRow] = []

    def add(first: Group, found: Found, versus: str | None) -> None:
        rows.extend(
            _row(first[0], study, seed=seed, measured=measured, versus=versus)
            for seed, measured in found
        )

    for probe, shots in dict.fromkeys((each.probe, each.shots) for each in found):
        asked = [each for each in found if (each.probe, each.shots) == (probe, shots)]
        groups = by_subject(asked)
        for group in groups:
            add(group, _levels(group), None)
        of_sources = [group for group in groups if group[0].control is None]
        for source, versus in pairs:
            for first, second in paired_by_readout(of_sources, source, versus):
                add(first, _differences(first, second), versus)
    return [*rows, *_chance(found, study)]


def _levels(group: Group) -> Found:
    """Measure one subject: each seed over its episodes, then the mean over the seeds."""
    found: Found = [(each.seed, each.problem or _over_episodes(each.accuracies)) for each in group]
    problem = _problem(group)
    if len(group) > 1 and problem is not None:
        found.append((None, problem))
    elif len(group) > 1:
        means = [float(each.accuracies.mean()) for each in group]
        interval = mean_interval(means, kind="seeds")
        if not _varies(group):  # one encoder, however often it was asked: a sample of one
            interval = Interval("seeds", interval.value, interval.value, interval.value, 1)
        found.append((None, interval))
    return found


def _problem(group: Group) -> str | None:
    """Return why a subject's seed has no answers, the first such seed's; None if all have."""
    for each in group:
        if each.problem is not None:
            return f"{each.source or each.control}, seed {each.seed}: {each.problem}"
    return None


def _differences(first: Group, second: Group) -> Found:
    """Compare two sources, seed by seed and over the seeds."""
    if len({len(each.predicted) for each in (*first, *second)}) > 1:
        raise ValueError(
            f"{first[0].source} and {second[0].source} were not asked as many episodes"
        )
    problem = _problem([*first, *second])
    if problem is not None:
        if len(first) < 2:
            return [(first[0].seed, problem)]
        each_seed = (_differences([a], [b]) for a, b in zip(first, second, strict=True))
        return [*(row for rows in each_seed for row in rows), (None, problem)]
    ours = np.stack([each.accuracies for each in first])  # (S, E)
    theirs = np.stack([each.accuracies for each in second])
    found: Found = [
        (each.seed, _over_episodes(row)) for each, row in zip(first, ours - theirs, strict=True)
    ]
    if len(first) > 1:
        means = ours.mean(axis=1).tolist(), theirs.mean(axis=1).tolist()
        found.append((None, _over_episodes((ours - theirs).mean(axis=0))))
        if (_varies(first) or _varies(second)) and has_spread(*means):
            found.append((None, paired_interval(*means, kind="seeds")))
    return found


def _varies(group: Group) -> bool:
    """Whether a subject's seeds differ at all in what they answer."""
    return len({each.predicted.tobytes() for each in group}) > 1


def _over_episodes(values: NDArray[np.float64]) -> Interval:
    """Give the mean of float64 (E,) with its t interval; of one episode the value alone."""
    if len(values) < 2:
        value = float(values.mean())
        return Interval("episodes", value, value, value, len(values))
    return mean_interval(values.tolist(), kind="episodes")


def _chance(found: Group, study: str) -> list[ResultRow]:
    of_ways = {each.num_ways: each for each in found}
    return [
        ResultRow(
            study=study,
            target=each.target,
            metric=f"{num_ways}-way-accuracy",
            value=1.0 / num_ways,
            n=each.n,
            failed=each.failed,
            truncated=each.truncated,
            control="chance",
        )
        for num_ways, each in of_ways.items()
    ]


def _row(
    answers: EpisodeAnswers,
    study: str,
    *,
    seed: int | None,
    measured: Interval | str,
    versus: str | None,
) -> ResultRow:
    problem = measured if isinstance(measured, str) else None
    interval = Interval("episodes", 0.0, 0.0, 0.0, 0) if isinstance(measured, str) else measured
    has_interval = interval.n > 1
    return ResultRow(
        study=study,
        source=answers.source,
        seed=seed,
        target=answers.target,
        probe=answers.probe,
        readout=answers.readout,
        shots=answers.shots,
        metric=f"{answers.num_ways}-way-accuracy",
        value=interval.value if problem is None else None,
        interval=interval.kind if has_interval else None,
        low=interval.low if has_interval else None,
        high=interval.high if has_interval else None,
        n=answers.n,
        failed=answers.failed,
        truncated=answers.truncated,
        draws=len(answers.predicted),
        versus=versus,
        p=interval.p,
        chosen=answers.chosen if problem is None else None,
        chosen_on=answers.chosen_on if problem is None else None,
        control=answers.control,
        low_90=interval.low_90 if has_interval and versus is not None else None,
        high_90=interval.high_90 if has_interval and versus is not None else None,
        problem=problem,
    )
