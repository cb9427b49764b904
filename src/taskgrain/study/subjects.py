"""Whose features a study tests, and how each encoder is read: the sources, then the controls.

A subject is an encoder, or features that nothing was learned for, read in one way. Its features
are extracted once for all the ways in which it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from taskgrain.config.learning import Source
from taskgrain.errors import ConfigError
from taskgrain.names import CONTROLS, FLAT, TARGET_NORM, ChosenControl, Readout
from taskgrain.study.inputs import Inputs
from taskgrain.study.networks import encoder_settings, new_encoder
from taskgrain.transfer.answers import Subject
from taskgrain.transfer.extract import FLAT_CONTROLS, Shortcut, has_batch_norm
from taskgrain.transfer.features import ONE_VECTOR, PLACE_OF, Place
from taskgrain.transfer.probes import PROBES

PLAIN: Readout = "lstm-mean"  # the read-out that file names leave out

BatchNorm = Literal["source", "target"]
EncoderControl = Literal["random-encoder", "random-labels"]
Encoded = Literal["source", "shuffled-time"] | EncoderControl
Kind = Encoded | Literal["pixels", "motion-energy"] | Shortcut


# Names of files and cells are joined from names of sources, seeds and read-outs. A source cannot
# have a control's name (`check_subjects`), and no name has a dot, so that two subjects never share
# a file.
@dataclass(frozen=True, slots=True)
class FeaturesKey:
    """Which features are extracted: of which source or control, and of which seed."""

    kind: Kind
    source: str | None = None
    seed: int | None = None  # None without an encoder, or where its weights do not depend on it

    @property
    def name(self) -> str:
        """Name the features in files and cells; no source's can be another's or a control's."""
        parts = [self.source or self.kind]
        if self.seed is not None:
            parts.append(f"seed-{self.seed}")
        elif self.source is not None:
            parts.append("frozen")
        if self.kind == "shuffled-time":
            parts.append(self.kind)
        return "-".join(parts)


@dataclass(frozen=True, slots=True)
class SubjectKey:
    """Which subject is tested: its features, its seed, and how the features are read."""

    features: FeaturesKey
    seed: int | None = None  # of its rows; frozen weights may serve several
    readout: Readout | Literal["flat"] = PLAIN
    batch_norm: BatchNorm = "source"

    @property
    def kind(self) -> Kind:
        """Return the kind of its features."""
        return self.features.kind

    @property
    def source(self) -> str | None:
        """Return the source whose encoder it is, or None for a control without one."""
        return self.features.source

    @property
    def control(self) -> ChosenControl | None:
        """Return the control that the subject is, or None for a source."""
        return None if self.kind == "source" else self.kind

    @property
    def subject(self) -> Subject:
        """Return the record of the subject in answers and rows."""
        return Subject(self.source, self.seed, self.read_as, self.control)

    @property
    def read_as(self) -> str:
        """Name how it is read, as rows do: "lstm-mean+target-norm" with the target's norms."""
        return self.readout if self.batch_norm == "source" else self.readout + TARGET_NORM

    @property
    def name(self) -> str:
        """Name the subject in files and cells."""
        parts = [self.source or self.kind]
        if self.seed is not None:
            parts.append(f"seed-{self.seed}")
        if self.kind == "shuffled-time":
            parts.append(self.kind)
        if self.readout not in (PLAIN, FLAT):
            parts.append(self.readout)
        if self.batch_norm == "target":
            parts.append("target-norm")
        return "-".join(parts)


def subjects(inputs: Inputs) -> list[SubjectKey]:
    """List what a study tests, in plan order: sources, then controls; seed after seed of each."""
    keys = [
        SubjectKey(features, seed, readout, batch_norm)
        for group in _groups(inputs)
        for readout, batch_norm in _ways(inputs, group[0][0])
        for features, seed in group
    ]
    # Nothing of these depends on a seed: their features are extracted once, and stand beside each.
    controls = inputs.study.transfer.controls
    flat = [FeaturesKey(kind) for kind in FLAT_CONTROLS if kind in controls]
    return keys + [SubjectKey(features, readout=FLAT) for features in flat]


