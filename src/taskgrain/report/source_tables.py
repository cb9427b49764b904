"""The tables of what each source learned of its own task, and whether it learned it at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from taskgrain.learned import FLOORS, SOURCE_VALIDATION, OwnScore, floor_of
from taskgrain.names import METRICS, Control, metric_key
from taskgrain.report.lookup import Lookup, Question, unique
from taskgrain.report.run_folder import CurvePoint
from taskgrain.report.tables import Block, Cell, Column, Line, Table, cell_of
from taskgrain.report.words import (
    Number,
    Phrase,
    control_words,
    count_words,
    metric_words,
    percent,
    percent_number,
    value_of,
)
from taskgrain.results import ResultRow

STILL_IMPROVING = 0.01  # a gain of more than one point in the last epoch: training was cut short
STILL_IMPROVING_MARK = "\N{NORTH EAST ARROW}"
SOURCE_METRICS = (
    "entropy-bits",
    "top-1",
    "group-accuracy",
    "exact-match",
    "template-accuracy",
    "object-accuracy",
    "unknown-rate",
    "gain-last-epoch",
)
GRAIN_METRICS = (
    *("mean-per-class", "top-5", "accuracy-at-", "categories-floor", "categories-linear"),
    *("contrastive", "contrastive-floor", "errors-within-groups", "errors-between-groups"),
)
CAPTION_METRICS = (
    *("exact-match", "exact-match-at-", "template-accuracy", "object-accuracy"),
    *("noun-accuracy", "modifier-accuracy"),
    *("direction-errors", "template-ranking", "template-ranking-top-5"),
    "template-ranking-with-objects",
    *("bleu-4", "rouge-l", "cider-d", "length-ratio"),
)
"""A name that ends in a hyphen stands for all that begin with it."""
CLASS_PROBES = ("head", "linear")
Key = tuple[str, Control | None, str]  # source, control, metric
FLOOR_WORDS = {"majority": "commonest class"}  # of groups and categories alike
FEW = 2  # of more sources that did not learn, the front page names the sources alone
SHOWN = ("top-1", "template-accuracy", "noun-accuracy", "modifier-accuracy", "exact-match")
"""Scores by which the end of a source's learning is judged."""


def source_table(lookup: Lookup) -> Table:
    """Return each source's own validation scores."""
    found = {row.metric for row in lookup.rows if row.target == SOURCE_VALIDATION}
    shown = [metric for metric in SOURCE_METRICS if metric in found]
    lines = (
        Line(source, tuple(_source_cell(lookup, source, metric) for metric in shown), key=source)
        for source in lookup.sources
    )
    kept = tuple(line for line in lines if not line.is_empty)
    return Table(
        name="sources",
        title="What each source learned of its own task",
        caption=(
            "Scores on the source's own validation clips, percent; label bits are the entropy of "
            "what a clip's label says. Top-1 is over each source's own classes, so it is no "
            "ladder: fewer classes are easier. The arrow marks a source that still gained more "
            "than one point in its last epoch: it was not done learning; of a joint source the "
            "larger of its two gains is shown. "
            f"{_seed_words(lookup)}"
        ),
        corner="source",
        columns=tuple(map(_column, shown)),
        blocks=(Block("", kept),),
    )


def grain_table(lookup: Lookup) -> Table:
    """Return the accuracy of the classification heads at other grains than their own."""
    rows = _own_rows(lookup, CLASS_PROBES)
    metrics = _in_order([key[2] for key in rows], GRAIN_METRICS)
    every = (_own_line(rows, metrics, source, None) for source in lookup.sources)
    lines = tuple(line for line in every if not line.is_empty)
    if set(metrics) <= {"top-5"}:  # nothing of other grains was scored
        lines = ()
    return Table(
        name="grains",
        title="Classification across grains",
        caption=(
            "Percent of the source's own validation clips. At a coarser level the probabilities "
            "of a name's categories add up. What a coarse source says of categories: by the "
            "commonest training category of the name that it gives (a floor), and by a linear "
            "read-out fitted on its frozen features. Contrastive: within groups of categories that "
            "are easily taken for one another; its floor always gives the commonest. Errors: of "
            "all clips, "
            f"within the true action group or into another. {_seed_words(lookup)}"
        ),
        corner="source",
        columns=tuple(map(_column, metrics)),
        blocks=(Block("", lines),),
    )


