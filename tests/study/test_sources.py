from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from taskgrain.config.learning import LADDER, Source
from taskgrain.data.manifest import Manifest, Split
from taskgrain.data.opening import read_manifest
from taskgrain.errors import TaxonomyError
from taskgrain.labels.symmetry import SSV2_MIRROR
from taskgrain.labels.template import Words
from taskgrain.study.sources import source_task
from taskgrain.tools.labels.summary import summarise_labels
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
        label = example.label
        words = task.vocabulary.decode(label.captions[0]) if task.vocabulary else None
        said[source.name] = (label.target, words)
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
    tokens = task.examples(manifest.split(Split.VALIDATION))[0].label.captions[0]
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


def test_words_rarer_than_the_threshold_are_unknown(manifest: Manifest) -> None:
    task = source_task(named("captions-full"), manifest, min_word_count=3)
    assert task.vocabulary is not None
    said = task.examples(manifest.split(Split.TRAIN))[0].label.captions[0]
    assert task.vocabulary.decode(said) == "<unk> a <unk> <unk> <unk> from left to right"


def test_a_mirrored_clip_has_the_other_category_and_the_other_caption(tmp_path: Path) -> None:
    train: list[object] = [
        row("1", PUSH, "a cup"),
        row("2", PUSH.replace("left to right", "right to left"), "a cup"),
        row("3", PULL, "a cup"),  # its mirror image is no category here
        row("4", PRETEND, "a cup", "my left hand"),
        row("5", PRETEND, "a cup", "a box"),
    ]
    manifest = read_manifest(write_annotations(tmp_path, train, [row("6", PULL, "a cup")]))
    task = source_task(named("joint-full"), manifest, mirror=SSV2_MIRROR)
    assert task.vocabulary is not None
    said = {}
    for example in task.examples(manifest.split(Split.TRAIN)):
        mirrored = example.mirrored
        said[example.clip_id] = mirrored and (
            task.taxonomy.categories[mirrored.target],
            task.vocabulary.decode(mirrored.captions[0]),
        )
    assert said == {
        "1": ("Pushing something from right to left", "pushing a cup from right to left"),
        "2": ("Pushing something from left to right", "pushing a cup from left to right"),
        "3": None,
        "4": (
            "Pretending to put something next to something",
            "pretending to put a cup next to my right hand",
        ),
        "5": (
            "Pretending to put something next to something",
            "pretending to put a cup next to a box",
        ),
    }
    plain = source_task(named("joint-full"), manifest)
    assert not any(e.mirrored for e in plain.examples(manifest.split(Split.TRAIN)))


def test_clips_that_a_level_leaves_out_are_no_examples_of_it(tmp_path: Path) -> None:
    train: list[object] = [
        row("1", PUSH, "a cup"),
        row("2", "Holding [something]", "a cup"),
        row("3", PRETEND, "a cup", "a box"),  # in none of the ten classes
    ]
    manifest = read_manifest(write_annotations(tmp_path, train, [row("4", PUSH, "a mug")]))
    source = Source.model_validate({"name": "ten", "classify": "ten-class"})
    task = source_task(source, manifest)
    records = manifest.split(Split.TRAIN)
    assert [example.clip_id for example in task.examples(records)] == ["1", "2"]
    assert [record.clip_id for record in task.covered(records)] == ["1", "2"]
    assert task.entropy_bits(records) == pytest.approx(1.0)


def test_free_sentences_have_the_full_form_alone(tmp_path: Path) -> None:
    rows: list[object] = [{**row("1", "Nodding"), "label": "a man says yes"}, row("2", "Waving")]
    manifest = read_manifest(write_annotations(tmp_path, rows, [row("3", "Nodding")]))
    with pytest.raises(TaxonomyError, match="not made of its template"):
        source_task(named("captions-simplified"), manifest)
    assert source_task(named("captions-full"), manifest).vocabulary is not None


def test_a_mirror_table_of_one_s_own_knows_the_templates_of_the_dataset(tmp_path: Path) -> None:
    one, other = "Turning [something] clockwise", "Turning [something] anticlockwise"
    rows: list[object] = [row("1", one, "a cup"), row("2", other, "a cup")]
    manifest = read_manifest(write_annotations(tmp_path, rows, [row("3", one, "a box")]))
    first, second = (record.category for record in manifest.split(Split.TRAIN))
    task = source_task(named("joint-full"), manifest, mirror={first: second, second: first})
    examples = task.examples(manifest.split(Split.TRAIN))
    assert examples[0].mirrored == examples[1].label
    assert examples[1].mirrored == examples[0].label


def test_entropy_is_that_of_the_words_whatever_the_vocabulary(tmp_path: Path) -> None:
    long = "a cup and a pen and a box and a ball and a"
    rows: list[object] = [
        {**row("1", "Nodding"), "label": f"{long} spoon"},
        {**row("2", "Nodding"), "label": f"{long} fork"},
        {**row("3", "Nodding"), "label": "A man nods."},
        {**row("4", "Nodding"), "label": "a man nods"},
    ]
    manifest = read_manifest(write_annotations(tmp_path, rows, [row("5", "Nodding")]))
    records = manifest.split(Split.TRAIN)
    for min_count in (1, 9):
        task = source_task(named("captions-full"), manifest, min_word_count=min_count)
        assert task.entropy_bits(records) == pytest.approx(1.5)
    assert summarise_labels(manifest).entropy_bits["full"] == pytest.approx(1.5)


@pytest.mark.parametrize("source", LADDER[:4], ids=lambda source: source.name)
def test_a_study_and_the_summary_of_labels_tell_the_same_bits(
    manifest: Manifest, source: Source
) -> None:
    bits = summarise_labels(manifest).entropy_bits
    grain = source.classify or source.caption
    assert grain is not None
    task = source_task(source, manifest, min_word_count=3)
    assert task.entropy_bits(manifest.split(Split.TRAIN)) == pytest.approx(bits[grain])


def test_a_source_speaks_in_the_papers_words(tmp_path: Path) -> None:
    train: list[object] = [
        row("1", PUSH, "a child's cup"),
        row("2", PUSH.replace("left to right", "right to left"), "a childs cup"),
    ]
    manifest = read_manifest(write_annotations(tmp_path, train, [row("3", PUSH, "a box")]))
    records = manifest.split(Split.TRAIN)
    mirrored = {
        record.category: other.category
        for record, other in zip(records, records[::-1], strict=True)
    }
    task = source_task(named("captions-full"), manifest, words="paper", mirror=mirrored)
    assert task.words == "paper"
    assert task.vocabulary is not None
    examples = task.examples(records)
    assert [task.vocabulary.decode(each.label.captions[0]) for each in examples] == [
        "PUSHING A CHILDS CUP FROM LEFT TO RIGHT",
        "PUSHING A CHILDS CUP FROM RIGHT TO LEFT",
    ]
    assert examples[0].mirrored == examples[1].label
    assert source_task(named("categories"), manifest, words="paper").words == "taskgrain"


def test_entropy_is_that_of_the_words_of_the_rule(tmp_path: Path) -> None:
    rows: list[object] = [row("1", PUSH, "a child's cup"), row("2", PUSH, "2 a childs cup")]
    manifest = read_manifest(write_annotations(tmp_path, rows, [row("3", PUSH, "a box")]))
    records = manifest.split(Split.TRAIN)
    ours, theirs = (
        source_task(named("captions-full"), manifest, words=words).entropy_bits(records)
        for words in get_args(Words)
    )
    assert (ours, theirs) == (1.0, 0.0)
