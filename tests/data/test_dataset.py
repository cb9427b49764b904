from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from taskgrain.data.augment import Augmentation, Drawing, draw_view
from taskgrain.data.dataset import ClipBatches, Example, Label, Variation
from taskgrain.data.opening import read_manifest
from taskgrain.data.sampling import FrameSampling
from taskgrain.data.store import FrameFormat, FrameStore, write_shard
from taskgrain.errors import RunError

SAMPLING = FrameSampling(4, 24, 24, 20, 20)


@pytest.fixture
def store(tiny_dataset: Path, tmp_path: Path) -> FrameStore:
    records = read_manifest(tiny_dataset).records
    for shard in range(2):
        part = records[shard * 4 : shard * 4 + 4]
        write_shard(tmp_path / "store", shard, part, FrameFormat(24, 24))
    return FrameStore(tmp_path / "store", 2)


def examples(count: int = 8) -> list[Example]:
    return [Example(str(n), Label(n, ((1, 4 + n, 2),))) for n in range(count)]


def test_the_store_holds_every_frame_of_every_clip(store: FrameStore) -> None:
    assert [store.num_frames(str(n)) for n in range(8)] == [20 + n for n in range(8)]
    assert store.frames("3").shape == (23, 24, 24, 3)
    assert store.ledger == []


