"""A study of rotating novel categories, from drawing to the report, checked by other code."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import stats

from taskgrain.cli.main import main
from taskgrain.config.load import load_study
from taskgrain.data.dataset import ClipBatches
from taskgrain.data.manifest import Split
from taskgrain.labels.ssv2 import GROUP_OF
from taskgrain.models.encoder import measure_changes
from taskgrain.results import ResultRow, read_rows, select
from taskgrain.study.datasets import SOURCE, lay_out
from taskgrain.study.folder import RunFolder
from taskgrain.study.inputs import Inputs, batches_in_order
from taskgrain.study.learning import splits_of, task_of
from taskgrain.study.networks import new_encoder
from taskgrain.study.subjects import FeaturesKey, SubjectKey
from taskgrain.study.testing import read_subject
from taskgrain.study.trained_controls import random_task
from taskgrain.transfer.extract import calibrate_batch_norm
from taskgrain.transfer.features import read_features
from taskgrain.transfer.predictions import read_evaluation
from taskgrain.transfer.probes import Standardiser
from tests.end_to_end.conftest import ONE_WORKER

pytestmark = pytest.mark.slow
SEEDS = (0, 1, 2)
SETTINGS = (
    *("seeds=[0, 1, 2]", "data.train=120", "data.validation=80", "data.draw=60"),
    *("data.hold_out={siblings=4, groups=2}", "train.epochs=1", "examples=4"),
    'sources=["action-groups", "joint-full"]',
    *("primary.source=joint-full", "primary.target=novel", "primary.shots=1"),
    "transfer.episodes={number=5, ways=3, shots=[1], queries=2}",
    *("transfer.shots=[1]", "transfer.draws=5", "alignment=400"),
    'transfer.controls=["majority", "random-encoder", "pixels", "permuted-labels",'
    ' "random-labels"]',
    "targets=[{name='kitchenware', support=26, scored=39}, {name='novel', novel=true}]",
)


@pytest.fixture(scope="module")
def run(forked_trainings: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("novel") / "run"
    settings = [word for each in SETTINGS for word in ("--set", each)]
    main(["study", "smoke", "--quiet", *ONE_WORKER, *settings, "--out", str(out)])
    return out


@pytest.fixture(scope="module")
def inputs(run: Path) -> Inputs:
    study, folder = load_study("smoke", SETTINGS), RunFolder(run)
    return Inputs(study, folder, lay_out(study, folder), None, "cpu", "fp32")


@pytest.fixture(scope="module")
def rows(run: Path) -> tuple[ResultRow, ...]:
    return read_rows(run / "results.jsonl")


def held_out(run: Path) -> dict[int, dict[str, list[str]]]:
    return {each["seed"]: each for each in json.loads((run / "held-out.json").read_text())}


def truth_of(run: Path) -> dict[str, tuple[str, str]]:
    """Read clip -> split and category from the dataset's own files."""
    found = {}
    for split in ("train", "validation"):
        for row in json.loads((run / "data" / "source" / f"{split}.json").read_text()):
            name = row["template"].replace("[", "").replace("]", "")
            found[row["id"]] = (split, name)
    return found


def test_no_clip_of_a_held_out_category_is_ever_learned_from(run: Path, inputs: Inputs) -> None:
    truth, store = truth_of(run), inputs.datasets[SOURCE].frames()
    drawn = []
    for seed, held in held_out(run).items():
        novel = {*held["siblings"], *held["groups"]}
        assert len(novel) >= 8
        learned = []
        manifest = inputs.clips(seed).learned
        tasks = [task_of(inputs, s.name, manifest, seed=seed) for s in inputs.study.sources]
        for task in (*tasks, random_task(inputs.clips(seed).learned, seed)):
            splits = splits_of(inputs, task, store, seed=seed)
            assert isinstance(splits.training, ClipBatches)
            assert isinstance(splits.validation, ClipBatches)
            for part, split in ((splits.training, "train"), (splits.validation, "validation")):
                clips = [example.clip_id for example in part.examples]
                assert {truth[clip][0] for clip in clips} == {split}
                assert not {truth[clip][1] for clip in clips} & novel
            learned.append([example.clip_id for example in splits.training.examples])
            assert {*task.taught.values()} & novel == set()
        assert len(learned[0]) == 60
        assert all(each == learned[0] for each in learned)  # of all sources the same
        drawn.append(frozenset(learned[0]))
    assert len(set(drawn)) == len(SEEDS)


