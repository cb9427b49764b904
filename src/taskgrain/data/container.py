"""Open one video file within limits, and yield its frames with their times; no other file is read.

Seconds are counted from the first frame.
"""

from __future__ import annotations

from array import array
from bisect import insort
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from taskgrain.data.limits import DecodeLimits, reason
from taskgrain.data.wholeness import (
    STILL_SECONDS,
    FileBytes,
    Tally,
    file_bytes_of,
    missing_frames,
    missing_seconds,
    still_note,
)
from taskgrain.errors import ClipError

FRAME_RATE = 12  # frames per second: Something-Something's own, and of images without a rate

# Playlists and concat scripts name other files, so only formats that hold their own frames are
# opened (hazards measured: an ffconcat text named clip.mp4 made FFmpeg read its neighbours).
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpegts,mpeg,flv,ogg,asf,"
    "mxf,mpegvideo,h264,hevc,dv,ivf"
)

COUNTED_FORMAT = "mov,mp4,m4a,3gp,3g2,mj2"  # knows the number of its frames

# Decoders that hand out frames in another order than AVI keeps them in, without times of their own.
REORDERING = ("h264", "hevc")

SPARE_BYTES = 256 << 20  # if this cannot be had, memory is to blame and not the file

MOST_RESTARTS = 16  # of the reading of a file, after places where it cannot be read

# A duration below this and far below the time between two frames is a unit of the clock.
TICK_SECONDS = 0.004
TICK_SHARE = 0.1  # of the least time between two frames

# A frame out of order steps back by a few frames; further back, a new timeline begins.
RESTART_SECONDS = 1.0


@contextmanager
def open_video(
    path: Path, *, limits: DecodeLimits, frame_rate: int = FRAME_RATE
) -> Iterator[VideoFile]:
    """Open a video file; `frame_rate` is taken where the file names none.

    Raises:
        ClipError: if it is missing, is no video or breaks a limit; also for what goes wrong
            with the file while it is open.
    """
    problem = irregularity(path, most=limits.file_bytes)
    if problem:
        raise ClipError(f"{path}: {problem}; expected a video file")
    try:
        with path.open("rb") as file:
            held = file_bytes_of(file)
            with _open(path, file, held) as container:
                yield VideoFile(path, container, limits, frame_rate, held)
    except (av.error.FFmpegError, OSError) as error:
        _check_memory()
        raise ClipError(f"{path}: cannot be read as video: {reason(error)}") from error


