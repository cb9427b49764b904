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
    components  of components.json: the variance that seeds, draws, clips and tasks add

`variances.py` recomputes the components; then `refit.py` fits the probe of one cell again, from the
features in cell.npz.
"""

from __future__ import annotations

import gzip
import json
import sys
import tomllib
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

TOLERANCE = 1e-9
METRICS = ("top-1", "mean-per-class")
OVER_TASKS = ("mean-over-tasks",)
FLOORS = ("chance", "majority")  # which need no features, and have no answers here
NOT_COMPARED = (
    "not compared: intervals over clips, crossed intervals, comparisons with chance and majority, "
    "own scores, alignments, intervals over tasks"
)
Row = dict[str, Any]  # of results.jsonl, a header or study.toml
Key = tuple[Any, ...]  # (target, source, control, readout, probe, shots, metric)
Values = dict[Key, dict[int | None, float]]  # key -> seed -> value
Compared = tuple[str, float, float]  # the kind of a number, ours, and theirs


def main(folder: Path) -> int:
    """Compare every number that follows from the answers; return the exit status."""
    values = read_values(folder)
    with gzip.open(folder / "results.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    differences: dict[str, list[tuple[float, str]]] = defaultdict(list)
    missing = []
    for row in rows:
        found = compared(row, values)
        if not found and needs_answers(row):
            missing.append(f"no answers to {words_of(row)}")
        for kind, ours, theirs in found:
            line = f"{words_of(row)}: {theirs:.6g} in the file, {ours:.6g} from the answers"
            differences[kind].append((abs(ours - theirs), line))
    study = tomllib.loads((folder / "study.toml").read_text(encoding="utf-8"))
    components, absent = import_module("variances").compare_components(folder)
    missing += absent
    for kind, ours, theirs, line in components:
        differences[kind].append((abs(ours - theirs), line))
    for kind, ours, theirs in holm_values(study, rows):
        line = f"{theirs:.6g} in the file, {ours:.6g} by Holm's correction"
        differences[kind].append((abs(ours - theirs), line))
    endpoints = [study["primary"], *study.get("family", [])]
    missing += [f"no row of {words_of(each)}" for each in endpoints if not has_row(rows, each)]
    status = report(differences, missing, len(rows))
    lines, agrees = import_module("refit").compare_cell(folder)  # the script beside this one
    print("\n".join(lines))
    return status if agrees else 1


def report(
    differences: dict[str, list[tuple[float, str]]], missing: list[str], num_rows: int
) -> int:
    """Print what was compared and what was not; return 1 if a number differs or is missing."""
    num_wrong = 0
    for kind, found in sorted(differences.items()):
        largest, line = max(found)
        num_wrong += sum(each > TOLERANCE for each, _ in found)
        print(f"{kind:<24} {len(found):>7} numbers, largest difference {largest:.1e}")
        if largest > TOLERANCE:
            print(f"    {line}")
    for line in missing:
        print(line)
    total = sum(map(len, differences.values()))
    print(
        f"{total} numbers of {num_rows} rows compared: {num_wrong} differ, {len(missing)} missing"
    )
    print(NOT_COMPARED)
    return 0 if total and not num_wrong and not missing else 1


def needs_answers(row: Row) -> bool:
    """Whether a row's value follows from answers that the folder should hold."""
    return (
        row["metric"] in METRICS
        and row["value"] is not None
        and row["shots"] is not None
        and row["versus"] not in FLOORS
    )


def words_of(row: Row) -> str:
    """Name a row, or an endpoint, as a reader would."""
    versus = row.get("versus")
    versus = " and ".join(versus) if isinstance(versus, list) else versus
    minus = row.get("minus_target")
    parts = [
        f"{row.get('source') or row.get('control')}{f' - {versus}' if versus else ''}",
        f"{row['target']}{f' minus {minus}' if minus else ''}",
        *(str(row[key]) for key in ("probe", "metric") if row.get(key)),
        f"{row['shots']} shots",
        *([f"seed {row['seed']}"] if row.get("seed") is not None else []),
    ]
    return ", ".join(parts)


def read_values(folder: Path) -> Values:
    """Score every subject from its answers: key -> seed -> value."""
    values: Values = defaultdict(dict)
    for path in sorted((folder / "answers").glob("*.npz")):
        with np.load(path, allow_pickle=False) as archive:
            target = path.stem.replace(".", "/")
            for index, each in enumerate(json.loads(str(archive["header"]))):
                labels = archive[f"label-{each['clips']}"]
                if f"hits-{index}" in archive:
                    right = archive[f"hits-{index}"] / each["draws"]  # of each clip
                else:
                    bits = np.unpackbits(archive[f"right-{index}"])[: each["draws"] * len(labels)]
                    right = bits.reshape(each["draws"], len(labels)).mean(axis=0)
                of_class = [right[labels == label].mean() for label in np.unique(labels)]
                subject = (target, *(each[k] for k in ("source", "control", "readout")))
                for metric, value in zip(METRICS, (right.mean(), np.mean(of_class)), strict=True):
                    key = (*subject, each["probe"], each["shots"], metric)
                    values[key][each["seed"]] = float(value)
    return values


