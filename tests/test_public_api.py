from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import taskgrain
from taskgrain.labels.vocabulary import Vocabulary
from taskgrain.results import ResultRow, write_rows


def test_every_public_name_is_there() -> None:
    assert len(taskgrain.__all__) > 5
    for name in taskgrain.__all__:
        assert getattr(taskgrain, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'run_studdy'"):
        _ = taskgrain.run_studdy


def test_only_public_names_are_listed() -> None:
    assert dir(taskgrain) == sorted(taskgrain.__all__)


def test_texts_are_paths_and_what_is_read_says_what_it_is(tmp_path: Path) -> None:
    study = taskgrain.load_study("smoke", ["seeds=[0,1]"])
    assert repr(study) == (
        "<Study 'smoke': sources action-groups, categories, joint-full; targets kitchenware; "
        "seeds 0, 1>"
    )
    assert str(study) == repr(study)
    row = ResultRow(study="s", target="t", metric="top-1", value=0.5, n=2, failed=0, truncated=0)
    assert repr(row) == (
        "ResultRow(study='s', target='t', metric='top-1', value=0.5, n=2, failed=0, truncated=0)"
    )
    write_rows(tmp_path / "results.jsonl", [row])
    assert taskgrain.read_rows(str(tmp_path / "results.jsonl")) == (row,)
    assert repr(Vocabulary(("cup",))) == "<Vocabulary of 1 words by the rule 'taskgrain'>"


LOADS_NONE_OF = (  # in one process, one after the other
    ("import taskgrain.cli.main", "{'numpy', 'scipy', 'pydantic', 'torch', 'importlib.metadata'}"),
    ("import taskgrain.tools.score.scoring", "{'scipy', 'torch'}"),
    ("from taskgrain.labels.taxonomy import taxonomy_of", "{'torch'}"),
    ("from taskgrain.config.load import load_study", "{'torch'}"),
    ("from taskgrain.results import read_rows", "{'torch'}"),
    ("from taskgrain.report.html import write_report", "{'torch'}"),
    ("from taskgrain.tabletop.dataset import plan", "{'torch'}"),
    ("from taskgrain.transfer.evaluate import evaluate", "{'torch'}"),
)


@pytest.mark.slow
def test_help_scores_and_data_wait_for_no_library_that_they_do_not_need() -> None:
    lines = [
        f"{statement}\nloaded = {names} & set(sys.modules)\nassert not loaded, loaded"
        for statement, names in LOADS_NONE_OF
    ]
    subprocess.run([sys.executable, "-c", "\n".join(["import sys", *lines])], check=True)


@pytest.mark.slow
def test_a_checkpoint_is_loaded_without_torchs_compiler(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from tests.test_predict import CATEGORY, checkpoint\n"
        "from taskgrain.predict import Predictor\n"
        "folder = checkpoint(pathlib.Path(sys.argv[1], 'last'), CATEGORY, 'full')\n"
        "Predictor.from_checkpoint(folder)\n"
        "assert not {'sympy', 'torch._dynamo'} & set(sys.modules)"
    )
    root = str(Path(__file__).parents[1])
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=root)
