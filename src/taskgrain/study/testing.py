"""The cells that test: frozen features of each subject, probed on each target.

A subject is whoever's features are tested: a trained source, an untrained encoder, or features
that nothing was learned for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from taskgrain.config.clips import Target
from taskgrain.config.testing import Control
from taskgrain.data.batch import Batch
from taskgrain.data.dataset import ClipBatches, Example
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.sampling import generator_for
from taskgrain.data.store import FrameStore
from taskgrain.jobs.executor import Worker
from taskgrain.models.weights import save_weights
from taskgrain.predict import load_model
from taskgrain.study.datasets import SOURCE, Dataset
from taskgrain.study.inputs import Inputs
from taskgrain.study.networks import new_encoder, own_encoder
from taskgrain.study.targets import target_tasks
from taskgrain.train.calibrate import calibrate_batch_norm
from taskgrain.transfer.controls import motion_energy, raw_pixels
from taskgrain.transfer.evaluate import ProbePlan, Subject, evaluate, evaluate_permuted
from taskgrain.transfer.extract import Readout, collect, extract
from taskgrain.transfer.features import (
    FeatureSet,
    file_sha256,
    fingerprint,
    mean_over_steps,
    read_features,
    write_features,
)
from taskgrain.transfer.predictions import write_evaluation
from taskgrain.transfer.probes import PROBES, Standardiser
from taskgrain.transfer.shortcuts import SHORTCUTS, ReadClips, Shortcut, shuffled_time

EXTRACT_SECONDS = 1 / 500  # a clip through a frozen encoder in float32, one thread
CALIBRATION_BATCHES = 30
STATISTICS_CLIPS = 1000  # of the source: a mean is then within 3 % of a feature's deviation

SHUFFLE_SEED = 0
FLAT_CONTROLS: tuple[Control, ...] = ("pixels", "motion-energy", *SHORTCUTS)
"""Controls with one vector a clip, and no steps."""
Kind = Literal["source", "random-encoder", "shuffled-time", "pixels", "motion-energy"] | Shortcut


@dataclass(frozen=True, slots=True)
class SubjectKey:
    """Which features: whose, of which seed, read where."""

    kind: Kind
    source: str | None = None
    seed: int | None = None
    readout: str = "lstm-mean"

    @property
    def name(self) -> str:
        """Name the subject in files and cells."""
        parts = [self.source or self.kind]
        if self.seed is not None:
            parts.append(f"seed-{self.seed}")
        if self.kind == "random-encoder":
            parts.append(self.readout)
        if self.kind == "shuffled-time":
            parts.append(self.kind)
        return "-".join(parts)

    @property
    def control(self) -> Control | None:
        """Give the control that the subject is, or None for a source."""
        return None if self.kind == "source" else self.kind


def subjects(inputs: Inputs) -> list[SubjectKey]:
    """List whose features a study tests, in plan order: sources, then controls."""
    study = inputs.study
    keys = [SubjectKey("source", s.name, seed) for s in study.sources for seed in study.seeds]
    if "random-encoder" in study.transfer.controls:
        readouts = ["lstm-mean"]
        if inputs.encoder_factory is None:
            readouts.append("channels-mean")  # a random LSTM may hide what its input tells
        keys += [
            SubjectKey("random-encoder", None, seed, readout)
            for readout in readouts
            for seed in study.seeds
        ]
    if "shuffled-time" in study.transfer.controls:
        keys += [
            SubjectKey("shuffled-time", key.source, key.seed)
            for key in keys
            if key.kind == "source"
        ]
    flat: tuple[Kind, ...] = ("pixels", "motion-energy", *SHORTCUTS)
    keys += [SubjectKey(kind, readout="flat") for kind in flat if kind in study.transfer.controls]
    return keys


def extract_features(worker: Worker, inputs: Inputs, key: SubjectKey) -> None:
    """Extract a subject's features of every dataset: once, deterministically, in float32."""
    read, weights = _reader(worker, inputs, key)
    sampling = inputs.study.video.model_dump()
    if key.kind == "shuffled-time":
        sampling = {**sampling, "shuffled": SHUFFLE_SEED}
    for name, dataset in inputs.datasets.items():
        manifest, store = dataset.manifest(), dataset.frames()
        usable = [record for record in _extracted(name, manifest) if record.clip_id in store]
        header: dict[str, object] = {
            "dataset": name,
            "subject": key.name,
            "readout": key.readout,
            "sampling": sampling,
            "fingerprint": fingerprint(
                weights_sha256=weights,
                preprocessing={**sampling, "readout": key.readout},
                clip_ids=[record.clip_id for record in usable],
            ),
        }
        write_features(inputs.folder.features(key.name, name), read(store, usable, header))


