"""Recognise the kind of picture or video by a file's first bytes, whatever its name says."""

from __future__ import annotations

from pathlib import Path

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
    """Return the same by the first bytes of a file."""
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
    if start[:2] == b"BM" and start[6:10] == bytes(4):
        return "BMP", ".bmp"
    for offset, ending in ((0, ".ts"), (4, ".m2ts")):
        packets = start[offset :: TS_PACKET + offset][:5]
        if len(packets) == 5 and packets == b"G" * 5:
            return "an MPEG transport stream", ending
    return None
