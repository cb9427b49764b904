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
    over tasks  means over a target's tasks, over those of each kind, and the slope on the alignment
                gain, with intervals and p (Satterthwaite), and what varies
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
KINDS = ("named", "kind-named", "unnamed")
VARIANCES = ("variance-of-tasks", "variance-of-seeds", "variance-of-tasks-and-seeds")
OVER_TASKS = (
    *("mean-over-tasks", *(f"mean-over-{kind}-tasks" for kind in KINDS), "slope-over-tasks"),
    *VARIANCES,
)
NAMED, UNNAMED = 0.10, 0.01  # alignment gains from which, and up to which, tasks are of a kind
FLOORS = ("chance", "majority")  # which need no features, and have no answers here
NOT_COMPARED = (
    "not compared: intervals over clips, crossed intervals, comparisons with chance and majority, "
    "own scores, alignments"
)
Row = dict[str, Any]  # of results.jsonl, a header or study.toml
Key = tuple[Any, ...]  # (target, source, control, readout, probe, shots, metric)
Values = dict[Key, dict[int | None, float]]  # key -> seed -> value
Compared = tuple[str, float, float]  # the kind of a number, ours, and theirs
Floats = NDArray[np.float64]


def main(folder: Path) -> int:
    """Compare every number that follows from the answers; return the exit status."""
    values = read_values(folder)
    with gzip.open(folder / "results.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    differences: dict[str, list[tuple[float, str]]] = defaultdict(list)
    missing = []
    study = tomllib.loads((folder / "study.toml").read_text(encoding="utf-8"))
    metrics = metrics_over_tasks(study, rows)
    for place, row in enumerate(rows):
        if place in metrics:
            found = tasks_of(row, values, rows, metrics[place])
        else:
            found = compared(row, values)
        if not found and needs_answers(row):
            missing.append(f"no answers to {words_of(row)}")
        for kind, ours, theirs in found:
            line = f"{words_of(row)}: {theirs:.6g} in the file, {ours:.6g} from the answers"
            differences[kind].append((abs(ours - theirs), line))
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


def metrics_over_tasks(study: Row, rows: list[Row]) -> dict[int, str]:
    """Find the metric behind each row over tasks, which has no column for it: place -> metric.

    It is that of the endpoint that is read as the row is; of several the rows stand in the order
    in which study.toml names the endpoints.
    """
    names = ("probe", "shots", "readout")
    of_setting: dict[Key, list[str]] = defaultdict(list)
    for each in (study["primary"], *study.get("family", [])):
        own = of_setting[tuple(each[name] for name in names)]
        own += [each["metric"]] if each["metric"] not in own else []
    found: dict[int, str] = {}
    seen: dict[Key, int] = defaultdict(int)
    for place, row in enumerate(rows):
        if row["metric"] in OVER_TASKS and row["value"] is not None:
            columns = ("source", "versus", "target", "metric", *names)
            key = tuple(row[name] for name in columns)
            found[place] = of_setting[tuple(row[name] for name in names)][seen[key]]
            seen[key] += 1
    return found


def tasks_of(row: Row, values: Values, rows: list[Row], metric: str) -> list[Compared]:
    """Recompute a value over all tasks of a target and all seeds, its interval and its p.

    Tasks of a kind have their own mean; how these differ is no chance, where each has two tasks.
    """
    names = sorted({key[0] for key in values if key[0].startswith(f"{row['target']}/")})
    alike = {**row, "metric": metric}
    each = [differences(values, {**alike, "target": task}, row["versus"]) for task in names]
    table = np.array([list(of_task.values()) for of_task in each])  # (tasks, seeds)
    gains = gains_of(rows, row, names)
    kinds = [kind_of(*gain) for gain in gains] if gains else ["" for _ in names]
    if row["metric"] == "slope-over-tasks":
        found = over_tasks(table, np.array([gain for gain, _ in gains]))
    elif row["metric"] in (f"mean-over-{kind}-tasks" for kind in KINDS):
        own = [row["metric"] == f"mean-over-{kind}-tasks" for kind in kinds]
        found = over_tasks(table[own], [""] * sum(own))
    else:
        alone = min(kinds.count(kind) for kind in kinds) < 2
        found = over_tasks(table, [""] * len(kinds) if alone else kinds)
    if row["metric"] in VARIANCES:
        return [("over tasks, variance", found[row["metric"]], row["value"])]
    names = ["value", "low", "high", "low_90", "high_90", "p"]
    return [(f"over tasks, {name}", found[name], row[name]) for name in names]


def gains_of(rows: list[Row], row: Row, tasks: list[str]) -> list[tuple[float, float]]:
    """Find the alignment gain of each task, and had the source shown all; empty if not known."""
    found: list[dict[str, float]] = [{}, {}]
    for each in rows:
        if (each["source"], each["versus"]) == (row["source"], row["versus"]):
            for gains, metric in zip(found, ("", "-if-shown"), strict=True):
                if each["metric"] == f"alignment-gain{metric}":
                    gains[each["target"]] = each["value"]
    known = all(task in gains for task in tasks for gains in found)
    return [(found[0][task], found[1][task]) for task in tasks] if known else []


def kind_of(gain: float, gain_if_shown: float) -> str:
    """Name the kind of a task, as docs/protocol.md, "Alignment", has it."""
    if gain >= NAMED:
        return "named"
    return "kind-named" if gain_if_shown >= NAMED else "unnamed" if gain <= UNNAMED else "between"


def over_tasks(table: Floats, along: list[str] | Floats) -> dict[str, float]:
    """Analyse differences (m tasks, n seeds): a mean within strata, or the slope on the gains.

    Tasks and seeds are random: the variance is that of the seeds' values, and the tasks' about the
    means or lines, less what both hold twice; Satterthwaite's degrees of freedom.
    """
    m, n = table.shape
    if isinstance(along, list):
        of_seed, share = table.mean(axis=0), 1.0 / m
        fitted = np.empty_like(table)
        for name in set(along):
            own = [each == name for each in along]
            fitted[own] = table[own].mean(axis=0)
        fitted_to = len(set(along))
    else:
        lines = [np.polynomial.Polynomial.fit(along, column, 1).convert() for column in table.T]
        of_seed = np.array([line.coef[1] for line in lines])
        fitted = np.stack([line(along) for line in lines], axis=1)
        share, fitted_to = 1.0 / float(((along - along.mean()) ** 2).sum()), 2
    rest = table - fitted
    df_tasks, df_seeds = m - fitted_to, n - 1
    of_task = rest.mean(axis=1)
    ms_tasks = n * float((of_task**2).sum()) / df_tasks
    ms_both = float(((rest - of_task[:, None]) ** 2).sum()) / (df_tasks * df_seeds)
    both = share * ms_both / n
    parts = [(share * ms_tasks / n, df_tasks), (float(of_seed.var(ddof=1)) / n, df_seeds)]
    kept = [(part, df) for part, df in parts if part > both]
    if len(kept) != 1:
        kept.append((both if not kept else -both, df_tasks * df_seeds))
    variance = sum(part for part, _ in kept)
    inverse = sum(part**2 / df for part, df in kept)
    df = variance**2 / inverse if inverse else np.inf
    value, error = float(of_seed.mean()), float(np.sqrt(variance))
    statistic = abs(value) / error if error else (np.inf if value else 0.0)
    half, half_90 = (float(stats.t.ppf(level, df)) * error for level in (0.975, 0.95))
    return {
        **{"value": value, "low": value - half, "high": value + half},
        **{"low_90": value - half_90, "high_90": value + half_90},
        "p": 2 * float(stats.t.sf(statistic, df)),
        VARIANCES[0]: (ms_tasks - ms_both) / n,
        VARIANCES[1]: n * (parts[1][0] - both),
        VARIANCES[2]: ms_both,
    }


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