def _extracted(name: str, manifest: Manifest) -> Sequence[ClipRecord]:
    """Choose the clips whose features are needed: all of a target, enough of the source.

    Of the source only the mean and deviation of each feature are used (see `Standardiser`): its
    clips are drawn once and for all subjects alike.
    """
    if name != SOURCE:
        return manifest.records
    training = manifest.split(Split.TRAIN)
    drawn = generator_for(0, 0, "statistics").permutation(len(training))[:STATISTICS_CLIPS]
    return [training[index] for index in sorted(drawn)]


def _reader(worker: Worker, inputs: Inputs, key: SubjectKey) -> tuple[ReadClips, str]:
    """Give the function that makes a subject's features, and the hash of its weights."""
    shortcut = {str(name): read for name, read in SHORTCUTS.items()}.get(key.kind)
    if shortcut is not None:
        return shortcut, key.kind
    read_batches, weights = _batch_reader(inputs, key)

    def read(
        store: FrameStore, records: Sequence[ClipRecord], header: Mapping[str, object]
    ) -> FeatureSet:
        batches = _told(worker, _in_order(inputs, records, store).batches())
        if key.kind == "shuffled-time":
            batches = shuffled_time(batches, seed=SHUFFLE_SEED)
        return read_batches(batches, header)

    return read, weights


ReadBatches = Callable[[Iterable[Batch], Mapping[str, object]], FeatureSet]


def _batch_reader(inputs: Inputs, key: SubjectKey) -> tuple[ReadBatches, str]:
    """Give the function that makes features of batches, and the hash of its weights."""
    device = torch.device(inputs.device)
    plain: dict[str, Callable[[Tensor], Tensor]] = {
        "pixels": raw_pixels,
        "motion-energy": motion_energy,
    }
    if key.kind in plain:
        function = plain[key.kind]
        return lambda b, header: collect(function, b, device=device, header=header), key.kind
    assert key.seed is not None, "an encoder has a seed"
    if key.source is not None:
        folder = inputs.checkpoint(key.source, key.seed)
        encoder = load_model(folder, encoder=own_encoder(inputs, key.seed))[0].encoder
        weights = file_sha256(folder / "model.safetensors")
    else:
        encoder = new_encoder(inputs, None, key.seed)[0].to(device)
        weights = _calibrated(inputs, encoder, key)
    readout: Readout = "channels-mean" if key.readout == "channels-mean" else "lstm-mean"
    return (
        lambda b, header: extract(encoder, b, readout=readout, device=device, header=header),
        weights,
    )


def _calibrated(inputs: Inputs, encoder: nn.Module, key: SubjectKey) -> str:
    """Give an untrained encoder the BatchNorm statistics of the source's clips; hash it."""
    dataset = inputs.datasets[SOURCE]
    store, records = dataset.frames(), dataset.manifest().split(Split.TRAIN)
    usable = [record for record in records if record.clip_id in store]
    batches = _in_order(inputs, usable, store).batches()
    first = (batch for _, batch in zip(range(CALIBRATION_BATCHES), batches, strict=False))
    device = torch.device(inputs.device)
    calibrate_batch_norm(encoder, (batch.video.to(device) for batch in first))
    path = inputs.folder.root / "checkpoints" / key.name / "encoder.safetensors"
    save_weights(encoder, path)
    return file_sha256(path)


