"""A dataset as Something-Something ships, whose published few-shot classes no encoder learns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from taskgrain.cli.main import main
from taskgrain.config.load import load_study
from taskgrain.labels.ssv2 import GROUP_OF
from taskgrain.results import read_rows, select
from taskgrain.study.checking import lay_out_study
from taskgrain.study.folder import RunFolder
from taskgrain.transfer.predictions import read_evaluation
from tests.end_to_end.conftest import ONE_WORKER
from tests.making import moving_square, row, write_annotations, write_video

NUMBER = {"Pushing something": 4, "Pulling something": 2, "Holding something": 2}
NAMES = [
    name
    for group, number in NUMBER.items()
    for name in sorted(each for each in GROUP_OF if GROUP_OF[each] == group)[:number]
]
LISTED = (*NAMES[:2], *NAMES[4:6])  # two of the four of pushing, and all of pulling
CLIPS = {"train": 4, "validation": 3}
TEXT = """extends = "smoke"
name = "published"
seeds = [0, 1]
sources = ["action-groups", "joint-full"]
[data]
root = "ssv2"
hold_out = {few_shot = "LIST"}
[train]
epochs = 1
[[targets]]
name = "listed"
root = "ssv2"
few_shot = "LIST"
novel = true
[[targets]]
name = "novel"
novel = true
[primary]
source = "joint-full"
versus = "action-groups"
target = "listed"
shots = 1
[transfer]
shots = [1]
draws = 5
controls = ["majority", "pixels"]
episodes = {ways = 3, shots = [1], queries = 1, number = 5}
"""


def template(name: str) -> str:
    return name.replace("something", "[something]")


def clip_ids(name: str, split: str) -> list[str]:
    place = NAMES.index(name)
    first = 100 * (place + 1) + (50 if split == "validation" else 0)
    return [str(first + number) for number in range(CLIPS[split])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the dataset with the owner's names of files, and both kinds of list beside it."""
    folder = tmp_path_factory.mktemp("published")
    root = folder / "ssv2"
    rows = {
        split: [row(clip, template(name)) for name in NAMES for clip in clip_ids(name, split)]
        for split in CLIPS
    }
    write_annotations(root, list(rows["train"]), list(rows["validation"]))
    for split in CLIPS:
        (root / f"{split}.json").rename(root / f"something-something-v2-{split}.json")
    labels = {name: str(number) for number, name in enumerate(NAMES)}
    (root / "something-something-v2-labels.json").write_text(json.dumps(labels))
    rng = np.random.default_rng(0)
    for each in (*rows["train"], *rows["validation"]):
        frames = np.maximum(moving_square(12), rng.integers(0, 60, (1, 32, 32, 3), dtype=np.uint8))
        write_video(root / "20bn-something-something-v2" / f"{each['id']}.webm", frames)
    listed = [
        (number, name, clip)
        for number, name in enumerate(LISTED)
        for split in CLIPS
        for clip in clip_ids(name, split)[:3]
    ]
    cmn = [f"{name.replace(' ', '_')}/{clip}\n" for _, name, clip in listed]
    otam = [f"test{number}/{clip}\n" for number, _, clip in listed]
    (folder / "test.list").write_text("".join(cmn))
    (folder / "test_few_shot.txt").write_text("".join(otam))
    return folder


def write_study(folder: Path, path: str) -> Path:
    study = folder / f"{Path(path).stem}.toml"
    study.write_text(TEXT.replace("LIST", path))
    return study


@pytest.mark.parametrize("path", ["test.list", "test_few_shot.txt"])
def test_the_sources_are_laid_out_on_the_classes_that_are_not_listed(
    folder: Path, tmp_path: Path, path: str
) -> None:
    study = load_study(str(write_study(folder, path)))
    datasets = lay_out_study(study, RunFolder(tmp_path / "run"))
    assert datasets["listed"].num_clips == 4 * 6  # what the list names
    assert datasets["novel"].num_clips == 4 * 7  # all of its categories


@pytest.mark.slow
@pytest.mark.usefixtures("forked_trainings")
def test_a_published_list_is_held_out_of_the_sources_and_asked_as_a_target(
    folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    main(
        [
            "study",
            str(write_study(folder, "test_few_shot.txt")),
            "--quiet",
            *ONE_WORKER,
            "--out",
            str(run),
        ]
    )
    base = [name for name in NAMES if name not in LISTED]
    for seed in (0, 1):
        model = (
            run / "checkpoints" / f"joint-full-seed-{seed}" / "last" / "model.json"
        ).read_text()
        held = json.loads(model)
        assert held["taxonomy"]["categories"] == sorted(base)
        assert "holding" in held["vocabulary"]
        assert "pulling" not in held["vocabulary"]
    (facts,) = json.loads((run / "held-out.json").read_text())
    assert (facts["siblings"], facts["groups"]) == (sorted(LISTED[:2]), sorted(LISTED[2:]))
    assert "every seed (siblings: " in (run / "report.html").read_text()
    rows = read_rows(run / "results.jsonl")
    for task, classes in (
        ("listed", LISTED),
        ("novel", LISTED),
        ("novel/siblings", LISTED[:2]),
        ("novel/groups", LISTED[2:]),
    ):
        name = f"joint-full-seed-1.{task.replace('/', '.')}.npz"
        found = read_evaluation(run / "predictions" / name)
        assert found.class_names == tuple(sorted(classes))
        own = select(rows, target=task, source="joint-full", versus=None, metric="top-1",
                     probe="nearest-mean")  # fmt: skip
        assert [row.seed for row in own] == [0, 1, None]
        assert {row.n for row in own} == {3 * len(classes)}
        pixels = select(rows, target=task, control="pixels", metric="top-1", probe="nearest-mean")
        assert [row.seed for row in pixels] == [None]  # the classes are those of every seed
    crossed = {row.target for row in rows if row.interval == "clips" and row.seed is None}
    assert crossed == set()  # three clips of a class are too few
    floors = select(rows, target="source-validation", control="chance", source="joint-full")
    assert [(row.metric, row.seed, row.value) for row in floors] == [
        ("top-1", None, 1 / len(base)),
        ("template-accuracy", None, 1 / len(base)),
    ]
    parted = select(rows, target="novel", source="joint-full", metric="errors-within-groups")
    assert [(row.seed, row.n) for row in parted] == [(0, 12), (1, 12), (None, 12)]
    assert select(rows, target="listed", metric="errors-within-groups") == ()
    episodes = select(rows, target="listed", metric="3-way-accuracy", source="joint-full",
                      versus=None, probe="nearest-mean")  # fmt: skip
    assert [row.n for row in episodes] == [24, 24, 24]
