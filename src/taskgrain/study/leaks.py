"""Refuse a target whose clips are not new: the encoders learn from them, or its own probes do.

A probe would otherwise be scored on the very clips that its encoder was trained on.
docs/protocol.md, "New clips only", has the rules.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from taskgrain.config.settings import Study
from taskgrain.data.companions import LEDGER
from taskgrain.data.decode import FRAME_RATE
from taskgrain.data.equal_files import equal_files
from taskgrain.data.inspect import is_clip, read_header
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.packed import Content, packed_contents
from taskgrain.data.videos import printable
from taskgrain.errors import ConfigError
from taskgrain.study.datasets import SOURCE, Dataset
from taskgrain.study.seed_clips import differ_by_seed, seed_clips
from taskgrain.study.targets import clips_asked, task_seeds

SAME_CLIP = "the same clip"  # of the same folder
MOST_COUNTED = 100  # clips of equal content; no further files are hashed

# Equal ids in two folders name the same clips if what an id does not hold agrees for nearly all of
# them, but not with the next clip of the category, as it would where all clips are of one length.
LEAST_IDS = 5
SAMPLED_IDS = 32
LEAST_AGREEING = 0.9
MOST_BY_CHANCE = 0.5
LENGTH_SECONDS = 0.1  # by which a copy's length differs at most, encoded anew

Pair = tuple[ClipRecord, ClipRecord]  # of a target, of the source
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Shared:
    """A clip of a target that is the same as another clip, and how that was found."""

    clip: ClipRecord  # of the target
    other: ClipRecord
    how: str


def refuse_leaks(study: Study, datasets: Mapping[str, Dataset]) -> None:
    """Refuse a study in which a target uses clips that the encoders learn from.

    Clips that are not drawn yet are compared by their ids and words alone.

    Raises:
        ConfigError: naming target and source, how many clips, one example, and what to do; also if
            a target's support pool and its scored clips share a clip.
    """
    source = datasets[SOURCE]
    splits = (Split.TRAIN, Split.VALIDATION) if _chooses(study) else (Split.TRAIN,)
    learned_under = _learned_clips(study, source, splits)
    everything = list(
        {each.clip_id: each for some in learned_under.values() for each in some}.values()
    )
    for each in study.targets:
        target = datasets[each.name]
        for seed in task_seeds(study, each):
            learned = everything if seed is None else learned_under[seed]
            clips = clips_asked(study, target, each, seed)[0]
            used = _used(clips, Split.TRAIN, Split.VALIDATION)
            _refuse_learned(target, used, source, learned, splits)
            _refuse_scored(target, used)


def _learned_clips(
    study: Study, source: Dataset, splits: Sequence[Split]
) -> dict[int, list[ClipRecord]]:
    """List the clips that the encoders of each seed learn from; none where nothing is learned."""
    if not study.trained:
        return {seed: [] for seed in study.seeds}
    manifest = source.manifest()
    if not differ_by_seed(study.data):
        learned = seed_clips(study.data, manifest, study.seeds[0]).learned
        return dict.fromkeys(study.seeds, _used(learned, *splits))
    return {
        seed: _used(seed_clips(study.data, manifest, seed).learned, *splits) for seed in study.seeds
    }


def _refuse_learned(
    target: Dataset,
    used: Sequence[ClipRecord],
    source: Dataset,
    learned: Sequence[ClipRecord],
    splits: Sequence[Split],
) -> None:
    """Refuse a target with clips that the encoders learn from."""
    # Two drawn worlds share no clip, whatever their seeds: each draws from streams of its own.
    if not learned or None not in (source.world, target.world):
        return
    shared = _first(_learned(target, used, source, learned))
    if shared:
        number = f"{_count(shared)} of its {len(used):,} clips"
        raise ConfigError(_learned_text(number, target, source, shared[0], splits))


def _refuse_scored(target: Dataset, used: Sequence[ClipRecord]) -> None:
    """Refuse a target whose support pool and scored clips share one."""
    if target.world is not None:
        return
    support = [each for each in used if each.split is Split.TRAIN]
    scored = [each for each in used if each.split is Split.VALIDATION]
    shared = _first(_equal(target, scored, target, support))
    if shared:
        raise ConfigError(_support_text(target, shared))


def _chooses(study: Study) -> bool:
    """Whether the source's validation clips decide which weights are tested."""
    is_stopped = study.train.early_stopping is not None or study.train.schedule == "plateau"
    return is_stopped or study.transfer.checkpoint == "best"


