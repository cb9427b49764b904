"""The figures: the ladder, accuracy over shots, and learning curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from taskgrain.report.drawing import Drawing, drawing_style, ease, to_svg
from taskgrain.report.lookup import Lookup, Question, base_target, is_step, unique
from taskgrain.report.palette import COLOURS, source_colours, source_kind
from taskgrain.report.run_folder import CurvePoint
from taskgrain.report.transfer_tables import ladder_question, main_metric, target_title
from taskgrain.report.words import control_words, metric_words, printable, probe_words, shots_words
from taskgrain.results import ResultRow

LADDER_CONTROLS = ("random-encoder", "random-labels", "pixels", "motion-energy")
LADDER_LINE = (
    "A line joins classification levels only: captions and joint sources are other tasks, with no "
    "place on it. "
)
MAX_PANELS = 6
COLUMNS = 3
WIDTH = 10.4  # inches at 72 points: the page's text width
LEGEND_LINE = 0.24  # inches, a line of the legend
LEGEND_LETTERS = 125  # that fit into a line of the legend
MAX_NAME = 30  # letters of a source's name in a figure; the tables have all of it
GAP = 0.45  # between the kinds of sources, in rows
DODGE = 0.055  # between the sources of one number of shots, in steps of the axis
MARKERS = {"classification": "o", "captioning": "s", "joint": "D", "frozen": "^"}


@dataclass(frozen=True, slots=True)
class Look:
    """How a source is drawn."""

    kind: str  # of its task; a source that the study does not name counts as classification
    colour: str  # the light one, "#rrggbb"
    marker: str


def looks_of(lookup: Lookup) -> dict[str, Look]:
    """Return how each source of a run is drawn, in ladder order."""
    kinds = {source.name: source_kind(source) for source in lookup.source_settings}
    colours = source_colours(lookup.source_settings, lookup.sources)
    found = {}
    for name in lookup.sources:
        kind = kinds.get(name, "classification")
        found[name] = Look(kind, COLOURS[colours[name]].light, MARKERS[kind])
    return found


def ladder_figure(lookup: Lookup) -> Drawing | None:
    """Draw transfer accuracy for each source in ladder order, one panel for each target."""
    panels = [
        question
        for question in (ladder_question(lookup, target) for target in panel_order(lookup))
        if question and any(lookup.measured(source, question) for source in lookup.sources)
    ][:MAX_PANELS]
    if not panels:
        return None
    looks = looks_of(lookup)
    heights = ladder_heights(looks)
    controls = [name for name in LADDER_CONTROLS if name in lookup.controls()]
    shots = shots_words(panels[0].shots)
    metric, probe = metric_words(panels[0].metric), probe_words(panels[0].probe)
    has_line = lookup.is_ladder
    points = (lookup.measured(source, each) for each in panels for source in lookup.sources)
    has_intervals = any(row is not None and row.low is not None for row in points)
    intervals = "; points with intervals" if has_intervals else ""
    with drawing_style():
        rows = -(-len(panels) // COLUMNS)
        height = rows * (1.2 + 0.3 * (len(heights) + len(controls)))
        figure, panel_axes = _panels(len(panels), height=height)
        for axes, question in zip(panel_axes, panels, strict=True):
            _draw_ladder(axes, lookup, question, looks)
        figure.supxlabel(f"{metric}, percent", fontsize=9, color=COLOURS["quiet"].light)
        svg = to_svg(figure, name="ladder")
    return Drawing(
        name="ladder",
        title="The ladder" if has_line else "Every source",
        caption=(
            f"{metric.capitalize()} of frozen features, {shots}, {probe}{intervals}. "
            f"{LADDER_LINE if has_line else ''}Grey: controls; dotted: chance."
        ),
        alternative=_describe(lookup, panels),
        svg=svg,
    )


def panel_order(lookup: Lookup) -> tuple[str, ...]:
    """Return whole targets before their factors: panels are few, and factors are left out first."""
    return tuple(sorted(lookup.targets, key=lambda target: target != base_target(target)))


def ladder_heights(looks: Mapping[str, Look]) -> dict[str, float]:
    """Return each source's height on the vertical axis, with a gap where the kind changes."""
    heights: dict[str, float] = {}
    height, previous = 0.0, None
    for source, look in looks.items():
        height += GAP if previous not in (None, look.kind) else 0.0
        heights[source] = height
        height, previous = height + 1, look.kind
    return heights


