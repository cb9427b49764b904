"""What a study would cost, from its settings alone: parameters, arithmetic, memory, time, disk.

Arithmetic is counted, not timed: networks run on tensors without content, and the products that
they would compute are added up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.flop_counter import FlopCounterMode

from taskgrain.config.clips import Video
from taskgrain.config.learning import Source
from taskgrain.config.settings import Study
from taskgrain.data.decode import FRAME_RATE
from taskgrain.data.manifest import Manifest, Split
from taskgrain.labels.ssv2 import OFFICIAL_INDEX
from taskgrain.labels.taxonomy import CATEGORY, taxonomy_of
from taskgrain.labels.vocabulary import MAX_TOKENS
from taskgrain.models.build import add_readouts
from taskgrain.models.model import SourceModel
from taskgrain.study.datasets import SOURCE, Dataset, Footage, footage_of
from taskgrain.study.extracting import STATISTICS_CLIPS
from taskgrain.study.networks import decoder_shape_of, drawn, encoder_from
from taskgrain.study.seed_clips import seed_clips
from taskgrain.study.sources import source_task
from taskgrain.train.optim import steps_of

ASSUMED_WORDS = 3000  # of a vocabulary that cannot be counted before the captions are there
ASSUMED_SECONDS = 4.0  # of a clip that is not there yet
BACKWARD = 2  # times the forward pass: one product for the weights, one for what lies below
MOMENTS = 2  # numbers that Adam keeps of each parameter; sgd one
UTILISATION = 0.2  # of a GPU's peak, assumed; the CPU reached a quarter of its own (docs/log.md)
PEAK_TFLOPS: Mapping[str, float] = {
    "T4": 65.0,
    "V100": 125.0,
    "RTX 3090": 71.0,
    "RTX 4090": 165.0,
    "A100": 312.0,
    "H100": 989.0,
}
"""Dense half-precision products, float32 sums, 10^12 a second: from the vendor's data sheets."""


@dataclass(frozen=True, slots=True)
class SourceCost:
    """The cost of one encoder of a source."""

    source: str
    encoder_parameters: int
    head_parameters: int
    decoder_parameters: int
    forward_gflops: float  # a clip; a product and its sum are two operations
    training_gflops: float  # a clip, forward and backward; 0 where nothing is learned
    batch_gigabytes: float  # weights, gradients, moments, what backward needs; float32
    clips: int  # learned from in an epoch
    steps: int  # of the optimiser, if no schedule ends training before


@dataclass(frozen=True, slots=True)
class StudyCost:
    """The cost of a study, and what was assumed."""

    clips: Mapping[str, int]  # dataset -> clips
    sources: tuple[SourceCost, ...]
    num_seeds: int
    store_gigabytes: float  # all datasets, raw frames
    footage: Mapping[str, Footage]  # of the user's own datasets that are decoded from files
    hours: Mapping[str, float]  # GPU -> of training and features, all sources and seeds on one
    assumptions: tuple[str, ...]


def estimate(study: Study, datasets: Mapping[str, Dataset] | None) -> StudyCost:
    """Estimate the cost of a study.

    If the datasets are not there yet (None), clips are counted as data.train, data.validation, and
    each target's support and scored.
    """
    manifest = None if datasets is None else datasets[SOURCE].manifest()
    if manifest is not None:  # one seed stands for all: they learn from about as much
        manifest = seed_clips(study.data, manifest, study.seeds[0]).learned
    clips = _clips(study, datasets)
    sources = tuple(_source_cost(study, source, manifest) for source in study.sources)
    num_seeds = len(study.seeds)
    training = study.data.train if manifest is None else len(manifest.split(Split.TRAIN))
    # Of the source only so many clips are read (`extracting.statistics_clips`), of targets all.
    num_read = sum(clips.values()) - clips[SOURCE] + min(training, STATISTICS_CLIPS)
    if datasets is not None:
        num_read += sum(each.num_clips for each in datasets.values() if each.is_held_out)
    operations = 1e9 * sum(
        _gflops(study, source, cost, num_read)
        for source, cost in zip(study.sources, sources, strict=True)
    )
    hours = {
        name: operations / (peak * 1e12 * UTILISATION) / 3600 for name, peak in PEAK_TFLOPS.items()
    }
    footage = {} if datasets is None else _footage(datasets)
    return StudyCost(
        clips,
        sources,
        num_seeds,
        store_gigabytes=_store_gigabytes(study, clips, footage),
        footage=footage,
        hours=hours,
        assumptions=_assumptions(manifest),
    )