def caption_table(lookup: Lookup) -> Table:
    """Return the scores of every source's captions, with the floors beside them."""
    rows = _own_rows(lookup, ("decoder",))
    metrics = _in_order([key[2] for key in rows], CAPTION_METRICS)
    controls = unique(key[1] for key in rows if key[1] is not None)
    blocks = []
    for source in lookup.sources:
        every = (_own_line(rows, metrics, source, each) for each in (None, *controls))
        if lines := tuple(line for line in every if not line.is_empty):
            blocks.append(Block("", lines))
    if not controls and set(metrics) <= set(SOURCE_METRICS):  # the table above has them all
        blocks = []
    floors = (
        "Below each source what would be said without looking at the clips, scored alike; the "
        "blind decoder is the source's own, shown other clips. "
    )
    return Table(
        name="captions",
        title="What the captions are worth",
        caption=(
            "Percent of the source's own validation clips, at the caption form that it says; "
            "BLEU, ROUGE-L, CIDEr-D and the length ratio in their own units. Ranked: where the "
            "true template stands among all of them, by the decoder's likelihood. "
            f"{floors if controls else ''}{_seed_words(lookup)}"
        ),
        corner="source",
        columns=tuple(map(_column, metrics)),
        blocks=tuple(blocks),
    )


def _own_line(
    rows: Mapping[Key, ResultRow], metrics: Sequence[str], source: str, control: Control | None
) -> Line:
    """Return the scores of a source, or of a floor beside it."""
    cells = tuple(cell_of(rows.get((source, control, metric))) for metric in metrics)
    return Line(control_words(control), cells) if control else Line(source, cells, key=source)


def _column(metric: str) -> Column:
    key = metric_key(metric)
    if key is None or not METRICS[key].column:
        return Column(metric_words(metric))
    return Column(METRICS[key].column + (metric.removeprefix(key) if key.endswith("-") else ""))


def _own_rows(lookup: Lookup, probes: tuple[str, ...]) -> dict[Key, ResultRow]:
    """Return the rows on source clips by source, control and metric; of the lowest seed each."""
    found: dict[Key, ResultRow] = {}
    own = (row for row in lookup.rows if row.target == SOURCE_VALIDATION and row.probe in probes)
    for row in sorted(own, key=lambda row: row.seed or 0):
        if row.source is not None:
            found.setdefault((row.source, row.control, row.metric), row)
    return found


