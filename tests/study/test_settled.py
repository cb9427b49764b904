from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from torch import nn

import taskgrain
from taskgrain.config.load import load_study
from taskgrain.data.files import write_text
from taskgrain.errors import ConfigError, RunError
from taskgrain.models.build import build_encoder
from taskgrain.study import settled
from taskgrain.study.folder import RunFolder
from taskgrain.study.settled import (
    check_encoder_factory,
    identify_encoder,
    keep_to_processor,
    processor_kind,
    processors,
    settle,
)
from tests.networks import compact_shape


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


SHAPE = compact_shape(spatial_widths=(4,), temporal_widths=(4,), lstm_width=8)


def test_a_function_of_a_module_and_a_partial_of_one_are_taken() -> None:
    check_encoder_factory(partial(build_encoder, SHAPE))
    named = identify_encoder(partial(build_encoder, SHAPE), 3)
    assert named.startswith("taskgrain.models.build.build_encoder ")
    assert named == identify_encoder(partial(build_encoder, SHAPE), 4)  # whatever the numbers
    wider = compact_shape(spatial_widths=(5,), temporal_widths=(4,), lstm_width=8)
    assert named != identify_encoder(partial(build_encoder, wider), 3)


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        (lambda seed: nn.Identity(), r"<lambda>: worker processes cannot import it: a lambda"),
        (nn.Identity(), "encoder is a module, Identity; expected a function that makes one"),
        (3, "encoder is 3; expected a function"),
    ],
)
def test_what_workers_could_not_make_is_refused_before_any_work(
    tmp_path: Path, encoder: object, said: str
) -> None:
    study = taskgrain.load_study("smoke")
    with pytest.raises(ConfigError, match=said):
        taskgrain.run_study(study, tmp_path / "run", encoder=encoder)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def without_seed() -> nn.Module:
    return nn.Identity()


def test_a_function_that_takes_no_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"without_seed cannot be called with one argument; exp"):
        check_encoder_factory(without_seed)  # type: ignore[arg-type]


def test_what_makes_no_module_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"encoder builtins.str made a str; expected a torch.nn"):
        identify_encoder(str, 0)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_study_in_a_program_without_main_guard_ends_in_one_error(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import taskgrain\n"
        "taskgrain.run_study(taskgrain.load_study('smoke'), 'run', workers=2, quiet=True)\n"
    )
    ended = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ended.returncode == 1
    assert ended.stderr.count("Traceback") == 1, ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(f"taskgrain.errors.RunError: {program}: lacks `if __name__ ==")


pytestmark = pytest.mark.slow


def test_the_kind_names_what_each_library_uses() -> None:
    kind = processor_kind()
    assert re.fullmatch(r"oneDNN \S.*, PyTorch [A-Z0-9]+, BLAS \S+", kind)
    assert "unknown" not in kind


def test_a_cuda_device_is_part_of_the_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: f"the card of {device}")
    assert processor_kind("cuda:1") == f"{processor_kind()}, CUDA the card of cuda:1"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="a cap of x86 processors")
def test_a_cap_of_onednn_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = processor_kind()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    capped = processor_kind()
    assert capped.startswith("oneDNN Intel SSE4.1,")
    assert capped != kind or kind.startswith("oneDNN Intel SSE4.1,")