def test_heads_and_vocabularies_know_base_categories_alone(run: Path) -> None:
    names = {name for _, name in truth_of(run).values()}
    for seed, held in held_out(run).items():
        base = names - {*held["siblings"], *held["groups"]}
        kept = Counter(GROUP_OF[name] for name in base)
        assert 1 not in kept.values()  # every group of the world has two categories or more
        for name in held["siblings"]:
            assert kept[GROUP_OF[name]] >= 2
        assert not {GROUP_OF[name] for name in held["groups"]} & {*kept}
        for who in ("joint-full", "action-groups", "random-labels"):
            path = run / "checkpoints" / f"{who}-seed-{seed}" / "last" / "model.json"
            assert set(json.loads(path.read_text())["taxonomy"]["categories"]) == base
        text = (run / "confusions" / f"joint-full-seed-{seed}.csv").read_text()
        assert not any(f"{name}," in text for name in names - base if "," not in name)


def test_the_novel_task_of_each_seed_is_its_held_out_categories(run: Path) -> None:
    truth = truth_of(run)
    for seed, held in held_out(run).items():
        strata = {"novel": [*held["siblings"], *held["groups"]], "novel.siblings": held["siblings"]}
        for task, names in {**strata, "novel.groups": held["groups"]}.items():
            for who in ("joint-full", "pixels", "random-encoder"):
                path = run / "predictions" / f"{who}-seed-{seed}.{task}.npz"
                found = read_evaluation(path)
                assert found.class_names == tuple(sorted(names))
                scored = [clip for clip, at in truth.items() if at[0] == "validation"]
                wanted = [clip for clip in scored if truth[clip][1] in names]
                assert list(found.clip_ids) == wanted
                said = [found.class_names[label] for label in found.labels]
                assert said == [truth[clip][1] for clip in wanted]


def test_each_seeds_rows_are_those_of_its_answers(run: Path, rows: tuple[ResultRow, ...]) -> None:
    checked = 0
    for seed in SEEDS:
        for who, source, control in (
            ("joint-full", "joint-full", None),
            ("pixels", None, "pixels"),
        ):
            found = read_evaluation(run / "predictions" / f"{who}-seed-{seed}.novel.npz")
            group = np.array([hash(GROUP_OF[name]) for name in found.class_names])
            for answers in found.answers:
                right = answers.predicted == found.labels
                of_class = [right[:, found.labels == k].mean() for k in range(len(group))]
                same = group[answers.predicted] == group[found.labels]
                expected = {"top-1": right.mean(), "mean-per-class": np.mean(of_class)}
                if answers.probe == "logistic-regression":  # as the endpoint is
                    expected["errors-within-groups"] = (~right & same).mean()
                    expected["errors-between-groups"] = (~same).mean()
                for metric, value in expected.items():
                    (row,) = select(
                        rows, source=source, control=control, seed=seed, target="novel",
                        probe=answers.probe, metric=metric, versus=None, shots=1,
                    )  # fmt: skip
                    assert row.value == pytest.approx(value)
                    assert row.n == len(found.labels)
                    checked += 1
        (chance,) = select(rows, control="chance", seed=seed, target="novel", metric="top-1",
                           versus=None)  # fmt: skip
        assert chance.value == 1 / len(group)
    assert checked == 2 * 3 * 6


def test_rows_over_seeds_are_students_t_of_the_seeds_rows(rows: tuple[ResultRow, ...]) -> None:
    measured = [row for row in rows if not row.metric.startswith("alignment")]
    novel = [row for row in measured if row.target.startswith("novel")]
    assert {row.interval for row in novel if row.seed is None} == {"seeds", None}
    groups: dict[tuple[object, ...], dict[int | None, ResultRow]] = defaultdict(dict)
    for row in novel:
        if row.control != "permuted-labels" and row.metric != "detectable-difference":
            key = (row.source, row.target, row.probe, row.readout, row.shots, row.metric)
            groups[(*key, row.versus, row.control)][row.seed] = row
    assert len(groups) > 100
    for of_seed in groups.values():
        summary = of_seed[None]
        values = [of_seed[seed].value or 0.0 for seed in SEEDS]
        assert summary.value == pytest.approx(np.mean(values))
        assert summary.n == sum(of_seed[seed].n for seed in SEEDS)
        if np.ptp(values) == 0:
            assert summary.interval is None
            continue
        low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
        assert (summary.low, summary.high) == pytest.approx((low, high))
        if summary.versus is not None:
            assert summary.p == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue)


