"""`taskgrain compare`, whole process: two made sources, five probes, intervals, tests and controls.

The peer fits the same five kinds of probe by scikit-learn, one draw after the other: standardised,
without the choice of hyper-parameters that ours makes where there are clips enough, without
controls, and without any interval. Both are whole processes on one thread each; CPU seconds.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from benchmarks.table import Row, main_of
from benchmarks.timing import best_seconds, children_seconds, command

CLASSES, DRAWS = 20, 50
CLIPS, WIDTH = 5_000, 768

PEER = """
import sys
import numpy as np
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

_, draws, labels, *files = sys.argv
names = [line.split(",") for line in open(labels).read().splitlines()[1:]]
y = np.array([int(name.split()[1]) for _, name in names])
order = np.random.default_rng(0).permutation(len(y))
pool, scored = order[: len(y) // 2], order[len(y) // 2 :]
num_classes = y.max() + 1
for file in files:
    x = np.load(file)["features"].astype(np.float64)
    for shots in (1, 5, "all"):
        for draw in range(1 if shots == "all" else int(draws)):
            own = np.random.default_rng(draw).permutation(pool)
            if shots != "all":
                own = np.concatenate([own[y[own] == k][:shots] for k in range(num_classes)])
            scale = StandardScaler().fit(x[own] if shots != 1 else x[pool])
            support, query = scale.transform(x[own]), scale.transform(x[scored])
            for probe in (
                NearestCentroid(),
                KNeighborsClassifier(1, metric="cosine"),
                RidgeClassifier(x.shape[1]),
                LogisticRegression(C=0.1, max_iter=1000),
            ):
                (probe.fit(support, y[own]).predict(query) == y[scored]).mean()
            targets = 2.0 * np.eye(num_classes)[y[own]] - 1.0
            kernel = KernelRidge(alpha=0.1, kernel="rbf", gamma=0.5 / x.shape[1])
            kernel.fit(support, targets).predict(query).argmax(axis=1)
"""


def write_sources(root: Path, clips: int, width: int) -> None:
    """Write `labels.csv`, `a.npz` and `b.npz`: the classes of the first lie further apart."""
    labels = np.arange(clips) % CLASSES
    ids = [f"clip{index:05d}" for index in range(clips)]
    lines = [f"{clip},class {label}" for clip, label in zip(ids, labels, strict=True)]
    (root / "labels.csv").write_text("clip,label\n" + "\n".join(lines) + "\n")
    generator = np.random.default_rng(0)
    for name, gap in (("a", 0.12), ("b", 0.1)):
        means = gap * generator.normal(size=(CLASSES, width))
        features = means[labels] + generator.normal(size=(clips, width))
        np.savez(root / f"{name}.npz", clip=np.array(ids), features=features.astype(np.float32))


def measure(small: bool) -> list[Row]:
    clips, width, draws = (400, 32, 3) if small else (CLIPS, WIDTH, DRAWS)
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_sources(root, clips, width)
        labels, sources = str(root / "labels.csv"), [str(root / f"{each}.npz") for each in "ab"]
        compare = [sys.executable, "-m", "taskgrain", "compare", *sources, "--labels", labels]
        best = best_seconds(
            {
                "ours": command([*compare, "--draws", str(draws), "--json"]),
                "peer": command([sys.executable, "-c", PEER, str(draws), labels, *sources]),
            },
            rounds=1,
            clock=children_seconds,
        )
    what = f"taskgrain compare, 2 files of {clips:,} x {width}, 5 probes, {draws} draws"
    return [Row(what, best["ours"], "scikit-learn, fewer numbers", best["peer"])]


if __name__ == "__main__":
    main_of(measure, __doc__)
