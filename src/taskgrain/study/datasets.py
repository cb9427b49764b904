"""The datasets of a study: where each lies, and how it is drawn, decoded and opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import ceil
from pathlib import Path
from statistics import fmean

from taskgrain.config.clips import Levels, SourceData, Target
from taskgrain.config.settings import Study
from taskgrain.data.decode import Fit
from taskgrain.data.few_shot import few_shot_records, read_few_shot
from taskgrain.data.inspect import read_header
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.opening import read_manifest
from taskgrain.data.packed import StoreFacts, fingerprint, open_store, read_facts
from taskgrain.data.store import (
    CLIPS_PER_SHARD,
    DECODE_SECONDS,
    FrameFormat,
    FrameStore,
    write_shard,
)
from taskgrain.data.videos import absent_files, printable
from taskgrain.errors import ConfigError
from taskgrain.jobs.executor import Worker
from taskgrain.labels.hierarchy import check_nesting
from taskgrain.labels.template import strip_brackets
from taskgrain.study.folder import RunFolder
from taskgrain.study.seed_clips import seed_clips
from taskgrain.tabletop.dataset import (
    DRAW_SECONDS,
    ClipPlan,
    World,
    WorldSpec,
    plan,
    write_annotations,
    write_clip,
)

SOURCE = "source"  # the dataset that the encoders learn from; the others are named as targets
SAMPLED_CLIPS = 32  # whose headers are read to estimate lengths: a tenth of a second in all


@dataclass(frozen=True)
class Dataset:
    """One dataset of a study, as cells find it."""

    name: str
    root: Path
    store: Path
    world: WorldSpec | None  # None for the user's own
    num_clips: int  # that are annotated; of held-out categories those of the seed with most
    num_training: int  # of those, in the training split
    num_shards: int  # of the store
    is_packed: bool  # the store was there before the study, and is only read
    store_size: tuple[int, int]  # height and width of the stored frames, pixels
    fit: Fit  # how clips take that size
    levels: Mapping[str, Mapping[str, str]]  # the study's own: level -> category -> name
    few_shot: Path | None  # a published list: its clips are the dataset
    is_held_out: bool = False  # the source's clips and frames, of categories that a seed holds out

    def manifest(self) -> Manifest:
        """Return the annotations; with a published few-shot list, those of its clips, divided anew.

        They are read once a command and once a cell: a cell is sent the dataset without them.
        """
        return self._manifest

    def holding(self, annotations: Manifest) -> Dataset:
        """Keep annotations that were read from the root, so that they are not read again."""
        # Where `cached_property` looks first; a frozen dataclass refuses to set an attribute.
        vars(self)["_annotations"] = annotations
        return self

    @cached_property
    def _annotations(self) -> Manifest:
        return read_manifest(self.root)

    @cached_property
    def _manifest(self) -> Manifest:
        manifest = _listed(self._annotations, self.few_shot)
        if not self.levels:
            return manifest
        where = f"data.levels for {self.root}"
        taxonomy = manifest.taxonomy.with_levels(self.levels, where=where)
        return replace(manifest, taxonomy=taxonomy)

    def __getstate__(self) -> dict[str, object]:
        """Leave the annotations out of what is pickled for a cell."""
        # A cell reads them anew, so that files which changed in between are noticed.
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def frames(self) -> FrameStore:
        """Open the frames; every shard must have been written."""
        return FrameStore(self.store, self.num_shards)


def world_of(settings: SourceData | Target) -> WorldSpec | None:
    """Return the drawn world that settings name; None for the user's own folder."""
    if settings.world is None:
        return None
    if isinstance(settings, SourceData):
        sizes = {"train": settings.train, "validation": settings.validation}
        return WorldSpec(world=settings.world, seed=settings.seed, **sizes)
    sizes = {"train": settings.support, "validation": settings.scored}
    # A target in the look of the source may show what the source never does.
    world: World = "tabletop-tasks" if settings.world == "tabletop" else settings.world
    return WorldSpec(world=world, seed=settings.seed, **sizes)


def lay_out(study: Study, folder: RunFolder) -> dict[str, Dataset]:
    """Find every dataset of a study, the source's first; drawn ones get their annotations.

    Raises:
        ManifestError: if a dataset of the user's own cannot be read, or a few-shot list of it.
        ConfigError: if a packed store holds other frames than the study wants.
    """
    datasets: dict[str, Dataset] = {}
    # The source's first, of which targets of held-out categories are made.
    wanted: dict[str, SourceData | Target] = {SOURCE: study.data}
    wanted.update({target.name: target for target in study.targets})
    for name, settings in wanted.items():
        if isinstance(settings, Target) and settings.is_held_out:
            datasets[name] = _held_out(study, name, datasets[SOURCE])
            continue
        world = world_of(settings)
        root = settings.root or folder.data(name)
        # factors.jsonl is written last: without it the others may be missing too.
        if world is not None and not (root / "factors.jsonl").is_file():
            write_annotations(root, plan(world))
        manifest = read_manifest(root)
        dataset = _dataset(study, name, settings, manifest, folder.store(name))
        datasets[name] = dataset.holding(manifest)
    return datasets


def _held_out(study: Study, name: str, source: Dataset) -> Dataset:
    """Make a target of the source's clips; the seed decides which of them are tested."""
    manifest = source.manifest()
    novel = [seed_clips(study.data, manifest, seed).novel for seed in study.seeds]
    dataset = replace(
        source,
        name=name,
        num_clips=max(len(each.records) for each in novel),
        num_training=max(len(each.split(Split.TRAIN)) for each in novel),
        is_held_out=True,
    )
    return dataset.holding(source._annotations)


