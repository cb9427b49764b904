"""Report what a video file lacks of what it declares, and whether its clock jumped.

What it may lack are bytes, seconds and frames.

Seconds are of the file's own clock, unless stated otherwise.
"""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np
from av.packet import Packet
from av.stream import Stream

EBML = b"\x1a\x45\xdf\xa3"  # begins every WebM and Matroska file
SEGMENT = b"\x18\x53\x80\x67"  # holds all the rest of it
GIF = (b"GIF87a", b"GIF89a")
START = 128  # bytes read to tell the kind of a file; an EBML header has about 40

# A file may end a little before its declared duration; more than both of these is a cut file,
# and so is more than the last, however long it is.
# Truncated files look whole: a WebM cut to a quarter decodes 9 of its 40 frames and ends cleanly,
# and a cut MP4 raises only after a part of its frames.
MISSING_SHARE = 0.1
MISSING_SECONDS = 2 / 12
MOST_MISSING_SECONDS = 1.0
STILL_SECONDS = 1.0  # a lone frame in a file that declares no more than this is a picture

UNSEEN_PACKETS = 2  # without a frame: one alone may be meant for the decoder, not to be shown
HOLE_BYTES = 256  # more than the headers that Matroska and FLV put between two packets


def allowed_seconds(declared: float) -> float:
    """Return how many of its declared seconds a whole file may lack."""
    return min(max(MISSING_SHARE * declared, MISSING_SECONDS), MOST_MISSING_SECONDS)


@dataclass(frozen=True, slots=True)
class FileBytes:
    """Whether the bytes of a file are all there, where its own structure tells."""

    is_ebml: bool
    size: int
    state: Literal["whole", "cut", "unknown"]
    problem: str | None  # of a cut file


def file_bytes_of(file: BinaryIO) -> FileBytes:
    """Compare a file's size with what its first bytes declare, and leave it at its beginning.

    WebM and Matroska declare the size of their segment, unless they were streamed; a GIF ends with
    a trailer.
    """
    start = file.read(START)
    size = os.fstat(file.fileno()).st_size
    problem: str | None = None
    is_known = False
    if start.startswith(EBML):
        declared = _ebml_size(start)
        is_known = declared is not None
        if declared is not None and size < declared:
            problem = f"truncated: {size} bytes of the declared {declared}"
    elif start.startswith(GIF):
        is_known = True
        if not _has_trailer(file):
            problem = "truncated: the GIF has no end"
    file.seek(0)
    state: Literal["whole", "cut", "unknown"] = "whole" if is_known else "unknown"
    return FileBytes(start.startswith(EBML), size, "cut" if problem else state, problem)


def _ebml_size(start: bytes) -> int | None:
    """Bytes that a WebM or Matroska file says it has; None where it does not say."""
    header = _ebml_length(start, len(EBML))
    if header is None:
        return None
    segment = header[0] + header[1]
    if start[segment : segment + len(SEGMENT)] != SEGMENT:
        return None
    length = _ebml_length(start, segment + len(SEGMENT))
    return None if length is None else length[0] + length[1]


def _ebml_length(start: bytes, at: int) -> tuple[int, int] | None:
    """Read the length at `at`: where what it measures begins, and the length; None if unknown."""
    if at >= len(start) or start[at] == 0:
        return None
    width = 9 - start[at].bit_length()  # the leading one bit says how many bytes it takes
    value = int.from_bytes(start[at : at + width], "big") & ((1 << 7 * width) - 1)
    if at + width > len(start) or value == (1 << 7 * width) - 1:  # all ones: not known
        return None
    return at + width, value


def _has_trailer(file: BinaryIO) -> bool:
    """Walk over the blocks of a GIF to the one that ends it."""
    file.seek(10)
    _skip_colours(file, file.read(3)[:1])
    while kind := file.read(1):
        if kind == b";":
            return True
        if kind == b"!":
            file.seek(1, os.SEEK_CUR)  # what the extension is
        elif kind == b",":
            _skip_colours(file, file.read(9)[8:])
            file.seek(1, os.SEEK_CUR)  # the size of its codes
        else:
            return False
        # The data of a block lie in pieces, each behind its length; a length of 0 ends them.
        while length := file.read(1)[:1]:
            if length == b"\0":
                break
            file.seek(length[0], os.SEEK_CUR)
    return False


