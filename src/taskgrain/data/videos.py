"""Find the video file, or the folder of frames, of each clip, by its name or by its first bytes."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

# Every kind of file that `data.container` can open: a kind missing here would vanish from a
# dataset without a message. Where one id has several files, the first kind goes first.
VIDEO_SUFFIXES = (
    *(".webm", ".mp4", ".mkv", ".avi", ".mov", ".m4v", ".gif"),
    *(".3gp", ".3g2", ".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts"),
    *(".flv", ".f4v", ".ogv", ".wmv", ".asf", ".qt", ".mj2"),
    *(".divx", ".xvid", ".ogm", ".mxf", ".m2v", ".m1v", ".mpv", ".mpe", ".m2p", ".m2t", ".trp"),
    *(".tod", ".dv", ".ivf", ".h264", ".264", ".h265", ".265", ".hevc", ".3gpp", ".mk3d", ".ismv"),
)
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"),
    *(".jpe", ".jfif", ".ppm", ".pgm"),
)

_RANK = {suffix: rank for rank, suffix in enumerate(VIDEO_SUFFIXES)}
_FOLDER_RANK = len(_RANK)  # a video file goes before a folder of frames


def is_video_name(name: str) -> bool:
    """Whether a file has the name of a video; hidden files have not."""
    return not name.startswith(".") and split_name(name)[1] in _RANK


def is_image_name(name: str) -> bool:
    """Whether a file has the name of an image; hidden files have not."""
    return not name.startswith(".") and split_name(name)[1] in IMAGE_SUFFIXES


def split_name(name: str) -> tuple[str, str]:
    """Split a file name into stem and lower-case suffix: "a.b.MP4" -> ("a.b", ".mp4")."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, f".{suffix.lower()}") if stem and dot else (name, "")


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one; a broken link is not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def printable(text: str) -> str:
    """Escape what cannot be written as UTF-8: bytes of a file name that are no text, as `\\udcff`.

    Every text about a file passes here before it is printed or written. A name by which a file is
    opened stays as it is.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def unicode_forms(name: str) -> tuple[str, ...]:
    """Return the other forms in which file systems write a name: accents joined, or apart.

    A name without such letters has none.
    """
    if name.isascii():
        return ()
    forms = (unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))
    return tuple(form for form in forms if form != name)


@dataclass(frozen=True, slots=True)
class Stamp:
    """Size and time of a file: equal stamps are taken for an unchanged file, without reading it."""

    bytes: int
    changed: int  # nanoseconds since 1970


def stamp_of(path: Path) -> Stamp | None:
    """Return the stamp of a clip's file or folder of frames; None if it is absent.

    A folder's time is the latest of its own and what it holds.
    """
    try:
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode):
            return Stamp(status.st_size, status.st_mtime_ns)
        size, changed = 0, status.st_mtime_ns
        with os.scandir(path) as entries:
            for entry in entries:
                held = _stat(entry)
                size += held.st_size
                changed = max(changed, held.st_mtime_ns)
    except (OSError, ValueError):  # ValueError: a name with a NUL
        return None
    return Stamp(size, changed)


def _stat(entry: os.DirEntry[str]) -> os.stat_result:
    """Return the status of a folder's entry; of a broken link that of the link itself."""
    try:
        return entry.stat()
    except OSError:
        return entry.stat(follow_symlinks=False)


def absent_files(root: Path, files: Iterable[str]) -> list[str]:
    """List the files that are not there, in their order.

    Each folder is listed once: of hundreds of thousands of files only links are looked at.

    Args:
        root: of the dataset.
        files: of its clips, video files or folders of frames; relative to `root`, with slashes.
    """
    held: dict[str, frozenset[str]] = {}
    absent = []
    for file in files:
        folder, _, name = file.rpartition("/")
        if folder not in held:
            held[folder] = _names_in(root / folder)
        # A file system may know a file by other names than it lists: in capitals, in another form.
        if name not in held[folder] and not (root / file).exists():
            absent.append(file)
    return absent