def _draw_ladder(axes: Axes, lookup: Lookup, question: Question, looks: Mapping[str, Look]) -> None:
    heights = ladder_heights(looks)
    rows = {source: lookup.measured(source, question) for source in lookup.sources}
    steps = {each.name for each in lookup.source_settings if is_step(each)}
    classified = [
        (100 * row.value, heights[source])
        for source, row in rows.items()
        if row is not None and row.value is not None and source in steps
    ]
    if len(classified) > 1 and lookup.is_ladder:
        axes.plot(*zip(*classified, strict=True), color=COLOURS["control"].light, lw=1.2, zorder=1)
    for source, row in rows.items():
        _point(axes, row, heights[source], colour=looks[source].colour, marker=looks[source].marker)
    # Controls stand below the sources, each with a thin line up: what a source has to pass.
    below = max(heights.values(), default=0.0) + 1 + GAP
    ticks = {short_name(source): height for source, height in heights.items()}
    for control in (name for name in LADDER_CONTROLS if name in lookup.controls()):
        row = lookup.control(control, question)
        ticks[control_words(control)] = below
        _point(axes, row, below, colour=COLOURS["control"].light, marker="o")
        if row is not None and row.value is not None:
            axes.plot(
                [100 * row.value] * 2,
                [-0.5, below],
                color=COLOURS["control"].light,
                lw=0.7,
                alpha=0.55,
                dashes=(4, 3),
                zorder=0.5,
            )
        below += 1
    _chance_line(axes, lookup.chance(question.target, question.metric), vertical=True)
    ease(axes, grid="x")
    axes.set_title(printable(target_title(lookup, question.target)))
    axes.set_yticks(list(ticks.values()), list(ticks))
    axes.set_ylim(below - 0.4, -0.6)
    axes.margins(x=0.06)
    left, right = axes.get_xlim()
    axes.set_xlim(*_possible(left, right))


def _point(axes: Axes, row: ResultRow | None, height: float, *, colour: str, marker: str) -> None:
    if row is None or row.value is None:
        return
    if row.low is not None and row.high is not None:
        axes.plot(
            [100 * row.low, 100 * row.high],
            [height, height],
            color=colour,
            lw=1.8,
            solid_capstyle="round",
            zorder=2,
        )
    axes.plot(
        [100 * row.value],
        [height],
        marker,
        color=colour,
        ms=6,
        mec=COLOURS["paper"].light,
        mew=1.0,
        zorder=3,
    )


def _chance_line(axes: Axes, row: ResultRow | None, *, vertical: bool) -> None:
    if row is None or row.value is None:
        return
    draw = axes.axvline if vertical else axes.axhline
    draw(100 * row.value, color=COLOURS["quiet"].light, lw=1.0, ls=(0, (1, 2)), zorder=0.6)


def _describe(lookup: Lookup, panels: Iterable[Question]) -> str:
    parts = []
    for question in panels:
        rows = ((source, lookup.measured(source, question)) for source in lookup.sources)
        values = ", ".join(
            f"{source} {100 * row.value:.1f}"
            for source, row in rows
            if row and row.value is not None
        )
        parts.append(f"{target_title(lookup, question.target)}: {values}")
    return f"Accuracy in percent. {'; '.join(parts)}."