def _footage(datasets: Mapping[str, Dataset]) -> dict[str, Footage]:
    return {
        name: footage_of(dataset.manifest().records)
        for name, dataset in datasets.items()
        if dataset.world is None and not dataset.is_packed and not dataset.is_held_out
    }


def _gflops(study: Study, source: Source, cost: SourceCost, num_read: int) -> float:
    """Return the arithmetic of all encoders of a source: their training, and features of clips."""
    passes = study.train.passes_over(cost.clips) + sum(study.train.fewer_passes)
    training = cost.training_gflops * passes
    num_encoders = 1 if source.is_frozen else len(study.seeds)
    return (training + cost.forward_gflops * num_read) * num_encoders


def _assumptions(manifest: Manifest | None) -> tuple[str, ...]:
    assumed = (
        f"GPUs reach {UTILISATION:.0%} of their half-precision peak (assumed, not measured)",
        "training and features: validation, probes and controls come on top",
        f"stored clips last {ASSUMED_SECONDS:g} s where no header says how long, at "
        f"{FRAME_RATE:g} frames a second",
    )
    if manifest is not None:
        return assumed
    absent = "the data is not there: clips as the settings say, labels as in Something-Something v2"
    return (*assumed, f"{absent}, {ASSUMED_WORDS} words")


def _clips(study: Study, datasets: Mapping[str, Dataset] | None) -> dict[str, int]:
    """Count the clips of each dataset; those of held-out categories are the source's."""
    if datasets is not None:
        return {name: each.num_clips for name, each in datasets.items() if not each.is_held_out}
    clips = {SOURCE: study.data.train + study.data.validation}
    targets = [each for each in study.targets if not each.is_held_out]
    return {**clips, **{each.name: each.support + each.scored for each in targets}}


def _store_gigabytes(
    study: Study, clips: Mapping[str, int], footage: Mapping[str, Footage]
) -> float:
    pixels = study.video.store_height * study.video.store_width
    seconds = 0.0
    for name, number in clips.items():
        known = footage.get(name)
        if known is None or known.clip_seconds is None:
            seconds += number * ASSUMED_SECONDS
        else:
            seconds += (number - known.absent) * known.clip_seconds
    return seconds * FRAME_RATE * pixels * 3 / 1e9


def _source_cost(study: Study, source: Source, manifest: Manifest | None) -> SourceCost:
    num_classes, num_words, num_clips = _sizes(study, source, manifest)

    def make() -> SourceModel:
        return add_readouts(
            encoder_from(drawn(study.encoder_of(source)), 0)[0],
            num_classes=num_classes,
            vocabulary_size=num_words,
            decoder_shape=decoder_shape_of(study.decoder),
            seed=0,
        )

    counted = count_forward(make, study.video)
    parameters = {
        name: sum(each.numel() for each in part.parameters()) if part is not None else 0
        for name, part in (
            ("encoder", counted.model.encoder),
            ("head", counted.model.head),
            ("decoder", counted.model.decoder),
        )
    }
    num_parameters = sum(parameters.values())
    kept = 1 if study.train.optimizer == "sgd" else MOMENTS
    # Float32 throughout, also where the encoder computes in 16 bits: weights and moments stay so.
    held = 4 * num_parameters * (2 + kept)  # bytes: weights, gradients, moments
    if source.is_frozen:
        num_clips, held = 0, 4 * num_parameters
    activations = 0 if source.is_frozen else counted.saved_bytes * study.train.batch_size
    return SourceCost(
        source.name,
        encoder_parameters=parameters["encoder"],
        head_parameters=parameters["head"],
        decoder_parameters=parameters["decoder"],
        forward_gflops=counted.flops / 1e9,
        training_gflops=0.0 if source.is_frozen else counted.flops * (1 + BACKWARD) / 1e9,
        batch_gigabytes=(held + activations) / 1e9,
        clips=num_clips,
        steps=0 if source.is_frozen else _steps(study, num_clips),
    )


