from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from taskgrain.data.batch import Batch
from taskgrain.errors import ResultError
from taskgrain.transfer.extract import (
    collect_places,
    encoder_reader,
    feature_set,
    place_facts,
    raw_pixels,
)
from taskgrain.transfer.features import FeatureSet, Place, mean_over_steps

CPU = torch.device("cpu")
VIDEO = torch.randint(
    0, 256, (6, 4, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


class OwnEncoder(nn.Module):
    """A user's encoder, with the layers that behave otherwise in training."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.linear = nn.Linear(3, 5)
        self.dropout = nn.Dropout(0.5)
        self.width = 5
        self.passes = 0

    @property
    def channel_widths(self) -> tuple[int, int]:
        return 1, 2

    def channel_features(self, video: Tensor) -> Tensor:
        self.passes += 1
        return self.norm(video.float().mean(dim=(2, 3)) / 255.0)  # (B, T, 3)

    def from_channels(self, seen: Tensor) -> Tensor:
        return self.dropout(self.linear(seen))

    def forward(self, video: Tensor) -> Tensor:
        return self.from_channels(self.channel_features(video))


def batches_of(sizes: Sequence[int]) -> list[Batch]:
    ends = np.cumsum(sizes)
    nothing = torch.zeros(0, dtype=torch.long)
    return [
        Batch(
            tuple(f"clip{i}" for i in range(end - size, end)),
            VIDEO[end - size : end],
            nothing,
            nothing,
        )
        for size, end in zip(sizes, ends.tolist(), strict=True)
    ]


def encoder() -> OwnEncoder:
    torch.manual_seed(0)
    made = OwnEncoder()
    made(VIDEO)  # in training mode: the running statistics move
    return made


def extract(made: nn.Module, batches: Sequence[Batch], place: Place = "output") -> FeatureSet:
    read = encoder_reader(made, [place], device=CPU)
    header = {"k": 1, **place_facts(made, place)}
    return feature_set([collect_places(read, batches, device=CPU)], place, header)


def collect(read: Callable[[Tensor], Tensor], batches: Sequence[Batch]) -> FeatureSet:
    part = collect_places(lambda video: {"output": read(video)}, batches, device=CPU)
    return feature_set([part], "output", {})


def test_every_clip_is_read_once_in_float32_with_all_its_steps() -> None:
    found = extract(encoder(), batches_of([4, 2]))
    assert found.clip_ids == tuple(f"clip{i}" for i in range(6))
    assert found.features.shape == (6, 4, 5)
    assert found.features.dtype == np.float32
    assert found.header == {"k": 1}
    assert mean_over_steps(found).features.shape == (6, 5)


def test_features_do_not_depend_on_batches_or_on_training_mode() -> None:
    one, other = encoder(), encoder()
    state = {name: value.clone() for name, value in one.state_dict().items()}
    whole = extract(one.train(), batches_of([6]))
    parts = extract(other, batches_of([1, 3, 2]))
    assert np.allclose(whole.features, parts.features, atol=1e-6)
    assert state.keys() == one.state_dict().keys()
    assert all(torch.equal(state[name], value) for name, value in one.state_dict().items())


def test_channels_are_read_before_the_lstm() -> None:
    made = encoder()
    found = extract(made, batches_of([6]), "channels")
    assert found.features.shape == (6, 4, 3)
    with torch.inference_mode():
        assert np.array_equal(found.features, made.eval().channel_features(VIDEO).numpy())
    with pytest.raises(ValueError, match="Flatten has no channel_features"):
        extract(nn.Flatten(), batches_of([6]), "channels")


def test_every_readout_comes_of_one_pass() -> None:
    made = encoder()
    made.passes = 0
    read = encoder_reader(made, ["output", "channels"], device=CPU)
    part = collect_places(read, batches_of([4, 2]), device=CPU)
    assert made.passes == 2
    assert set(part) == {"clip", "output", "channels"}
    whole = extract(encoder(), batches_of([4, 2]))
    assert np.array_equal(part["output"], whole.features)
    channels = extract(encoder(), batches_of([4, 2]), "channels")
    assert np.array_equal(part["channels"], channels.features)
    assert channels.header["channel_widths"] == [1, 2]


def test_parts_join_to_what_one_extraction_gives() -> None:
    read = encoder_reader(encoder(), ["output"], device=CPU)
    batches = batches_of([2, 2, 2])
    parts = [collect_places(read, batches[i : i + 2], device=CPU) for i in (0, 2)]
    whole = extract(encoder(), batches_of([2, 2, 2]))
    joined = feature_set(parts, "output", {})
    assert joined.clip_ids == whole.clip_ids
    assert joined.features.tobytes() == whole.features.tobytes()


def test_autocast_around_the_extraction_changes_nothing() -> None:
    plain = extract(encoder(), batches_of([6]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = extract(encoder(), batches_of([6]))
    assert np.array_equal(plain.features, inside.features)


def test_a_clip_that_comes_twice_is_refused_by_name() -> None:
    (batch,) = batches_of([6])
    with pytest.raises(ResultError, match="clip clip0 has features twice"):
        collect(raw_pixels, [batch, batch])


def test_wrong_features_are_refused() -> None:
    with pytest.raises(ValueError, match="expected float32 with 6 rows"):
        collect(lambda video: raw_pixels(video).double(), batches_of([6]))
    with pytest.raises(ValueError, match="expected float32 with 6 rows"):
        collect(lambda video: raw_pixels(video)[:5], batches_of([6]))
    with pytest.raises(ResultError, match="the features of clip clip0 are not finite"):
        collect(lambda video: raw_pixels(video) / 0, batches_of([6]))
    with pytest.raises(ValueError, match="no clips"):
        collect(raw_pixels, [])


@pytest.mark.slow
def test_probing_features_from_a_file_imports_no_torch() -> None:
    modules = ("draws", "evaluate", "features", "predictions", "probes", "rows", "task")
    imports = "; ".join(f"import taskgrain.transfer.{name}" for name in modules)
    code = f"import sys; {imports}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