def _used(manifest: Manifest, *splits: Split) -> list[ClipRecord]:
    """List the clips of some splits that are not excluded; only those are decoded."""
    return [each for each in manifest.records if each.split in splits and each.excluded is None]


def _first(pairs: Iterator[_Shared]) -> list[_Shared]:
    """Take clips until there are enough of them, each clip of a target once."""
    shared: dict[str, _Shared] = {}
    for each in pairs:
        shared.setdefault(each.clip.clip_id, each)
        # Clips of one folder are compared by their ids alone, and are all counted.
        if len(shared) == MOST_COUNTED and each.how != SAME_CLIP:
            break
    return list(shared.values())


def _learned(
    target: Dataset, used: Sequence[ClipRecord], source: Dataset, learned: Sequence[ClipRecord]
) -> Iterator[_Shared]:
    """Yield the clips of a target that are among those that the encoders learn from."""
    of_id = {each.clip_id: each for each in learned}
    pairs = [(each, of_id[each.clip_id]) for each in used if each.clip_id in of_id]
    if pairs and _is_same_folder(target, source):
        yield from (_Shared(*pair, SAME_CLIP) for pair in pairs)
        return
    yield from _equal(target, used, source, learned)
    yield from _same_ids(target, source, pairs)


def _is_same_folder(target: Dataset, source: Dataset) -> bool:
    return target.root.resolve() == source.root.resolve()


def _equal(
    target: Dataset, clips: Sequence[ClipRecord], other: Dataset, others: Sequence[ClipRecord]
) -> Iterator[_Shared]:
    """Yield the clips that are the same file as another clip, or have equal content."""
    if target.is_packed and other.is_packed:
        contents = packed_contents(target.store), packed_contents(other.store)
        yield from _equally_packed(clips, contents[0], others, contents[1])
    is_clip_at = cache(lambda index: is_clip(others[index].path))
    for pair in equal_files([each.path for each in others], [each.path for each in clips]):
        if is_clip_at(pair.first):  # equal files that are no videos count as failed, as others do
            yield _Shared(clips[pair.second], others[pair.first], pair.how)


def _equally_packed(
    clips: Sequence[ClipRecord],
    ours: Mapping[str, Content],
    others: Sequence[ClipRecord],
    theirs: Mapping[str, Content],
) -> Iterator[_Shared]:
    held = {theirs[each.clip_id]: each for each in others if each.clip_id in theirs}
    for clip in clips:
        content = ours.get(clip.clip_id)
        if content is not None and content in held:
            yield _Shared(clip, held[content], "of equal content")


def _same_ids(target: Dataset, source: Dataset, pairs: Sequence[Pair]) -> Iterator[_Shared]:
    """Yield the clips of equal ids, if these name the same clips: copies that were encoded anew.

    Ids such as "1" and "2" are in many folders, so the lengths have to agree too, of clips with the
    same words or of all. Drawn clips may have no files yet, but no two have the same words.
    """
    alike = [pair for pair in pairs if _words(pair[0]) == _words(pair[1])]
    if target.world is not None or source.world is not None:
        if _agree(pairs, _words, _words, lambda a, b: a == b):
            yield from (_Shared(*pair, "of equal ids and words") for pair in alike)
        return
    lengths = _length_reader(target), _length_reader(source)
    for group, what in ((alike, "ids, words and lengths"), (pairs, "ids and lengths")):
        if _agree(group, *lengths, lambda a, b: abs(a - b) <= LENGTH_SECONDS):
            yield from (_Shared(*pair, f"of equal {what}") for pair in group)
            return


def _words(record: ClipRecord) -> tuple[str, ...]:
    return (record.category, *record.captions)


