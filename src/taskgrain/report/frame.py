"""The results of a run as one table, in which a pivot cannot mix rows of different kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args, overload

from taskgrain.config.testing import Primary
from taskgrain.errors import ResultError
from taskgrain.names import (
    ALIGNMENT,
    CONTROLS,
    DETECTABLE,
    FLAT,
    MEAN_OVER_TASKS,
    TREND,
    VARIANCE_OVER_TASKS,
)
from taskgrain.report.run_folder import processors_of, read_provenance, read_study
from taskgrain.results import COLUMNS, ResultRow, Shots, Value, read_rows

if TYPE_CHECKING:
    from pandas import DataFrame

Kind = Literal[
    "value",
    "value-over-seeds",
    "fewer-passes",
    "difference",
    "difference-over-seeds",
    "difference-over-clips",
    "difference-over-episodes",
    "difference-crossed",
    "difference-over-tasks",
    "variance-over-tasks",
    "control",
    "control-over-seeds",
    "control-difference",
    "control-difference-over-seeds",
    "control-difference-over-clips",
    "control-difference-crossed",
    "permuted-labels",
    "trend",
    "trend-over-seeds",
    "detectable-difference",
    "alignment",
]
Record = dict[str, Value]
"""One row: `kind`, the columns of results.jsonl, then `processors`; None where one is absent."""

# A pivot over rows of two kinds would average scores with differences, or means with their parts;
# the kinds are therefore cut so that no two rows of one kind answer the same question.
#
# Rows of these kinds have a metric that no filter names, and pass whatever metric is asked for.
OWN_METRICS: tuple[Kind, ...] = (
    *("trend", "trend-over-seeds", "detectable-difference"),
    *("difference-over-tasks", "variance-over-tasks"),
    "alignment",
)
ENDPOINT = ("target", "probe", "metric", "readout", "shots")


@overload
def results_frame(
    run: Path | str,
    *,
    kind: Kind | None = ...,
    target: str | None = ...,
    probe: str | None = ...,
    metric: str | None = ...,
    readout: str | None = ...,
    shots: Shots | Literal["primary"] | None = ...,
    plain: Literal[True],
) -> list[Record]: ...


@overload
def results_frame(
    run: Path | str,
    *,
    kind: Kind | None = ...,
    target: str | None = ...,
    probe: str | None = ...,
    metric: str | None = ...,
    readout: str | None = ...,
    shots: Shots | Literal["primary"] | None = ...,
    plain: bool = ...,
) -> DataFrame | list[Record]: ...


def results_frame(  # noqa: PLR0913 - a filter for each column
    run: Path | str,
    *,
    kind: Kind | None = "value",
    target: str | None = "primary",
    probe: str | None = "primary",
    metric: str | None = "primary",
    readout: str | None = "primary",
    shots: Shots | Literal["primary"] | None = None,
    plain: bool = False,
) -> DataFrame | list[Record]:
    """Read the results of a run as rows of one kind, about the primary endpoint's question.

    Args:
        run: a run folder, or its results.jsonl.
        kind: which rows; "value" are those of each source and encoder seed. None keeps all kinds,
            which the column `kind` then tells apart. docs/data-format.md describes each.
        target: keep this one; "primary" is the primary endpoint's, None keeps all.
        probe: likewise; controls without a probe are kept with each.
        metric: likewise; controls such as chance are in one metric only.
        readout: likewise; controls without an encoder are kept with each.
        shots: likewise, but all are kept by default.
        plain: whether to return a list where pandas is installed, too.

    Returns:
        A pandas DataFrame where pandas is installed, otherwise a list of dictionaries. Their
        `processors` names the kinds of processor that the run was computed on: with more than one
        ("; " between them) the same seeds need not give the same bits again.

    Raises:
        ResultError: if there are no results, or a filter is "primary" and the run's study.toml
            is absent or does not fit.
        ValueError: if there is no such kind.
    """
    path = Path(run)
    results = path / "results.jsonl" if path.is_dir() else path
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind {kind!r}; expected None or one of {', '.join(KINDS)}")
    if not results.is_file():
        raise ResultError(f"{results}: not found; is {path} a run folder? Run the study first")
    filters = dict(zip(ENDPOINT, (target, probe, metric, readout, shots), strict=True))
    if "primary" in filters.values():
        primary = _primary_of(results)
        filters = {
            name: getattr(primary, name) if value == "primary" else value
            for name, value in filters.items()
        }
    rows = read_rows(results)
    processors = "; ".join(processors_of(read_provenance(results.parent))) or None
    records: list[Record] = [
        {"kind": found, **asdict(row), "processors": processors}
        for row, found in zip(rows, _kinds(rows), strict=True)
        if kind in (None, found) and _is_about(row, found, filters)
    ]
    if plain:
        return records
    try:
        from pandas import DataFrame
    except ImportError:
        return records
    return DataFrame.from_records(records, columns=["kind", *COLUMNS, "processors"])


def _primary_of(results: Path) -> Primary:
    path = results.with_name("study.toml")
    study = read_study(path)
    if study is None:
        raise ResultError(
            f"{path}: no such file; give target, probe, metric and readout, each a name, or None "
            "for all"
        )
    return study.primary


def _is_about(row: ResultRow, kind: Kind, filters: Mapping[str, Value]) -> bool:
    """Whether a row passes the filters; a control without a probe passes for every probe."""
    for name, wanted in filters.items():
        found = getattr(row, name)
        is_free = (row.control is not None or kind == "alignment") and found in (None, FLAT)
        is_any_metric = name == "metric" and (kind in OWN_METRICS or row.control == "chance")
        if wanted not in (None, found) and not is_free and not is_any_metric:
            return False
    return True


KINDS: tuple[Kind, ...] = get_args(Kind)
OVER: Mapping[str | None, Kind] = {
    None: "difference-over-seeds",  # seeds that do not differ have no interval
    "seeds": "difference-over-seeds",
    "clips": "difference-over-clips",
    "clip-pairs": "difference-over-clips",
    "episodes": "difference-over-episodes",
    "crossed": "difference-crossed",
}
OVER_CONTROL: Mapping[str | None, Kind] = {
    None: "control-difference-over-seeds",
    "seeds": "control-difference-over-seeds",
    "clips": "control-difference-over-clips",
    "crossed": "control-difference-crossed",
}


def _kinds(rows: Iterable[ResultRow]) -> list[Kind]:
    """Return the kind of each row, such that no two rows of a kind answer the same question."""
    rows = tuple(rows)
    # Some floors have no seed at all: a row without one is over seeds only if others have one.
    seeded = {_subject(row) for row in rows if row.seed is not None}
    return [_kind(row, has_seeds=_subject(row) in seeded) for row in rows]


def _subject(row: ResultRow) -> tuple[str | None, ...]:
    return row.control, row.source, row.target


def _kind(row: ResultRow, *, has_seeds: bool) -> Kind:
    derived = _derived_kind(row)
    if derived is not None:
        return derived
    if row.control == "permuted-labels":
        return "permuted-labels"
    if row.versus in CONTROLS:
        return "control-difference" if row.seed is not None else OVER_CONTROL[row.interval]
    if row.control is not None:
        return "control-over-seeds" if has_seeds and row.seed is None else "control"
    if row.versus is None:
        return "value-over-seeds" if row.seed is None else "value"
    return OVER[row.interval] if row.seed is None else "difference"


def _derived_kind(row: ResultRow) -> Kind | None:
    """Return the kind of a row computed from other rows or from labels, else None."""
    if row.passes is not None:
        return "fewer-passes"
    if row.metric.startswith(DETECTABLE):
        return "detectable-difference"
    if row.metric in VARIANCE_OVER_TASKS:
        return "variance-over-tasks"
    if row.metric == MEAN_OVER_TASKS or row.interval == "tasks":
        return "difference-over-tasks"
    if row.metric.startswith(ALIGNMENT):
        return "alignment"
    if row.metric == TREND:
        return "trend-over-seeds" if row.seed is None else "trend"
    return None