def test_other_targets_keep_their_crossed_intervals_and_floors_are_of_each_seed(
    rows: tuple[ResultRow, ...],
) -> None:
    crossed = [row for row in rows if row.interval == "crossed"]
    assert {row.target for row in crossed} == {"kitchenware"}
    floors = select(rows, target="source-validation", source="joint-full", metric="top-1")
    for control in ("chance", "majority", "motion-energy"):
        assert [row.seed for row in floors if row.control == control] == [*SEEDS]


def test_what_is_measured_on_clips_is_measured_on_those_of_the_seed(
    run: Path, inputs: Inputs, rows: tuple[ResultRow, ...]
) -> None:
    truth, store = truth_of(run), inputs.datasets[SOURCE].frames()
    (target,) = (each for each in inputs.study.targets if each.is_held_out)
    union: set[str] = set()
    scales = []
    for seed in SEEDS:
        learned = [record.clip_id for record in inputs.clips(seed).learned.split(Split.TRAIN)]
        union.update(learned)
        own = read_features(inputs.folder.features(f"joint-full-seed-{seed}", "source"))
        assert list(own.clip_ids) == learned  # of 1,000 at most
        key = SubjectKey(FeaturesKey("pixels"), seed=seed, readout="flat")
        pixels = read_subject(inputs, key, target).standardiser
        everything = read_features(inputs.folder.features("pixels", "source"))
        assert np.array_equal(pixels.mean, Standardiser.of(everything.of(learned)).mean)
        scales.append(pixels.mean.tobytes())

        batches = batches_in_order(inputs, learned, store)
        changes = measure_changes(batch.video for batch in batches.batches())
        model = run / "checkpoints" / f"joint-full-seed-{seed}" / "last" / "model.json"
        held = json.loads(model.read_text())["encoder"]["pixels"]
        assert held["centred_deviation"] == changes.centred
        assert held["difference_deviation"] == changes.difference
        encoder, _ = new_encoder(inputs, None, seed, changes=changes)
        calibrate_batch_norm(encoder, (batch.video for batch in batches.batches()))
        path = run / "checkpoints" / f"random-encoder-seed-{seed}" / "encoder.safetensors"
        stored = load_file(path)
        for name, value in encoder.state_dict().items():
            assert torch.equal(stored[name], value), name

        commonest, _ = Counter(GROUP_OF[truth[clip][1]] for clip in learned).most_common(1)[0]
        known = {truth[clip][1] for clip in learned}
        scored = [name for split, name in truth.values() if split == "validation" and name in known]
        (floor,) = select(rows, source="action-groups", control="majority", seed=seed,
                          target="source-validation")  # fmt: skip
        shares = Counter(GROUP_OF[name] for name in scored)
        assert floor.value == pytest.approx(shares[commonest] / len(scored))
    assert len(set(scales)) == len(SEEDS)
    assert {*read_features(inputs.folder.features("pixels", "source")).clip_ids} == union


def test_the_page_and_the_endpoint_stand_on_the_novel_target(run: Path) -> None:
    page = (run / "report.html").read_text()
    for seed, held in held_out(run).items():
        assert f"seed {seed} (siblings: {held['siblings'][0].split(chr(39))[0]}" in page
    assert "on novel" in page
    assert (run / "tables" / "endpoints.csv").read_text().count("novel") == 1


def test_alignment_is_of_each_seeds_categories_and_its_mean_comes_first(
    rows: tuple[ResultRow, ...],
) -> None:
    found = [row for row in rows if row.metric == "alignment-gain" and row.target == "novel"]
    assert [row.seed for row in found[:1]] == [None]
    for row in (row for row in found if row.seed is None):
        own = [
            each.value
            for each in found
            if each.seed is not None and (each.source, each.versus) == (row.source, row.versus)
        ]
        assert len(own) == len(SEEDS)
        assert row.value == pytest.approx(np.mean([value for value in own if value is not None]))
