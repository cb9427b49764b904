from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from taskgrain.data.decode import DecodeLimits, decode_clip
from taskgrain.errors import ClipError
from tests.making import moving_square, write_video

Frames = NDArray[np.uint8]


def encode(
    path: Path,
    frames: Frames,
    *,
    codec: str = "ffv1",
    pixels: str = "yuv420p",
    times: list[int] | None = None,
    aspect: Fraction | None = None,
    full_range: bool = False,
) -> Path:
    """Write frames of any kind; `times` are in hundredths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=100 if times else 12)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if full_range:
            stream.codec_context.color_range = 2
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if full_range:
                frame = frame.reformat(format=pixels, dst_color_range="JPEG")
                frame.color_range = 2
            else:
                frame = frame.reformat(format=pixels)
            frame.pts = times[index] if times else index
            frame.time_base = Fraction(1, 100 if times else 12)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def quarters(num_frames: int = 6) -> Frames:
    """Frames whose four quarters differ in colour: uint8 (T, 32, 64, 3)."""
    frames = np.full((num_frames, 32, 64, 3), 60, np.uint8)
    frames[:, :16, :32] = (200, 60, 60)
    frames[:, 16:, 32:] = (60, 60, 200)
    return frames


def off(shown: Frames, drawn: Frames) -> float:
    return float(np.abs(shown.astype(int) - drawn.astype(int)).mean())


@pytest.mark.parametrize(
    "pixels", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuva420p", "bgra"]
)
def test_every_depth_and_transparency_gives_the_same_colours(tmp_path: Path, pixels: str) -> None:
    path = encode(tmp_path / "clip.mkv", quarters(), pixels=pixels)
    assert off(decode_clip(path, height=32, width=64).frames, quarters()) < 3


def test_a_grey_clip_is_grey(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mkv", quarters(), pixels="gray")
    frames = decode_clip(path, height=32, width=64).frames
    assert np.abs(np.diff(frames.astype(int), axis=-1)).max() <= 2
    assert abs(int(frames[0, 20, 4, 0]) - 60) <= 3


def test_a_clip_with_an_alpha_layer_in_vp9_shows_its_colours(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.webm", quarters(), codec="libvpx-vp9", pixels="yuva420p")
    assert off(decode_clip(path, height=32, width=64).frames, quarters()) < 12


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p"])
def test_full_and_limited_range_give_the_same_colours(tmp_path: Path, pixels: str) -> None:
    limited = encode(tmp_path / "tv.mkv", quarters(), pixels=pixels)
    full = encode(tmp_path / "pc.mkv", quarters(), pixels=pixels, full_range=True)
    shown = [decode_clip(path, height=32, width=64).frames for path in (limited, full)]
    assert np.abs(shown[0].astype(int) - shown[1].astype(int)).max() <= 3
    assert off(shown[1], quarters()) < 3


def test_a_variable_rate_is_resampled_by_the_timestamps(tmp_path: Path) -> None:
    levels = np.arange(5, dtype=np.uint8) * 50
    frames = np.broadcast_to(levels[:, None, None, None], (5, 32, 32, 3)).copy()
    path = encode(tmp_path / "clip.mkv", frames, times=[0, 10, 100, 110, 200])
    shown = decode_clip(path, height=8, width=8, frame_rate=10).frames[:, 4, 4, 0]
    # At 0.5 s the frame of 0.1 s is nearest, at 0.6 s that of 1 s.
    expected = [0] + [50] * 5 + [100] * 5 + [150] * 5 + [200] * 4
    assert len(shown) == len(expected)
    assert np.abs(shown.astype(int) - expected).max() <= 3


def shifted_back(path: Path, source: Path, order: list[int]) -> Path:
    """Copy a video's packets with other timestamps, which need not rise."""
    with av.open(str(source)) as read, av.open(str(path), "w") as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        packets = [packet for packet in read.demux(video=0) if packet.size]
        for index, (packet, at) in enumerate(zip(packets, order, strict=True)):
            packet.pts, packet.dts, packet.stream = at, index - len(order), stream
            packet.time_base = Fraction(1, 12)
            write.mux(packet)
    return path


def test_timestamps_that_step_back_lose_no_time(tmp_path: Path) -> None:
    source = encode(tmp_path / "whole.mkv", moving_square(12))
    order = [0, 1, 2, 4, 3, 5, 6, 8, 7, 9, 10, 11]
    path = shifted_back(tmp_path / "clip.mkv", source, order)
    clip = decode_clip(path, height=32, width=32)
    assert len(clip.frames) == 12
    assert off(clip.frames[-1], moving_square(12)[-1]) < 3


def test_a_timeline_that_begins_again_is_gone_on_with(tmp_path: Path) -> None:
    source = encode(tmp_path / "whole.mkv", moving_square(40))
    path = shifted_back(tmp_path / "clip.mkv", source, [*range(20), *range(20)])
    clip = decode_clip(path, height=32, width=32)
    assert len(clip.frames) == 40
    assert off(clip.frames, moving_square(40)) < 3