def _steps(study: Study, num_clips: int) -> int:
    """Count the optimiser's steps of the training that is tested."""
    train = study.train
    batches = ceil(num_clips / train.batch_size)
    if not train.passes:
        return ceil(batches / train.accumulate) * train.epochs
    return steps_of(
        train.passes[-1], num_clips=num_clips, num_batches=batches, accumulate=train.accumulate
    )


def _sizes(
    study: Study, source: Source, manifest: Manifest | None
) -> tuple[int | None, int | None, int]:
    """Return a source's classes, words with the specials, and training clips."""
    if source.is_frozen:
        return None, None, 0
    if manifest is None:
        taxonomy, level = taxonomy_of(OFFICIAL_INDEX), source.classify
        if level is not None and level not in taxonomy.levels:
            level = CATEGORY  # a level of the user's own has fewer classes
        num_classes = None if level is None else len(taxonomy.names(level))
        learned = study.data.draw or study.data.train
        return num_classes, None if source.caption is None else ASSUMED_WORDS, learned
    task = source_task(
        source, manifest, min_word_count=study.train.min_word_count, words=study.train.words
    )
    num_words = None if task.vocabulary is None else len(task.vocabulary)
    return task.num_classes, num_words, len(task.covered(manifest.split(Split.TRAIN)))


# Of all kernels for attention torch's counter knows those of a GPU alone.
CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


@dataclass(slots=True)
class Counted:
    """A model, and the arithmetic and memory of one clip's forward pass."""

    model: SourceModel
    flops: int  # a product and its sum are two
    saved_bytes: int  # kept for the backward pass, float32


def count_forward(make: Callable[[], SourceModel], video: Video) -> Counted:
    """Run a model on one clip without content; count its arithmetic and what it keeps."""
    made = make()  # with content: some networks compute with numbers while they are built
    empty = FakeTensorMode(allow_non_fake_inputs=True)
    with FakeCopyMode(empty):
        model = deepcopy(made)
    with empty:
        clip = torch.empty((1, video.num_frames, video.height, video.width, 3), dtype=torch.uint8)
        caption = torch.ones((1, MAX_TOKENS + 1), dtype=torch.long)
        weights = {_storage(each) for each in (*model.parameters(), *model.buffers())}
        # By storage: what several operations keep, as views or whole, is in memory once.
        saved: dict[StorageWeakRef, Tensor] = {}

        def keep(tensor: Tensor) -> Tensor:
            if _storage(tensor) not in weights:  # a layer saves views of its weights too
                saved[_storage(tensor)] = tensor
            return tensor

        recurrent = _recurrent_flops(model)
        counter = FlopCounterMode(display=False, custom_mapping={CPU_ATTENTION: _attention_flops})
        with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model(clip, caption)
        saved_bytes = sum(tensor.untyped_storage().nbytes() for tensor in saved.values())
    return Counted(model, counter.get_total_flops() + sum(recurrent), saved_bytes)


def _storage(tensor: Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())


def _attention_flops(
    query: torch.Size, key: torch.Size, value: torch.Size, *rest: object, **named: object
) -> int:
    """Count both products of attention, of queries (B, H, Q, D), keys and values (B, H, K, D)."""
    return 2 * query.numel() * key[-2] + 2 * query[:-1].numel() * key[-2] * value[-1]


def _recurrent_flops(model: nn.Module) -> list[int]:
    """Return the list that a model's LSTMs add the products of each call to.

    torch's counter leaves them out where a whole LSTM is one kernel.
    """
    flops: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], _: object) -> None:
        num_steps = inputs[0].shape[0] * inputs[0].shape[1]
        weights = sum(each.numel() for each in module.parameters() if each.ndim == 2)
        flops.append(2 * weights * num_steps)

    for module in model.modules():
        if isinstance(module, nn.LSTM):
            module.register_forward_hook(count)
    return flops
