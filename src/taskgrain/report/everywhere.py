"""The study's comparison on every one of its targets, in one sentence for the top of the page."""

from __future__ import annotations

from collections.abc import Iterator

from taskgrain.config.testing import FamilyEndpoint
from taskgrain.names import MEAN_OVER_TASKS, mean_over_kind
from taskgrain.report.endpoint_tables import elsewhere
from taskgrain.report.lookup import KITCHENWARE, Lookup, pair_of, question_of, unique
from taskgrain.report.words import (
    Number,
    Phrase,
    count_words,
    interval_words,
    shots_words,
    with_interval,
)
from taskgrain.results import ResultRow

NEAR, FAR = KITCHENWARE


def everywhere(lookup: Lookup, *, finer: bool) -> Phrase:
    """Return what the primary comparison gave on each target, and the differences between those.

    Nothing where it was read on one target alone: the answer has stated it then. Nothing either of
    sources that have not learned their own labels.

    Args:
        lookup: the rows of the run.
        finer: whether the source's labels are finer than those it is compared with.
    """
    primary, others = lookup.primary, elsewhere(lookup)
    if primary is None or {*pair_of(primary)} & set(lookup.unlearned):
        return ()
    tasks = tuple(_over_tasks(lookup, primary))
    found = [(each, _row(lookup, each)) for each in (primary, *others)]
    shown = [(each, row) for each, row in found if row is not None and row.value is not None]
    if not shown or not (shown[1:] or tasks):
        return ()
    parts: list[str | Number] = [_begin(lookup, primary)]
    for index, (each, row) in enumerate(shown):
        joint = ", and by " if index == len(shown) - 1 else ", by "
        parts += [" by " if index == 0 else joint, *_points(row, has_unit=index == 0)]
        parts.append(f" on {each.target}{_asks(lookup, each, finer=finer)}")
    kinds = {row.interval for _, row in shown if row.low is not None}
    intervals = [interval_words(kind) for kind in sorted(map(str, kinds))]
    parts.append(f" (95 % intervals {' or '.join(intervals)})." if intervals else ".")
    parts += tasks
    for each in lookup.endpoints[1:]:
        if each.minus_target is not None and _is_same(primary, each):
            parts += _between(lookup, each)
    return (*parts, _bound(lookup))


def _row(lookup: Lookup, endpoint: FamilyEndpoint) -> ResultRow | None:
    return lookup.difference(*pair_of(endpoint), question_of(endpoint))


def _begin(lookup: Lookup, primary: FamilyEndpoint) -> str:
    what = f"{shots_words(primary.shots)} accuracy".strip()  # the answer names metric and probe
    where = "In a drawn world" if lookup.source_world else "On these clips"
    source, versus = pair_of(primary)
    return f"{where} ({scale_words(lookup)}), “{source}” in place of “{versus}” changed {what}"


def scale_words(lookup: Lookup) -> str:
    """Return how much the primary comparison rests on: drawn clips a seed, and seeds.

    Of a study that was sealed before its targets were drawn also how many parameters its encoder
    has, and which of its seals this is: "297,920 parameters, 12,000 clips, 8 seeds, seal 1 of 1".
    """
    run, study = lookup.run, lookup.run.study
    names = () if lookup.primary is None else pair_of(lookup.primary)
    parts = [count_words(len(lookup.seeds_of(*names)), "seed")]
    if study is None or not lookup.source_world:
        return parts[0]
    # Of sources that hold categories out, and draw no clips, the number depends on the seed.
    clips = study.data.draw or (None if study.data.hold_out else study.data.train)
    if clips is not None:
        parts.insert(0, f"{clips:,} clips")
    if run.seal is not None:
        if run.parameters is not None:
            parts.insert(0, f"{run.parameters:,} parameters")
        parts.append(f"seal {run.seal}")
    return ", ".join(parts)


def _points(row: ResultRow, *, has_unit: bool) -> Phrase:
    return with_interval(row, signed=True, unit=" points" if has_unit else "")


def _asks(lookup: Lookup, endpoint: FamilyEndpoint, *, finer: bool) -> str:
    """Return what is known of a target: held out, or asking for what the finer labels say."""
    world, targets = lookup.world_of(endpoint.target), lookup.target_settings
    if any(each.name == endpoint.target and each.is_held_out for each in targets):
        return ", whose categories no source learned"
    if world not in KITCHENWARE or not finer or not lookup.has_one_origin(pair_of(endpoint)):
        return ""
    if world == FAR:
        return ", which asks for the same in another look"
    return ", which asks for what the finer labels say"


def _over_tasks(lookup: Lookup, primary: FamilyEndpoint) -> Iterator[str | Number]:
    """Yield what the comparison gave over the tasks of each target that has a sample of them."""
    rows = [row for row in lookup.rows if (row.source, row.versus) == pair_of(primary)]
    of_target = {(row.target, row.metric): row for row in rows if row.interval == "tasks"}
    for target in unique(target for target, _ in of_target):
        num_tasks = sum(name.startswith(f"{target}/") for name in lookup.targets)
        yield f" Over the {num_tasks} tasks of {target} as a sample it is"
        words = (
            (MEAN_OVER_TASKS, ""),
            (mean_over_kind("named"), " where the labels name what is asked"),
            (mean_over_kind("kind-named"), " where they name its kind"),
            (mean_over_kind("unnamed"), " where they add nothing"),
        )
        shown = [(of_target.get((target, metric)), where) for metric, where in words]
        for index, (row, where) in enumerate((r, w) for r, w in shown if r is not None):
            yield "," if index else ""
            yield " "
            yield from _points(row, has_unit=index == 0)
            yield where
        yield f", {interval_words('tasks')}."


def _between(lookup: Lookup, endpoint: FamilyEndpoint) -> Iterator[str | Number]:
    row = _row(lookup, endpoint)
    if row is None or row.value is None:
        return
    yield f" The gain on {endpoint.target} minus the gain on {endpoint.minus_target} is "
    yield from _points(row, has_unit=True)
    yield f", {interval_words(row.interval)}." if row.low is not None else "."


def _is_same(primary: FamilyEndpoint, endpoint: FamilyEndpoint) -> bool:
    """Whether an endpoint compares what the primary one does, on two targets."""
    alike = {"target": primary.target, "minus_target": None}
    return endpoint.model_copy(update=alike) == primary


def _bound(lookup: Lookup) -> str:
    return " Nothing was measured on Something-Something." if lookup.source_world else ""