def test_writing_a_shard_again_gives_the_same_bytes(tiny_dataset: Path, tmp_path: Path) -> None:
    records = read_manifest(tiny_dataset).records
    for folder in ("a", "b"):
        write_shard(tmp_path / folder, 0, records, FrameFormat(24, 24))
    for name in ("00000.frames", "00000.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_broken_and_a_missing_clip_become_ledger_entries(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    (tiny_dataset / "videos" / "2.webm").write_bytes(b"nothing")
    (tiny_dataset / "videos" / "5.webm").unlink()
    records = read_manifest(tiny_dataset).records
    write_shard(tmp_path / "store", 0, records, FrameFormat(24, 24))
    opened = FrameStore(tmp_path / "store", 1)
    assert {(entry.clip_id, entry.state) for entry in opened.ledger} == {
        ("2", "failed"),
        ("5", "failed"),
    }
    assert "2" not in opened
    kept = ClipBatches(opened, examples(), SAMPLING, batch_size=3).examples
    assert [example.clip_id for example in kept] == ["0", "1", "3", "4", "6", "7"]


def test_a_shard_that_lost_bytes_is_refused(store: FrameStore) -> None:
    frames = store.folder / "00001.frames"
    frames.write_bytes(frames.read_bytes()[:-1])
    with pytest.raises(RunError, match="bytes, expected"):
        FrameStore(store.folder, 2)


def test_every_clip_comes_once_an_epoch_in_batches_of_nearly_one_size(store: FrameStore) -> None:
    batches = ClipBatches(store, examples(7), SAMPLING, batch_size=3, variation=Variation(0))
    sizes: list[int] = []
    ids: list[str] = []
    for batch in batches.batches(epoch=2):
        assert batch.video.shape == (len(batch.clip_ids), 4, 20, 20, 3)
        assert batch.video.dtype == torch.uint8
        sizes.append(len(batch.clip_ids))
        ids += batch.clip_ids
    assert sizes == [3, 2, 2]
    assert sorted(ids) == [str(n) for n in range(7)]


def test_a_resumed_epoch_goes_on_with_the_same_batches(store: FrameStore) -> None:
    batches = ClipBatches(store, examples(), SAMPLING, batch_size=3, variation=Variation(5))
    whole = list(batches.batches(epoch=1))
    rest = list(batches.batches(epoch=1, first_step=2))
    assert len(rest) == len(whole) - 2 > 0
    for one, other in zip(whole[2:], rest, strict=True):
        assert one.clip_ids == other.clip_ids
        assert torch.equal(one.video, other.video)


def test_order_and_cut_change_with_the_epoch_and_the_seed(store: FrameStore) -> None:
    def first(seed: int, epoch: int) -> tuple[str, ...]:
        batches = ClipBatches(store, examples(), SAMPLING, batch_size=8, variation=Variation(seed))
        return next(batches.batches(epoch)).clip_ids

    assert first(0, 0) == first(0, 0)
    assert len({first(0, 0), first(0, 1), first(1, 0)}) == 3


def test_targets_and_captions_stay_with_their_clips(store: FrameStore) -> None:
    batches = ClipBatches(store, examples(), SAMPLING, batch_size=5, variation=Variation(3))
    for batch in batches.batches():
        for row, clip_id in enumerate(batch.clip_ids):
            assert batch.target[row] == int(clip_id)
            assert batch.caption[row, :4].tolist() == [1, 4 + int(clip_id), 2, 0]
            assert batch.caption.shape[1] == 15


def test_without_a_seed_clips_keep_their_order(store: FrameStore) -> None:
    batches = ClipBatches(store, examples(), SAMPLING, batch_size=3)
    once = [batch.video.numpy() for batch in batches.batches(0)]
    again = [batch.video.numpy() for batch in batches.batches(9)]
    assert np.array_equal(np.concatenate(once), np.concatenate(again))


def test_a_mirrored_clip_comes_with_the_label_of_its_mirror_image(store: FrameStore) -> None:
    always = Augmentation(mirror=1.0)
    whole = FrameSampling(4, 24, 24, 24, 24)
    both = [
        Example("0", Label(0, ((1, 5, 2),)), Label(7, ((1, 9, 2),))),
        Example("1", Label(1, ((1, 6, 2),))),  # must not be mirrored
    ]
    batches = ClipBatches(store, both, whole, batch_size=2, variation=Variation(0, always))
    batch = next(batches.batches())
    for clip_id, video, target, caption in zip(
        batch.clip_ids, batch.video.numpy(), batch.target, batch.caption, strict=True
    ):
        view = draw_view(store.num_frames(clip_id), whole, always, Drawing(0, 0, clip_id))
        stored = store.frames(clip_id)[view.window.frames]
        if clip_id == "0":
            np.testing.assert_array_equal(video, stored[:, :, ::-1])
            assert (target, caption[1]) == (7, 9)
        else:
            np.testing.assert_array_equal(video, stored)
            assert (target, caption[1]) == (1, 6)


def test_each_epoch_draws_one_of_several_captions_and_evaluation_takes_the_first(
    store: FrameStore,
) -> None:
    two = [Example("0", Label(-1, ((1, 5, 2), (1, 6, 7, 2))))]
    training = ClipBatches(store, two, SAMPLING, batch_size=1, variation=Variation(0))
    said = [next(training.batches(epoch)).caption[0].tolist() for epoch in range(20)]
    assert {tuple(tokens[:4]) for tokens in said} == {(1, 5, 2, 0), (1, 6, 7, 2)}
    assert said == [next(training.batches(epoch)).caption[0].tolist() for epoch in range(20)]
    scored = ClipBatches(store, two, SAMPLING, batch_size=1)
    assert next(scored.batches(3)).caption[0, :3].tolist() == [1, 5, 2]


UNEVEN = (0, 0, 0, 0, 0, 1, 1, 2)  # classes of the eight clips


def uneven() -> list[Example]:
    return [Example(str(n), Label(target)) for n, target in enumerate(UNEVEN)]


def balanced_batches(store: FrameStore, batch_size: int = 3) -> ClipBatches:
    variation = Variation(0, is_balanced=True)
    return ClipBatches(store, uneven(), SAMPLING, batch_size=batch_size, variation=variation)


@pytest.mark.parametrize("epoch", range(4))
def test_balanced_every_class_comes_as_often_or_once_more(store: FrameStore, epoch: int) -> None:
    batches = list(balanced_batches(store).batches(epoch))
    targets = torch.cat([batch.target for batch in batches]).tolist()
    ids = [clip_id for batch in batches for clip_id in batch.clip_ids]
    assert len(targets) == 8
    assert sorted(Counter(targets).values()) == [2, 3, 3]
    assert [UNEVEN[int(clip_id)] for clip_id in ids] == targets
    times = Counter(ids)
    for target in range(3):  # no clip comes twice before all of its class came once
        of_class = [times[str(n)] for n in range(8) if UNEVEN[n] == target]
        assert max(of_class) - min(of_class) <= 1


def test_a_large_class_is_seen_whole_over_the_epochs(store: FrameStore) -> None:
    batches = balanced_batches(store)
    seen = {id_ for epoch in range(12) for b in batches.batches(epoch) for id_ in b.clip_ids}
    assert seen == {str(n) for n in range(8)}
    orders = {next(batches.batches(epoch)).clip_ids for epoch in range(6)}
    assert len(orders) > 1


def test_a_resumed_balanced_epoch_goes_on_with_the_same_cuts(store: FrameStore) -> None:
    whole = list(balanced_batches(store).batches(2))
    rest = list(balanced_batches(store).batches(2, first_step=1))
    assert len(rest) == len(whole) - 1 > 0
    for one, other in zip(whole[1:], rest, strict=True):
        assert one.clip_ids == other.clip_ids
        assert torch.equal(one.video, other.video)


def test_a_clip_that_comes_again_is_cut_anew(store: FrameStore) -> None:
    batch = next(balanced_batches(store, batch_size=8).batches())
    rows = [row for row, clip_id in enumerate(batch.clip_ids) if clip_id == "7"]
    assert len(rows) >= 2
    first, again = rows[:2]
    assert not torch.equal(batch.video[first], batch.video[again])
    drawn_once = ClipBatches(store, uneven(), SAMPLING, batch_size=8, variation=Variation(0))
    once = next(drawn_once.batches())
    assert torch.equal(batch.video[first], once.video[once.clip_ids.index("7")])


def test_a_clip_without_a_class_cannot_be_balanced(store: FrameStore) -> None:
    captioned = [*uneven()[:3], Example("5", Label(-1, ((1, 5, 2),)))]
    variation = Variation(0, is_balanced=True)
    with pytest.raises(ValueError, match="without a class cannot be balanced"):
        ClipBatches(store, captioned, SAMPLING, batch_size=2, variation=variation)