def _names_in(folder: Path) -> frozenset[str]:
    """List what a folder holds, without links that lead nowhere."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(
                entry.name
                for entry in entries
                if not entry.is_symlink() or Path(entry.path).exists()
            )
    except OSError:
        return frozenset()


def stored_as(videos: Mapping[str, str], clip_id: str) -> str | None:
    """Look a clip up in the result of `index_videos`, in any Unicode form of its name."""
    stored = videos.get(clip_id)
    if stored is None:
        stored = next((videos[form] for form in unicode_forms(clip_id) if form in videos), None)
    return stored


def suffix_rank(name: str) -> int:
    """Return the rank of a file among several of one clip: the lowest goes first."""
    return _RANK.get(split_name(name)[1], _FOLDER_RANK)


def index_videos(folder: Path) -> dict[str, str]:
    """Find what each clip id of a folder is stored in: id -> name of a video file or a folder.

    Where one id has several, WebM goes first, then the order of `VIDEO_SUFFIXES`, then a folder
    of frames. Nothing is opened; a folder that does not exist holds nothing.
    """
    names: dict[str, str] = {}
    ranks: dict[str, int] = {}
    if not folder.is_dir():
        return names
    with os.scandir(folder) as entries:
        for entry in entries:
            stem, suffix = split_name(entry.name)
            rank = _RANK.get(suffix)
            # Of hundreds of thousands of entries only those not called a video are looked at.
            if rank is None:
                if entry.name.startswith(".") or not is_folder(entry):
                    continue
                stem, rank = entry.name, _FOLDER_RANK
            if (rank, entry.name) < (ranks.get(stem, _FOLDER_RANK + 1), names.get(stem, "")):
                names[stem], ranks[stem] = entry.name, rank
    return names


START = 4096  # bytes looked at; a stream of Ogg names its codec within them
TS_PACKET = 188  # bytes

# First bytes -> what it is, and the ending under which it is read; "" where it is not read.
SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1a\x45\xdf\xa3", "Matroska or WebM", ".mkv"),
    (b"GIF8", "GIF", ".gif"),
    (b"FLV\x01", "Flash video", ".flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "ASF", ".wmv"),
    (b"\x00\x00\x01\xba", "an MPEG program stream", ".mpg"),
    (b"\x00\x00\x01\xb3", "MPEG video", ".m2v"),
    (b"\x06\x0e\x2b\x34", "MXF", ".mxf"),
    (b"DKIF", "IVF", ".ivf"),
    (b"\xff\xd8\xff", "JPEG", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", "PNG", ".png"),
    (b"II*\x00", "TIFF", ".tif"),
    (b"MM\x00*", "TIFF", ".tif"),
    (b".RMF", "RealMedia", ""),
    (b"YUV4MPEG2 ", "YUV4MPEG", ""),
    (b"nut/multimedia container", "NUT", ""),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000", ""),
    (b"\xff\x4f\xff\x51", "JPEG 2000", ""),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL", ""),
    (b"\x76\x2f\x31\x01", "OpenEXR", ""),
    (b"8BPS", "Photoshop", ""),
)
STILL_BRANDS = (b"avif", b"heic", b"heix", b"mif1")  # of ISO files, which may also be sound
SOUND_BRANDS = (b"M4A ", b"M4B ")
OGG_VIDEO = (b"\x80theora", b"OVP80", b"BBCD\x00", b"\x01video\x00\x00\x00")


def kind_of(path: Path) -> tuple[str, str] | None:
    """Return what a file is, and the ending under which it is read ("" where none is).

    None for what is neither picture nor video as far as its first bytes tell, and for a file
    that cannot be read.
    """
    try:
        if not path.is_file():  # a pipe would wait for ever
            return None
        with path.open("rb") as file:
            return kind_of_bytes(file.read(START))
    except OSError:
        return None


def kind_of_bytes(start: bytes) -> tuple[str, str] | None:
    """Return what `kind_of` returns, from the first bytes of a file."""
    for signature, name, ending in SIGNATURES:
        if start.startswith(signature):
            return name, ending
    if start[4:8] == b"ftyp":
        if start[8:12] in SOUND_BRANDS:
            return None
        return ("HEIF or AVIF", "") if start[8:12] in STILL_BRANDS else ("MP4", ".mp4")
    if start[:4] == b"RIFF":
        return {b"AVI ": ("AVI", ".avi"), b"WEBP": ("WebP", ".webp")}.get(start[8:12])
    if start[:4] == b"OggS":
        return ("Ogg video", ".ogv") if any(each in start for each in OGG_VIDEO) else None
    # Four bytes of a bitmap's header are always 0; a text may begin with BM.
    if start[:2] == b"BM" and start[6:10] == bytes(4):
        return "BMP", ".bmp"
    for offset, ending in ((0, ".ts"), (4, ".m2ts")):
        # Every packet begins with a G; those of .m2ts have a time of four bytes before it.
        packets = start[offset :: TS_PACKET + offset][:5]
        if len(packets) == 5 and packets == b"G" * 5:
            return "an MPEG transport stream", ending
    return None
