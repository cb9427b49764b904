from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from taskgrain.config.load import load_study
from taskgrain.data.dataset import ClipBatches, Example
from taskgrain.errors import StoppedError
from taskgrain.models.build import build_encoder
from taskgrain.models.pretrained import torchvision
from taskgrain.models.weights import load_weights
from taskgrain.study import extracting
from taskgrain.study.datasets import lay_out, prepare_shard, shards
from taskgrain.study.extracting import extract_features
from taskgrain.study.folder import RunFolder
from taskgrain.study.inputs import Inputs
from taskgrain.study.networks import shape_of
from taskgrain.study.subjects import FeaturesKey, SubjectKey, extractions, subjects
from taskgrain.study.testing import read_subject
from taskgrain.transfer.extract import calibrate_batch_norm
from taskgrain.transfer.features import read_features
from tests.making import moving_square, row, write_annotations, write_video

RESNET = '{network="torchvision", model="resnet18", single_frame=true}'
RANDOM = FeaturesKey("random-encoder", None, 0)
SMALL = ("train.batch_size=3", "transfer.shots=[1]", "primary.shots=1", "video.num_frames=4")
EVERYTHING = (
    'transfer.readouts=["lstm-mean", "temporal-mean"]',
    'transfer.batch_norm=["source", "target"]',
)