def _skip_colours(file: BinaryIO, flags: bytes) -> None:
    """Skip a colour table, if the flags announce one."""
    if flags and flags[0] & 0x80:
        file.seek(3 << (flags[0] & 7) + 1, os.SEEK_CUR)


class Tally:
    """What was met while a file was read: frames, packets, and what is lost between them.

    Times are the file's own, in seconds; they need not begin at 0.
    """

    def __init__(self, *, video_index: int, is_dense: bool, is_numbered: bool = False) -> None:
        """Begin for the stream of this index.

        Args:
            video_index: of the stream that is decoded.
            is_dense: whether packets follow one another in the file without a space, so that bytes
                between them that belong to none are a hole.
            is_numbered: whether the packets of the video have the times of their decoding alone.
        """
        self.num_frames = 0
        self.num_packets = 0  # of the video, that are to be shown
        self.num_bad = 0  # places that cannot be read or decoded
        self.num_discarded = 0  # packets that the file itself does not show
        self.end = 0.0  # of the last frame, in seconds after the first
        self.latest = 0.0  # end of the last packet of any stream
        self.video_end = 0.0  # end of the last packet of the video
        self.packet_at: float | None = None  # time of the video packet met last
        self.why = ""  # the first bad place's complaint
        self._goes_on = False  # something could be decoded after the first bad place
        self._first_bad = 0  # frames before it
        self._video_index = video_index
        self._is_numbered = is_numbered
        self._units: dict[int, float] = {}  # seconds of a tick, by stream
        self.is_dense = is_dense
        self.position: int | None = None  # where the last packet ends, in bytes
        self._unexplained = False  # bytes since the last video packet belong to no packet
        self._sent = array("d")  # times of the video's packets
        self._shown = array("d")  # and of its frames
        self._holes = array("d")  # times between two packets that a hole lies between

    def meet(self, packet: Packet[Stream]) -> None:
        """Count a packet of any stream."""
        position = packet.pos
        if self.is_dense and position is not None:
            if self.position is not None and position > self.position + HOLE_BYTES:
                self._unexplained = True
            self.position = position + packet.size
        index = packet.stream_index
        pts = packet.dts if self._is_numbered and index == self._video_index else packet.pts
        unit = self._units.get(index)
        if unit is None:
            base = packet.time_base  # slow to ask for
            unit = self._units[index] = float(base) if base else 0.0
        if pts is None:
            return
        at = pts * unit
        end = at + (packet.duration or 0) * unit
        if end > self.latest:
            self.latest = end
        if index != self._video_index:
            return
        if packet.is_discard:
            self.num_discarded += 1
            return
        if self._unexplained and self._sent and at > self.video_end:
            self._holes.append((self.video_end + at) / 2)
        self._unexplained = False
        self.num_packets += 1
        self.packet_at = at
        self._sent.append(at)
        if end > self.video_end:
            self.video_end = end

    @property
    def first_at(self) -> float:
        """Time of the first packet of the video; 0.0 before it."""
        return self._sent[0] if self._sent else 0.0

    def miss(self, why: str) -> None:
        """Count a place that cannot be read or decoded."""
        if not self.num_bad:
            self._first_bad, self.why = self.num_frames, why
        self.num_bad += 1

    def succeed(self, raw: float | None, end: float) -> None:
        """Count a frame: its time, and its end in seconds after the first one's."""
        self.num_frames += 1
        self.end = end
        if self.num_bad:
            self._goes_on = True
        if raw is not None:
            self._shown.append(raw)

    @property
    def longest(self) -> float:
        """The longest time between two frames, in seconds."""
        return float(np.diff(np.sort(self._shown)).max()) if len(self._shown) > 1 else 0.0

    @property
    def damage(self) -> str | None:
        """What could not be read or decoded; None where all could."""
        if not self.num_bad:
            return None
        if not self._goes_on:
            return f"breaks off after {self.num_frames} frames: {self.why}"
        places = "1 place" if self.num_bad == 1 else f"{self.num_bad} places"
        return (
            f"damaged: {places} cannot be decoded, the first after {self._first_bad} frames: "
            f"{self.why}"
        )

    def hole(self) -> str | None:
        """What of the video never came, though the file shows that it was there; None if little.

        That a frame stays for long is no hole: at a variable rate, nothing is sent meanwhile.
        """
        if not len(self._shown) or (len(self._shown) >= len(self._sent) and not self._holes):
            return None
        # The times at which frames were shown part the clip into gaps. A gap counts as lost where
        # packets lie in it that were sent and never shown, or bytes that belong to no packet; what
        # a frame usually stays is taken off it. A gap without either is a frame that stays.
        # The same time, in ticks and in seconds, may differ in its last bit.
        sent, shown = (np.unique(np.round(times, 6)) for times in (self._sent, self._shown))
        usual = float(np.median(np.diff(sent))) if len(sent) > 1 else 0.0
        # The first gap is before the first frame, the last one after the last.
        edges = np.concatenate(([sent[0]], shown, [max(sent[-1], shown[-1])]))
        # A packet whose time no frame has was sent and never shown.
        unseen = sent[~np.isin(sent, shown)]
        counts = np.bincount(np.searchsorted(shown, unseen), minlength=len(shown) + 1)
        counts += UNSEEN_PACKETS * np.bincount(
            np.searchsorted(shown, np.frombuffer(self._holes)), minlength=len(shown) + 1
        )
        lost = np.where(counts >= UNSEEN_PACKETS, np.diff(edges) - usual, 0.0).clip(0)
        if lost.sum() <= allowed_seconds(float(edges[-1] - edges[0])):
            return None
        after = edges[int(lost.nonzero()[0][0])] - edges[0]
        return f"damaged: {lost.sum():.2f} s cannot be decoded, the first after {after:.2f} s"


