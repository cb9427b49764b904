"""Files in which the video is not alone, not in order of display, or not on a clock from 0."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from taskgrain.data.decode import DecodeLimits, decode_clip
from taskgrain.data.inspect import inspect_clip, read_header
from taskgrain.errors import ClipError
from tests.making import moving_square, write_video

STEP = 4  # of grey, from one frame to the next


def write_numbered(
    path: Path,
    num_frames: int,
    *,
    sound: str = "none",
    b_frames: int = 0,
    codec: str = "libx264",
    times: list[float] | None = None,
    options: dict[str, str] | None = None,
    kind: str | None = None,
) -> Path:
    """Write frames whose grey is 10 + 4 k, at 12 a second or at `times`, in seconds.

    `sound` is "none", or the place of its stream: "first" or "last"; it covers the whole video.
    """
    times = times or [index / 12 for index in range(num_frames)]
    with av.open(str(path), "w", format=kind, options=options or {}) as container:
        audio = container.add_stream("mp2", rate=48_000) if sound == "first" else None
        video = container.add_stream(codec, rate=12)
        if sound == "last":
            audio = container.add_stream("mp2", rate=48_000)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 12 if path.suffix == ".avi" else 12_000)
        video.codec_context.bit_rate = 4_000_000
        if codec == "libx264":
            video.options = {"crf": "1", "bf": str(b_frames)}
        else:
            video.codec_context.max_b_frames = b_frames
        packets = []
        for index, at in enumerate(times):
            grey = np.full((48, 64, 3), 10 + STEP * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = round(at * 12_000), Fraction(1, 12_000)
            packets += video.encode(frame)
        packets += video.encode()
        if audio is not None:
            assert isinstance(audio, av.AudioStream)
            packets += silence(audio, times[0], times[-1] + 1 / 12)
        packets.sort(key=lambda packet: float((packet.dts or 0) * packet.time_base))
        for packet in packets:
            container.mux(packet)
    return path


def silence(stream: av.AudioStream, start: float, end: float) -> list[av.Packet[av.AudioStream]]:
    packets = []
    for index in range(max(1, int((end - start) * 48_000 / 1152))):
        samples = np.zeros((1, 1152), np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
        frame.pts = round(start * 48_000) + 1152 * index
        packets += stream.encode(frame)
    return packets + stream.encode()


def numbers(frames: NDArray[np.uint8]) -> list[int]:
    """Read off which of the numbered frames each one is."""
    greys = (frames[:, 24, 32, 1].astype(float) - 10) / STEP
    return [int(grey) for grey in greys.round()]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts", ".mov"])
@pytest.mark.parametrize("sound", ["none", "first", "last"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_every_frame_arrives_wherever_the_sound_lies(
    tmp_path: Path, suffix: str, sound: str, b_frames: int
) -> None:
    for num_frames in (1, 3, 7, 40):
        path = write_numbered(
            tmp_path / f"clip{suffix}",
            num_frames,
            sound=sound,
            b_frames=b_frames,
            kind="mpegts" if suffix == ".ts" else None,
        )
        clip, facts = decode_clip(path, height=48, width=64), inspect_clip(path)
        assert facts.num_frames == num_frames
        assert numbers(clip.frames) == list(range(num_frames))
        assert (clip.problem, facts.is_variable_rate) == (None, False)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_frames_out_of_order_in_avi_are_shown_at_their_own_times(
    tmp_path: Path, codec: str
) -> None:
    path = write_numbered(tmp_path / "clip.avi", 40, b_frames=3, codec=codec)
    assert numbers(decode_clip(path, height=48, width=64).frames) == list(range(40))


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (DecodeLimits(packets=20), "over 20 packets"),
        (DecodeLimits(decoded_pixels=32 * 32 * 20), "over 20480 pixels in all its frames"),
    ],
)
def test_what_a_clip_may_cost_is_counted_and_not_timed(
    tmp_path: Path, limits: DecodeLimits, said: str
) -> None:
    path = write_video(tmp_path / "clip.mp4", moving_square(21))
    for look in (
        lambda: decode_clip(path, height=8, width=8, limits=limits),
        lambda: inspect_clip(path, limits),
    ):
        with pytest.raises(ClipError, match=said):
            look()
    path = write_video(tmp_path / "clip.mp4", moving_square(18))
    assert len(decode_clip(path, height=8, width=8, limits=limits).frames) == 18


CONTAINERS = [
    (".mkv", None, "libx264"),
    (".mp4", None, "libx264"),
    (".ts", "mpegts", "libx264"),
    (".flv", None, "libx264"),
    (".webm", None, "libvpx"),
    (".wmv", "asf", "msmpeg4v3"),
]


@pytest.mark.parametrize(("suffix", "kind", "codec"), CONTAINERS)
@pytest.mark.parametrize("start", [10, 10_800])
def test_a_clock_that_starts_late_adds_nothing_to_the_clip(
    tmp_path: Path, suffix: str, kind: str | None, codec: str, start: int
) -> None:
    times = [start + index / 12 for index in range(36)]
    path = tmp_path / f"clip{suffix}"
    write_numbered(path, 36, codec=codec, times=times, kind=kind)
    clip, facts, header = (
        decode_clip(path, height=48, width=64),
        inspect_clip(path),
        read_header(path),
    )
    assert (len(clip.frames), clip.problem, facts.problem) == (36, None, None)
    assert facts.seconds == pytest.approx(3, abs=0.01)
    assert facts.declared_seconds is not None
    assert facts.declared_seconds == pytest.approx(3, abs=0.1)
    assert header is not None
    assert header.seconds == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("sound", ["none", "first"])
def test_a_cut_file_whose_clock_starts_late_is_truncated(tmp_path: Path, sound: str) -> None:
    times = [10_800 + index / 12 for index in range(36)]
    path = write_numbered(tmp_path / "clip.mkv", 36, times=times, sound=sound)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 8 // 10])
    clip = decode_clip(path, height=48, width=64)
    assert clip.problem is not None
    assert "of the declared 3.0" in clip.problem


FRAGMENTS = {"movflags": "frag_every_frame+empty_moov+default_base_moof"}
JUMPS = {
    "after the first frame": [0.0, *(500 + index / 12 for index in range(1, 36))],
    "before the last frame": [*(index / 12 for index in range(35)), 503.0],
    "thrice": [index / 12 + 20 * (index // 9) for index in range(36)],
}


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_clock_that_jumps_is_noted(tmp_path: Path, jump: str, suffix: str) -> None:
    options = FRAGMENTS if suffix == ".mp4" else None
    path = tmp_path / f"clip{suffix}"
    write_numbered(path, 36, times=JUMPS[jump], options=options)
    clip, facts = decode_clip(path, height=48, width=64), inspect_clip(path)
    assert clip.note is not None
    assert f"{3 if jump == 'thrice' else 1} of 36 frames stand" in clip.note
    assert facts.note == clip.note


@pytest.mark.parametrize(
    "times",
    [
        [index / 12 for index in range(36)],
        [index * 30.0 for index in range(5)],  # a show of slides
        [0.0, 0.1, 0.2, 1.0, 1.1, 1.2, 2.0],
        [0.0],
    ],
)
def test_frames_that_come_as_usual_are_not_noted(tmp_path: Path, times: list[float]) -> None:
    path = write_numbered(tmp_path / "clip.mkv", len(times), times=times)
    assert decode_clip(path, height=48, width=64).note is None