def _in_order(found: list[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the found metrics in the order of the known ones; "at-" stands for all "at-..."."""
    return unique(
        name
        for wanted in known
        for name in found
        if name == wanted or (wanted.endswith("-") and name.startswith(wanted))
    )


def _seed_words(lookup: Lookup) -> str:
    own = (row for row in lookup.rows if row.target == SOURCE_VALIDATION)
    seeds = {row.seed for row in own if row.seed is not None}
    if len(seeds) < 2:
        return ""
    return f"Of {len(seeds)} seeds the first is shown; the others are in tables/results.csv."


def _source_cell(lookup: Lookup, source: str, metric: str) -> Cell:
    found = (
        lookup.measured(source, Question(SOURCE_VALIDATION, probe, None, metric))
        for probe in ("head", "decoder", None)
    )
    # A joint source gains twice, in classes and in captions: the larger gain is shown.
    row = max(
        (row for row in found if row is not None), key=lambda row: row.value or 0.0, default=None
    )
    cell = cell_of(row)
    if row is None or metric != "gain-last-epoch" or (row.value or 0.0) <= STILL_IMPROVING:
        return cell
    note = f"still improving, {cell.note}".rstrip(", ")
    return replace(cell, shown=f"{cell.shown} {STILL_IMPROVING_MARK}", note=note)


def gradient_table(lookup: Lookup) -> Table:
    """Return the classification term's share of the gradient at the encoder, for joint sources."""
    lines = []
    for source in lookup.source_settings:
        own = [each for each in lookup.run.curves if each.source == source.name and each.shares]
        if source.classification_weight is None or not own:
            continue
        first_seed = min(point.seed for point in own)
        points = sorted((p for p in own if p.seed == first_seed), key=lambda point: point.epoch)
        weight = Cell(f"{source.classification_weight:g}")
        cells = (weight, *map(_share, (points[0], points[-1])))
        lines.append(Line(source.name, cells, key=source.name))
    return Table(
        name="gradient-shares",
        title="Who moves the encoder in joint training",
        caption=(
            "Classification's share of the gradient at the encoder, percent; captioning has the "
            "rest. Lambda weighs the losses; the shares say what that weight came to."
        ),
        corner="joint source",
        columns=(Column("lambda"), Column("first epoch"), Column("last epoch")),
        blocks=(Block("", tuple(lines)),),
    )


def _share(point: CurvePoint) -> Cell:
    share = point.shares.get("classification")
    if share is None:
        return Cell()
    return Cell(percent(share), share, note=f"seed {point.seed}", origin="curves")


def learned_phrase(lookup: Lookup) -> Phrase:
    """Return which sources learned their own labels; () where none has a score of its own."""
    judged = {score.own.source for score in lookup.own_scores}
    if not judged:
        if not any(row.target == SOURCE_VALIDATION for row in lookup.rows):
            return ()
        return ("Whether the sources learned their own labels was not measured.",)
    if not lookup.unlearned:
        if len(judged) == 1:
            return (f"“{judged.pop()}” learned its own labels.",)
        return (f"All {len(judged)} sources learned their own labels.",)
    count = len(lookup.unlearned)
    begin = f"{count} of {count_words(len(judged), 'source')} did not learn: "
    which = "it" if count == 1 else "them"
    parts: list[str | Number] = []
    for name, score in lookup.unlearned.items():
        parts += ["; " if parts else begin, f"“{name}”"]
        if count <= FEW:
            parts += [" (", *_beside_floor(score), ")"]
    return (*parts, f". No claim rests on {which}.")


def _beside_floor(score: OwnScore) -> Phrase:
    own, floor = score.own, score.floor
    bound: Phrase = (", without an interval",)
    if own.low is not None:
        bound = (", at least ", Number(own.low, percent(own.low)))
    return (
        f"{metric_words(own.metric)} ",
        percent_number(value_of(own)),
        *bound,
        f"; {control_words(floor.control or '')} has ",
        percent_number(value_of(floor)),
    )


def learned_table(lookup: Lookup) -> Table:
    """Return each source's own score beside what needs no learning; empty without floors."""
    lines = tuple(
        Line(
            _header(lookup, score, len(seeds)),
            (
                cell_of(score.own),
                *(cell_of(floor_of(lookup.rows, score, name)) for name in FLOORS),
                Cell("yes" if score.is_learned else "no"),
            ),
            key=score.own.source or "",
        )
        for score, seeds in _lowest(lookup)
    )
    return Table(
        name="learned",
        title="Whether the sources learned their own labels",
        caption=(
            "Percent of the source's own validation clips. A source has learned if the lower bound "
            "of its 95 % interval lies above chance, the commonest class and a linear read-out of "
            "motion energy, in each of its tasks and under every seed. No claim rests on one that "
            "has not."
        ),
        corner="source",
        columns=(
            Column("own score"),
            *(Column(FLOOR_WORDS.get(name, control_words(name))) for name in FLOORS),
            Column("learned"),
        ),
        blocks=(Block("", lines),),
    )


def _lowest(lookup: Lookup) -> Iterator[tuple[OwnScore, list[OwnScore]]]:
    """Yield each source's score of a task under the seed of its lowest bound, with every seed's."""
    of_task: dict[tuple[str | None, str], list[OwnScore]] = defaultdict(list)
    for score in lookup.own_scores:
        of_task[score.own.source, score.own.metric].append(score)
    # A source has to have learned under every seed, so the lowest bound decides.
    for seeds in of_task.values():
        yield min(seeds, key=lambda each: -1.0 if each.own.low is None else each.own.low), seeds


def _header(lookup: Lookup, score: OwnScore, num_seeds: int) -> str:
    """Name the source, its score where it has two, and its seed where there are several."""
    own = score.own
    metrics = {each.own.metric for each in lookup.own_scores if each.own.source == own.source}
    parts = [own.source or ""]
    if len(metrics) > 1:
        parts.append(metric_words(own.metric))
    if num_seeds > 1:
        parts.append(f"seed {own.seed}, the lowest of {num_seeds}")
    return ", ".join(parts)


def passes_table(lookup: Lookup) -> Table:
    """Return the own scores of every training, fewest passes first; empty without fewer passes."""
    every = [
        row
        for row in (*lookup.fewer_passes, *lookup.rows)
        if row.target == SOURCE_VALIDATION and row.control is None and row.metric in SHOWN
    ]
    budgets = sorted({row.passes for row in every if row.passes is not None})
    of_line: dict[tuple[str, str], dict[int | None, list[ResultRow]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in every:
        of_line[row.source or "", row.metric][row.passes].append(row)
    lines = tuple(
        _line(source, metric, by_passes, budgets) for (source, metric), by_passes in of_line.items()
    )
    return Table(
        name="passes",
        title="What more clip passes bring",
        caption=(
            "Percent of the source's own validation clips, mean over the seeds. Each column is a "
            "training of its own with a whole schedule; only the last is tested on the targets. A "
            "source whose last two columns are alike has learned what these clips teach it."
        ),
        corner="source",
        columns=tuple(map(Column, (*(f"{each:,}" for each in budgets), _tested(lookup)))),
        blocks=(Block("", lines),) if budgets else (),
    )


def _tested(lookup: Lookup) -> str:
    """Return what the column of the training that is tested is called, with its passes."""
    passes = lookup.run.study.train.passes if lookup.run.study else ()
    return f"{passes[-1]:,}, tested" if passes else "tested"


def _line(
    source: str, metric: str, by_passes: dict[int | None, list[ResultRow]], budgets: list[int]
) -> Line:
    cells = tuple(_cell(by_passes.get(passes, [])) for passes in (*budgets, None))
    return Line(f"{source}, {metric_words(metric)}", cells, key=source)


def _cell(rows: list[ResultRow]) -> Cell:
    values = [row.value for row in rows if row.value is not None]
    if not values:
        return Cell("")
    mean, seeds = fmean(values), len({row.seed for row in rows})
    return Cell(percent(mean), mean, note=f"{seeds} seeds" if seeds > 1 else "")
