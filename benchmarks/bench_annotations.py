"""Annotations of Something-Something v2's size: read, checked and grouped, against `json.loads`.

The rows are made up, in the real format and numbers: 168,913 + 24,777 annotated clips and 27,157
test ids, in one line, a row a line, and indented.
"""

from __future__ import annotations

import json
import random
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path

from taskgrain.data.opening import read_manifest
from taskgrain.labels.ssv2 import BRACKETED, OFFICIAL_INDEX, TRAIN_COUNT, VALIDATION_COUNT
from taskgrain.labels.taxonomy import ACTION_GROUP
from taskgrain.labels.template import fill, placeholder_count

TEST_CLIPS = 27_157
THINGS = ("a red cup", "a bottle of water", "pen", "scissors", "my left hand", "two small boxes")
ROUNDS = 3


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


def main() -> None:
    train = made_up(dict(TRAIN_COUNT), 1)
    validation = made_up(dict(VALIDATION_COUNT), 1_000_000)
    files: dict[str, object] = {
        "train": train,
        "validation": validation,
        "test": [{"id": str(2_000_000 + n)} for n in range(TEST_CLIPS)],
        "labels": {name: str(index) for name, index in OFFICIAL_INDEX.items()},
    }
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for form in ("in one line", "a row a line", "indented"):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            write(root, files, form)
            seconds, peer = [], []
            for _ in range(ROUNDS):
                started = time.perf_counter()
                groups = ours(root)
                read = time.perf_counter()
                plain(root)
                seconds.append(read - started)
                peer.append(time.perf_counter() - read)
            clips = groups.total() + TEST_CLIPS
            print(
                f"{clips:,} rows {form}: {min(seconds):.2f} s for {len(groups)} groups, "
                f"{min(seconds) / min(peer):.1f} times json.loads"
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak / 1024:.0f} MB, of which the made-up rows {before / 1024:.0f} MB")


if __name__ == "__main__":
    main()
