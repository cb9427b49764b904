from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from torch import nn

import taskgrain
from taskgrain.errors import ConfigError
from taskgrain.models.build import build_encoder
from taskgrain.study.own_encoder import check_encoder_factory, identify_encoder
from tests.networks import compact_shape

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
