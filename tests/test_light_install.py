"""What compares, scores and reads labels does so where torch and video libraries are absent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from taskgrain.errors import OF_TRAIN, how_to_install
from taskgrain.transfer.archive import write_arrays
from tests.making import moving_square, row, write_annotations, write_video

ROOT = Path(__file__).parents[1]
# As if the extra `train` was not installed: its modules are not found.
WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""


def without_train(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    absent = WITHOUT.format(absent=set(OF_TRAIN))
    return subprocess.run(
        [sys.executable, "-c", absent + code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}"},
    )


COMMAND = "from taskgrain.cli.main import main\nmain(sys.argv[1:])"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make two files of features with labels, captions to score, and annotations."""
    folder = tmp_path_factory.mktemp("light")
    labels = np.repeat(np.arange(3), 20)
    clips = np.array([f"clip-{index}" for index in range(60)])
    for seed, name in enumerate(("a", "b")):
        features = np.random.default_rng(seed).normal(0, 1, (60, 4)) + 2 * np.eye(4)[labels]
        header = np.array(json.dumps({}))
        arrays = {"clip": clips, "features": features.astype(np.float32), "header": header}
        write_arrays(folder / f"{name}.npz", arrays)
    names = np.array(["x", "y", "z"])[labels]
    recordings = np.array([f"take-{index % 6}" for index in range(60)])
    write_arrays(folder / "own.npz", {**arrays, "label": names, "recording": recordings})
    table = "\n".join(f"{clip},{'xyz'[label]}" for clip, label in zip(clips, labels, strict=True))
    (folder / "labels.csv").write_text(f"clip,label\n{table}\n")
    (folder / "said.json").write_text('{"1": ["pushing a cup"], "2": ["lifting a pen"]}')
    rows: list[object] = [row(str(n), "Pushing [something]") for n in range(4)]
    data = write_annotations(folder / "data", rows[:2], rows[2:])
    write_video(data / "videos" / "0.webm", moving_square(9))
    return folder


def test_the_three_commands_and_help_need_nothing_of_train(inputs: Path) -> None:
    files = [str(inputs / name) for name in ("a.npz", "b.npz")]
    compared = without_train(
        COMMAND, "compare", *files, "--labels", str(inputs / "labels.csv"), "--draws", "3"
    )
    assert compared.returncode == 0, compared.stderr
    said = str(inputs / "said.json")
    scored = without_train(COMMAND, "score", said, "--references", said)
    assert scored.returncode == 0, scored.stderr
    page = str(inputs / "page.html")
    own = without_train(COMMAND, "compare", str(inputs / "own.npz"), "--html", page)
    assert own.returncode == 0, own.stderr
    labels = without_train(COMMAND, "labels", str(inputs / "data"))
    assert labels.returncode == 0, labels.stderr
    assert without_train(COMMAND, "--help").returncode == 0


def test_what_needs_train_says_how_to_get_it(inputs: Path) -> None:
    done = without_train(COMMAND, "study", "smoke", "--out", str(inputs / "run"))
    assert done.returncode == 2
    assert done.stderr.startswith("taskgrain: this needs torch, which is not installed here; pip ")
    assert "Traceback" not in done.stderr
    done = without_train("import taskgrain\ntaskgrain.Predictor")
    assert "taskgrain.Predictor: this needs " in done.stderr.splitlines()[-1]
    assert "pip install 'taskgrain[train]'" in done.stderr.splitlines()[-1]


def test_a_module_that_no_extra_brings_is_left_to_python() -> None:
    assert how_to_install("torch.nn") is not None
    assert how_to_install("torchvision") is None
    assert how_to_install(None) is None


def test_every_package_of_train_is_known_to_the_message() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {each.partition(">")[0] for each in project["optional-dependencies"]["train"]}
    assert names == set(OF_TRAIN.values())
    assert not any(each.startswith(tuple(names)) for each in project["dependencies"])
