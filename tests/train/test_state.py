from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from taskgrain.errors import CheckpointError
from taskgrain.train.optim import make_optimizer, set_lr
from taskgrain.train.state import TrainingState, capture, load_state, restore, save_state


def state(step: int) -> TrainingState:
    return TrainingState({"weight": torch.full((3,), float(step))}, {"step": step})


def found(folder: Path) -> int:
    loaded = load_state(folder)
    assert loaded is not None
    assert torch.equal(
        loaded.tensors["weight"], torch.full((3,), float(str(loaded.entries["step"])))
    )
    return int(str(loaded.entries["step"]))


def test_the_latest_state_comes_back(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save_state(tmp_path, state(step))
        assert found(tmp_path) == step


def test_there_is_no_state_before_the_first(tmp_path: Path) -> None:
    assert load_state(tmp_path / "nowhere") is None


class Killed(BaseException):
    pass


def killed_after(num_renames: int) -> Callable[[Path, Path], Path]:
    """Rename a number of files, and be killed before the next."""
    rename = Path.replace
    done: list[Path] = []

    def counted(path: Path, target: Path) -> Path:
        if len(done) == num_renames:
            raise Killed
        done.append(path)
        return rename(path, target)

    return counted


@pytest.mark.parametrize("num_renames", [0, 1, 2, 3])
@pytest.mark.parametrize("num_saved", [1, 2])
def test_killed_between_two_renames_a_whole_state_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_renames: int, num_saved: int
) -> None:
    for step in range(1, num_saved + 1):
        save_state(tmp_path, state(step))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed_after(num_renames))
        with pytest.raises(Killed):
            save_state(tmp_path, state(9))
    if num_renames == 0:
        assert found(tmp_path) == num_saved
        return
    with pytest.warns(RuntimeWarning, match=f"not whole; going on from step {num_saved}"):
        assert found(tmp_path) == num_saved
    with pytest.warns(RuntimeWarning, match="not whole"):
        load_state(tmp_path)
    save_state(tmp_path, state(10))
    assert found(tmp_path) == 10


@pytest.mark.parametrize("name", ["training.safetensors", "training.json"])
@pytest.mark.parametrize("kept_bytes", [0, 10, -1])
def test_a_truncated_file_is_gone_back_from_loudly(
    tmp_path: Path, name: str, kept_bytes: int
) -> None:
    save_state(tmp_path, state(1))
    save_state(tmp_path, state(2))
    path = tmp_path / name
    content = path.read_bytes().rstrip()
    path.write_bytes(content[:kept_bytes])
    with pytest.warns(RuntimeWarning, match="going on from step 1"):
        assert found(tmp_path) == 1


@pytest.mark.parametrize("damaged", ["training.safetensors", "training.json"])
@pytest.mark.parametrize("num_renames", [0, 1, 2])
def test_a_damaged_state_never_takes_the_place_of_the_whole_one_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: str, num_renames: int
) -> None:
    save_state(tmp_path, state(1))
    save_state(tmp_path, state(2))
    (tmp_path / damaged).write_bytes((tmp_path / damaged).read_bytes()[:-10])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed_after(num_renames))
        if num_renames < 2:  # two are enough where nothing is put aside
            with pytest.raises(Killed):
                save_state(tmp_path, state(3))
        else:
            save_state(tmp_path, state(3))
    if num_renames == 2:
        assert found(tmp_path) == 3
        return
    with pytest.warns(RuntimeWarning, match="not whole; going on from step 1"):
        assert found(tmp_path) == 1


def test_without_any_whole_state_training_is_refused(tmp_path: Path) -> None:
    save_state(tmp_path, state(1))
    (tmp_path / "training.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"no training state is whole .*training\.json"):
        load_state(tmp_path)


def test_tensors_of_another_state_are_not_taken(tmp_path: Path) -> None:
    save_state(tmp_path / "one", state(1))
    save_state(tmp_path / "two", state(2))
    (tmp_path / "two" / "training.safetensors").replace(tmp_path / "one" / "training.safetensors")
    with pytest.raises(CheckpointError, match="no training state is whole"):
        load_state(tmp_path / "one")


def test_a_failed_save_loses_nothing(tmp_path: Path) -> None:
    save_state(tmp_path, state(1))
    with pytest.raises(ValueError, match="Out of range float"):
        save_state(tmp_path, TrainingState(state(2).tensors, {"step": float("nan")}))
    assert found(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "training.json",
        "training.safetensors",
    ]


def make_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(2, 3, 3, padding=1), nn.BatchNorm3d(3), nn.ReLU())


def advance(network: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    video = torch.randn(2, 2, 4, 4, 4, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    network(video.contiguous(memory_format=torch.channels_last_3d)).square().sum().backward()
    optimizer.step()


def test_a_restored_optimizer_goes_on_to_the_bit() -> None:
    first, second = make_network(), make_network()
    optimizers = [make_optimizer(network, weight_decay=0.1) for network in (first, second)]
    for optimizer in optimizers:
        set_lr(optimizer, 0.1)
    advance(first, optimizers[0], 0)
    restore(second, optimizers[1], {k: v.clone() for k, v in capture(first, optimizers[0]).items()})
    for seed in (1, 2):
        advance(first, optimizers[0], seed)
        advance(second, optimizers[1], seed)
    after = second.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in first.state_dict().items())


def test_a_state_of_other_sizes_is_refused_whole() -> None:
    network = make_network()
    optimizer = make_optimizer(network, weight_decay=0.1)
    tensors = capture(network, optimizer)
    tensors["model.0.weight"] = torch.zeros(1)
    tensors["model.0.bias"] = tensors["model.0.bias"] + 1
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(
        CheckpointError, match=r"weight 0\.weight has shape \(1,\), .*; expected \(3,"
    ):
        restore(network, optimizer, tensors)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
