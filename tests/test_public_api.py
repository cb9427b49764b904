from __future__ import annotations

import subprocess
import sys

import pytest

import taskgrain


def test_every_public_name_is_there() -> None:
    assert len(taskgrain.__all__) > 5
    for name in taskgrain.__all__:
        assert getattr(taskgrain, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'run_studdy'"):
        _ = taskgrain.run_studdy


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    [
        "import taskgrain",
        "import taskgrain.cli.main",
        "from taskgrain.labels.taxonomy import taxonomy_of",
        "from taskgrain.config.load import load_study",
        "from taskgrain.results import read_rows",
        "from taskgrain.report.html import write_report",
        "from taskgrain.tabletop.dataset import plan",
        "from taskgrain.transfer.evaluate import evaluate",
    ],
)
def test_what_needs_no_torch_loads_none(statement: str) -> None:
    code = f"import sys\n{statement}\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
