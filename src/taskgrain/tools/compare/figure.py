"""The figure of a comparison: what every probe finds in every source, at each number of shots."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from taskgrain.report.drawing import Drawing, drawing_style, ease, to_svg
from taskgrain.report.figures import WIDTH, short_name
from taskgrain.report.palette import COLOURS
from taskgrain.report.words import metric_words, percent, printable, probe_words, shots_words
from taskgrain.results import ResultRow, select
from taskgrain.tools.compare.comparison import Comparison
from taskgrain.tools.compare.finding import Headline
from taskgrain.tools.compare.lines import Line, lines_of, probes_of

MAX_PANELS = 4  # numbers of shots, the last ones
ROW, GAP = 0.19, 0.6  # inches of a source's row; rows between two probes
LEGEND_LETTERS = 110  # that fit into a line of the legend
NAME = "accuracies"


def comparison_figure(comparison: Comparison, colours: Mapping[str, str]) -> Drawing:
    """Draw the accuracies with their intervals: a panel for each number of shots, a row a source.

    Args:
        comparison: what was measured.
        colours: the name of each source's colour.
    """
    sources, probes = tuple(comparison.num_seeds), probes_of(comparison)
    shown = comparison.plan.shots[-MAX_PANELS:]
    heights = {
        (probe, source): block * (len(sources) + GAP) + place
        for block, probe in enumerate(probes)
        for place, source in enumerate(sources)
    }
    letters = sum(len(short_name(name)) + 6 for name in sources)
    legend = 0.3 * -(-letters // LEGEND_LETTERS) if len(sources) > 1 else 0.0
    with drawing_style():
        figure = Figure(
            figsize=(WIDTH, 1.1 + legend + ROW * (max(heights.values()) + 1)),
            layout=ConstrainedLayoutEngine(w_pad=0.1),
        )
        panels = figure.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)[0]
        for axes, shots in zip(panels, shown, strict=True):
            column = comparison.plan.shots.index(shots)
            for probe in probes:
                for line in lines_of(comparison, probe):
                    if line.part == "accuracy":
                        _draw(axes, line, column, heights[probe, line.name], colours[line.name])
            _draw_floors(axes, comparison)
            if comparison.folding is None:
                axes.set_title(shots_words(shots))
            ease(axes, grid="x")
        middle = (len(sources) - 1) / 2
        panels[0].set_yticks(
            [heights[probe, sources[0]] + middle for probe in probes], map(probe_words, probes)
        )
        panels[0].set_ylim(max(heights.values()) + 0.7, -0.7)
        figure.supxlabel(
            f"{metric_words(comparison.plan.metric)}, percent",
            fontsize=9,
            color=COLOURS["quiet"].light,
        )
        if legend:
            _draw_legend(figure, colours)
        svg = to_svg(figure, name=NAME)
    return Drawing(
        NAME, "What the features hold", _caption(comparison), _described(comparison), svg
    )


def _draw(axes: Axes, line: Line, column: int, height: float, colour: str) -> None:
    row = line.rows[column]
    if row is None or row.value is None:
        return
    light = COLOURS[colour].light
    if row.low is not None and row.high is not None:
        axes.plot([100 * row.low, 100 * row.high], [height, height], color=light, linewidth=1.6)
    axes.plot([100 * row.value], [height], "o", color=light, markersize=4.6, zorder=3)


def _draw_floors(axes: Axes, comparison: Comparison) -> None:
    for control, style, metric in (
        ("chance", ":", "top-1"),
        ("majority", "--", comparison.plan.metric),
    ):
        for row in select(comparison.rows, control=control, metric=metric):
            axes.axvline(
                100 * (row.value or 0.0),
                linestyle=style,
                linewidth=1.0,
                color=COLOURS["control"].light,
                zorder=1,
            )


def _draw_legend(figure: Figure, colours: Mapping[str, str]) -> None:
    handles = [
        Line2D(
            [], [], color=COLOURS[colour].light, marker="o", markersize=4.6, label=short_name(name)
        )
        for name, colour in colours.items()
    ]
    columns = max(1, LEGEND_LETTERS // max(len(short_name(name)) + 6 for name in colours))
    figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=min(columns, len(handles)),
        frameon=False,
        fontsize=8.5,
    )


def _caption(comparison: Comparison) -> str:
    metric = metric_words(comparison.plan.metric)
    rows = [row for row in comparison.rows if row.control is None and row.versus is None]
    intervals = " with 95 % intervals" if any(row.low is not None for row in rows) else ""
    caption = (
        f"{metric.capitalize()}{intervals}, for each probe. Dotted: chance; dashed: always the "
        "commonest class."
    )
    if len(comparison.num_seeds) == 1:
        return caption
    return (
        f"{caption} Intervals of two sources that overlap do not say that these are equal: the "
        "paired differences are below."
    )


def _described(comparison: Comparison) -> str:
    """Describe the figure for readers who do not see it, at what the first sentence reads."""
    headline = Headline.of(comparison)
    levels = [f"{printable(line.name)} {_percent(row)}" for line, row in headline.accuracies()]
    setting = f"{probe_words(headline.probe)}, {shots_words(headline.shots)}"
    return f"{metric_words(comparison.plan.metric).capitalize()}, {setting}: {', '.join(levels)}."


def _percent(row: ResultRow | None) -> str:
    return "not measured" if row is None or row.value is None else f"{percent(row.value)} percent"
