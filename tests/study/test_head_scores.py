from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from taskgrain.config.learning import Source
from taskgrain.config.load import load_study
from taskgrain.data.manifest import Manifest, Split
from taskgrain.data.opening import read_manifest
from taskgrain.labels.taxonomy import ACTION_GROUP, CATEGORY
from taskgrain.metrics.accuracy import HeadAnswers
from taskgrain.results import ResultRow, read_rows
from taskgrain.study.datasets import lay_out, prepare_shard, shards
from taskgrain.study.folder import RunFolder
from taskgrain.study.head_scores import (
    HeadScores,
    fit_linear_probe,
    floors_name,
    linear_probe_clips,
    score_floors,
)
from taskgrain.study.inputs import Inputs
from taskgrain.study.sources import Score, Scored, SourceTask, source_task
from taskgrain.transfer.probes import LogisticRegression, Standardiser
from tests.making import find, moving_square, row, write_annotations, write_video

UP, PRETEND = "Picking [something] up", "Pretending to pick [something] up"
COVER, UNCOVER = "Covering [something] with [something]", "Uncovering [something]"
TEMPLATES = (UP, PRETEND, COVER, UNCOVER)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    train: list[object] = [row(f"t{n}", TEMPLATES[min(n % 6, 3)]) for n in range(24)]
    return read_manifest(
        write_annotations(tmp_path, train, [row(str(n), TEMPLATES[n % 4]) for n in range(8)])
    )


def task_of(manifest: Manifest, level: str) -> SourceTask:
    return source_task(Source.model_validate({"name": "it", "classify": level}), manifest)


def head_scores(
    manifest: Manifest, level: str, predicted: list[str], missing: tuple[int, ...] = ()
) -> HeadScores:
    task = task_of(manifest, level)
    names = list(task.taxonomy.names(level))
    records = manifest.split(Split.VALIDATION)
    scores = torch.full((len(records), len(names)), -4.0)
    for clip, name in enumerate(predicted):
        scores[clip, names.index(name)] = -0.1
    is_answered = torch.ones(len(records), dtype=torch.bool)
    is_answered[list(missing)] = False
    target = torch.tensor([example.label.target for example in task.examples(records)])
    answers = HeadAnswers(scores, target, is_answered)
    return HeadScores(task, answers, records, manifest.split(Split.TRAIN))


def values(scores: list[Score]) -> dict[str, float]:
    return {score.metric: score.value for score in scores}


def test_a_head_of_categories_is_scored_at_every_grain(manifest: Manifest) -> None:
    records = manifest.split(Split.VALIDATION)
    true = [record.category for record in records]
    head = head_scores(manifest, CATEGORY, true)
    found = values(head.scores())
    ones = ("top-1", "top-5", "mean-per-class", "group-accuracy", "contrastive")
    assert all(found[name] == 1.0 for name in ones)
    assert found["errors-within-groups"] == found["errors-between-groups"] == 0.0
    assert found["contrastive-floor"] == 0.5
    lines = head.confusions_csv().splitlines()
    assert lines[0] == "true,predicted,count"
    assert len(lines) == 1 + 4
    assert all(line.endswith(",2") for line in lines[1:])


def test_errors_are_parted_by_groups_and_sum_up(manifest: Manifest) -> None:
    records = manifest.split(Split.VALIDATION)
    said = [record.category for record in records]
    said[0] = "Covering something with something"  # for "Picking something up": another group
    head = head_scores(manifest, CATEGORY, said, missing=(3,))
    found = values(head.scores())
    assert found["top-1"] == 6 / 8
    assert found["errors-within-groups"] + found["errors-between-groups"] == 2 / 8
    assert found["errors-between-groups"] == 2 / 8
    assert found["group-accuracy"] == 6 / 8
    assert "Uncovering something,,1" in head.confusions_csv()


def test_a_head_of_groups_answers_their_most_frequent_category(manifest: Manifest) -> None:
    task = task_of(manifest, ACTION_GROUP)
    records = manifest.split(Split.VALIDATION)
    said = [task.taxonomy.name_of(record.category, ACTION_GROUP) or "" for record in records]
    found = values(head_scores(manifest, ACTION_GROUP, said).scores())
    assert found["top-1"] == 1.0
    # By hand: with perfect groups, the clips whose category is the commonest of its group.
    trained = [record.category for record in manifest.split(Split.TRAIN)]
    right = 0
    for record, group in zip(records, said, strict=True):
        of_group = [c for c in trained if task.taxonomy.name_of(c, ACTION_GROUP) == group]
        commonest = min(set(of_group), key=lambda name: (-of_group.count(name), name))
        right += record.category == commonest
    assert 0 < right < len(records)
    assert found["categories-floor"] == right / len(records)
    assert "contrastive" not in found
    assert "errors-within-groups" not in found


