"""Recompute the numbers of this folder from the answers to every clip.

    python recompute.py

Needs numpy and scipy, and nothing of taskgrain, which wrote the folder: a second opinion. Prints
how many numbers were compared and the largest difference of each kind, and ends with status 1 if
one of them differs by more than rounding does.

    value       share of right answers over draws and clips (top-1), or the mean of the classes'
                shares (mean-per-class); a difference is that of two sources, seed by seed
    low, high   Student's t interval over the encoder seeds, 95 %; low_90 and high_90 of 90 %
    p           paired t test over the seeds
    p_holm      Holm's correction over the endpoints that study.toml names
"""

from __future__ import annotations

import gzip
import json
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

TOLERANCE = 1e-9
METRICS = ("top-1", "mean-per-class")
Row = dict[str, Any]  # of results.jsonl, a header or study.toml
Key = tuple[Any, ...]  # (target, source, control, readout, probe, shots, metric)
Values = dict[Key, dict[int | None, float]]  # key -> seed -> value
Compared = tuple[str, float, float]  # the kind of a number, ours, and theirs


def main(folder: Path) -> int:
    """Compare every number that follows from the answers; return the exit status."""
    values = read_values(folder)
    with gzip.open(folder / "results.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    differences: dict[str, list[tuple[float, Row]]] = defaultdict(list)
    for row in rows:
        for kind, ours, theirs in compared(row, values):
            differences[kind].append((abs(ours - theirs), row))
    for kind, ours, theirs in holm_values(folder, rows):
        differences[kind].append((abs(ours - theirs), {}))
    worst = 0.0
    for kind, found in sorted(differences.items()):
        largest, row = max(found, key=lambda each: each[0])
        worst = max(worst, largest)
        print(f"{kind:<24} {len(found):>7} numbers, largest difference {largest:.1e}")
        if largest > TOLERANCE:
            print(f"    {row}")
    if not differences:
        print("no number was compared: is this the folder that was written?")
        return 1
    return 1 if worst > TOLERANCE else 0


def read_values(folder: Path) -> Values:
    """Score every subject from its answers: key -> seed -> value."""
    values: Values = defaultdict(dict)
    for path in sorted((folder / "answers").glob("*.npz")):
        with np.load(path, allow_pickle=False) as archive:
            target = path.stem.replace(".", "/")
            for index, each in enumerate(json.loads(str(archive["header"]))):
                labels = archive[f"label-{each['clips']}"]
                bits = np.unpackbits(archive[f"right-{index}"])[: each["draws"] * len(labels)]
                right = bits.reshape(each["draws"], len(labels)).mean(axis=0)  # of each clip
                of_class = [right[labels == label].mean() for label in np.unique(labels)]
                subject = (target, *(each[k] for k in ("source", "control", "readout")))
                for metric, value in zip(METRICS, (right.mean(), np.mean(of_class)), strict=True):
                    key = (*subject, each["probe"], each["shots"], metric)
                    values[key][each["seed"]] = float(value)
    return values


def compared(row: Row, values: Values) -> list[Compared]:
    """List what can be recomputed of a row: the kind of number, ours, and the row's."""
    if row["metric"] not in METRICS or row["value"] is None or row["probe"] is None:
        return []
    at = (row["readout"], row["probe"], row["shots"], row["metric"])
    ours = values.get((row["target"], row["source"], row["control"], *at))
    if ours is None:
        return []
    if row["versus"] is not None:
        theirs = other_values(row, values)
        if not theirs or row["control"] is not None:
            return []
        ours = {
            seed: each - theirs.get(seed, theirs.get(None, np.nan)) for seed, each in ours.items()
        }
    what = "value" if row["versus"] is None else "difference"
    if row["seed"] is not None or None in ours:
        return [(what, ours[row["seed"]], row["value"])] if row["seed"] in ours else []
    each = np.array(list(ours.values()))
    found: list[Compared] = [(f"{what}, mean of seeds", float(each.mean()), row["value"])]
    if row["interval"] == "seeds":
        found += [(f"{what}, {name}", mine, theirs) for name, mine, theirs in t_test(each, row)]
    return found


def other_values(row: Row, values: Values) -> dict[int | None, float]:
    """Find what a difference is taken from: a source, or a control, which may have no seeds."""
    at = (row["probe"], row["shots"], row["metric"])
    for source, control, readout in (
        (row["versus"], None, row["readout"]),
        (None, row["versus"], row["readout"]),
        (None, row["versus"], "flat"),
    ):
        found = values.get((row["target"], source, control, readout, *at))
        if found is not None:
            return found
    return {}


def t_test(each: NDArray[np.float64], row: Row) -> list[Compared]:
    """Recompute Student's t intervals and p of a mean over seeds."""
    mean, error = float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each)))
    found: list[Compared] = []
    for name, sign, level in (
        *(("low", -1, 0.975), ("high", 1, 0.975)),
        *(("low_90", -1, 0.95), ("high_90", 1, 0.95)),
    ):
        if row.get(name) is not None:
            end = mean + sign * float(stats.t.ppf(level, len(each) - 1)) * error
            if row["versus"] is None:  # a share stays one
                end = min(max(end, 0.0), 1.0)
            found.append((name, end, row[name]))
    if row.get("p") is not None and error > 0:
        found.append(("p", float(2 * stats.t.sf(abs(mean) / error, len(each) - 1)), row["p"]))
    return found


def holm_values(folder: Path, rows: list[Row]) -> list[Compared]:
    """Correct the p values of the endpoints (Holm 1979), as ours and theirs."""
    study = tomllib.loads((folder / "study.toml").read_text(encoding="utf-8"))
    endpoints = [study["primary"], *study.get("family", [])]
    found = [_endpoint_row(rows, each) for each in endpoints]
    if all(row is None or row["p_holm"] is None for row in found):
        return []
    p_values = [1.0 if row is None or row["p_holm"] is None else row["p"] for row in found]
    order = np.argsort(p_values)
    corrected, largest = [0.0] * len(found), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(found) - place) * p_values[index]))
        corrected[index] = largest
    return [
        ("p_holm", ours, row["p_holm"])
        for ours, row in zip(corrected, found, strict=True)
        if row is not None and row["p_holm"] is not None
    ]


def _endpoint_row(rows: list[Row], endpoint: Row) -> Row | None:
    """Find the row of an endpoint with the test over seeds."""
    names = ("source", "versus", "target", "probe", "shots", "metric", "readout")
    wanted = {name: endpoint[name] for name in names}
    of_seeds = {"interval": "seeds", "seed": None, **wanted}
    for row in rows:
        if row["p"] is not None and all(row[name] == value for name, value in of_seeds.items()):
            return row
    return None


if __name__ == "__main__":
    sys.exit(main(Path(__file__).parent))