def under_seeds(keys: Sequence[SubjectKey], seeds: Sequence[int | None]) -> list[SubjectKey]:
    """List subjects as a target tests them: those without a seed once under each of its seeds.

    `seeds` are those of `task_seeds`: None alone where all seeds share the target's tasks.
    """
    return [
        key if key.seed is not None else replace(key, seed=seed)
        for key in keys
        for seed in (seeds if key.seed is None else (key.seed,))
    ]


def extractions(keys: Sequence[SubjectKey]) -> dict[FeaturesKey, list[SubjectKey]]:
    """Group the subjects by the features that they are read from, in plan order."""
    of_features: dict[FeaturesKey, list[SubjectKey]] = {}
    for key in keys:
        of_features.setdefault(key.features, []).append(key)
    return of_features


def places_of(keys: Sequence[SubjectKey]) -> tuple[Place, ...]:
    """List where the encoder of these subjects is to be read."""
    wanted = {place_of(key) for key in keys}
    return tuple(place for place in get_args(Place) if place in wanted)


def place_of(key: SubjectKey) -> Place:
    """Return where a subject's encoder is read; features without an encoder count as its output."""
    return "output" if key.readout == FLAT else PLACE_OF[key.readout]


def _groups(inputs: Inputs) -> Iterator[list[tuple[FeaturesKey, int]]]:
    """Yield whatever has an encoder: for each source or control, the features of every seed."""
    study = inputs.study
    controls, seeds = study.transfer.controls, study.seeds
    for source in study.sources:
        yield [(_of_source(inputs, source, "source", seed), seed) for seed in seeds]
    for kind in get_args(EncoderControl):
        if kind in controls:
            yield [(FeaturesKey(kind, None, seed), seed) for seed in seeds]
    if "shuffled-time" in controls:
        for source in study.sources:
            yield [(_of_source(inputs, source, "shuffled-time", seed), seed) for seed in seeds]


def _of_source(inputs: Inputs, source: Source, kind: Encoded, seed: int) -> FeaturesKey:
    """Return the key of a source's features: one for all seeds where no weight was ever drawn."""
    return FeaturesKey(kind, source.name, seed if _is_drawn(inputs, source) else None)


def _is_drawn(inputs: Inputs, source: Source) -> bool:
    """Whether a source's encoders differ between seeds; frozen published weights do not."""
    return not source.is_frozen or inputs.study.encoder_of(source).weights == "random"


def _ways(inputs: Inputs, key: FeaturesKey) -> list[tuple[Readout, BatchNorm]]:
    """List how an encoder is read.

    An untrained encoder is always read after its LSTM and before it too: a random LSTM may hide
    information of its input. The target's norms are for encoders that have BatchNorm, and for clips
    whose frames keep their order.
    """
    transfer = inputs.study.transfer
    wanted: tuple[Readout, ...] = transfer.readouts
    if key.kind == "random-encoder":
        wanted = tuple(dict.fromkeys((PLAIN, *wanted, "channels-mean")))
    has = readouts_of(inputs, key.source)
    norms: list[BatchNorm] = ["source"]
    adapts = "target" in transfer.batch_norm and key.kind != "shuffled-time"
    if adapts and _has_norms(inputs, key.source):
        norms.append("target")
    return [(readout, norm) for readout in wanted if readout in has for norm in norms]


def _has_norms(inputs: Inputs, source: str | None) -> bool:
    """Whether a source's encoder has BatchNorm; otherwise re-estimating would change nothing."""
    # The two-channel encoder always has some. Any other has to be built to be looked into, which is
    # why the plan asks, once, and hands on what it found.
    if encoder_settings(inputs, source).network == "two-channel" and inputs.encoder_factory is None:
        return True
    return has_batch_norm(new_encoder(inputs, source, inputs.study.seeds[0])[0])


