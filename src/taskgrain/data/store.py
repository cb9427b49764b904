"""The frame store: clips decoded once, read as memory-mapped uint8, with a ledger of what failed.

A store is a folder of shards. Shard n is `n.frames` (the frames of its clips, one clip after the
other) and `n.json` (its index: clip ids, frame counts, places, checksums, problems). A clip's
frames are raw uint8, or JPEG images behind a table of their sizes. A shard counts as written once
its index is there; each file appears whole or not at all.

Shapes: T frames of a clip, H W pixels of the store, h w pixels of a crop.
"""

from __future__ import annotations

import json
import zlib
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from taskgrain.data.decode import FRAME_RATE, DecodedClip, Fit, decode_clip
from taskgrain.data.files import atomic_path, write_text
from taskgrain.data.manifest import ClipRecord
from taskgrain.data.videos import printable
from taskgrain.errors import ClipError, RunError

FORMAT = 2
CLIPS_PER_SHARD = 64  # a cell of a few seconds, so that both workers end together
DECODE_SECONDS = 0.005  # a small clip on one thread, for the plan
# Each mapped shard holds a file descriptor, of which a process often has 1,024.
MAX_MAPPED = 128
AGAIN = (
    "remove the run's caches (taskgrain study ... --clean), or mend a packed store "
    "(taskgrain pack ... --verify), then give the command again"
)
State = Literal["whole", "truncated", "failed"]


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a store keeps frames."""

    quality: int | None = None  # of JPEG, 1 to 100; None keeps raw pixels

    def __post_init__(self) -> None:
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise ValueError(f"JPEG quality {self.quality}: expected 1 to 100")

    @property
    def name(self) -> Literal["raw", "jpeg"]:
        """The encoding's name on the command line and in a store."""
        return "raw" if self.quality is None else "jpeg"


RAW = Encoding()


