from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest

from taskgrain.config.load import load_study
from taskgrain.errors import StoppedError
from taskgrain.familiarity import FILE
from taskgrain.models.weights import read_tensors, save_weights
from taskgrain.predict import Predictor
from taskgrain.results import ResultRow, read_rows
from taskgrain.study.datasets import lay_out, prepare_shard, shards
from taskgrain.study.folder import RunFolder
from taskgrain.study.inputs import Inputs
from taskgrain.study.learning import task_of
from taskgrain.study.networks import new_model
from taskgrain.study.source_scores import score_source
from taskgrain.tools.score.scoring import score_files
from tests.making import find, moving_square, row, write_annotations, write_video

UP, PRETEND = "Picking [something] up", "Pretending to pick [something] up"
COVER, UNCOVER = "Covering [something] with [something]", "Uncovering [something]"
TEMPLATES = (UP, PRETEND, COVER, UNCOVER)
BROKEN = "9"  # of the validation clips 8 to 15


class Calm:
    def report(self, cost: float) -> None: ...

    def advance(self, cost: float) -> None: ...

    def stopping(self) -> bool:
        return False


class Hurried(Calm):
    def advance(self, cost: float) -> None:
        raise StoppedError


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Lay out a study of tiny clips, one of them broken, with untrained checkpoints."""
    root = tmp_path_factory.mktemp("scores")
    rows: list[object] = [row(str(n), TEMPLATES[n % 4]) for n in range(16)]
    data = write_annotations(root / "data", rows[:8], rows[8:])
    for n in range(16):
        write_video(data / "videos" / f"{n}.webm", moving_square(9 + n))
    (data / "videos" / f"{BROKEN}.webm").write_bytes(b"no video")
    (root / "study.toml").write_text(
        'extends = "smoke"\nname = "tiny"\n'
        'sources = ["action-groups", "categories", "joint-full", "captions-simplified"]\n'
        f'[data]\nroot = "{data}"\n[[targets]]\nname = "mine"\nroot = "{data}"\n'
        '[primary]\ntarget = "mine"\nshots = 1\n[transfer]\nshots = [1]\n'
    )
    study = load_study(root / "study.toml")
    folder = RunFolder(root / "run")
    inputs = Inputs(study, folder, lay_out(study, folder), None, "cpu", "fp32")
    source = inputs.datasets["source"]
    for number, records, plans in shards(source):
        prepare_shard(Calm(), source, number, records, plans)
    for settings in study.sources:
        task = task_of(inputs, settings.name, source.manifest(), seed=0)
        model, description = new_model(inputs, task, encoder_of=settings.name, seed=0)
        checkpoint = inputs.checkpoint(settings.name, 0)
        checkpoint.mkdir(parents=True)
        save_weights(model, checkpoint / "model.safetensors")
        (checkpoint / "model.json").write_text(json.dumps(description.to_json()))
    return inputs


def rows_of(inputs: Inputs, name: str) -> tuple[ResultRow, ...]:
    score_source(Calm(), inputs, name, 0)
    return read_rows(inputs.folder.rows(f"score-{name}-seed-0"))


def test_a_source_of_both_tasks_is_scored_in_all_ways(inputs: Inputs) -> None:
    rows = rows_of(inputs, "joint-full")
    metrics = {row.metric for row in rows if row.control is None}
    assert metrics >= {
        *("top-1", "top-5", "mean-per-class", "group-accuracy", "contrastive"),
        *("errors-within-groups", "errors-between-groups", "contrastive-floor"),
        *("exact-match", "template-accuracy", "object-accuracy", "bleu-4", "rouge-l", "cider-d"),
        *("exact-match-at-simplified", "exact-match-at-template", "length-ratio"),
        *("template-ranking", "template-ranking-top-5", "template-ranking-with-objects"),
        *("unknown-rate", "entropy-bits"),
    }
    assert {row.control for row in rows} == {
        None,
        *("commonest-word", "commonest-caption", "same-category", "blind-decoder"),
    }
    directed = [row for row in rows if row.metric == "direction-errors"]
    assert {(row.n, row.failed) for row in directed} == {(4, 1)}  # of the clips with a direction
    assert {(row.n, row.failed) for row in rows if row not in directed} == {(8, 1)}
    parts = [find(rows, metric=name).value for name in ("errors-within-groups", "top-1")]
    between = find(rows, metric="errors-between-groups").value
    assert sum(value or 0.0 for value in (*parts, between)) == pytest.approx(1.0)


def test_the_captions_are_what_taskgrain_score_reads(inputs: Inputs) -> None:
    rows = rows_of(inputs, "joint-full")
    path = inputs.folder.captions("joint-full", 0)
    said = {each["id"]: each["caption"] for each in json.loads(path.read_text())}
    assert list(said) == [str(n) for n in range(8, 16)]
    assert said[BROKEN] == ""
    root = inputs.datasets["source"].root
    apart = score_files(path, root / "validation.json", training=root / "train.json")
    for metric in ("exact-match", "bleu-4", "rouge-l", "cider-d"):
        found = find(rows, metric=metric, control=None).value
        assert found == pytest.approx(apart.values[metric], abs=1e-12), metric
        for floor in ("commonest-word", "same-category"):
            beside = find(rows, metric=metric, control=floor).value
            assert beside == pytest.approx(apart.floors[floor][metric], abs=1e-12), metric


def test_captions_are_looked_for_as_widely_as_the_study_says(inputs: Inputs) -> None:
    name = "captions-simplified"
    score_source(Calm(), inputs, name, 0)
    greedy = json.loads(inputs.folder.captions(name, 0).read_text())
    decoder = inputs.study.decoder.model_copy(update={"beam_width": 8})
    study = inputs.study.model_copy(update={"decoder": decoder})
    score_source(Calm(), replace(inputs, study=study), name, 0)
    found = json.loads(inputs.folder.captions(name, 0).read_text())
    predictor = Predictor.from_checkpoint(inputs.checkpoint(name, 0), beam_width=8)
    root = inputs.datasets["source"].root
    for each in found:
        if each["id"] != BROKEN:
            path = root / "videos" / f"{each['id']}.webm"
            assert predictor.describe_file(path).caption == each["caption"]
    assert found != greedy


def test_confusions_hold_every_clip(inputs: Inputs) -> None:
    rows = rows_of(inputs, "categories")
    path = inputs.folder.confusions("categories", 0)
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert sum(int(line["count"]) for line in lines) == 8
    assert sum(int(line["count"]) for line in lines if not line["predicted"]) == 1
    right = sum(int(line["count"]) for line in lines if line["true"] == line["predicted"])
    assert find(rows, metric="top-1").value == right / 8
    assert not inputs.folder.captions("categories", 0).exists()


def test_a_source_of_groups_is_asked_for_categories(inputs: Inputs) -> None:
    rows = rows_of(inputs, "action-groups")
    read = find(rows, metric="categories-linear")
    assert (read.probe, read.chosen, read.chosen_on) == ("linear", "C=0.1", "fixed in advance")
    assert read.value is not None
    assert 0.0 <= read.value <= 7 / 8  # the broken clip is wrong
    floor = find(rows, metric="categories-floor")
    assert (floor.probe, floor.n, floor.failed) == ("head", 8, 1)


def test_scoring_again_gives_the_same_bytes(inputs: Inputs) -> None:
    name = "captions-simplified"
    files = (inputs.folder.captions(name, 0), inputs.folder.rows(f"score-{name}-seed-0"))
    rows_of(inputs, name)
    before = [path.read_bytes() for path in files]
    rows_of(inputs, name)
    assert [path.read_bytes() for path in files] == before


def test_any_batch_size_gives_the_same_scores(inputs: Inputs) -> None:
    name = "joint-full"
    rows = rows_of(inputs, name)
    train = inputs.study.train.model_copy(update={"batch_size": 3})
    study = inputs.study.model_copy(update={"train": train})
    others = rows_of(replace(inputs, study=study), name)
    for one, other in zip(rows, others, strict=True):
        assert other.value == pytest.approx(one.value, abs=1e-6), one.metric


def test_a_stop_ends_scoring_at_a_safe_point(inputs: Inputs) -> None:
    with pytest.raises(StoppedError):
        score_source(Hurried(), inputs, "categories", 0)


def test_how_far_out_own_clips_lie_is_kept_beside_the_weights(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = inputs.checkpoint("captions-simplified", 0) / FILE
    score_source(Calm(), inputs, "captions-simplified", 0)
    assert not path.exists()  # of seven clips none could be rare
    monkeypatch.setattr("taskgrain.familiarity.FEWEST_HELD_OUT", 7)
    score_source(Calm(), inputs, "captions-simplified", 0)
    assert len(read_tensors(path)["known"]) == 7
    path.unlink()