def test_a_clip_without_an_answer_is_wrong_for_the_floor_too(manifest: Manifest) -> None:
    task = task_of(manifest, ACTION_GROUP)
    records = manifest.split(Split.VALIDATION)
    said = [task.taxonomy.name_of(record.category, ACTION_GROUP) or "" for record in records]
    everyone = tuple(range(len(records)))
    assert values(head_scores(manifest, ACTION_GROUP, said, everyone).scores()) == {
        "top-1": 0.0,
        "top-5": 0.0,
        "mean-per-class": 0.0,
        "categories-floor": 0.0,
    }


def test_rows_count_the_clips_that_a_score_is_of(manifest: Manifest) -> None:
    records = manifest.split(Split.VALIDATION)
    states = {records[0].clip_id: "failed", records[5].clip_id: "truncated"}
    scored = Scored("study", "it", 3, records, states)
    whole, part = scored.rows(
        [
            Score(probe="head", metric="top-1", value=0.5),
            Score(metric="nothing", value=float("nan")),
            Score(probe="head", metric="contrastive", value=0.5, clips=records[4:]),
        ]
    )
    assert (whole.n, whole.failed, whole.truncated) == (8, 1, 1)
    assert (part.n, part.failed, part.truncated) == (4, 0, 1)
    assert (whole.source, whole.seed, whole.target) == ("it", 3, "source-validation")


def test_a_linear_probe_finds_categories_that_features_tell_apart() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 6)) * 5
    index = np.arange(90) % 3
    features = (centres[index] + rng.normal(size=(90, 6)) + 100).astype(np.float32)
    names = np.array(["a", "b", "c"])[index]
    read = fit_linear_probe(features[:60], names[:60].tolist(), features[60:])
    assert (np.array(read.predicted) == names[60:]).mean() > 0.95
    assert (read.chosen, read.chosen_on) == ("C=0.1", "fixed in advance")


def test_the_linear_probe_says_what_the_transfer_layers_probe_says() -> None:
    rng = np.random.default_rng(1)
    index = np.arange(300) % 8
    centres = rng.normal(size=(8, 20))
    features = (centres[index] + 1.5 * rng.normal(size=(300, 20))).astype(np.float32)
    names = np.array([f"category {number}" for number in index])
    read = fit_linear_probe(features[:200], names[:200].tolist(), features[200:])
    standardise = Standardiser.of(features[:200])
    probe = LogisticRegression().fit(standardise(features[:200]), names[:200])
    exact = probe.predict(standardise(features[200:]))
    assert 0.3 < (exact == names[200:]).mean() < 0.95  # neither hopeless nor easy
    assert (np.array(read.predicted) == exact).mean() >= 0.99
    assert (read.chosen, read.chosen_on) == (probe.chosen_, probe.chosen_on_)


