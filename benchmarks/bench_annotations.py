"""Annotations of Something-Something v2's size: read, checked and grouped, against `json.loads`.

The rows are made up, in the real format and numbers: 168,913 + 24,777 annotated clips and 27,157
test ids, in one line, a row a line, and indented.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

from benchmarks.table import Row, main_of
from benchmarks.timing import best_seconds

from taskgrain.data.opening import read_manifest
from taskgrain.labels.ssv2 import BRACKETED, OFFICIAL_INDEX
from taskgrain.labels.taxonomy import ACTION_GROUP
from taskgrain.labels.template import fill, placeholder_count
from tests.making import ssv2_counts

TEST_CLIPS = 27_157
THINGS = ("a red cup", "a bottle of water", "pen", "scissors", "my left hand", "two small boxes")
ROUNDS, WANTED = 3, 0.33


def made_up(counts: dict[str, int], first_id: int) -> list[dict[str, object]]:
    rng = random.Random(first_id)
    rows: list[dict[str, object]] = []
    for category, count in counts.items():
        template = BRACKETED[category]
        for _ in range(count):
            things = [rng.choice(THINGS) for _ in range(placeholder_count(template))]
            row = {"id": str(first_id + len(rows)), "label": fill(template, things)}
            rows.append({**row, "template": template, "placeholders": things})
    rng.shuffle(rows)
    return rows


def write(root: Path, files: dict[str, object], form: str) -> None:
    for name, content in files.items():
        if form == "a row a line" and isinstance(content, list):
            text = "[\n" + ",\n".join(map(json.dumps, content)) + "\n]\n"
        else:
            text = json.dumps(content, indent=1 if form == "indented" else None)
        (root / f"{name}.json").write_text(text, encoding="utf-8")


def ours(root: Path) -> Counter[str | None]:
    manifest = read_manifest(root)
    name_of = manifest.taxonomy.name_of
    return Counter(name_of(record.category, ACTION_GROUP) for record in manifest.records)


def plain(root: Path) -> None:
    for path in root.glob("*.json"):
        json.loads(path.read_text(encoding="utf-8"))


def measure(small: bool) -> list[Row]:
    counts_of = {"train": ssv2_counts("train"), "validation": ssv2_counts("validation")}
    most = 3 if small else max(counts_of["train"].values())  # clips of a category
    train, validation = (
        made_up({name: min(count, most) for name, count in counts_of[split].items()}, first_id)
        for split, first_id in (("train", 1), ("validation", 1_000_000))
    )
    test = [{"id": str(2_000_000 + n)} for n in range(100 if small else TEST_CLIPS)]
    files: dict[str, object] = {
        "train": train,
        "validation": validation,
        "test": test,
        "labels": {name: str(index) for name, index in OFFICIAL_INDEX.items()},
    }
    rows = []
    for form in ("in one line", "a row a line", "indented"):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            write(root, files, form)
            best = best_seconds(
                {"ours": partial(ours, root), "peer": partial(plain, root)},
                rounds=1 if small else ROUNDS,
            )
        what = f"{len(train) + len(validation) + len(test):,} annotations {form}"
        rows.append(Row(what, best["ours"], "json.loads alone", best["peer"], wanted=WANTED))
    return rows


if __name__ == "__main__":
    main_of(measure, __doc__)
