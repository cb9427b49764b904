"""What is known of a dataset's files before a frame is decoded: how many are absent, how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from taskgrain.data.headers import read_header
from taskgrain.data.manifest import ClipRecord
from taskgrain.data.store import DECODE_SECONDS
from taskgrain.data.videos import absent_files, printable

SAMPLED_CLIPS = 32  # whose headers are read: a tenth of a second in all


@dataclass(frozen=True, slots=True)
class Footage:
    """The files of a dataset of the user's own, by the headers of a few of them."""

    clips: int  # that are annotated
    absent: int  # of those, without a file: they would count as failed
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
    datasets give equal estimates.
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
