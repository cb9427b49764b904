"""Recompute the variance components in components.json from the answers to every clip.

    python variances.py        (recompute.py calls it too)

Needs numpy, and nothing of taskgrain, which wrote the file. Effects are those of the textbook: the
mean of some cells less the effects of fewer things that vary. A mean square over its number of
cells then holds what its set adds to the variance of the mean, and what larger sets add; these are
taken off, the largest set first.

Shapes: S encoder seeds, R support draws, N scored clips.
"""

from __future__ import annotations

import gzip
import json
import sys
from itertools import combinations
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-9  # squared percentage points
SQUARED_POINTS = 1e4
AXES = ("seeds", "draws", "clips")
IN_ROWS = {  # recompute.py recomputes these rows
    "tasks": "variance-of-tasks",
    "seeds": "variance-of-seeds",
    "tasks x seeds": "variance-of-tasks-and-seeds",
}
Row = dict[str, Any]
Compared = tuple[str, float, float, str]  # its kind, ours, that in the file, and both in a line
Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def compare_components(folder: Path) -> tuple[list[Compared], list[str]]:
    """Return each component that follows from the answers, and a line for each target without."""
    found: list[Compared] = []
    missing = []
    for record in json.loads((folder / "components.json").read_text(encoding="utf-8")):
        ours = parts_of(folder, record)
        if ours is None:
            missing.append(f"no answers to {record['target']}, whose variance has components")
            continue
        for part in record["parts"]:
            mine, theirs = ours[part["name"]], part["squared_points"]
            where = f"{record['source']} - {record['versus']}, {record['target']}, {part['name']}"
            line = f"{where}: {theirs:.6g} in the file, {mine:.6g} from the answers"
            found.append((f"components, {record['kind']}", mine, theirs, line))
    return found, missing


def parts_of(folder: Path, record: Row) -> dict[str, float] | None:
    """Recompute a record of components.json: name -> what one unit adds, squared points.

    Returns:
        None where the answers are not there.
    """
    metric, kind, target = record["metric"], record["kind"], record["target"]
    paths = sorted((folder / "answers").glob(f"{target}{'.*' if kind == 'tasks' else ''}.npz"))
    if not paths:
        return None
    if kind == "tasks":
        parts = of_tasks(folder, paths, record)
    else:
        seeds = read_differences(paths[0], record)
        if kind == "shared clips":
            table = np.stack([values for values, _ in seeds])
            parts = one_unit(split(table, seeds[0][1], metric), table.shape)
        else:
            parts = of_own_clips(seeds, metric)
    return {name: SQUARED_POINTS * value for name, value in parts.items()}


def of_own_clips(seeds: list[tuple[Floats, Labels]], metric: str) -> dict[str, float]:
    """Split the variance where each seed answers clips of its own: draws and clips lie in seeds."""
    within = [split(values[None], labels, metric) for values, labels in seeds]
    mean = {axes: float(np.mean([each[axes] for each in within])) for axes in within[0]}
    value = [float(np.mean(values @ weights_of(labels, metric))) for values, labels in seeds]
    over_seeds = float(np.var(value, ddof=1)) - sum(mean.values())
    return {"seeds": over_seeds, **one_unit(mean, (1, *seeds[0][0].shape))}