def test_the_linear_probe_is_fitted_on_as_many_clips_for_every_source(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = manifest.split(Split.TRAIN)
    assert linear_probe_clips(training) == list(training)
    monkeypatch.setattr("taskgrain.study.head_scores.MAX_TRAINING_CLIPS", 5)
    assert len(linear_probe_clips(training)) == 5
    assert linear_probe_clips(training) == linear_probe_clips(training)


MOVES, STANDS = "Pushing [something] so that it slightly moves", "Holding [something]"
TRAINING = (MOVES,) * 8 + (STANDS,) * 12
VALIDATION = (MOVES,) * 6 + (STANDS,) * 4
SOURCES = """[{name="other", classify="action-group"}, {name="categories", classify="category"},
    {name="joint", classify="category", caption="full", lambda=0.5}]"""
BROKEN = 29  # the last validation clip: it stands


class Calm:
    def report(self, cost: float) -> None: ...

    def advance(self, cost: float) -> None: ...

    def stopping(self) -> bool:
        return False


def laid_out(root: Path, sources: str, rows: list[object]) -> Inputs:
    """Lay out a study of 30 clips: a square that moves, or one that stands; one is broken."""
    data = write_annotations(root / "data", rows[:20], rows[20:])
    for number, template in enumerate((*TRAINING, *VALIDATION)):
        frames = moving_square(10)
        shown = frames if template == MOVES else frames[:1].repeat(10, axis=0)
        bright = np.minimum(shown.astype(np.int64) + number, 255).astype(np.uint8)
        write_video(data / "videos" / f"{number}.webm", bright)
    (data / "videos" / f"{BROKEN}.webm").write_bytes(b"no video")
    (root / "study.toml").write_text(
        f'extends = "smoke"\nname = "tiny"\nsources = {sources}\n[data]\nroot = "{data}"\n'
        f'[[targets]]\nname = "mine"\nroot = "{data}"\n[primary]\ntarget = "mine"\nshots = 1\n'
        'versus = "other"\n[transfer]\nshots = [1]\n'
    )
    study = load_study(root / "study.toml")
    folder = RunFolder(root / "run")
    inputs = Inputs(study, folder, lay_out(study, folder), None, "cpu", "fp32")
    source = inputs.datasets["source"]
    for number, records, plans in shards(source):
        prepare_shard(Calm(), source, number, records, plans)
    return inputs


def floors_of(inputs: Inputs) -> tuple[ResultRow, ...]:
    score_floors(Calm(), inputs, None)
    return read_rows(inputs.folder.rows(floors_name(None)))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[ResultRow, ...]:
    templates = (*TRAINING, *VALIDATION)
    clips: list[object] = [row(str(n), each) for n, each in enumerate(templates)]
    root = tmp_path_factory.mktemp("floors")
    return floors_of(laid_out(root, SOURCES, clips))


def test_each_score_that_a_source_is_judged_by_has_three_floors(
    rows: tuple[ResultRow, ...],
) -> None:
    judged = dict.fromkeys((row.source, row.metric) for row in rows)
    assert list(judged) == [
        ("other", "top-1"),
        ("categories", "top-1"),
        ("joint", "top-1"),
        ("joint", "template-accuracy"),
    ]
    for source, metric in judged:
        found = [row for row in rows if (row.source, row.metric) == (source, metric)]
        assert [row.control for row in found] == ["chance", "majority", "motion-energy"]
        assert {(row.n, row.failed, row.seed, row.target) for row in found} == {
            (10, 1, None, "source-validation")
        }


def test_the_floors_are_counted_with_the_broken_clip_as_wrong(rows: tuple[ResultRow, ...]) -> None:
    values = [
        find(rows, source="categories", control=name).value for name in ("chance", "majority")
    ]
    assert values == [0.5, 0.3]  # standing clips are the commonest in training, and one is broken
    moved = find(rows, source="categories", control="motion-energy")
    assert (moved.value, moved.chosen) == (0.9, "C=0.1")


def test_free_sentences_are_judged_by_exact_match(tmp_path: Path) -> None:
    def clip(number: int, caption: str) -> dict[str, object]:
        template = "Doing a thing" if number % 2 else "Doing another"
        return {"id": str(number), "label": caption, "template": template, "placeholders": []}

    captions = ["a cup moves"] * 3 + [f"a cup moves {n} times" for n in range(17)]
    captions += ["a cup moves"] * 2 + ["it stands still"] * 7 + ["a cup moves"]
    clips: list[object] = [clip(n, each) for n, each in enumerate(captions)]
    source = '[{name="other", caption="full"}, {name="categories", classify="category"}]'
    found = floors_of(laid_out(tmp_path, source, clips))
    own = [row for row in found if row.source == "other"]
    assert [(row.metric, row.control, row.value) for row in own] == [
        ("exact-match", "chance", 1 / 18),
        ("exact-match", "majority", 0.2),
    ]


def test_random_groups_have_floors_of_each_seed(tmp_path: Path) -> None:
    mixed = '{name="mixed", classify="action-group", regrouped=true}'
    sources = SOURCES.replace("[{", f"[{mixed}, {{", 1) + "\nseeds = [4, 5]"
    clips: list[object] = [row(str(n), each) for n, each in enumerate((*TRAINING, *VALIDATION))]
    found = floors_of(laid_out(tmp_path, sources, clips))
    for seed in (4, 5):
        own = [each for each in found if (each.source, each.seed) == ("mixed", seed)]
        assert [each.control for each in own] == ["chance", "majority", "motion-energy"]
        assert [each.value for each in own][:2] == [0.5, 0.3]  # the last of four that stand failed
    others = {each.seed for each in found if each.source != "mixed"}
    assert others == {None}