@dataclass(frozen=True, slots=True)
class FrameFormat:
    """Size, encoding and scaling of every frame of a store."""

    height: int  # pixels
    width: int
    encoding: Encoding = RAW
    fit: Fit = "stretch"  # how clips are scaled to this size


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A clip that could not be used, or of which only a part could."""

    clip_id: str
    state: State
    problem: str


def write_shard(
    folder: Path, shard: int, records: Sequence[ClipRecord], frames: FrameFormat
) -> None:
    """Decode the clips of one shard into the store; a clip that fails becomes a ledger entry.

    A clip that its dataset excludes is not decoded; it becomes an entry too.
    """
    rows: list[dict[str, object]] = []
    offset = 0
    # Not forced to the disk: the frames can be decoded again, and without its index, which is, a
    # shard does not count as written.
    with atomic_path(frames_path(folder, shard), flush=False) as part, part.open("wb") as file:
        for record in records:
            try:
                clip = _decoded(record, frames)
            except ClipError as error:
                rows.append(_row(record, "failed", str(error)))
                continue
            coded = _coded(clip.frames, frames.encoding)
            file.write(coded)
            row = _row(record, "truncated" if clip.truncated else "whole", clip.problem)
            row |= {"frames": len(clip.frames), "offset": offset, "bytes": len(coded)}
            row["crc32"] = zlib.crc32(coded)
            if clip.frame_rate != FRAME_RATE:
                row["frame_rate"] = clip.frame_rate
            rows.append(row)
            offset += len(coded)
    index = {
        "format": FORMAT,
        "height": frames.height,
        "width": frames.width,
        "encoding": frames.encoding.name,
        "quality": frames.encoding.quality,
        "fit": frames.fit,
        "bytes": offset,
        "crc32": _rows_crc32(rows),
        "clips": rows,
    }
    write_text(shard_index(folder, shard), json.dumps(index, indent=0, ensure_ascii=False) + "\n")


def _decoded(record: ClipRecord, frames: FrameFormat) -> DecodedClip:
    if record.excluded is not None:
        raise ClipError(record.excluded)
    return decode_clip(record.path, height=frames.height, width=frames.width, fit=frames.fit)


def _row(record: ClipRecord, state: State, problem: str | None) -> dict[str, object]:
    row: dict[str, object] = {"id": record.clip_id, "frames": 0, "state": state}
    if problem:
        # The file's name is enough: a store may move, and equal stores are equal bytes.
        row["problem"] = printable(problem.replace(str(record.path), record.path.name))
    return row


def _coded(frames: NDArray[np.uint8], encoding: Encoding) -> bytes:
    """Return the bytes of a clip: raw pixels, or the sizes of T JPEG images and the images."""
    if encoding.quality is None:
        return frames.tobytes()
    options = [cv2.IMWRITE_JPEG_QUALITY, encoding.quality]
    images = [
        cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)[1].tobytes()
        for frame in frames
    ]
    return b"".join([np.array([len(image) for image in images], "<u4").tobytes(), *images])


def _rows_crc32(rows: object) -> int:
    # Of the rows in one spelling, however the file lays them out.
    return zlib.crc32(json.dumps(rows, separators=(",", ":")).encode())


def verify_shard(folder: Path, shard: int) -> str | None:
    """Recompute the checksums of a shard; return the first problem, or None."""
    path = frames_path(folder, shard)
    try:
        index = _read_index(folder, shard)
        if index.get("crc32") != _rows_crc32(index["clips"]):
            return f"{shard_index(folder, shard)}: differs from its checksum"
        with path.open("rb") as file:
            for clip in index["clips"]:
                if clip["frames"] and zlib.crc32(file.read(clip["bytes"])) != clip["crc32"]:
                    return f'{path}: clip "{clip["id"]}" differs from its checksum'
    except RunError as error:
        return str(error).removesuffix(f"; {AGAIN}")
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    return None


def checksums(folder: Path, shards: int) -> Iterator[tuple[str, int, int]]:
    """Yield (id, bytes of its frames, their CRC-32) of each clip that has frames.

    Raises:
        RunError: if a shard is missing or not whole.
    """
    for shard in range(shards):
        for clip in _read_index(folder, shard)["clips"]:
            if clip["frames"]:
                yield clip["id"], clip["bytes"], clip["crc32"]


def _read_index(folder: Path, shard: int) -> dict[str, Any]:
    """Read a shard's index, and compare the length of its frames with it.

    Raises:
        RunError: if a file is missing, not whole or of another format.
    """
    path = shard_index(folder, shard)
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        if index["format"] != FORMAT:
            raise ValueError(f"format {index['format']}, expected {FORMAT}")
        end = 0
        # Clips lie without a space between them: a damaged place would be another clip's frames.
        for clip in index["clips"]:
            if clip["frames"]:
                if clip["offset"] != end or clip["bytes"] < 1:
                    raise ValueError(f'clip "{clip["id"]}" is not where it should be')
                end += clip["bytes"]
        if end != index["bytes"]:
            raise ValueError(f"clips of {end} bytes, expected {index['bytes']}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: not the index of a shard ({error}); {AGAIN}") from error
    data = frames_path(folder, shard)
    num_bytes = data.stat().st_size if data.is_file() else 0
    if num_bytes != end:
        raise RunError(f"{data}: {num_bytes} bytes, expected {end}; {AGAIN}")
    return index


class FrameStore:
    """A written store, opened for reading; memory per clip is its id and five numbers."""

    height: int  # of every frame, pixels; 0 in a store without shards
    width: int
    encoding: Encoding

    def __init__(self, folder: Path, shards: range | int) -> None:
        """Open shards; a number N is the first N. Frames are mapped when they are read.

        Raises:
            RunError: if a shard is missing, not whole or made with other settings.
        """
        self.folder = folder
        self.ledger: list[LedgerEntry] = []
        self.height, self.width, self.encoding = 0, 0, RAW
        self._row_of: dict[str, int] = {}  # clip id -> index into the arrays
        self._shard, self._num_frames = array("I"), array("I")
        self._offset, self._bytes = array("Q"), array("Q")
        self._mapped: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        made: tuple[object, ...] | None = None
        for shard in range(shards) if isinstance(shards, int) else shards:
            index = _read_index(folder, shard)
            settings = tuple(index.get(key) for key in _SETTINGS)
            if made is not None and settings != made:
                raise RunError(
                    f"{shard_index(folder, shard)}: {_phrased(settings)}, but the shards before "
                    f"it: {_phrased(made)}; {AGAIN}"
                )
            made = settings
            self._add(shard, index)

    def _add(self, shard: int, index: dict[str, Any]) -> None:
        self.height, self.width = index["height"], index["width"]
        self.encoding = Encoding(index["quality"])
        for clip in index["clips"]:
            if clip["frames"]:
                self._row_of[clip["id"]] = len(self._shard)
                self._shard.append(shard)
                self._num_frames.append(clip["frames"])
                self._offset.append(clip["offset"])
                self._bytes.append(clip["bytes"])
            if clip["state"] != "whole":
                self.ledger.append(LedgerEntry(clip["id"], clip["state"], clip["problem"]))

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._row_of

    def __len__(self) -> int:
        """Count the clips that have frames."""
        return len(self._row_of)

    def num_frames(self, clip_id: str) -> int:
        """Frames stored of a clip."""
        return self._num_frames[self._row_of[clip_id]]

    def frames(self, clip_id: str) -> NDArray[np.uint8]:
        """Return a clip's frames: uint8 (T, H, W, 3), RGB; of a raw store, a view of the file."""
        if self.encoding.quality is None:
            return self._raw(clip_id)
        return self.read(clip_id, range(self.num_frames(clip_id)), slice(None), slice(None))

    def read(
        self, clip_id: str, indices: Sequence[int] | NDArray[np.int64], rows: slice, columns: slice
    ) -> NDArray[np.uint8]:
        """Read a crop of chosen frames; of a JPEG store, only those frames are decoded.

        Args:
            clip_id: one that the store contains.
            indices: of T frames, 0 .. num_frames - 1, in any order, repeated or not.
            rows: of the crop, within the store's height.
            columns: of the crop, within the store's width.

        Returns:
            uint8 (T, h, w, 3), RGB, a copy.
        """
        picked = np.asarray(indices, np.int64)
        if self.encoding.quality is None:
            return self._raw(clip_id)[picked, rows, columns]
        row = self._row_of[clip_id]
        count = self._num_frames[row]
        block = self._block(row)
        # T sizes of four bytes each, then the T images: any image is found without decoding those
        # before it.
        ends = block[: 4 * count].view("<u4").cumsum(dtype=np.int64) + 4 * count
        images: dict[int, NDArray[np.uint8]] = {}
        for index in picked.tolist():
            if index not in images:
                start = ends[index - 1] if index else 4 * count
                image = _decoded_image(block[start : ends[index]])
                if image.shape != (self.height, self.width, 3):
                    path = frames_path(self.folder, self._shard[row])
                    raise RunError(f'{path}: frame {index} of clip "{clip_id}" is damaged; {AGAIN}')
                images[index] = image[rows, columns]
        return np.stack([images[index] for index in picked.tolist()])

    def _raw(self, clip_id: str) -> NDArray[np.uint8]:
        row = self._row_of[clip_id]
        shape = (self._num_frames[row], self.height, self.width, 3)
        return self._block(row).reshape(shape)

    def _block(self, row: int) -> NDArray[np.uint8]:
        """Return the bytes of a clip, a view of its mapped shard."""
        shard = self._shard[row]
        mapped = self._mapped.get(shard)
        if mapped is None:
            if len(self._mapped) >= MAX_MAPPED:
                # Arrays that were handed out keep their mapping alive until they are dropped.
                self._mapped.popitem(last=False)
            # A plain view: indexing the subclass costs more than copying a clip.
            mapped = np.memmap(frames_path(self.folder, shard), np.uint8, "r").view(np.ndarray)
            self._mapped[shard] = mapped
        offset = self._offset[row]
        return mapped[offset : offset + self._bytes[row]]


_SETTINGS = ("height", "width", "encoding", "quality", "fit")


def _phrased(settings: tuple[object, ...]) -> str:
    return ", ".join(f"{key} {value}" for key, value in zip(_SETTINGS, settings, strict=True))


def _decoded_image(coded: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Decode a JPEG image: uint8 (H, W, 3), RGB; of no size where it cannot be decoded."""
    image = cv2.imdecode(coded, cv2.IMREAD_COLOR) if len(coded) else None
    if image is None:
        return np.empty((0, 0, 3), np.uint8)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def frames_path(folder: Path, shard: int) -> Path:
    """Name the file with the frames of a shard."""
    return folder / f"{shard:05d}.frames"


def shard_index(folder: Path, shard: int) -> Path:
    """Name the index of a shard; the shard is written once it is there."""
    return folder / f"{shard:05d}.json"