def _in_order(inputs: Inputs, records: Sequence[ClipRecord], store: FrameStore) -> ClipBatches:
    return ClipBatches(
        store,
        [Example(record.clip_id) for record in records],
        inputs.sampling,
        batch_size=inputs.study.train.batch_size,
    )


def _told(worker: Worker, batches: Iterator[Batch]) -> Iterator[Batch]:
    for batch in batches:
        yield batch
        worker.advance(len(batch.clip_ids) * EXTRACT_SECONDS)


def evaluate_subject(worker: Worker, inputs: Inputs, key: SubjectKey, target: Target) -> None:
    """Probe a subject's features on one target and its factors; write every answer."""
    dataset, transfer = inputs.datasets[target.name], inputs.study.transfer
    subject = _subject(inputs, key, target)
    has_steps = subject.step_standardiser is not None
    probes = tuple(name for name in transfer.probes if has_steps or not PROBES[name]().reads_steps)
    plan = ProbePlan(probes, transfer.shots, transfer.draws, transfer.seed)
    for task in target_tasks(target, *opened(dataset)):
        cell = evaluation_name(key, task.name)
        write_evaluation(inputs.folder.predictions(cell), evaluate(subject, task, plan=plan))
        worker.advance(EVALUATE_SECONDS)
        if has_permuted_control(inputs, key, target, task.name):
            primary = inputs.study.primary
            shots = primary.shots if primary.shots != "all" else min(counted(transfer.shots))
            alone = ProbePlan((primary.probe,), (shots,), transfer.draws, transfer.seed)
            permuted = evaluate_permuted(subject, task, plan=alone)
            write_evaluation(inputs.folder.predictions(f"{cell}.permuted.labels"), permuted)


def _subject(inputs: Inputs, key: SubjectKey, target: Target) -> Subject:
    """Read a subject's features; their steps are kept where a probe reads them."""
    scored = read_features(inputs.folder.features(key.name, target.name))
    source = read_features(inputs.folder.features(key.name, SOURCE))
    wants_steps = any(PROBES[name]().reads_steps for name in inputs.study.transfer.probes)
    steps = None
    if wants_steps and scored.features.ndim == 3:
        steps = Standardiser.of(source.features.reshape(-1, source.features.shape[-1]))
    return Subject(
        source=key.source,
        seed=key.seed,
        readout=key.readout,
        control=key.control,
        features=mean_over_steps(scored) if steps is None else scored,
        standardiser=Standardiser.of(mean_over_steps(source).features),
        step_standardiser=steps,
    )


EVALUATE_SECONDS = 3.0  # one subject on one task: 151 draws, two probes


def opened(dataset: Dataset) -> tuple[Manifest, FrameStore]:
    """Open a dataset's annotations and frames."""
    return dataset.manifest(), dataset.frames()


def counted(shots: Iterable[int | Literal["all"]]) -> list[int]:
    """Leave "all" out."""
    return [number for number in shots if number != "all"]


def has_permuted_control(inputs: Inputs, key: SubjectKey, target: Target, task: str) -> bool:
    """Whether a subject is also probed with permuted labels: sources, on the primary target."""
    transfer = inputs.study.transfer
    return (
        "permuted-labels" in transfer.controls
        and key.kind == "source"
        and target.name == task == inputs.study.primary.target
        and bool(counted(transfer.shots))
    )


def evaluation_name(key: SubjectKey, task: str) -> str:
    """Name the file of a subject's answers on a task: "categories-seed-0.kitchenware.motion"."""
    return f"{key.name}.{task.replace('/', '.')}"  # no name in it has a dot of its own
