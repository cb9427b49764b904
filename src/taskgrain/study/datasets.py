"""The datasets of a study: where each lies, and how it is drawn, decoded and opened."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from taskgrain.config.settings import SourceData, Study, Target
from taskgrain.data.files import write_text
from taskgrain.data.manifest import ClipRecord, Manifest, Split, read_manifest
from taskgrain.data.store import CLIPS_PER_SHARD, FrameStore, write_shard
from taskgrain.errors import RunError
from taskgrain.jobs.executor import Worker
from taskgrain.prepare.rendering import DRAW_SECONDS
from taskgrain.study.folder import RunFolder
from taskgrain.tabletop.dataset import ClipPlan, WorldSpec, plan, write_annotations, write_clip

SOURCE = "source"  # the dataset that the encoders learn from; the others are named as targets


@dataclass(frozen=True)
class Dataset:
    """One dataset of a study, as cells find it."""

    name: str
    root: Path
    store: Path
    world: WorldSpec | None  # None for the user's own
    num_clips: int  # that are annotated
    num_training: int  # of those, in the training split
    store_size: tuple[int, int]  # height and width of the stored frames, pixels

    @property
    def num_shards(self) -> int:
        """Count the shards of the store."""
        return ceil(self.num_clips / CLIPS_PER_SHARD)

    def manifest(self) -> Manifest:
        """Read the annotations."""
        return read_manifest(self.root)

    def frames(self) -> FrameStore:
        """Open the frames; every shard must have been written."""
        return FrameStore(self.store, self.num_shards)


def world_of(settings: SourceData | Target) -> WorldSpec | None:
    """Give the drawn world that settings ask for; None for a folder of the user's own."""
    if settings.world is None:
        return None
    if isinstance(settings, Target):
        sizes = {"train": settings.support, "validation": settings.scored}
    else:
        sizes = {"train": settings.train, "validation": settings.validation}
    return WorldSpec(world=settings.world, seed=settings.seed, **sizes)


def lay_out(study: Study, folder: RunFolder) -> dict[str, Dataset]:
    """Find every dataset of a study, the source's first; drawn ones get their annotations.

    Raises:
        ManifestError: if a dataset of the user's own cannot be read.
        RunError: if one has changed since the run began.
    """
    datasets: dict[str, Dataset] = {}
    wanted: dict[str, SourceData | Target] = {SOURCE: study.data}
    wanted.update({target.name: target for target in study.targets})
    for name, settings in wanted.items():
        world = world_of(settings)
        root = settings.root or folder.data(name)
        # factors.jsonl is written last: without it the others may be missing too.
        if world is not None and not (root / "factors.jsonl").is_file():
            write_annotations(root, plan(world))
        manifest = read_manifest(root)
        if world is None:
            _refuse_changed_data(folder, name, manifest)
        datasets[name] = Dataset(
            name,
            root,
            folder.store(name),
            world,
            num_clips=len(manifest.records),
            num_training=len(manifest.split(Split.TRAIN)),
            store_size=(study.video.store_height, study.video.store_width),
        )
    return datasets


def shards(dataset: Dataset) -> Iterator[tuple[int, tuple[ClipRecord, ...], tuple[ClipPlan, ...]]]:
    """Give each shard's number, its clips, and the plans of those that are drawn."""
    plans = {}
    if dataset.world is not None:
        plans = {clip.clip_id: clip for clip in plan(dataset.world)}
    everything = dataset.manifest().records
    for number in range(dataset.num_shards):
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
    write_shard(dataset.store, number, records, height=height, width=width)


def _refuse_changed_data(folder: RunFolder, name: str, manifest: Manifest) -> None:
    """Compare the user's data with what the run began with."""
    found = {"annotations": _annotations_sha256(manifest.root), **_videos(manifest)}
    path = folder.root / "data" / f"{name}.json"
    if not path.is_file():
        write_text(path, json.dumps(found, indent=1) + "\n")
        return
    held = json.loads(path.read_text(encoding="utf-8"))
    changed = [key for key in found if found[key] != held.get(key)]
    if changed:
        raise RunError(
            f"{manifest.root}: its {' and '.join(changed)} changed since this run began; "
            "choose another --out, or bring the old files back"
        )


def _annotations_sha256(root: Path) -> str:
    digest = hashlib.sha256()
    names = [*(f"{split}.json" for split in Split), "labels.json", "factors.jsonl"]
    for path in (root / name for name in names):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _videos(manifest: Manifest) -> dict[str, object]:
    """Count the video files and hash their names and sizes; their content is not read."""
    sizes = {r.clip_id: r.path.stat().st_size for r in manifest.records if r.path.is_file()}
    text = json.dumps(sizes, sort_keys=True)
    return {"clips": len(manifest.records), "videos": hashlib.sha256(text.encode()).hexdigest()}