def _agree(
    pairs: Sequence[Pair],
    ours: Callable[[ClipRecord], T | None],
    theirs: Callable[[ClipRecord], T | None],
    is_equal: Callable[[T, T], bool],
) -> bool:
    """Whether nearly all pairs agree in something, and other clips of their categories do not."""
    members: dict[str, list[int]] = defaultdict(list)
    for position, (_, other) in enumerate(pairs):
        members[other.category].append(position)
    step = max(1, len(pairs) / SAMPLED_IDS)
    agreeing: list[bool] = []
    by_chance: list[bool] = []
    for position in (int(k * step) for k in range(min(SAMPLED_IDS, len(pairs)))):
        clip, other = pairs[position]
        group = members[other.category] if len(members[other.category]) > 1 else range(len(pairs))
        neighbour = pairs[group[(group.index(position) + 1) % len(group)]][1]
        values = ours(clip), theirs(other), theirs(neighbour)
        if values[0] is not None and values[1] is not None and values[2] is not None:
            agreeing.append(is_equal(values[0], values[1]))
            by_chance.append(is_equal(values[0], values[2]))
    number = len(agreeing)
    return (
        number >= LEAST_IDS
        and sum(agreeing) >= LEAST_AGREEING * number
        and sum(by_chance) <= MOST_BY_CHANCE * number
    )


def _length_reader(dataset: Dataset) -> Callable[[ClipRecord], float | None]:
    """Return the function that reads the length of a clip, seconds; None where it is unknown."""
    if not dataset.is_packed:
        return _declared_seconds
    store = dataset.frames()
    return lambda record: (
        store.num_frames(record.clip_id) / FRAME_RATE if record.clip_id in store else None
    )


def _declared_seconds(record: ClipRecord) -> float | None:
    header = read_header(record.path)
    return None if header is None else header.seconds


def _count(shared: Sequence[_Shared]) -> str:
    is_open = len(shared) == MOST_COUNTED and shared[0].how != SAME_CLIP
    return f"{len(shared):,} or more" if is_open else f"{len(shared):,}"


def _example(shared: _Shared) -> str:
    if shared.how == SAME_CLIP:
        return f"{_path(shared.clip)} among them"
    return f"{_path(shared.clip)} and {_path(shared.other)} are {shared.how}"


def _line(record: ClipRecord) -> str:
    """Write the line of a ledger that excludes a clip."""
    entry = {"clip": record.clip_id, "state": "excluded", "problem": "used by another task"}
    return json.dumps(entry, ensure_ascii=False)


def _path(record: ClipRecord) -> str:
    return printable(str(record.path))


def _learned_text(
    number: str, target: Dataset, source: Dataset, shared: _Shared, splits: Sequence[Split]
) -> str:
    use = "learn from" if len(splits) == 1 else "learn from or are chosen by"
    listed = "" if target.few_shot is None else f" (of {target.few_shot})"
    if source.world is not None:
        advice = "choose another data.seed"
    elif _is_same_folder(target, source) and target.few_shot is not None:
        advice = (
            f'set data.hold_out.few_shot = "{target.few_shot}", so that no source learns those '
            "classes, or give data.root a folder whose annotations leave them out (its videos may "
            "be links)"
        )
    elif _is_same_folder(target, source) and not target.is_held_out:
        advice = "give data.root a folder that lacks them (its videos may be links)"
    else:
        advice = f"exclude them by lines of {source.root / LEDGER} such as {_line(shared.other)}"
    return (
        f"target {target.name}: {number}{listed} are of data.root, {source.root}, that the "
        f"encoders {use}, so they would not be new: {_example(shared)}; {advice}, or give the "
        "target other clips"
    )


def _support_text(target: Dataset, shared: Sequence[_Shared]) -> str:
    number = "clip is" if len(shared) == 1 else "clips are"
    return (
        f"target {target.name}: {_count(shared)} scored {number} in its support pool too, so a "
        f"probe would learn what it is scored on: {_example(shared[0])}; name one of each pair in "
        f"{target.root / LEDGER}, by a line such as {_line(shared[0].clip)} (taskgrain check lists "
        "them all)"
    )