def of_tasks(folder: Path, paths: list[Path], record: Row) -> dict[str, float]:
    """Find the components of tasks and seeds, and recompute the noise of clips that is in them."""
    noise = []
    for path in paths:
        seeds = read_differences(path, record)
        table = np.stack([values for values, _ in seeds])  # (S, 1, N)
        within = split(table, seeds[0][1], record["metric"])
        noise.append((within[2,], within[0, 2] * len(table)))
    alike, by_seed = np.mean(noise, axis=0).tolist()
    parts = {"clips in tasks": alike, "clips in tasks x seeds": by_seed}
    names = ("source", "versus", "target", "probe", "readout", "shots")
    with gzip.open(folder / "results.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    for name, metric in IN_ROWS.items():
        alike_rows = (
            row["value"]
            for row in rows
            if row["metric"] == metric and all(row[key] == record[key] for key in names)
        )
        parts[name] = next(alike_rows)  # of several metrics the primary endpoint's comes first
    return parts


def read_differences(path: Path, record: Row) -> list[tuple[Floats, Labels]]:
    """Read source minus versus of each seed: float64 (R, N) with the clips' labels.

    Of a target's tasks there is one draw, the mean over all of them.
    """
    right: dict[str, dict[int | None, Floats]] = {record["source"]: {}, record["versus"]: {}}
    labels: dict[int | None, Labels] = {}
    keys = ("readout", "probe", "shots")
    with np.load(path, allow_pickle=False) as archive:
        for index, each in enumerate(json.loads(str(archive["header"]))):
            is_asked = each["control"] is None and all(each[key] == record[key] for key in keys)
            if not is_asked or each["source"] not in right:
                continue
            of_clips = archive[f"label-{each['clips']}"]
            if f"hits-{index}" in archive:
                values = (archive[f"hits-{index}"] / each["draws"])[None]
            else:
                size = each["draws"] * len(of_clips)
                bits = np.unpackbits(archive[f"right-{index}"])[:size]
                values = bits.reshape(each["draws"], -1).astype(np.float64)
            right[each["source"]][each["seed"]] = values
            labels[each["seed"]] = of_clips
    ours, theirs = right[record["source"]], right[record["versus"]]
    return [(ours[seed] - theirs[seed], labels[seed]) for seed in ours]


def weights_of(labels: Labels, metric: str) -> Floats:
    """Weigh clips so that the weighted sum of their values is the metric: (N,)."""
    _, place, count = np.unique(labels, return_inverse=True, return_counts=True)
    even = np.full(len(labels), 1.0 / len(labels))
    return even if metric == "top-1" else 1.0 / (len(count) * count[place])


def split(table: Floats, labels: Labels, metric: str) -> dict[tuple[int, ...], float]:
    """Split the variance of the mean of (S, R, N): set of axes -> what it adds.

    Clips vary within classes, each of which counts by the square of its weight.
    """
    weights = weights_of(labels, metric)
    squares = mean_squares(table @ weights)
    for label in np.unique(labels):
        own = labels == label
        for axes, square in mean_squares(table[:, :, own]).items():
            if 2 in axes:
                squares[axes] = squares.get(axes, 0.0) + float(weights[own].sum()) ** 2 * square
    parts: dict[tuple[int, ...], float] = {}
    for axes in sorted(squares, key=len, reverse=True):
        parts[axes] = squares[axes] - sum(parts[each] for each in parts if set(each) > set(axes))
    return parts


def mean_squares(table: Floats) -> dict[tuple[int, ...], float]:
    """Compute the mean square of each set of axes that vary, over the cells that it has."""
    varying = [axis for axis, size in enumerate(table.shape) if size > 1]
    effects: dict[tuple[int, ...], Floats] = {(): table.mean(keepdims=True)}
    found = {}
    for size in range(1, len(varying) + 1):
        for axes in combinations(varying, size):
            rest = tuple(axis for axis in range(table.ndim) if axis not in axes)
            smaller = [effect for each, effect in effects.items() if set(each) < set(axes)]
            effects[axes] = table.mean(axis=rest, keepdims=True) - sum(smaller)
            cells = effects[axes]
            df = prod(table.shape[axis] - 1 for axis in axes)
            found[axes] = float((cells**2).sum()) / df / cells.size
    return found


def one_unit(parts: dict[tuple[int, ...], float], shape: tuple[int, ...]) -> dict[str, float]:
    """Name the parts of a mean, and turn each into what one seed, or one draw, adds."""
    return {
        " x ".join(AXES[axis] for axis in axes): value
        * prod(shape[axis] for axis in axes if axis != 2)
        for axes, value in parts.items()
    }


if __name__ == "__main__":
    compared, absent = compare_components(Path(__file__).parent)
    wrong = [line for _, ours, theirs, line in compared if abs(ours - theirs) > TOLERANCE]
    print("\n".join([*wrong, *absent]))
    print(f"{len(compared)} variance components compared: {len(wrong)} differ")
    sys.exit(1 if wrong or absent else 0)