def readouts_of(inputs: Inputs, source: str | None) -> tuple[Readout, ...]:
    """List the read-outs that a source's encoder has; None: the study's own encoder.

    Channels are read of the two-channel encoder alone, and each one only where it is there.
    """
    settings = encoder_settings(inputs, source)
    has_channels = settings.network == "two-channel" and inputs.encoder_factory is None
    absent: set[Readout] = set()
    if not settings.spatial_widths:
        absent.add("spatial-mean")
    if not settings.temporal_widths:
        absent.add("temporal-mean")
    return tuple(
        readout
        for readout, place in PLACE_OF.items()
        if place == "output" or (has_channels and readout not in absent)
    )


def check_subjects(inputs: Inputs) -> None:
    """Refuse what could not be tested; a read-out is tested on every source that has it.

    Raises:
        ConfigError: if no source has a read-out, one of an endpoint has not the endpoint's, every
            probe reads steps where there is one alone, or a source has the name of a control.
    """
    study = inputs.study
    names = [source.name for source in study.sources]
    for name in names:
        if name in CONTROLS:
            raise ConfigError(f"sources: {name!r} is the name of a control; give it another")
    for readout in study.transfer.readouts:
        if not any(readout in readouts_of(inputs, name) for name in names):
            raise ConfigError(
                f"transfer.readouts: {readout!r} reads a channel of the two-channel encoder before "
                "its LSTM, and no source has that channel; leave it out"
            )
    stepless = [readout for readout in study.transfer.readouts if readout in ONE_VECTOR]
    if stepless and all(PROBES[name]().reads_steps for name in study.transfer.probes):
        raise ConfigError(
            f"transfer.probes: {', '.join(study.transfer.probes)} read the steps of a clip, and "
            f"{stepless[0]} has none; add a probe as nearest-mean, or leave that read-out out"
        )
    train = study.train
    ends_by_validation = train.schedule == "plateau" or train.early_stopping is not None
    if "random-labels" in study.transfer.controls and ends_by_validation:
        raise ConfigError(
            "transfer.controls: random-labels has to see the clips as often as the sources, but "
            "the plateau schedule and train.early_stopping end a training by its validation "
            "score, which is chance here; choose another schedule, or leave the control out"
        )
    if "from-scratch" in study.transfer.controls and ends_by_validation:
        raise ConfigError(
            "transfer.controls: from-scratch learns from the support alone and has no clips to "
            "validate on, which the plateau schedule and train.early_stopping need; choose another "
            "schedule, or leave the control out"
        )
    _check_endpoints(inputs)


def _check_endpoints(inputs: Inputs) -> None:
    study = inputs.study
    for index, endpoint in enumerate(study.endpoints):
        where = f"family[{index - 1}]" if index else "primary"
        names = (endpoint.source, *endpoint.each_versus)
        for name in names:
            has = readouts_of(inputs, name)
            if endpoint.readout not in has:
                raise ConfigError(
                    f"{where}.readout is {endpoint.readout!r}, but the encoder of source {name!r} "
                    f"has {', '.join(has)} alone"
                )
        ours, *rivals = (_is_drawn(inputs, inputs.source(name)) for name in names)
        if len(study.seeds) > 1 and not (ours or all(rivals)):
            same = names[1 + rivals.index(False)]
            raise ConfigError(
                f"{where} compares {names[0]!r} with {same!r}, whose published weights are the "
                "same for every seed: there is no sample of encoders to test; compare one with a "
                "source that is trained here"
            )
        if endpoint.readout in ONE_VECTOR and PROBES[endpoint.probe]().reads_steps:
            raise ConfigError(
                f"{where}.probe is {endpoint.probe!r}, which reads the steps of a clip; "
                f"{endpoint.readout} has none"
            )
