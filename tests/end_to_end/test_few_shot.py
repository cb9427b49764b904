from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from taskgrain.cli.main import main
from taskgrain.config.clips import Target
from taskgrain.config.load import load_study
from taskgrain.results import read_rows, select
from taskgrain.study.checking import ledger_lines
from taskgrain.study.datasets import lay_out
from taskgrain.study.folder import RunFolder
from taskgrain.study.targets import episode_plans, target_tasks
from taskgrain.transfer.predictions import read_episodes
from taskgrain.transfer.task import sample_episodes
from tests.end_to_end.conftest import ONE_WORKER
from tests.making import PULL, PUSH, find, moving_square, row, write_annotations, write_video

TEXT = """extends = "smoke"
name = "few"
sources = ["categories", "captions-full"]
[data]
train = 60
validation = 24
[train]
epochs = 1
[primary]
source = "captions-full"
versus = "categories"
target = "listed"
shots = 1
[transfer]
shots = [1]
draws = 2
probes = ["nearest-mean", "logistic-regression", "attentive"]
controls = ["majority", "pixels"]
episodes = {ways = 2, shots = [1, 3], queries = 2, number = 4}
[[targets]]
name = "listed"
root = "my clips"
few_shot = "test_few_shot.txt"
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Write a study of a list that names 16 of 22 clips, in both splits of the dataset."""
    root = tmp_path / "my clips"
    rows: list[object] = [row(str(n), (PUSH, PULL)[n % 2]) for n in range(22)]
    write_annotations(root, rows[:12], rows[12:])
    rng = np.random.default_rng(0)
    for n in range(22):
        frames = np.maximum(moving_square(18), rng.integers(0, 40, (1, 32, 32, 3), dtype=np.uint8))
        write_video(root / "videos" / f"{n}.webm", frames if n % 2 else frames[::-1].copy())
    lines = [f"test{n % 2}/{n}\n" for n in range(4, 20)]
    (tmp_path / "test_few_shot.txt").write_text("".join(lines))
    path = tmp_path / "few.toml"
    path.write_text(TEXT)
    return path


def test_the_clips_of_a_list_are_the_target_and_its_episodes_are_pooled(
    study: Path, tmp_path: Path
) -> None:
    settings = load_study(str(study))
    (target,) = settings.targets
    dataset = lay_out(settings, RunFolder(tmp_path / "run"))["listed"]
    assert (dataset.num_clips, dataset.num_shards) == (16, 1)
    task = target_tasks(target, dataset.manifest(), None)[0]
    listed = {str(n) for n in range(4, 20)}
    assert {*task.support_ids, *task.query_ids} == listed
    assert np.bincount(task.support_labels).tolist() == [4, 4]
    plans = episode_plans(target, settings.transfer)
    assert [plan.num_shots for plan in plans] == [1, 3]
    assert all(plan.pooled for plan in plans)
    plain = Target(name="plain", root=target.root)
    assert not any(plan.pooled for plan in episode_plans(plain, settings.transfer))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("shots = [1, 3], queries = 2", r"listed: 0 classes have 7 clips that were decoded and 9"),
        (
            "few_shot = 'test_few_shot.txt'\nroot = 'my clips'",
            r"8 of its 16 clips \(of .*few_shot\.txt\)",
        ),
        ('root = "my clips"\n', 'targets.*"few_shot" needs "root", the dataset whose clips'),
        ("name", r"other\.txt: no such file"),
    ],
)
def test_lists_and_episodes_that_do_not_fit_are_refused_before_the_first_cell(
    text: str, problem: str, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = {
        "shots = [1, 3], queries = 2": ("shots = [7], queries = 2", text),
        'root = "my clips"\n': ("", text),
        "name": ("other.txt", "test_few_shot.txt"),
    }
    new, old = written.get(text, ("[data]\nroot = 'my clips'", "[data]"))
    study.write_text(study.read_text().replace(old, new))
    with pytest.raises(SystemExit) as raised:
        main(["study", str(study), "--out", str(tmp_path / "run"), "--quiet"])
    assert raised.value.code == 2
    assert re.search(problem, capsys.readouterr().err)
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("forked_trainings")
def test_a_packed_store_of_the_whole_dataset_serves_a_list_of_some_of_it(
    study: Path, tmp_path: Path
) -> None:
    (tmp_path / "my clips" / "videos" / "21.webm").write_bytes(b"no video")  # not on the list
    (tmp_path / "my clips" / "videos" / "4.webm").write_bytes(b"no video")
    size = ("--height", "40", "--width", "40", "--workers", "1")
    main(["pack", str(tmp_path / "my clips"), str(tmp_path / "store"), *size, "--quiet"])
    study.write_text(study.read_text() + 'store = "store"\n')
    settings = load_study(str(study))
    (target,) = settings.targets
    dataset = lay_out(settings, RunFolder(tmp_path / "run"))["listed"]
    assert (dataset.is_packed, dataset.num_clips) == (True, 16)
    store = dataset.frames()
    assert {entry.clip_id for entry in store.ledger} == {"21", "4"}
    entries = [json.loads(line) for line in ledger_lines("listed", dataset.manifest(), store)]
    assert [entry["clip"] for entry in entries] == ["4"]
    task = target_tasks(target, dataset.manifest(), store)[0]
    assert (~task.is_decoded).sum() + (~task.has_support).sum() == 1


@pytest.mark.slow
@pytest.mark.usefixtures("forked_trainings")
def test_a_study_of_a_few_shot_list_asks_episodes_of_every_source_and_control(
    study: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    main(["study", str(study), "--quiet", *ONE_WORKER, "--out", str(run)])
    rows = read_rows(run / "results.jsonl")
    (value,) = select(rows, source="categories", shots=3, probe="nearest-mean", seed=0,
                      metric="2-way-accuracy", versus=None)  # fmt: skip
    assert (value.draws, value.n, value.interval) == (4, 16, "episodes")
    files = sorted((run / "predictions").glob("*.episodes.answers.npz"))
    assert len(files) == 3  # two sources, and pixels
    settings = load_study(str(study))
    dataset = lay_out(settings, RunFolder(run))["listed"]
    task = target_tasks(settings.targets[0], dataset.manifest(), dataset.frames())[0]
    found = {path.name.split(".")[0]: read_episodes(path, task, pooled=True) for path in files}
    categories, pixels = found["categories-seed-0"], found["pixels"]
    assert categories is not None
    assert pixels is not None
    kinds = [(each.probe, each.shots) for each in categories.answers]
    assert kinds == [
        (probe, shots)
        for shots in (1, 3)
        for probe in ("nearest-mean", "logistic-regression", "attentive")
    ]
    assert {each.probe for each in pixels.answers} == {"nearest-mean", "logistic-regression"}
    mean = categories.accuracies(categories.answers[3]).mean()
    assert mean == pytest.approx(value.value)
    scored = find(rows, source="categories", probe="nearest-mean", shots=1, metric="top-1",
                  control=None, versus=None)  # fmt: skip
    assert (scored.n, scored.target) == (8, "listed")
    for plan in episode_plans(settings.targets[0], settings.transfer):
        assert sample_episodes(task, plan=plan).query.shape == (4, 4)
