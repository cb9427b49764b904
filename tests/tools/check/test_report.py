from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrain.data.manifest import Split
from taskgrain.tools.check.files import FileFacts
from taskgrain.tools.check.report import (
    ContentTally,
    Finding,
    Findings,
    VideoCounts,
    VideoTally,
    most_common,
    note_content,
    note_odd,
)


def facts_of(
    *,
    seconds: float = 2.0,
    rate: float | None = 12.0,
    size: tuple[int, int] = (128, 96),
    rotation: int = 0,
    is_variable: bool = False,
    content: bytes = b"",
) -> FileFacts:
    return FileFacts(
        *("a.webm", 100, 0, "whole"),
        frames=24,
        seconds=seconds,
        frame_rate=rate,
        width=size[0],
        height=size[1],
        rotation=rotation,
        is_variable_rate=is_variable,
        content=hashlib.blake2b(content, digest_size=16).hexdigest() if content else "",
    )


def usual() -> VideoCounts:
    tally = VideoTally()
    for _ in range(3):
        tally.add(facts_of())
    counts = tally.counts()
    assert counts is not None
    return counts


@pytest.mark.parametrize(
    ("facts", "kinds"),
    [
        (facts_of(), {}),
        (facts_of(rate=11.97), {}),  # times are rounded to milliseconds
        (facts_of(rate=None), {}),
        (facts_of(rate=30.0), {"odd-rate": "30 a second"}),
        (facts_of(size=(96, 128)), {"odd-size": "96 x 128"}),
        (facts_of(seconds=0.5), {"odd-length": "0.5 s"}),
        (facts_of(seconds=6.1), {"odd-length": "6.1 s"}),
        (facts_of(rotation=90), {"rotated": "90 degrees"}),
        (facts_of(is_variable=True), {"variable-rate": None}),
    ],
)
def test_a_clip_is_odd_against_most_of_its_dataset(
    facts: FileFacts, kinds: dict[str, str | None]
) -> None:
    found = Findings()
    note_odd(facts, usual(), 0, "a", found)
    assert {kind: each.entries()[0].text for kind, each in found.notes.items()} == kinds
    assert not found.faults


def test_videos_that_cannot_be_decoded_count_for_nothing() -> None:
    tally = VideoTally()
    tally.add(FileFacts("a.webm", 100, 0, "failed", "no video"))
    assert tally.counts() is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([1.0, 1.5, 2.0, 7.0]), min_size=1, max_size=9))
def test_the_median_and_the_most_common_size_are_those_of_a_plain_count(
    lengths: list[float],
) -> None:
    tally = VideoTally()
    for seconds in lengths:
        tally.add(facts_of(seconds=seconds, size=(int(seconds), 8)))
    counts = tally.counts()
    assert counts is not None
    assert counts.median_seconds == sorted(lengths)[(len(lengths) - 1) // 2]
    widths = [int(seconds) for seconds in lengths]
    assert widths.count(counts.width) == max(map(widths.count, widths))
    assert counts.seconds == pytest.approx(sum(lengths))


def test_equally_common_values_give_the_same_one_in_any_order() -> None:
    assert most_common(Counter([3, 1, 2])) == most_common(Counter([2, 3, 1]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(Split)), st.sampled_from("abc")), max_size=9))
def test_the_same_content_is_a_fault_across_splits_and_a_note_within_one(
    clips: list[tuple[Split, str]],
) -> None:
    tally = ContentTally()
    for place in reversed(range(len(clips))):  # buckets come in any order
        tally.add(facts_of(content=clips[place][1].encode()), place)
    found = Findings()
    splits = [split for split, _ in clips]
    note_content(tally.groups(), [str(n) for n in range(len(clips))], splits, found)
    first: dict[str, Split] = {}
    shared, repeated = [], []
    for place, (split, content) in enumerate(clips):
        is_first = content not in first
        if first.setdefault(content, split) is not split:
            shared.append(str(place))
        elif not is_first:
            repeated.append(str(place))
    faults = {kind: [entry.name for entry in f.entries()] for kind, f in found.faults.items()}
    notes = {kind: [entry.name for entry in f.entries()] for kind, f in found.notes.items()}
    assert faults == ({"same-content": shared} if shared else {})
    assert notes == ({"repeated": repeated} if repeated else {})


def test_files_without_content_are_not_the_same() -> None:
    tally = ContentTally()
    tally.add(facts_of(), 0)
    tally.add(facts_of(), 1)
    assert list(tally.groups()) == []


def test_a_note_keeps_the_first_of_the_dataset_and_counts_all() -> None:
    note, fault = Finding(10), Finding(None)
    for place in reversed(range(1000)):
        note.add(place, str(place))
        fault.add(place, str(place))
    assert note.count == fault.count == 1000
    assert [entry.name for entry in note.entries()] == [str(n) for n in range(10)]
    assert [entry.name for entry in fault.entries()] == [str(n) for n in range(1000)]