def shots_figure(lookup: Lookup) -> Drawing | None:
    """Draw accuracy over shots, one panel for each target; None with fewer than two numbers."""
    if len(lookup.shots) < 2 or not lookup.probes:
        return None
    targets = panel_order(lookup)[:MAX_PANELS]
    looks = looks_of(lookup)
    rows = -(-len(targets) // COLUMNS)
    with drawing_style():
        figure, panel_axes = _panels(
            len(targets), height=rows * 2.9, legend=_legend_lines(lookup.sources)
        )
        for axes, target in zip(panel_axes, targets, strict=True):
            _draw_shots(axes, lookup, target, looks)
        _legend(figure, looks)
        svg = to_svg(figure, name="shots")
    last = [Question(t, lookup.probes[0], lookup.shots[-1], main_metric(lookup)) for t in targets]
    return Drawing(
        name="shots",
        title="More examples",
        caption=(
            f"{metric_words(main_metric(lookup)).capitalize()} over the support clips for each "
            f"category, {probe_words(lookup.probes[0])}. Grey dashes: motion energy; "
            "dotted: chance. Points are set side by side so that intervals stay apart."
        ),
        alternative=f"At the largest number of shots. {_describe(lookup, last)}",
        svg=svg,
    )


def _draw_shots(axes: Axes, lookup: Lookup, target: str, looks: Mapping[str, Look]) -> None:
    questions = [
        Question(target, lookup.probes[0], shots, main_metric(lookup)) for shots in lookup.shots
    ]
    count = max(len(lookup.sources), 1)
    for position, source in enumerate(lookup.sources):
        shift = DODGE * (position - (count - 1) / 2)
        rows = [lookup.measured(source, question) for question in questions]
        found = [row for row in rows if row is not None and row.value is not None]
        across = [i + shift for i, row in enumerate(rows) if row in found]
        _curve(axes, across, found, colour=looks[source].colour, marker=looks[source].marker)
    energy = [lookup.control("motion-energy", question) for question in questions]
    points = [(i, 100 * row.value) for i, row in enumerate(energy) if row and row.value is not None]
    if points:
        axes.plot(*zip(*points, strict=True), color=COLOURS["control"].light, lw=1.2, ls="--")
    _chance_line(axes, lookup.chance(target, main_metric(lookup)), vertical=False)
    ease(axes, grid="y")
    axes.set_title(printable(target_title(lookup, target)))
    axes.set_xticks(range(len(lookup.shots)), [str(shots) for shots in lookup.shots])
    axes.set_xlabel("shots")
    bottom, top = axes.get_ylim()
    axes.set_ylim(*_possible(bottom, top))


def _possible(low: float, high: float) -> tuple[float, float]:
    """Limit an axis of accuracies to 0 to 100: t intervals of few seeds go beyond."""
    room = 0.02 * (min(high, 100.0) - max(low, 0.0))  # a point at the edge stays whole
    return max(low, -room), min(high, 100.0 + room)


def _curve(
    axes: Axes, across: list[float], rows: list[ResultRow], *, colour: str, marker: str
) -> None:
    for x, row in zip(across, rows, strict=True):
        if row.low is not None and row.high is not None:
            axes.plot([x] * 2, [100 * row.low, 100 * row.high], color=colour, lw=1, alpha=0.6)
    values = [100 * row.value for row in rows if row.value is not None]
    axes.plot(across, values, marker=marker, ms=4, color=colour, lw=1.4)


def curves_figure(lookup: Lookup) -> Drawing | None:
    """Draw validation scores over epochs: one panel for each score, one line a source and seed."""
    curves = lookup.run.curves
    scores = unique(name for point in curves for name in point.validation)[:MAX_PANELS]
    if not scores:
        return None
    shown = [name for name in lookup.sources if any(point.source == name for point in curves)]
    looks = looks_of(lookup)
    with drawing_style():
        rows = -(-len(scores) // COLUMNS)
        figure, panel_axes = _panels(len(scores), height=rows * 2.6, legend=_legend_lines(shown))
        for axes, score in zip(panel_axes, scores, strict=True):
            for source in lookup.sources:
                _draw_learning(axes, curves, (source, score), colour=looks[source].colour)
            ease(axes, grid="y")
            axes.set_title(metric_words(score))
            axes.set_xlabel("epoch")
            top = max(axes.get_ylim()[1], 1.0)  # percent
            axes.set_ylim(-0.03 * top, top)  # a line at 0 stays whole
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _legend(figure, {name: looks[name] for name in shown}, lines=True)
        svg = to_svg(figure, name="curves")
    return Drawing(
        name="curves",
        title="Learning curves",
        caption=(
            "Each source's own validation score in percent over epochs, one line a seed. Scores of "
            "different tasks share no scale; read each for whether it has levelled off."
        ),
        alternative=f"Validation {', '.join(map(metric_words, scores))} for {', '.join(shown)}.",
        svg=svg,
    )


def _draw_learning(
    axes: Axes, curves: tuple[CurvePoint, ...], which: tuple[str, str], *, colour: str
) -> None:
    source, score = which
    own = [point for point in curves if point.source == source and score in point.validation]
    for seed in unique(point.seed for point in own):
        line = sorted((p.epoch, 100 * p.validation[score]) for p in own if p.seed == seed)
        axes.plot(
            *zip(*line, strict=True),
            color=colour,
            lw=1.5,
            marker="o" if len(line) == 1 else "",
            ms=4,
        )


def _panels(count: int, *, height: float, legend: int = 0) -> tuple[Figure, list[Axes]]:
    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    total = height + (LEGEND_LINE * legend + 0.12 if legend else 0.0)
    below = (0.0, 0.0, 1.0, height / total)  # of the figure: what the legend leaves
    figure = Figure(figsize=(WIDTH, total), layout=ConstrainedLayoutEngine(rect=below))
    # The ladder needs no legend: its panels share an axis, which has the names of the sources.
    grid = figure.subplots(rows, columns, squeeze=False, sharey=not legend)
    axes = list(grid.flat)
    for unused in axes[count:]:
        unused.set_visible(False)
    return figure, axes[:count]


def short_name(name: str) -> str:
    """Return a name that fits into a figure."""
    name = printable(name)
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"


def _legend_columns(shown: Sequence[str]) -> int:
    longest = max((len(short_name(name)) for name in shown), default=1)
    return max(1, min(len(shown), LEGEND_LETTERS // (longest + 1)))


def _legend_lines(shown: Sequence[str]) -> int:
    return -(-len(shown) // _legend_columns(shown))


def _legend(figure: Figure, looks: Mapping[str, Look], *, lines: bool = False) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=look.colour,
            marker="" if lines else look.marker,
            ms=5,
            lw=1.6,
            label=short_name(source),
        )
        for source, look in looks.items()
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        ncols=_legend_columns([*looks]),
        frameon=False,
        borderaxespad=0.2,
        handlelength=1.6,
        columnspacing=1.4,
    )
