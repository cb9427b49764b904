from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.config.load import load_study
from taskgrain.errors import RunError
from taskgrain.study import settled
from taskgrain.study.folder import RunFolder
from taskgrain.study.processor import processor_kind
from taskgrain.study.settled import note_processor, processors, settle


def test_a_run_goes_on_in_the_precision_that_it_began_in(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    auto, bf16 = load_study("smoke"), load_study("smoke", ['train.precision="bf16"'])
    assert settle(auto, folder, encoder=None, device="cpu") == "fp32"
    with pytest.raises(RunError, match="precision: fp32 before, bf16 now"):
        settle(bf16, folder, encoder=None, device="cpu")


@pytest.mark.slow
def test_each_kind_of_processor_is_noted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, study = RunFolder(tmp_path), load_study("smoke")
    settle(study, folder, encoder=None, device="cpu")
    here = processor_kind()
    note_processor(folder)
    note_processor(folder)
    assert processors(folder) == [here]
    monkeypatch.setattr(settled, "processor_kind", lambda: "oneDNN another")
    note_processor(folder)
    assert processors(folder) == [here, "oneDNN another"]
    assert settle(study, folder, encoder=None, device="cpu") == "fp32"
    assert processors(folder) == [here, "oneDNN another"]
