"""The cells that extract: the features of a source or a control on every dataset.

Each dataset is read in one pass, whatever is tested of an encoder, and the pass in parts: a
stopped or killed extraction goes on after its last whole part.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil
from pathlib import Path

import torch
from torch import nn

from taskgrain.checkpoint import load_model
from taskgrain.config.settings import Study
from taskgrain.data.dataset import Batch
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.store import FrameStore
from taskgrain.jobs.executor import Worker
from taskgrain.models.build import build_from
from taskgrain.models.weights import save_weights, weights_sha256
from taskgrain.randomness import generator_for
from taskgrain.study.datasets import SOURCE
from taskgrain.study.inputs import Inputs, batches_in_order, drawn_once
from taskgrain.study.networks import extract_seconds, measured_changes, new_encoder, own_encoder
from taskgrain.study.seed_clips import seed_clips
from taskgrain.study.subjects import BatchNorm, FeaturesKey, SubjectKey, places_of
from taskgrain.study.targets import task_seeds, tasks_of
from taskgrain.transfer.archive import PART_CLIPS, Arrays, extract_in_parts, remove_parts
from taskgrain.transfer.extract import (
    FLAT_CONTROLS,
    SHORTCUTS,
    ReadVideo,
    calibrate_batch_norm,
    collect_places,
    encoder_reader,
    motion_energy,
    place_facts,
    raw_pixels,
    shuffled_time,
)
from taskgrain.transfer.features import (
    Place,
    file_sha256,
    fingerprint,
    read_header,
    write_feature_parts,
    write_features,
)

CALIBRATION_BATCHES = 30
STATISTICS_CLIPS = 1000  # of a dataset: a mean is then within 3 % of a feature's deviation
SHUFFLE_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Subject:
    """What reads every clip: an encoder, or a control that has none."""

    key: FeaturesKey
    places: tuple[Place, ...]
    weights: str  # hash of them
    encoder: nn.Module | None  # None for a control that has none


def extract_features(
    worker: Worker, inputs: Inputs, key: FeaturesKey, keys: Sequence[SubjectKey]
) -> None:
    """Extract features of every dataset: once, deterministically, in float32.

    Those of `key`, at every place and with all statistics that the subjects `keys` are read with.

    Raises:
        StoppedError: when the run is to stop; the same call goes on from there.
    """
    subject = _subject(inputs, key, places_of(keys))
    for name in inputs.datasets:
        _extract(worker, inputs, subject, name, "source")
    if any(each.batch_norm == "target" for each in keys):
        for target in inputs.study.targets:
            _extract(worker, inputs, subject, target.name, "target")


def _subject(inputs: Inputs, key: FeaturesKey, places: tuple[Place, ...]) -> _Subject:
    """Load the encoder of a source or a control, or make it."""
    if key.kind in FLAT_CONTROLS:
        return _Subject(key, places, key.kind, None)
    is_trained = key.source is not None and not inputs.source(key.source).is_frozen
    if is_trained or key.kind == "random-labels":
        assert key.seed is not None, "what was trained has a seed"
        folder = inputs.folder.checkpoint(key.kind, key.seed) / "last"  # its best would be noise
        if key.source is not None:
            folder = inputs.checkpoint(key.source, key.seed)
        encoder = load_model(folder, encoder=own_encoder(inputs, key.seed))[0].encoder
        return _Subject(key, places, file_sha256(folder / "model.safetensors"), encoder)
    seed = inputs.study.seeds[0] if key.seed is None else key.seed
    changes = measured_changes(inputs, key.source, seed=seed)
    encoder, recipe = new_encoder(inputs, key.source, seed, changes=changes)
    if key.kind == "random-encoder":
        if recipe is not None:  # a pretrained network came with learned weights
            encoder = build_from(recipe, seed)
        return _Subject(
            key, places, _calibrated(inputs, encoder.to(inputs.device), key, seed), encoder
        )
    return _Subject(key, places, weights_sha256(encoder), encoder)


def _calibrated(inputs: Inputs, encoder: nn.Module, key: FeaturesKey, seed: int) -> str:
    """Estimate an untrained encoder's BatchNorm statistics on the seed's clips; hash it."""
    store = inputs.datasets[SOURCE].frames()
    records = inputs.clips(seed).learned.split(Split.TRAIN)
    usable = [record.clip_id for record in records if record.clip_id in store]
    batches = batches_in_order(inputs, usable, store).batches()
    first = islice(batches, CALIBRATION_BATCHES)
    device = torch.device(inputs.device)
    calibrate_batch_norm(encoder, (batch.video.to(device) for batch in first))
    path = inputs.folder.root / "checkpoints" / key.name / "encoder.safetensors"
    save_weights(encoder, path)
    return file_sha256(path)


def _extract(
    worker: Worker, inputs: Inputs, subject: _Subject, name: str, batch_norm: BatchNorm
) -> None:
    """Write the features of one dataset at every place, unless they are there already."""
    store, seed = inputs.datasets[name].frames(), subject.key.seed
    records = [each for each in clips_read(inputs, name, seed) if each.clip_id in store]
    clip_ids = [record.clip_id for record in records]
    norm_clips = () if batch_norm == "source" else _norm_clips(inputs, name, seed)
    # The header's fingerprint holds all that determines features: weights, sampling, clips in their
    # order, clips of the norms. Equal fingerprints are equal features, whoever wrote them.
    outputs = _outputs(inputs, subject, name, clip_ids=clip_ids, norm_clips=norm_clips)
    if all(_is_there(path, header) for path, header in outputs.values()):
        return
    # These controls look at stored frames, lengths or files, not at what encoders are shown.
    shortcut = {str(kind): read for kind, read in SHORTCUTS.items()}.get(subject.key.kind)
    if shortcut is not None:
        path, header = outputs["output"]
        write_features(path, shortcut(store, records, header))
        return
    clip_seconds = extract_seconds(inputs, subject.key)
    read = _reader(worker, inputs, subject, norm_clips, store)
    batches = batches_in_order(inputs, clip_ids, store)
    part_steps = ceil(PART_CLIPS / inputs.study.train.batch_size)

    def make(number: int) -> Arrays:
        some = islice(batches.batches(first_step=number * part_steps), part_steps)
        counted = _counted(worker, some, clip_seconds)
        if subject.key.kind == "shuffled-time":
            counted = shuffled_time(counted, seed=SHUFFLE_SEED)
        return collect_places(read, counted, device=torch.device(inputs.device))

    # One pass gives every place, so one row of parts serves all files; it lies beside the first.
    # How many batches make a part is in the key: batches of another size divide the clips anew.
    beside, _ = outputs[subject.places[0]]
    parts = extract_in_parts(
        beside,
        make,
        num_parts=ceil(batches.steps_per_epoch / part_steps),
        key="\n".join(
            (str(part_steps), *(str(header["fingerprint"]) for _, header in outputs.values()))
        ),
    )
    for place, (path, header) in outputs.items():
        write_feature_parts(path, parts, place, header)
    remove_parts(beside)


def clips_read(inputs: Inputs, name: str, seed: int | None) -> Sequence[ClipRecord]:
    """Choose the clips whose features are needed: all of a target, enough of the source.

    Of the source, and of held-out categories, those of the seed, or of every seed if it is None;
    in the order of the dataset.
    """
    study, dataset = inputs.study, inputs.datasets[name]
    manifest = dataset.manifest()
    if name != SOURCE and not dataset.is_held_out:
        return manifest.records
    wanted: set[str] = set()
    for each in study.seeds if seed is None else (seed,):
        divided = seed_clips(study.data, manifest, each)
        records = divided.novel.records if name != SOURCE else statistics_clips(divided.learned)
        wanted.update(record.clip_id for record in records)
    return [record for record in manifest.records if record.clip_id in wanted]


def statistics_clips(learned: Manifest) -> list[ClipRecord]:
    """Draw the source's clips whose features are needed, for all subjects of a seed alike.

    Only the mean and deviation of each feature are used (see `Standardiser`).
    """
    return drawn_once(learned.split(Split.TRAIN), STATISTICS_CLIPS, "statistics")


def _norm_clips(inputs: Inputs, name: str, seed: int | None) -> tuple[str, ...]:
    """Choose the support clips of a target that BatchNorm statistics are re-estimated on.

    They are drawn once, for all subjects alike and without a look at a label, and come in the
    drawn order: batches of clips sorted by class would vary too little. Where the classes rotate,
    an encoder that all seeds share gets support clips of all of them.
    """
    target = next(each for each in inputs.study.targets if each.name == name)
    seeds = task_seeds(inputs.study, target) if seed is None else (seed,)
    usable: dict[str, None] = {}
    for each in seeds:
        task = tasks_of(inputs, target, each)[0]
        kept = zip(task.support_ids, task.has_support, strict=True)
        usable |= {clip: None for clip, has in kept if has and clip not in usable}
    pool = list(usable)
    drawn = generator_for(0, 0, "norms").permutation(len(pool))[:STATISTICS_CLIPS]
    return tuple(pool[index] for index in drawn)


def _outputs(
    inputs: Inputs,
    subject: _Subject,
    name: str,
    *,
    clip_ids: Sequence[str],
    norm_clips: Sequence[str],
) -> dict[Place, tuple[Path, dict[str, object]]]:
    """Return the file of each place, and the header that names the origin of its features."""
    key = subject.key
    sampling = seen_of_clips(inputs.study, key)
    batch_norm: BatchNorm = "target" if norm_clips else "source"
    outputs: dict[Place, tuple[Path, dict[str, object]]] = {}
    for place in subject.places:
        determined = {**sampling, "place": place, "norm_clips": list(norm_clips)}
        header = {
            "dataset": name,
            "subject": key.name,
            "place": place,
            "batch_norm": batch_norm,
            "sampling": sampling,
            "fingerprint": fingerprint(
                weights_sha256=subject.weights, preprocessing=determined, clip_ids=clip_ids
            ),
            **({} if subject.encoder is None else place_facts(subject.encoder, place)),
        }
        outputs[place] = inputs.folder.features(key.name, name, place, batch_norm), header
    return outputs


def seen_of_clips(study: Study, key: FeaturesKey) -> dict[str, object]:
    """Return how clips were sampled and cropped, for the header; part of the fingerprint."""
    sampling: dict[str, object] = study.video.model_dump()
    if key.kind == "shuffled-time":
        sampling["shuffled"] = SHUFFLE_SEED
    return sampling


def _is_there(path: Path, header: Mapping[str, object]) -> bool:
    """Whether an earlier call wrote these very features before it was stopped."""
    held = read_header(path)
    return held is not None and held.get("fingerprint") == header["fingerprint"]


def _reader(
    worker: Worker,
    inputs: Inputs,
    subject: _Subject,
    norm_clips: Sequence[str],
    store: FrameStore,
) -> ReadVideo:
    """Return the function that reads a video; with norms re-estimated if there are norm clips."""
    if subject.key.kind == "pixels":
        return lambda video: {"output": raw_pixels(video)}
    if subject.encoder is None:
        return lambda video: {"output": motion_energy(video)}
    encoder, device = subject.encoder, torch.device(inputs.device)
    # A copy: the subject's encoder keeps the source's statistics.
    if norm_clips:
        encoder = copy.deepcopy(encoder).to(device)
        seconds = extract_seconds(inputs, subject.key)
        counted = _counted(worker, batches_in_order(inputs, norm_clips, store).batches(), seconds)
        calibrate_batch_norm(encoder, (batch.video.to(device) for batch in counted))
    return encoder_reader(encoder, subject.places, device=device)


def _counted(worker: Worker, batches: Iterator[Batch], clip_seconds: float) -> Iterator[Batch]:
    for batch in batches:
        yield batch
        worker.advance(len(batch.clip_ids) * clip_seconds)
