from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from taskgrain.data.manifest import Manifest, Split
from taskgrain.data.opening import read_manifest
from taskgrain.errors import ConfigError
from taskgrain.study.random_labels import random_task
from tests.making import PULL, PUSH, row, write_annotations


def manifest(root: Path, templates: tuple[str, ...] = (PUSH, PUSH, PULL)) -> Manifest:
    train = [row(str(i), templates[i % len(templates)]) for i in range(60)]
    return read_manifest(write_annotations(root, list(train), [row("v", PUSH), row("w", PULL)]))


def targets(found: Manifest, seed: int, split: Split) -> list[int]:
    examples = random_task(found, seed).examples(found.split(split))
    assert all(example.mirrored is None for example in examples)
    return [example.label.target for example in examples]


def test_every_category_keeps_its_size_and_loses_its_clips(tmp_path: Path) -> None:
    found = manifest(tmp_path)
    index = {name: i for i, name in enumerate(found.taxonomy.categories)}
    true = [index[record.category] for record in found.split(Split.TRAIN)]
    drawn = targets(found, 0, Split.TRAIN)
    assert Counter(drawn) == Counter(true)
    agreeing = sum(a == b for a, b in zip(drawn, true, strict=True))
    assert 20 <= agreeing <= 47  # 60 * (4/9 + 1/9) = 33.3 are expected


def test_the_permutation_is_the_seeds_own_and_always_the_same(tmp_path: Path) -> None:
    found = manifest(tmp_path)
    assert targets(found, 1, Split.TRAIN) == targets(found, 1, Split.TRAIN)
    assert targets(found, 1, Split.TRAIN) != targets(found, 2, Split.TRAIN)


def test_validation_clips_keep_their_categories(tmp_path: Path) -> None:
    found = manifest(tmp_path)
    index = {name: i for i, name in enumerate(found.taxonomy.categories)}
    true = [index[record.category] for record in found.split(Split.VALIDATION)]
    assert targets(found, 0, Split.VALIDATION) == true


def test_one_category_alone_cannot_be_permuted(tmp_path: Path) -> None:
    train = [row(str(i), PUSH) for i in range(4)]
    found = read_manifest(write_annotations(tmp_path, list(train), [row("v", PUSH)]))
    with pytest.raises(ConfigError, match=r"transfer\.controls: random-labels"):
        random_task(found, 0)