def compared(row: Row, values: Values) -> list[Compared]:
    """List what can be recomputed of a row: the kind of number, ours, and the row's."""
    if row["metric"] in OVER_TASKS:
        return tasks_of(row, values)
    if row["metric"] not in METRICS or row["value"] is None or row["shots"] is None:
        return []
    if row["versus"] is None:
        rivals = [of_subject(values, row, row["target"], (row["source"], row["control"]))]
    else:
        rivals = [differences(values, row, name) for name in row["versus"].split(" and ")]
    if not all(rivals) or (row["versus"] is not None and row["control"] is not None):
        return []
    what = "value" if row["versus"] is None else "difference"
    ours = min(rivals, key=lambda each: float(np.mean(list(each.values()))))  # the smallest
    if row["seed"] is not None or None in ours:
        return [(what, ours[row["seed"]], row["value"])] if row["seed"] in ours else []
    each = np.array(list(ours.values()))
    found: list[Compared] = [(f"{what}, mean of seeds", float(each.mean()), row["value"])]
    if row["interval"] == "seeds":
        of_rivals = [np.array(list(rival.values())) for rival in rivals]
        tested = t_test(each, row, of_rivals)
        found += [(f"{what}, {name}", mine, theirs) for name, mine, theirs in tested]
    return found


def differences(values: Values, row: Row, versus: str) -> dict[int | None, float]:
    """Compute source minus versus, seed by seed; on "NEAR minus FAR" that on NEAR less that on FAR.

    Returns:
        seed -> difference; nothing where the answers of one of them are not here.
    """
    found: list[dict[int | None, float]] = []
    for target in row["target"].split(" minus "):
        ours = of_subject(values, row, target, (row["source"], None))
        theirs = of_subject(values, row, target, (versus, None), (None, versus))
        if not ours or not theirs:
            return {}
        # A control without seeds is the same beside each of them.
        found.append({seed: each - theirs.get(seed, theirs.get(None, np.nan))
                      for seed, each in ours.items()})  # fmt: skip
    near, far = found[0], found[-1] if len(found) > 1 else {}
    return {seed: each - far.get(seed, 0.0) for seed, each in near.items()}


def of_subject(
    values: Values, row: Row, target: str, *subjects: tuple[str | None, str | None]
) -> dict[int | None, float]:
    """Find the values of the first subject, (source, control), that is here: seed -> value.

    They are read as the row is, or "flat" where a control has no encoder to read.
    """
    at = (row["probe"], row["shots"], row["metric"])
    for subject in subjects:
        for readout in (row["readout"], "flat"):
            found = values.get((target, *subject, readout, *at))
            if found:
                return found
    return {}


def t_test(
    each: NDArray[np.float64], row: Row, rivals: list[NDArray[np.float64]]
) -> list[Compared]:
    """Recompute Student's t intervals and p of a mean over seeds.

    Of several rivals p is the largest, or 1 where the source is not above one of them.
    """
    mean, error = float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each)))
    found: list[Compared] = []
    for name, sign, level in (
        *(("low", -1, 0.975), ("high", 1, 0.975)),
        *(("low_90", -1, 0.95), ("high_90", 1, 0.95)),
    ):
        if row.get(name) is not None:
            end = mean + sign * float(stats.t.ppf(level, len(each) - 1)) * error
            found.append((name, end, row[name]))
    if row.get("p") is not None and error > 0:
        df = len(each) - 1
        statistics = [rival.mean() / rival.std(ddof=1) * np.sqrt(df + 1) for rival in rivals]
        p_values = [float(2 * stats.t.sf(abs(each_t), df)) for each_t in statistics]
        if len(rivals) > 1:
            pairs = zip(p_values, rivals, strict=True)
            p_values = [p if rival.mean() > 0 else 1.0 for p, rival in pairs]
        found.append(("p", max(p_values), row["p"]))
    return found


def tasks_of(row: Row, values: Values) -> list[Compared]:
    """Recompute the mean of a difference over all tasks of a target, and over all seeds."""
    if row["metric"] != OVER_TASKS[0] or row["value"] is None:
        return []
    tasks = sorted({key[0] for key in values if key[0].startswith(f"{row['target']}/")})
    found = []
    for metric in METRICS:  # that of the endpoint is no column of such a row
        alike = {**row, "metric": metric}
        each = [differences(values, {**alike, "target": task}, row["versus"]) for task in tasks]
        found.append(float(np.mean([list(of_task.values()) for of_task in each])))
    closest = min(found, key=lambda value: abs(value - row["value"]))
    return [("mean over tasks", closest, row["value"])]


def has_row(rows: list[Row], endpoint: Row) -> bool:
    """Whether the rows have the value of an endpoint."""
    wanted = wanted_of(endpoint)
    return any(all(row[name] == value for name, value in wanted.items()) for row in rows)


def wanted_of(endpoint: Row) -> Row:
    """Write an endpoint of study.toml as its rows have it."""
    names = ("source", "probe", "shots", "metric", "readout")
    versus, second = endpoint["versus"], endpoint.get("minus_target")
    return {
        **{name: endpoint[name] for name in names},
        "versus": versus if isinstance(versus, str) else " and ".join(versus),
        "target": " minus ".join(filter(None, (endpoint["target"], second))),
    }


def holm_values(study: Row, rows: list[Row]) -> list[Compared]:
    """Correct the p values of the endpoints (Holm 1979), as ours and theirs."""
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
    of_seeds = {"interval": "seeds", "seed": None, **wanted_of(endpoint)}
    for row in rows:
        if row["p"] is not None and all(row[name] == value for name, value in of_seeds.items()):
            return row
    return None


if __name__ == "__main__":
    sys.exit(main(Path(__file__).parent))
