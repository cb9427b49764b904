"""Fit the probe of one cell again, from the features in cell.npz, and compare its answers.

    python refit.py        (recompute.py calls it too)

Needs numpy and scipy, and nothing of taskgrain, which gave the answers in the first place. A cell
is one source under one seed on one target, by one probe at one number of shots: `header` of
cell.npz names it. Every support draw is fitted again, and it is counted how many answers are right
or wrong as those in `answers/` are. Another program rounds otherwise, so one answer in 10,000 may
differ; with more the status is 1.

Shapes: n support clips of a draw, q scored clips, D width, K classes.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

ALLOWED = 10_000  # of so many answers one may differ
CELL = "cell.npz"
C = 0.1  # of logistic regression
TEMPERATURE = 0.07  # of the neighbours' votes, in units of the cosine
NEIGHBOURS = (1, 3, 5, 10)
ALPHAS = (100.0, 10.0, 1.0, 0.1, 0.01)  # of ridge, times D; of equal errors the first is taken
FEWEST_TO_CHOOSE = 5  # clips of every class; with fewer, k is 1 and alpha is D
Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Scores = Callable[[Floats, Labels, Floats], Floats]  # support, its labels, scored -> (q, K)


def compare_cell(folder: Path) -> tuple[list[str], bool]:
    """Fit the cell of an evidence folder again; return what came out, and whether it agrees."""
    if not (folder / CELL).is_file():
        primary = tomllib.loads((folder / "study.toml").read_text(encoding="utf-8"))["primary"]
        is_missing = read_right(folder, primary) is not None  # no answers where a probe failed
        return [f"no {CELL}: no cell was fitted again"], not is_missing
    with np.load(folder / CELL, allow_pickle=False) as archive:
        cell = dict(archive)
    header = json.loads(str(cell["header"]))
    name = (
        f"cell: {header['source']}, seed {header['seed']}, {header['target']}, "
        f"{header['probe']}, {header['shots']} shots"
    )
    if header["probe"] not in PROBES:
        known = ", ".join(PROBES)
        return [f"{name}: {header['probe']} is not fitted again here (only {known} are)"], True
    stored = read_right(folder, header)
    if stored is None:
        return [f"{name}: no answers to compare it with"], False
    found = fit_again(cell, header)
    differing, total = int((found != stored).sum()), stored.size
    line = (
        f"{name}: {total - differing} of {total} answers ({len(stored)} draws, "
        f"{stored.shape[1]} clips) are right or wrong as before; "
        f"{total // ALLOWED} may differ"
    )
    return [line], differing <= total // ALLOWED


def read_right(folder: Path, cell: dict[str, Any]) -> NDArray[np.bool_] | None:
    """Read the stored answers of a cell, or of a source under any seed.

    Returns:
        bool (draws, N), True where right; None where they are not there.
    """
    path = folder / "answers" / f"{cell['target']}.npz"
    keys = [key for key in ("source", "seed", "readout", "probe", "shots") if key in cell]
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as archive:
        for index, each in enumerate(json.loads(str(archive["header"]))):
            if each["control"] is None and all(each[key] == cell[key] for key in keys):
                shape = each["draws"], len(archive[f"label-{each['clips']}"])
                bits = np.unpackbits(archive[f"right-{index}"])[: shape[0] * shape[1]]
                return bits.reshape(shape).astype(np.bool_)
    return None


def fit_again(cell: dict[str, NDArray[Any]], header: dict[str, Any]) -> NDArray[np.bool_]:
    """Fit the probe on each draw: bool (draws, N), True where a scored clip is answered right.

    Features are standardised by each draw's own support (mean, and deviation divided by n; a
    feature that does not vary is only shifted), at one or two shots by the `mean` and `scale` that
    the source's training clips gave. A clip that could not be decoded is wrong.
    """
    features, label = cell["features"].astype(np.float64), cell["label"].astype(np.int64)
    scored = cell["scored"]
    decoded = scored >= 0
    right = np.zeros((len(cell["draws"]), len(scored)), np.bool_)
    for index, draw in enumerate(cell["draws"]):
        support = features[draw]
        mean, scale = support.mean(axis=0), support.std(axis=0)
        scale[(support == support[0]).all(axis=0)] = 1.0
        if "mean" in cell:
            mean, scale = cell["mean"], cell["scale"]
        query = (features[scored[decoded]] - mean) / scale
        scores = PROBES[header["probe"]]((support - mean) / scale, label[draw], query)
        right[index, decoded] = scores.argmax(axis=1) == label[scored[decoded]]
    return right


def logistic_scores(support: Floats, labels: Labels, query: Floats) -> Floats:
    """Minimise |w|^2 / 2 + C * (sum of the clips' cross-entropies), the intercept not penalised.

    Two classes have one weight vector: written as two of half the length, which halves |w|^2 / 2.
    """
    target = np.eye(labels.max() + 1)[labels]  # (n, K)
    classes, width = target.shape[1], support.shape[1]
    strength = C / 2 if classes == 2 else C

    def objective(flat: Floats) -> tuple[float, Floats]:
        theta = flat.reshape(classes, width + 1)
        logits = support @ theta[:, :width].T + theta[:, width]
        log_sum = special.logsumexp(logits, axis=1)
        value = 0.5 * (theta[:, :width] ** 2).sum()
        value += strength * (log_sum - (logits * target).sum(axis=1)).sum()
        slope = strength * (np.exp(logits - log_sum[:, None]) - target)  # (n, K)
        gradient = np.concatenate([slope.T @ support + theta[:, :width], slope.sum(0)[:, None]], 1)
        return float(value), gradient.ravel()

    exact = {"maxiter": 10_000, "maxfun": 20_000, "ftol": 0.0, "gtol": 1e-9, "maxcor": 30}
    start = np.zeros(classes * (width + 1))
    found = optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options=exact)
    theta = found.x.reshape(classes, width + 1)
    scores: Floats = query @ theta[:, :width].T + theta[:, width]
    return scores


def mean_scores(support: Floats, labels: Labels, query: Floats) -> Floats:
    """Score each class by minus the squared distance from its support clips' mean."""
    means = np.stack([support[labels == each].mean(axis=0) for each in range(labels.max() + 1)])
    scores: Floats = -((query[:, None] - means) ** 2).sum(axis=2)
    return scores


def neighbour_scores(support: Floats, labels: Labels, query: Floats) -> Floats:
    """Let the k support clips of the largest cosine vote, each with weight exp(cosine / 0.07).

    k is that of 1, 3, 5 and 10 whose votes have the least squared error when each support clip is
    left out in turn, where every class has five clips; otherwise 1.
    """

    def directions(features: Floats) -> Floats:
        length = np.linalg.norm(features, axis=1, keepdims=True)
        return np.divide(features, length, out=np.zeros_like(features), where=length > 0)

    def votes(cosine: Floats, k: int) -> Floats:
        nearest = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
        near = np.take_along_axis(cosine, nearest, axis=1)
        weight = np.exp((near - near[:, :1]) / TEMPERATURE)
        shares = (weight[:, :, None] * np.eye(labels.max() + 1)[labels[nearest]]).sum(axis=1)
        found: Floats = shares / shares.sum(axis=1, keepdims=True)
        return found

    near, k = directions(support), 1
    if np.bincount(labels).min() >= FEWEST_TO_CHOOSE:
        left_out = near @ near.T
        np.fill_diagonal(left_out, -np.inf)
        truth = np.eye(labels.max() + 1)[labels]
        grid = [each for each in NEIGHBOURS if each < len(labels)]
        k = min(grid, key=lambda each: float(((votes(left_out, each) - truth) ** 2).sum()))
    return votes(directions(query) @ near.T, k)


def ridge_scores(support: Floats, labels: Labels, query: Floats) -> Floats:
    """Minimise |Xw + b - t|^2 + alpha |w|^2 for each class, t being +1 for it and -1 for others.

    alpha is that of 100, 10, 1, 0.1 and 0.01 times D with the least squared error when each
    support clip is left out in turn, where every class has five clips; otherwise D.
    """
    width, middle = support.shape[1], support.mean(axis=0)
    centred = support - middle
    target = 2.0 * np.eye(labels.max() + 1)[labels] - 1.0  # (n, K)
    gram = centred @ centred.T

    def smoother(alpha: float) -> Floats:
        """Return what turns targets into fitted values about their mean: (n, n)."""
        return np.linalg.solve(gram + alpha * np.eye(len(gram)), gram).T

    def left_out_error(alpha: float) -> float:
        hat = smoother(alpha)
        leverage = np.diag(hat) + 1.0 / len(hat)
        rest = target - target.mean(axis=0) - hat @ (target - target.mean(axis=0))
        return float(((rest / (1.0 - leverage[:, None])) ** 2).mean())

    alpha = float(width)
    if np.bincount(labels).min() >= FEWEST_TO_CHOOSE:
        alpha = min((each * width for each in ALPHAS), key=left_out_error)
    dual = np.linalg.solve(gram + alpha * np.eye(len(gram)), target - target.mean(axis=0))
    scores: Floats = (query - middle) @ (centred.T @ dual) + target.mean(axis=0)
    return scores


PROBES: dict[str, Scores] = {
    "logistic-regression": logistic_scores,
    "nearest-mean": mean_scores,
    "k-nn": neighbour_scores,
    "ridge": ridge_scores,
}


if __name__ == "__main__":
    written, agrees = compare_cell(Path(__file__).parent)
    print("\n".join(written))
    sys.exit(0 if agrees else 1)