def irregularity(path: Path, *, most: int) -> str | None:
    """Return why a path is not to be read, before it is opened; None for a file that may be.

    A pipe would wait for ever and a device never end; links are followed. At most `most` bytes
    are read of a file.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        if path.is_symlink():
            return f"a link that leads to no file ({reason(error)})"
        return "no such file" if isinstance(error, FileNotFoundError) else reason(error)
    if not S_ISREG(status.st_mode):
        return "not a regular file"
    if not status.st_size:  # also what the kernel shows as a file, which may have no end
        return "an empty file"
    if status.st_size > most:
        return f"{status.st_size} bytes; at most {most} are read"
    return None


def _open(path: Path, file: BinaryIO, held: FileBytes) -> InputContainer:
    try:
        return av.open(
            file,
            mode="r",
            format="matroska" if held.is_ebml else None,  # spares a fifth of the opening
            options={"format_whitelist": FORMATS},
            metadata_errors="replace",  # titles of old files are in any encoding
        )
    except (av.error.FFmpegError, ValueError, OSError) as error:
        _check_memory()
        raise ClipError(
            f"{path}: not a video that can be opened ({reason(error)}); "
            "expected WebM, MP4, AVI or another common video file"
        ) from error


def _check_memory() -> None:
    """Raise MemoryError if FFmpeg may have failed because the machine has no memory left.

    Its decoders call that invalid data, too. Where there is memory, the file is damaged or declares
    an impossible size, and that is the clip's fault.
    """
    np.empty(SPARE_BYTES, np.uint8)  # takes no memory, but raises where it could not be had


class VideoFile:
    """An open video file: its stream, what it declares, and its frames."""

    def __init__(
        self,
        path: Path,
        container: InputContainer,
        limits: DecodeLimits,
        frame_rate: int,
        held: FileBytes,
    ) -> None:
        """Choose the stream: the first that is no cover picture.

        Raises:
            ClipError: if there is none, or it declares more than the limits allow.
        """
        self.path = path
        self._container = container
        self._limits = limits
        self._frame_rate = frame_rate
        self._held = held
        streams = [
            stream
            for stream in container.streams.video
            if not stream.disposition & av.stream.Disposition.attached_pic
        ]
        if not streams:
            raise ClipError(f"{path}: holds no video stream; expected a video file")
        self.stream = streams[0]
        codec = self.stream.codec_context
        if codec is None:
            raise ClipError(
                f"{path}: its video is of a kind that cannot be decoded; expected VP9, H.264 or "
                "another common codec"
            )
        self.stream.thread_type = "NONE"  # clips are small: processes help, threads do not
        # FFmpeg looks at it before it allocates: a few damaged bytes can ask for gigabytes.
        codec.options = {"max_pixels": str(limits.pixels)}
        limits.check_size(path, codec.width, codec.height)
        is_dense = held.is_ebml or container.format.name == "flv"
        # These count their durations from 0, and need not begin there.
        # A recorder that was switched on for hours stamps a clip of three seconds with those hours.
        self._from_zero = is_dense or container.format.name == "asf"
        numbered = container.format.name == "avi" and codec.name in REORDERING
        self._slots = Slots() if numbered else None
        self.starts = array("d")  # of the frames yielded up to now, in seconds
        self._tally = Tally(video_index=self.stream.index, is_dense=is_dense, is_numbered=numbered)
        self._declared_end = _declared_end(container, self.stream)
        declared = self.declared_seconds
        # Where the stream begins is then known from its first packet alone: until that has come,
        # the end of a stream that begins late looks like its length.
        may_be_late = self._from_zero and self.stream.start_time is None
        if declared is not None and declared > limits.seconds and not may_be_late:
            raise ClipError(
                f"{path}: declares {declared:.0f} s of video; at most "
                f"{limits.seconds:.0f} s are read: cut it into clips of a few seconds"
            )
        aspect = self.stream.sample_aspect_ratio
        self.pixel_aspect = float(aspect) if aspect else 1.0  # width of a pixel over its height

    @property
    def declared_seconds(self) -> float | None:
        """What the file declares of its video, from its first frame on; None: nothing."""
        return None if self._declared_end is None else _since(self._start, self._declared_end)

    @property
    def _start(self) -> float:
        """When the clock begins from which a duration is not counted, in seconds."""
        start, unit = self.stream.start_time, self.stream.time_base
        if not self._from_zero:
            return 0.0
        if start is None or unit is None:
            return max(0.0, self._tally.first_at)
        return max(0.0, float(start * unit))

    @property
    def created(self) -> str | None:
        """When it was recorded, as the file says it: "2024-01-31T10:45:32.000000Z"; or None."""
        for held in (self.stream.metadata, self._container.metadata):
            if "creation_time" in held:
                return held["creation_time"]
        return None

    @property
    def file_seconds(self) -> float | None:
        """What the whole file declares, which may be the length of its sound; None: nothing."""
        if not self._container.duration:
            return None
        declared = self._container.duration / av.time_base
        return _since(self._file_start if self._from_zero else 0.0, declared)

    @property
    def _file_start(self) -> float:
        """When the clock of the file begins, in seconds; 0.0 where that is not known."""
        return max(0.0, (self._container.start_time or 0) / av.time_base)

    def timed_frames(self) -> Iterator[tuple[VideoFrame, float, float]]:
        """Yield each coded frame with its start and its duration, in seconds, never backwards.

        What cannot be decoded is passed over; `problem` then tells of it.

        Raises:
            ClipError: when a limit is passed.
        """
        limits, path, tally = self._limits, self.path, self._tally
        rate = self.stream.average_rate or self.stream.guessed_rate
        usual = float(1 / rate) if rate else 1.0 / self._frame_rate
        unit = self.stream.time_base
        ticks, per_second = (unit.numerator, unit.denominator) if unit else (0, 1)
        origin: float | None = None
        latest = -usual
        least = 0.0  # time between two frames, in seconds
        for frame in self._frames():
            if frame.width * frame.height > limits.pixels:
                limits.check_size(path, frame.width, frame.height)
            raw = frame.time if self._slots is None else self._slots.next()
            if origin is None:
                origin = raw if raw is not None else 0.0
            at = latest + usual if raw is None else raw - origin
            # A time that steps back is a new timeline, which goes on behind the last frame; a frame
            # that damage held back, which is dropped; or the rounding of a container.
            if at < latest:
                sent = tally.packet_at
                restarts = sent is None or sent - origin < latest - RESTART_SECONDS
                if at < latest - RESTART_SECONDS and restarts:
                    origin += at - (latest + usual)
                    at = latest + usual
                elif at < latest - RESTART_SECONDS or tally.num_bad:
                    continue  # held back by what is lost, and too late now
                else:
                    at = latest
            duration = frame.duration * ticks / per_second or usual
            if tally.num_frames and at > latest:
                least = min(least or at - latest, at - latest)
            if duration < min(TICK_SECONDS, TICK_SHARE * least):
                duration = min(least, 1 / self._frame_rate)
            tally.succeed(raw, at + duration)
            if tally.num_frames > limits.coded_frames or at + duration > limits.seconds:
                limits.check_cost(path, coded_frames=tally.num_frames, seconds=at + duration)
            latest = at
            self.starts.append(at)
            yield frame, at, duration

    def _frames(self) -> Iterator[VideoFrame]:
        """Decode packet by packet, so that one that is damaged does not end the clip."""
        limits, tally, index = self._limits, self._tally, self.stream.index
        codec = self.stream.codec_context
        num_packets, pixels = 0, 0.0
        for packet in self._packets():
            num_packets += 1
            # Compared here before the call: Python between frames is what is left to save
            # (docs/log.md, "Where the time of decoding goes").
            if num_packets > limits.packets:
                limits.check_cost(self.path, packets=num_packets)
            tally.meet(packet)
            # An empty packet is no end: PyAV says of the last ones that they are of stream 0.
            if packet.stream_index != index or not packet.size:
                continue
            # Counted before it is decoded: frames that are never shown cost time too.
            pixels += codec.width * codec.height
            if pixels > limits.decoded_pixels:
                limits.check_cost(self.path, pixels=pixels)
            if self._slots is not None and tally.packet_at is not None:
                self._slots.send(tally.packet_at)
            frames = self._decoded(packet)
            while frames:  # held no longer than needed: the decoder uses their memory again
                yield frames.pop(0)
        end: Packet[Stream] = Packet()  # has the decoder hand out what it holds back
        if self.stream.time_base is not None:
            end.time_base = self.stream.time_base
        yield from self._decoded(end)

    def _decoded(self, packet: Packet[Stream]) -> list[VideoFrame]:
        """Decode a packet; what cannot be decoded gives no frame, and is noted."""
        try:
            return self.stream.decode(packet)
        except av.error.FFmpegError as error:
            _check_memory()
            self._tally.miss(reason(error))
            if self._slots is not None and self._tally.packet_at is not None:
                self._slots.lose(self._tally.packet_at)
            return []

    def _packets(self) -> Iterator[Packet[Stream]]:
        """Yield the packets of every stream; the last ones are empty."""
        # A damaged stretch ends the reading, though the file goes on: reading on begins behind it.
        for _ in range(MOST_RESTARTS):
            try:
                yield from self._container.demux()
            except av.error.FFmpegError as error:
                _check_memory()
                self._tally.miss(reason(error))
            else:
                return

    def nothing(self) -> ClipError:
        """Make the error of a file that gave no frame."""
        why = f" ({self._tally.why})" if self._tally.why else ""
        return ClipError(f"{self.path}: no frame could be decoded{why}; expected a whole video")

    def problem(self) -> str | None:
        """Return what the file lacks of what it declares, once its frames are read; or None."""
        return "; ".join(filter(None, (self._tally.damage, self._missing()))) or None

    def note(self) -> str | None:
        """Return what is to be known of the frames once read, though nothing is missing."""
        return still_note(self.starts, self._tally.end)

    def _missing(self) -> str | None:
        tally, held = self._tally, self._held
        declared = self.declared_seconds
        if self._is_picture() and (declared or 0) <= STILL_SECONDS:
            return held.problem  # it has no span to compare
        # The last frame of Matroska and FLV may not say how long it stays.
        end = max(tally.end, tally.video_end - self._start) if tally.is_dense else tally.end
        if declared is None and self.file_seconds is not None:
            # Where the file is cut, its sound ends early too.
            declared = self.file_seconds
            end = max(tally.end, tally.latest - self._file_start)
        missing = missing_seconds(declared, end) if declared is not None else None
        if missing and declared is not None and tally.is_dense:
            # Nor do these need to say how long the last frame stays.
            missing = missing_seconds(declared, end, longest=tally.longest)
        return missing or self._missing_frames() or tally.hole() or held.problem

    def _is_picture(self) -> bool:
        """Whether the one frame is all that the file holds, rather than all that is left of it."""
        tally, held, counted = self._tally, self._held, self.stream.frames
        if tally.num_frames > 1 or tally.num_packets > 1:
            return False
        if counted:
            return counted == 1
        # After a lone frame, Matroska has but an index and tags.
        return held.state == "whole" and 2 * (tally.position or 0) >= held.size

    def _missing_frames(self) -> str | None:
        counted, rate = self.stream.frames, self.stream.average_rate
        if self._container.format.name != COUNTED_FORMAT or not counted or not rate:
            return None
        shown = counted - self._tally.num_discarded
        if self.declared_seconds is not None:  # an edit list may show less than there is
            shown = min(shown, round(self.declared_seconds * float(rate)))
        return missing_frames(shown, self._tally.num_frames, rate=float(rate))


def _since(start: float, end: float) -> float:
    """Return the seconds from `start` to `end`; an end before the start is a length already."""
    return end - start if end > start else end


def _declared_end(container: InputContainer, stream: VideoStream) -> float | None:
    """Read what the file declares of its video, in seconds of its own clock."""
    if container.format.name == "avi" and stream.frames and stream.average_rate:
        # FFmpeg shortens the duration of a cut AVI to what is there; the header's count stays.
        return float(stream.frames / stream.average_rate)
    # With sound in the file, what the whole file declares may be the sound's.
    alone = len(container.streams) == 1
    if container.format.name == "asf" and not alone:  # of each stream it declares the file's
        return None
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    tag = _tag_seconds(stream.metadata.get("DURATION", ""))
    if tag is not None:
        return tag
    duration = container.duration if alone else None
    return duration / av.time_base if duration else None


def _tag_seconds(tag: str) -> float | None:
    """Read Matroska's per-stream DURATION tag, "00:00:03.250000000"."""
    parts = tag.split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    total = 3600 * hours + 60 * minutes + seconds
    return total or None


# Packets that a decoder of H.264 or H.265 may hold back at a time. Where it holds more, some gave
# no frame, and their times are no frame's.
MOST_HELD = 17


class Slots:
    """Hand the times of the packets sent to a decoder to the frames that it gives, in order.

    AVI gives every packet of its video one slot of a steady clock, and knows nothing of frames
    that are shown in another order than they are decoded in. FFmpeg then guesses, and B-frames
    come one or two frames early; but the frames come in the order of display, so that the n-th
    of them has the n-th slot.
    """

    def __init__(self) -> None:
        """Begin before the first packet."""
        self._times: list[float] = []

    def send(self, at: float) -> None:
        """Add a packet of the time `at`, in seconds."""
        insort(self._times, at)
        if len(self._times) > MOST_HELD:
            del self._times[0]

    def lose(self, at: float) -> None:
        """Remove the packet of the time `at`, which will give no frame."""
        if at in self._times:
            self._times.remove(at)

    def next(self) -> float | None:
        """Return the time of the next frame, in seconds; None where no packet is left for it."""
        return self._times.pop(0) if self._times else None