def test_of_several_video_streams_the_first_is_read(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        streams = []
        for size in (32, 48):
            stream = container.add_stream("ffv1", rate=12)
            stream.height = stream.width = size
            stream.pix_fmt = "yuv420p"
            streams.append(stream)
        for index in range(6):
            for level, stream in zip((40, 200), streams, strict=True):
                image = np.full((stream.height, stream.width, 3), level, np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 12)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())
    clip = decode_clip(path, height=8, width=8)
    assert len(clip.frames) == 6
    assert abs(int(clip.frames.mean()) - 40) < 4


def with_cover(path: Path, *, frames: int) -> Path:
    """A video, or sound alone, whose first stream is a cover picture."""
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.height, cover.width, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        video = container.add_stream("libx264", rate=12) if frames else None
        if video is not None:
            video.height, video.width, video.pix_fmt = 32, 32, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 250, np.uint8), format="rgb24")
        container.mux(cover.encode(picture.reformat(format="yuvj420p")))
        container.mux(cover.encode())
        if video is not None:
            for image in moving_square(frames):
                container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(video.encode())
    return path


def test_a_cover_picture_is_not_the_clip(tmp_path: Path) -> None:
    clip = decode_clip(with_cover(tmp_path / "clip.mp4", frames=12), height=32, width=32)
    assert len(clip.frames) == 12
    assert off(clip.frames, moving_square(12)) < 12


def test_a_cover_picture_alone_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="holds no video stream"):
        decode_clip(with_cover(tmp_path / "clip.mp4", frames=0), height=32, width=32)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    with pytest.raises(ClipError, match="holds no video stream"):
        decode_clip(path, height=32, width=32)


def test_stretching_keeps_every_corner(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mkv", quarters())
    frame = decode_clip(path, height=32, width=32).frames[0].astype(int)
    assert off(frame[4, 4], np.array((200, 60, 60))) < 5
    assert off(frame[28, 28], np.array((60, 60, 200))) < 5


def test_cutting_keeps_the_aspect_and_the_centre(tmp_path: Path) -> None:
    frames = np.full((4, 32, 64, 3), 40, np.uint8)
    frames[:, :, 16:48] = 200  # just the centre square
    path = encode(tmp_path / "clip.mkv", frames)
    assert decode_clip(path, height=24, width=24, fit="crop").frames.min() > 150
    assert decode_clip(path, height=24, width=24).frames.min() < 60


@pytest.mark.parametrize(
    ("aspect", "expected"), [(Fraction(1, 2), 64), (Fraction(1), 32), (Fraction(2), 16)]
)
def test_the_aspect_of_the_pixels_counts_when_cutting(
    tmp_path: Path, aspect: Fraction, expected: int
) -> None:
    # Of 64 columns of pixels that are `aspect` as wide as high, a square of 32 rows shows so many.
    frames = np.full((4, 32, 64, 3), 40, np.uint8)
    frames[:, :, 32 - expected // 2 : 32 + expected // 2] = 200
    path = encode(tmp_path / "clip.mp4", frames, codec="libx264", aspect=aspect)
    shown = decode_clip(path, height=32, width=32, fit="crop").frames[0, 16, :, 0]
    assert shown[2:-2].min() > 180
    wider = decode_clip(path, height=32, width=40, fit="crop").frames[0, 16, :, 0]
    assert expected == 64 or wider[0] < 60


def test_a_long_clip_is_thinned_to_the_bytes_that_may_be_kept(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mkv", moving_square(101))
    every = decode_clip(path, height=16, width=16)
    assert every.frame_rate == 12
    limits = DecodeLimits(kept_bytes=30 * 16 * 16 * 3)
    kept = decode_clip(path, height=16, width=16, limits=limits)
    assert kept.frame_rate == 3
    assert len(kept.frames) == 26
    assert np.array_equal(kept.frames, every.frames[::4])
    assert not kept.truncated


def test_one_frame_that_stands_for_hours_is_kept_in_bounds(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mkv", moving_square(2), times=[0, 600_000])
    limits = DecodeLimits(kept_bytes=100 * 16 * 16 * 3)
    clip = decode_clip(path, height=16, width=16, limits=limits)
    assert 50 <= len(clip.frames) <= 100
    assert clip.frame_rate == 12 / 1024
    assert off(clip.frames[0], clip.frames[30]) == 0


def test_a_clip_as_small_as_one_pixel_is_scaled(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mkv", np.full((3, 2, 2, 3), 90, np.uint8), pixels="yuv444p")
    assert decode_clip(path, height=16, width=16).frames.shape == (3, 16, 16, 3)


def test_a_sliver_is_refused_rather_than_blown_up(tmp_path: Path) -> None:
    frames = np.zeros((2, 4000, 2, 3), np.uint8)
    path = encode(tmp_path / "clip.mkv", frames, pixels="yuv444p")
    with pytest.raises(ClipError, match="too narrow"):
        decode_clip(path, height=128, width=128, fit="crop")
    assert decode_clip(path, height=16, width=16).frames.shape == (2, 16, 16, 3)


def test_a_name_with_spaces_and_letters_of_any_script_is_read(tmp_path: Path) -> None:
    path = write_video(tmp_path / "mein Clip ñ 映像 \\.webm", moving_square(6))
    assert len(decode_clip(path, height=32, width=32).frames) == 6