def missing_seconds(declared: float, end: float, *, longest: float = 0.0) -> str | None:
    """Return what lacks of a declared duration; None if it is little.

    All are seconds: `end` that of what is there, `longest` the time that a frame stays, where the
    file does not say it of the last one.
    """
    if declared - end <= max(allowed_seconds(declared), longest):
        return None
    return f"truncated: {end:.2f} s of the declared {declared:.2f} s"


def missing_frames(declared: int, decoded: int, *, rate: float) -> str | None:
    """Return what lacks of a declared number of frames, `rate` a second; None if little."""
    if declared - decoded <= allowed_seconds(declared / rate) * rate:
        return None
    return f"damaged: {decoded} of the declared {declared} frames"


# A frame that stays for longer than both of these stands for others that never came.
LONG_SECONDS = 1.0
LONG_TIMES = 10.0  # the usual time between two frames
MOST_SHARE = 0.5  # of a clip's time that such frames may take


def still_note(starts: array[float], end: float) -> str | None:
    """Return what is to be known of a clip most of whose time is a few frames; None otherwise.

    Its clock may have jumped, as that of a recorder which sets it after its first frame; frames
    drawn evenly from such a clip are nearly all the same picture. It may also be meant so.

    Args:
        starts: of the frames, ascending, in seconds.
        end: of the last frame, in seconds.
    """
    if len(starts) < 2:
        return None
    at = np.frombuffer(starts)
    gaps = at[1:] - at[:-1]
    if max(gaps.max(), end - at[-1]) <= LONG_SECONDS:  # as nearly always
        return None
    stays = np.append(gaps, end - at[-1])
    # The lower median; a partition finds it without sorting hours of frames.
    usual = float(np.partition(stays, (len(stays) - 1) // 2)[(len(stays) - 1) // 2])
    long = stays[stays > max(LONG_SECONDS, LONG_TIMES * usual)]
    span = end - starts[0]
    if long.sum() <= MOST_SHARE * span:
        return None
    one = len(long) == 1
    return (
        f"{len(long)} of {len(starts)} frames {'stands' if one else 'stand'} for "
        f"{long.sum():.1f} of {span:.1f} s: the clock jumped, or the picture stood still"
    )
