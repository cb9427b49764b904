from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.config.load import load_study
from taskgrain.data.files import write_text
from taskgrain.errors import RunError
from taskgrain.study import settled
from taskgrain.study.folder import RunFolder
from taskgrain.study.settled import keep_to_processor, processors, settle


def test_a_run_goes_on_in_the_precision_that_it_began_in(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    auto, bf16 = load_study("smoke"), load_study("smoke", ['train.precision="bf16"'])
    assert settle(auto, folder, encoder=None, device="cpu") == "fp32"
    with pytest.raises(RunError, match="precision: fp32 before, bf16 now"):
        settle(bf16, folder, encoder=None, device="cpu")


AVX2, AVX512 = "oneDNN Intel AVX2, PyTorch AVX2, BLAS Zen", "oneDNN Intel AVX-512, PyTorch AVX2"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run whose first cell was done with AVX2."""
    folder = RunFolder(tmp_path)
    settle(load_study("smoke"), folder, encoder=None, device="cpu")
    monkeypatch.setattr(settled, "processor_kind", lambda _: AVX2)
    keep_to_processor(folder, device="cpu", mix=False)
    write_text(folder.done("prepare-source-00000"), "")
    return folder


def test_a_run_goes_on_with_the_same_kind_of_processor(folder: RunFolder) -> None:
    keep_to_processor(folder, device="cpu", mix=False)
    keep_to_processor(folder, device="cpu", mix=True)
    assert processors(folder) == [AVX2]


def test_another_kind_of_processor_is_refused_with_the_difference(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settled, "processor_kind", lambda _: AVX512)
    expected = (
        r"another kind of processor \(oneDNN Intel AVX2 before, oneDNN Intel AVX-512 now, BLAS Zen "
        r"before, nothing now\).*--mix-processors"
    )
    with pytest.raises(RunError, match=expected):
        keep_to_processor(folder, device="cpu", mix=False)
    assert processors(folder) == [AVX2]
    assert settle(load_study("smoke"), folder, encoder=None, device="cpu") == "fp32"


def test_a_run_that_mixes_processors_keeps_them_all_and_may_go_on_with_each(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settled, "processor_kind", lambda _: AVX512)
    keep_to_processor(folder, device="cpu", mix=True)
    for kind in (AVX512, AVX2):
        monkeypatch.setattr(settled, "processor_kind", lambda _, kind=kind: kind)
        keep_to_processor(folder, device="cpu", mix=False)
        assert processors(folder) == [AVX2, AVX512]


def test_before_a_cell_is_done_the_run_is_of_whatever_processor_goes_on(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.done("prepare-source-00000").unlink()
    monkeypatch.setattr(settled, "processor_kind", lambda _: AVX512)
    keep_to_processor(folder, device="cpu", mix=False)
    assert processors(folder) == [AVX512]
