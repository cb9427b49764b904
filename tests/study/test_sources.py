from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.config.settings import LADDER, Source
from taskgrain.data.manifest import Manifest, Split, read_manifest
from taskgrain.errors import TaxonomyError
from taskgrain.study.sources import source_task
from tests.making import PRETEND, PULL, PUSH, row, write_annotations


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    train: list[object] = [
        row("1", PUSH, "a small red cup"),
        row("2", PULL, "a cup"),
        row("3", PRETEND, "a box", "a blue ball"),
        row("4", PUSH, "a box"),
    ]
    return read_manifest(write_annotations(tmp_path, train, [row("5", PUSH, "a green mug")]))


def named(name: str) -> Source:
    return next(source for source in LADDER if source.name == name)


def test_each_source_of_the_ladder_says_its_own_of_a_clip(manifest: Manifest) -> None:
    said = {}
    for source in LADDER:
        task = source_task(source, manifest)
        example = task.examples(manifest.split(Split.TRAIN))[0]
        words = task.vocabulary.decode(example.tokens) if task.vocabulary else None
        said[source.name] = (example.target, words)
    full, simple = "pushing a small red cup from left to right", "pushing cup from left to right"
    assert said == {
        "action-groups": (1, None),
        "categories": (2, None),
        "captions-simplified": (-1, simple),
        "captions-full": (-1, full),
        "joint-simplified": (2, simple),
        "joint-full": (2, full),
    }


def test_the_vocabulary_comes_from_training_clips_alone(manifest: Manifest) -> None:
    task = source_task(named("captions-full"), manifest)
    assert task.vocabulary is not None
    tokens = task.examples(manifest.split(Split.VALIDATION))[0].tokens
    assert task.vocabulary.decode(tokens) == "pushing a <unk> <unk> from left to right"


def test_finer_labels_tell_more_bits(manifest: Manifest) -> None:
    records = manifest.split(Split.TRAIN)
    bits = [source_task(source, manifest).entropy_bits(records) for source in LADDER[:4]]
    assert bits == pytest.approx([1.5, 1.5, 2.0, 2.0])
    coarse = source_task(named("action-groups"), manifest).entropy_bits(records[:1])
    assert coarse == 0.0


def test_lambda_is_one_for_classification_and_zero_for_captions(manifest: Manifest) -> None:
    weights = [source_task(source, manifest).classification_weight for source in LADDER]
    assert weights == [1.0, 1.0, 0.0, 0.0, 0.5, 0.5]


def test_a_level_that_the_data_lacks_is_refused(tmp_path: Path) -> None:
    rows: list[object] = [row("1", "Waving [something]"), row("2", "Nodding")]
    manifest = read_manifest(write_annotations(tmp_path, rows, [row("3", "Nodding")]))
    with pytest.raises(TaxonomyError, match="no level 'action-group'"):
        source_task(named("action-groups"), manifest)
    assert source_task(named("categories"), manifest).num_classes == 2
