from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from taskgrain.data.decode import decode_clip
from taskgrain.data.inspect import inspect_clip
from taskgrain.data.wholeness import allowed_seconds
from taskgrain.errors import ClipError
from tests.making import moving_square, write_video

BUNNY = "moviepy_big_buck_bunny_432_433.webm"  # with sound, and no duration of each stream
NOISE = np.random.default_rng(0).integers(0, 255, (60, 48, 48, 3), dtype=np.uint8)


def problem_of(path: Path) -> str | None:
    """What is wrong with a clip; whoever looks at it says the same."""
    shown, facts = decode_clip(path, height=16, width=16), inspect_clip(path)
    assert shown.problem == facts.problem
    assert shown.truncated == facts.truncated == (facts.problem is not None)
    return facts.problem


def copy(
    path: Path, whole: bytes, *, upto: float = 1.0, zero: tuple[float, float] = (0, 0)
) -> Path:
    """Write a file's bytes as far as a share of them, with zeros from one share to another."""
    start, stop = (int(len(whole) * share) for share in zero)
    written = whole[:start] + bytes(stop - start) + whole[stop:]
    path.write_bytes(written[: int(len(whole) * upto)])
    return path


def of_unknown_size(webm: bytes) -> bytes:
    """What a browser records: the segment does not say how long it is."""
    at = webm.index(b"\x18\x53\x80\x67") + 4
    assert webm[at] == 1  # a length of eight bytes
    return webm[:at] + b"\x01" + b"\xff" * 7 + webm[at + 8 :]


def with_sound(path: Path, *, sound_seconds: float, times: Sequence[int] | None = None) -> Path:
    """A video of 2 s and sound of another length; `times` are in hundredths of a second."""
    frames = moving_square(len(times) if times else 24)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=100 if times else 12)
        video.height, video.width, video.pix_fmt = 32, 32, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = times[index] if times else index
            frame.time_base = Fraction(1, 100 if times else 12)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for piece in range(int(sound_seconds * 10)):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
            samples.sample_rate, samples.pts = 8000, 800 * piece
            container.mux(sound.encode(samples))
        container.mux(sound.encode())
    return path


@pytest.mark.parametrize("share", [0.5, 0.6, 0.7, 0.8, 0.9, 0.99])
def test_a_cut_webm_with_sound_is_truncated(tmp_path: Path, media: Path, share: float) -> None:
    whole = (media / BUNNY).read_bytes()
    assert "truncated" in (problem_of(copy(tmp_path / "clip.webm", whole, upto=share)) or "")
    if share <= 0.9:
        recorded = copy(tmp_path / "recorded.webm", of_unknown_size(whole), upto=share)
        assert "of the declared 1.00 s" in (problem_of(recorded) or "")


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".avi"])
@pytest.mark.parametrize("sound_seconds", [0.5, 2.0, 4.0])
def test_sound_of_another_length_is_no_cut(
    tmp_path: Path, suffix: str, sound_seconds: float
) -> None:
    path = with_sound(tmp_path / f"clip{suffix}", sound_seconds=sound_seconds)
    assert problem_of(path) is None


def test_a_gif_without_its_end_is_truncated(tmp_path: Path) -> None:
    images = [Image.fromarray(image) for image in NOISE[:4]]
    path = tmp_path / "clip.gif"
    images[0].save(path, save_all=True, append_images=images[1:], duration=80)
    assert problem_of(path) is None
    whole = path.read_bytes()
    assert whole[-1:] == b";"
    for cut in (whole[:-1], whole[: len(whole) // 2], whole[: whole.rindex(b";", 0, -1) + 1]):
        path.write_bytes(cut)
        assert "truncated" in (problem_of(path) or "")


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_short_webm_cut_to_one_frame_is_no_picture(tmp_path: Path, is_streamed: bool) -> None:
    whole = write_video(tmp_path / "whole.webm", NOISE[:12]).read_bytes()
    if is_streamed:
        whole = of_unknown_size(whole)
    ones = 0
    for share in np.arange(0.1, 0.5, 0.05):
        path = copy(tmp_path / "clip.webm", whole, upto=float(share))
        try:
            ones += inspect_clip(path).num_frames == 1
        except ClipError:  # not even one
            continue
        assert "truncated" in (problem_of(path) or "")
    assert ones > 0


def test_one_frame_before_a_hole_is_no_picture(tmp_path: Path, media: Path) -> None:
    path = copy(tmp_path / "clip.webm", (media / BUNNY).read_bytes(), zero=(0.3, 0.7))
    assert inspect_clip(path).num_frames == 1
    assert "truncated" in (problem_of(path) or "")
    assert problem_of(media / "small_webm.webm") is None


def test_a_hole_in_the_middle_is_told(tmp_path: Path, media: Path) -> None:
    whole = (media / "decord_flipping_a_pancake.mkv").read_bytes()
    path = copy(tmp_path / "clip.mkv", whole, zero=(0.3, 0.7))
    assert "s cannot be decoded" in (problem_of(path) or "")


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        *(("libx264", ".mkv"), ("libx264", ".mp4"), ("libx264", ".flv"), ("libx264", ".ts")),
        *(("libvpx-vp9", ".webm"), ("libvpx", ".webm")),
    ],
)
@pytest.mark.parametrize(
    "times",
    [
        [*range(0, 100, 4), *range(400, 500, 4)],  # a pause
        [150, 153, 170, 172, 180, 190, 191, 330, 334, 400, 401, 520, 525, 600],
    ],
)
def test_a_variable_rate_is_no_hole(
    tmp_path: Path, codec: str, suffix: str, times: list[int]
) -> None:
    path = tmp_path / f"clip{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=100)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        for image, at in zip(moving_square(len(times)), times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert problem_of(path) is None


def test_an_hour_may_not_lack_minutes() -> None:
    assert allowed_seconds(1.0) == pytest.approx(2 / 12)
    assert allowed_seconds(5.0) == pytest.approx(0.5)
    assert allowed_seconds(3600.0) == 1.0


def test_a_damaged_packet_does_not_end_the_clip(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", NOISE)
    path = copy(tmp_path / "clip.mp4", whole.read_bytes(), zero=(0.1, 0.13))
    facts = inspect_clip(path)
    assert 52 <= facts.num_frames < 60
    assert (problem_of(path) or "").startswith("damaged: ")
    shown = decode_clip(path, height=48, width=48).frames
    expected = decode_clip(whole, height=48, width=48).frames
    assert len(shown) == 60
    assert np.array_equal(shown[0], expected[0])


def test_frames_held_back_by_a_hole_do_not_lengthen_the_clip(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (120, 48, 48, 3), dtype=np.uint8)
    whole = write_video(tmp_path / "whole.mp4", frames, rate=30).read_bytes()
    path = copy(tmp_path / "clip.mp4", whole, zero=(0.3, 0.7))
    assert len(decode_clip(path, height=16, width=16).frames) == 48
    assert "of the declared 120 frames" in (problem_of(path) or "")