def _dataset(
    study: Study, name: str, settings: SourceData | Target, manifest: Manifest, own_store: Path
) -> Dataset:
    few_shot = settings.few_shot if isinstance(settings, Target) else None
    listed = _listed(manifest, few_shot)
    num_clips = len(listed.records)
    dataset = Dataset(
        name,
        manifest.root,
        own_store,
        world_of(settings),
        num_clips=num_clips,
        num_training=len(listed.split(Split.TRAIN)),
        num_shards=ceil(num_clips / CLIPS_PER_SHARD),
        is_packed=False,
        store_size=(study.video.store_height, study.video.store_width),
        fit=study.video.fit,
        # The study's levels are of the source's categories; a target has categories of its own.
        levels=_by_category(study.data.levels) if name == SOURCE else {},
        few_shot=few_shot,
    )
    if settings.store is None:
        return dataset
    facts = read_facts(settings.store)
    _refuse_other_store(settings.store, facts, dataset, manifest)
    open_store(settings.store)  # refuses one that was not packed to its end
    return replace(dataset, store=settings.store, num_shards=facts.shards, is_packed=True)


def _listed(manifest: Manifest, few_shot: Path | None) -> Manifest:
    """Keep the clips of a published few-shot list, if there is one."""
    if few_shot is None:
        return manifest
    return replace(manifest, records=few_shot_records(read_few_shot(few_shot), manifest.records))


def _refuse_other_store(
    folder: Path, facts: StoreFacts, dataset: Dataset, manifest: Manifest
) -> None:
    """Refuse a packed store that holds other clips, or frames of another size, than are wanted."""
    height, width = dataset.store_size
    if (facts.height, facts.width, facts.fit) != (height, width, dataset.fit):
        raise ConfigError(
            f"{folder} holds frames of {facts.height} x {facts.width} pixels ({facts.fit}), the "
            f"study wants {height} x {width} ({dataset.fit}); set video.store_height, "
            "video.store_width and video.fit to what was packed, or pack again"
        )
    if facts.fingerprint != fingerprint(manifest.records):
        raise ConfigError(
            f"{folder} was packed from other clips than {dataset.root} has now; run its "
            "`taskgrain pack` command again, into another folder"
        )


def _by_category(levels: Levels) -> dict[str, dict[str, str]]:
    """Turn level -> name -> categories into level -> category -> name."""
    turned = {
        level: {strip_brackets(each): name for name, listed in names.items() for each in listed}
        for level, names in levels.items()
    }
    check_nesting(turned, where="data.levels")
    return turned


def shards(dataset: Dataset) -> Iterator[tuple[int, tuple[ClipRecord, ...], tuple[ClipPlan, ...]]]:
    """Yield each shard to be written: its number, its clips, and the plans of drawn clips."""
    plans = {}
    if dataset.world is not None:
        plans = {clip.clip_id: clip for clip in plan(dataset.world)}
    everything = dataset.manifest().records
    is_there = dataset.is_packed or dataset.is_held_out
    for number in range(0 if is_there else dataset.num_shards):
        records = everything[number * CLIPS_PER_SHARD : (number + 1) * CLIPS_PER_SHARD]
        drawn = tuple(plans[record.clip_id] for record in records if record.clip_id in plans)
        yield number, records, drawn


def prepare_shard(
    worker: Worker,
    dataset: Dataset,
    number: int,
    records: Sequence[ClipRecord],
    plans: Sequence[ClipPlan],
) -> None:
    """Draw the clips of one shard where they are drawn, then decode them into the store."""
    for clip in plans:
        write_clip(dataset.root, clip)
        worker.advance(DRAW_SECONDS)
    height, width = dataset.store_size
    frames = FrameFormat(height, width, fit=dataset.fit)
    write_shard(dataset.store, number, records, frames)


@dataclass(frozen=True, slots=True)
class Footage:
    """The files of the user's own dataset, by the headers of a few of them."""

    clips: int  # that are annotated
    absent: int  # annotated clips without a file: they would count as failed
    first_absent: str | None  # relative to the dataset's root
    sampled: int  # headers that could be read
    clip_seconds: float | None  # mean length of those; None if none could be read
    decode_seconds: float  # of a clip that is there, on one thread, on average

    @property
    def seconds_per_clip(self) -> float:
        """Return the mean seconds of decoding over all annotated clips; absent ones take none."""
        return self.decode_seconds * (1 - self.absent / max(1, self.clips))


def footage_of(records: Sequence[ClipRecord]) -> Footage:
    """Look at the files of clips of one dataset, without decoding any.

    The headers read are those of clips at even distances in the order of the records: equal
    datasets have equal estimates.
    """
    if not records:
        return Footage(0, 0, None, 0, None, DECODE_SECONDS)
    absent = absent_files(records[0].root, (record.file for record in records))
    lacking = frozenset(absent)
    there = [record for record in records if record.file not in lacking]
    step = max(1, len(there) / SAMPLED_CLIPS)
    chosen = [there[int(k * step)] for k in range(min(SAMPLED_CLIPS, len(there)))]
    headers = [each for record in chosen if (each := read_header(record.path)) is not None]
    mean = fmean(each.decode_seconds for each in headers) if headers else DECODE_SECONDS
    return Footage(
        clips=len(records),
        absent=len(records) - len(there),
        first_absent=printable(absent[0]) if absent else None,
        sampled=len(headers),
        clip_seconds=fmean(each.seconds for each in headers) if headers else None,
        decode_seconds=mean,
    )