class Stopping:
    """A worker that is asked to stop after so many safe points."""

    def __init__(self, after: int | None = None) -> None:
        self.after = after
        self.points = 0

    def report(self, cost: float) -> None:
        pass

    def advance(self, cost: float) -> None:
        self.points += 1
        if self.stopping():
            raise StoppedError

    def stopping(self) -> bool:
        return self.after is not None and self.points >= self.after


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of a square that moves, brighter from clip to clip."""
    root = tmp_path_factory.mktemp("data")
    rows = [row(str(number)) for number in range(20)]
    write_annotations(root, list(rows[:14]), list(rows[14:]))
    for number in range(20):
        frames = moving_square(5 + number % 3)
        bright = np.minimum(frames.astype(np.int64) + 5 * number, 255).astype(np.uint8)
        write_video(root / "videos" / f"{number}.webm", bright)
    return root


def laid_out(dataset: Path, run: Path, *changes: str) -> Inputs:
    target = f"targets=[{{name='kitchenware', root='{dataset}'}}]"
    study = load_study("smoke", [*SMALL, f"data.root='{dataset}'", target, *changes])
    folder = RunFolder(run)
    datasets = lay_out(study, folder)
    for each in datasets.values():
        for number, records, plans in shards(each):
            prepare_shard(Stopping(), each, number, records, plans)
    return Inputs(study, folder, datasets, None, "cpu", "fp32")


def of(inputs: Inputs, key: FeaturesKey) -> list[SubjectKey]:
    return extractions(subjects(inputs))[key]


def digests(inputs: Inputs) -> dict[str, str]:
    root = inputs.folder.root / "features"
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    }


@pytest.mark.slow
def test_one_pass_a_dataset_and_norm_writes_a_file_a_place(dataset: Path, tmp_path: Path) -> None:
    inputs = laid_out(dataset, tmp_path, *EVERYTHING)
    extract_features(Stopping(), inputs, RANDOM, of(inputs, RANDOM))
    assert set(digests(inputs)) == {
        f"random-encoder-seed-0/{name}.npz"
        for name in (
            *("source", "source.channels", "kitchenware", "kitchenware.channels"),
            *("kitchenware.target-norm", "kitchenware.channels.target-norm"),
        )
    }
    channels = read_features(inputs.folder.features(RANDOM.name, "kitchenware", "channels"))
    assert channels.header["channel_widths"] == [64, 64]
    assert channels.features.shape == (20, 1, 128)
    assert channels.clip_ids == tuple(str(number) for number in range(20))
    plain = laid_out(dataset, tmp_path / "plain")
    extract_features(Stopping(), plain, RANDOM, of(plain, RANDOM)[:1])
    assert set(digests(plain)) == {
        f"{RANDOM.name}/{name}.npz" for name in ("source", "kitchenware")
    }
    alone = read_features(plain.folder.features(RANDOM.name, "kitchenware"))
    together = read_features(inputs.folder.features(RANDOM.name, "kitchenware"))
    assert np.array_equal(alone.features, together.features)


@pytest.mark.slow
def test_an_extraction_that_was_stopped_anywhere_ends_with_the_same_bytes(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extracting, "PART_CLIPS", 5)  # two batches of three
    whole = laid_out(dataset, tmp_path / "whole", *EVERYTHING)
    worker = Stopping()
    extract_features(worker, whole, RANDOM, of(whole, RANDOM))
    assert worker.points > 20
    for after in (3, 8, 14, worker.points):
        inputs = laid_out(dataset, tmp_path / str(after), *EVERYTHING)
        with pytest.raises(StoppedError):
            extract_features(Stopping(after), inputs, RANDOM, of(inputs, RANDOM))
        rest = Stopping()
        extract_features(rest, inputs, RANDOM, of(inputs, RANDOM))
        assert rest.points <= worker.points - max(0, after - 7)  # a part, or the norms' five steps
        assert digests(inputs) == digests(whole)


@pytest.mark.slow
def test_what_is_written_is_not_extracted_again(dataset: Path, tmp_path: Path) -> None:
    inputs = laid_out(dataset, tmp_path)
    extract_features(Stopping(), inputs, RANDOM, of(inputs, RANDOM))
    path = inputs.folder.features(RANDOM.name, "source")
    kept = path.stat().st_mtime_ns
    inputs.folder.features(RANDOM.name, "kitchenware").unlink()
    worker = Stopping()
    extract_features(worker, inputs, RANDOM, of(inputs, RANDOM))
    assert path.stat().st_mtime_ns == kept
    assert worker.points == 7  # batches of the target's 20 clips
    other = laid_out(dataset, tmp_path, "video.num_frames=5")
    extract_features(worker, other, RANDOM, of(other, RANDOM))
    assert path.stat().st_mtime_ns > kept  # of other frames: its fingerprint is another


@pytest.mark.slow
def test_norms_are_re_estimated_on_the_targets_support_clips_alone(
    dataset: Path, tmp_path: Path
) -> None:
    inputs = laid_out(dataset, tmp_path, *EVERYTHING)
    extract_features(Stopping(), inputs, RANDOM, of(inputs, RANDOM))
    encoder = build_encoder(shape_of(inputs.study.encoder), seed=0)
    load_weights(encoder, tmp_path / "checkpoints" / RANDOM.name / "encoder.safetensors")
    store = inputs.datasets["kitchenware"].frames()
    support = extracting._norm_clips(inputs, "kitchenware", 0)
    assert sorted(support, key=int) == [str(number) for number in range(14)]

    def video(clips: tuple[str, ...]) -> list[torch.Tensor]:
        examples = [Example(clip) for clip in clips]
        batches = ClipBatches(store, examples, inputs.sampling, batch_size=3)
        return [batch.video for batch in batches.batches()]

    calibrate_batch_norm(encoder, video(support))
    encoder.eval()
    with torch.inference_mode():
        every = video(tuple(str(number) for number in range(20)))
        expected = torch.cat([encoder(each) for each in every]).numpy()
    path = inputs.folder.features(RANDOM.name, "kitchenware", batch_norm="target")
    found = read_features(path)
    assert found.header["batch_norm"] == "target"
    assert np.array_equal(found.features, expected)
    own = read_features(inputs.folder.features(RANDOM.name, "kitchenware"))
    assert not np.allclose(own.features, expected, atol=1e-3)


@pytest.mark.slow
def test_frozen_weights_are_read_once_for_every_seed(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    name = torchvision.published_address("resnet18").rpartition("/")[2]
    cached = tmp_path / "torch" / "hub" / "checkpoints" / name
    cached.parent.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        torch.save(torchvision.new_network("resnet18").state_dict(), cached)
    inputs = laid_out(
        dataset,
        tmp_path / "run",
        *("seeds=[0, 1]", "transfer.controls=[]", 'transfer.batch_norm=["source", "target"]'),
        f"encoder={RESNET}",
        f"encoders={{image={RESNET}}}",
        'sources=["categories", {name="image", encoder="image"}]',
        'primary.versus="image"',
    )
    frozen = FeaturesKey("source", "image", None)
    keys = of(inputs, frozen)
    assert [(key.seed, key.read_as) for key in keys] == [
        *[(0, "lstm-mean"), (1, "lstm-mean")],
        *[(0, "lstm-mean+target-norm"), (1, "lstm-mean+target-norm")],
    ]
    extract_features(Stopping(), inputs, frozen, keys)
    files = {"source.npz", "kitchenware.npz", "kitchenware.target-norm.npz"}
    assert {Path(name).name for name in digests(inputs)} == files
    (target,) = inputs.study.targets
    first, second = (read_subject(inputs, key, target) for key in keys[:2])
    assert (first.subject.source, first.subject.seed, second.subject.seed) == ("image", 0, 1)
    assert first.features.features.shape == (20, 512)
    assert np.array_equal(first.features.features, second.features.features)
    adapted = read_subject(inputs, keys[2], target)
    assert adapted.subject.readout == "lstm-mean+target-norm"
    assert not np.allclose(adapted.features.features, first.features.features, atol=1e-3)
    assert np.array_equal(adapted.standardiser.mean, first.standardiser.mean)
    drawn = extracting._subject(inputs, RANDOM, ("output",)).encoder
    assert drawn is not None
    cached_encoder = extracting._subject(inputs, frozen, ("output",)).encoder
    assert cached_encoder is not None
    pairs = zip(drawn.parameters(), cached_encoder.parameters(), strict=True)
    assert all(not torch.equal(a, b) for a, b in pairs if a.ndim > 1)  # nothing learned in it
