from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from taskgrain.data.decode import decode_clip, decode_sizes
from taskgrain.data.sampling import see
from taskgrain.encoders import PLAIN, Wanted, open_reader
from taskgrain.errors import ConfigError, ManifestError, ResultError
from taskgrain.models.pretrained.stored import EFFICIENTNET_LITE0
from taskgrain.teaching import seeing
from taskgrain.teaching.featuring import feature_lesson
from taskgrain.teaching.lesson import link_near_duplicates, read_lesson
from taskgrain.teaching.near_duplicates import SIGNATURE_FRAMING, signature_of
from taskgrain.teaching.seeing import (
    LessonEncoder,
    encoder_named,
    encoders_here,
    summarise_steps,
)
from tests.making import moving_square, write_video
from tests.teaching.making import featured, make
from tests.tools.features.making import checkpoint

PIXELS = ("pixels", "motion-energy")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "my clips", 6)


def drawn_imagenet(num_frames: int = 3) -> LessonEncoder:
    """The network of ImageNet with drawn weights, joined with motion energy."""
    wanted = Wanted("imagenet:efficientnet-lite0", num_frames=num_frames, weights="random", seed=1)
    motion = encoder_named("motion-energy").readers["motion-energy"]
    return LessonEncoder("imagenet", {"network": open_reader(wanted), "motion-energy": motion})


def test_every_clip_has_the_features_of_every_encoder_in_the_order_of_the_lesson(
    folder: Path, tmp_path: Path
) -> None:
    lesson = read_lesson(folder)
    own = str(checkpoint(tmp_path / "last"))
    told: list[str] = []
    done: list[int] = []
    found = feature_lesson(
        lesson,
        [encoder_named(name) for name in (*PIXELS, own)],
        None,
        tell=told.append,
        advance=done.append,
    )
    assert [each.encoder for each in found.features] == [*PIXELS, own]
    assert (told, sum(done), found.failed, found.truncated) == ([], 6, {}, {})
    for name, each in zip(PIXELS, found.features, strict=False):
        assert each.clip_ids == tuple(clip.clip_id for clip in lesson.clips)
        assert each.features.dtype == np.float32
        sampling = open_reader(Wanted(name)).sampling
        for clip, row in zip(lesson.clips, each.features, strict=True):
            frames = decode_clip(clip.path, height=56, width=56).frames
            video = torch.from_numpy(see(frames, sampling))[None]
            np.testing.assert_array_equal(row, PLAIN[name](video)[0].numpy())
            assert np.array_equal(found.signatures[clip.clip_id], signature_of(frames))
    assert found.features[2].features.shape == (6, 3 * 16)  # of two steps of 16 numbers
    assert found.decoding_seconds > 0
    assert found.network_seconds > 0


def test_a_checkpoint_s_steps_are_summed_up(folder: Path, tmp_path: Path) -> None:
    own = str(checkpoint(tmp_path / "last"))
    lesson = read_lesson(folder)
    reader = open_reader(Wanted(own))
    frames = decode_clip(lesson.clips[2].path, height=36, width=36).frames
    with torch.inference_mode():
        video = torch.from_numpy(see(frames, reader.sampling))[None]
        steps = reader.read(torch.cat([video, video]))["output"][:1].numpy()
    found = featured(lesson, [encoder_named(own)]).features[0].features[2]
    np.testing.assert_allclose(found, summarise_steps(steps)[0], rtol=1e-5, atol=1e-6)


def test_each_video_is_decoded_once_for_all_encoders(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(folder / "jump" / "00.mp4", folder / "jump" / "again.mp4")
    opened: list[Path] = []

    def decode_counted(path: Path, *framings: object) -> object:
        opened.append(path)
        return decode_sizes(path, *framings)  # type: ignore[arg-type]

    monkeypatch.setattr("taskgrain.teaching.seeing.decode_sizes", decode_counted)
    encoders = [encoder_named(name) for name in (*PIXELS, str(checkpoint(tmp_path / "last")))]
    found = featured(read_lesson(folder), encoders)
    assert len(opened) == len(set(opened)) == 6  # of seven, two are equal
    rows = dict(zip(found.features[0].clip_ids, found.features[0].features, strict=True))
    assert len(rows) == 7
    assert np.array_equal(rows["jump/00"], rows["jump/again"])


def test_the_summary_is_mean_deviation_and_slope() -> None:
    steps = np.random.default_rng(0).normal(size=(5, 7, 3)).astype(np.float32)
    found = summarise_steps(steps)
    assert found.shape == (5, 9)
    assert found.dtype == np.float32
    weights = [-3 / 12, -2 / 12, -1 / 12, 0, 1 / 12, 2 / 12, 3 / 12]
    slope = [[sum(w * x[t, d] for t, w in enumerate(weights)) for d in range(3)] for x in steps]
    expected = np.concatenate([steps.mean(axis=1), steps.std(axis=1), slope], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_clip_played_backwards_has_the_opposite_slope() -> None:
    steps = np.random.default_rng(1).normal(size=(4, 6, 2)).astype(np.float32)
    there, back = summarise_steps(steps), summarise_steps(steps[:, ::-1])
    np.testing.assert_allclose(back[:, :4], there[:, :4], rtol=1e-6)
    np.testing.assert_allclose(back[:, 4:], -there[:, 4:], rtol=1e-6)
    assert (np.abs(there[:, 4:]) > 1e-3).all()


def test_steps_that_do_not_change_have_neither_deviation_nor_slope() -> None:
    alike = np.full((2, 5, 3), 0.1, np.float32)
    for steps in (alike, alike[:, :1]):
        found = summarise_steps(steps)
        assert np.array_equal(found[:, :3], steps[:, 0])
        assert not found[:, 3:].any()


def test_the_summary_of_a_clip_does_not_depend_on_the_others() -> None:
    steps = np.random.default_rng(2).normal(size=(9, 16, 40)).astype(np.float32)
    whole = summarise_steps(steps)
    for index in range(9):
        assert np.array_equal(summarise_steps(steps[index : index + 1])[0], whole[index])


def test_equal_clips_have_equal_features_whatever_is_read_beside_them(
    folder: Path, tmp_path: Path
) -> None:
    lesson = read_lesson(make(folder, 3, first=6))  # parts of 4, 4 and 1 clips
    encoders = [encoder_named(str(checkpoint(tmp_path / "last"))), encoder_named("pixels")]
    whole = featured(lesson, encoders)
    for step in (2, 3, 4):
        part = replace(lesson, clips=lesson.clips[::step], classes=())
        for one, all_of_it in zip(featured(part, encoders).features, whole.features, strict=True):
            assert np.array_equal(one.features, all_of_it.features[::step])


@pytest.mark.slow
def test_the_network_of_imagenet_is_joined_with_motion_energy_to_the_bit(folder: Path) -> None:
    lesson, encoder = read_lesson(folder), drawn_imagenet()
    whole = featured(lesson, [encoder, encoder_named("motion-energy")])
    features = whole.features[0].features
    assert features.shape == (6, 3 * 1280 + 320)
    assert np.array_equal(features[:, 3 * 1280 :], whole.features[1].features)
    assert len(np.unique(features[:, :1280], axis=0)) == 6
    for step in (3, 5):
        part = replace(lesson, clips=lesson.clips[::step], classes=())
        assert np.array_equal(featured(part, [encoder]).features[0].features, features[::step])


def test_clips_that_fail_are_listed_and_truncated_ones_are_used(
    folder: Path, tmp_path: Path
) -> None:
    make(folder, 8, first=6)
    long = write_video(folder / "jump" / "long.webm", moving_square(40))
    long.write_bytes(long.read_bytes()[: long.stat().st_size * 2 // 3])
    (folder / "jump" / "text.mp4").write_bytes(b"no video")
    (folder / "jump" / "empty.mp4").touch()
    (folder / "wave hand" / "list.mp4").write_text("ffconcat version 1.0\nfile 01.mp4\n")
    (folder / "wave hand" / "gone.mp4").symlink_to("nowhere.mp4")
    os.mkfifo(folder / "wave hand" / "pipe.mp4")
    odd = os.fsdecode(os.fsencode(folder) + b"/jump/\xff'\"\n.mp4")
    Path(odd).write_bytes(b"no video either")
    lesson = read_lesson(folder)
    done: list[int] = []
    for _ in range(2):  # the second time from the cache
        found = feature_lesson(
            lesson,
            [encoder_named("pixels")],
            tmp_path / "cache",
            tell=lambda _: None,
            advance=done.append,
        )
        assert list(found.failed) == sorted(found.failed)
        assert set(found.failed) == {
            *("jump/text", "jump/empty", "wave hand/list", "wave hand/gone", "wave hand/pipe"),
            "jump/\\udcff'\"\n",
        }
        assert "not a video" in found.failed["jump/text"]
        assert all(reason.encode() for reason in found.failed.values())
        assert list(found.truncated) == ["jump/long"]
        assert found.truncated["jump/long"]
        assert "jump/long" in found.features[0].clip_ids
        assert len(found.features[0].features) == len(found.signatures) == 15
    assert sum(done) == 2 * len(lesson.clips)


def test_an_action_of_which_less_than_two_clips_can_be_read_is_an_error(folder: Path) -> None:
    for name in ("00", "02"):
        (folder / "jump" / f"{name}.mp4").write_bytes(f"no video {name}".encode())
    with pytest.raises(ManifestError) as refused:
        featured(read_lesson(folder), [encoder_named("pixels")])
    lines = str(refused.value).split("\n")
    assert lines[0] == (
        "action 'jump': 1 of 3 clips can be read; expected at least 2: replace those that cannot"
    )
    assert lines[1].startswith("  jump/00: ")
    assert len(lines) == 3


def test_features_that_are_not_finite_are_refused_and_not_kept(
    folder: Path, tmp_path: Path
) -> None:
    whole = encoder_named("pixels")
    reader = replace(
        whole.readers["pixels"],
        read=lambda video: {"output": torch.full((len(video), 2), torch.nan)},
    )
    broken = LessonEncoder("pixels", {"pixels": reader})
    with pytest.raises(ResultError, match="pixels: the features of clip jump/00 are not finite"):
        featured(read_lesson(folder), [broken], tmp_path / "cache")
    assert np.isfinite(
        featured(read_lesson(folder), [whole], tmp_path / "cache").features[0].features
    ).all()


def test_a_shortened_copy_is_linked_by_the_signatures(folder: Path) -> None:
    frames = moving_square(30)
    write_video(folder / "jump" / "a.mp4", frames)
    write_video(folder / "jump" / "b.webm", frames[:-6])
    lesson = read_lesson(folder)
    linked = link_near_duplicates(lesson, featured(lesson, []).signatures)
    recording = {clip.clip_id: clip.recording for clip in linked.clips}
    assert recording["jump/a"] == recording["jump/b"] == "jump/a"
    assert linked.linked_by["near-duplicate"] >= 2


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has no weights of any network."""
    absent = replace(EFFICIENTNET_LITE0, package="a_package_that_nobody_has")
    monkeypatch.setattr("taskgrain.models.pretrained.opening.EFFICIENTNET_LITE0", absent)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_an_encoder_that_is_not_here_is_refused_with_what_to_do(no_weights: Path) -> None:
    with pytest.raises(ConfigError, match=r'pip install "taskgrain\[imagenet\]"'):
        encoder_named("imagenet")
    with pytest.raises(ConfigError, match="neither a checkpoint folder nor one of pixels"):
        encoder_named("nowhere")


@pytest.mark.slow
def test_the_encoders_of_a_machine_are_those_whose_weights_it_has(no_weights: Path) -> None:
    assert [each.name for each in encoders_here()] == ["motion-energy", "pixels"]
    with pytest.raises(ConfigError, match=r"r3d_18-.*: no such file"):
        encoder_named("torchvision:r3d_18")
    from torchvision.models import get_model, get_model_weights

    no_weights.mkdir(parents=True)
    (no_weights / "mc3_18-00000000.pth").touch()  # of another version than torchvision's
    name = get_model_weights("s3d").DEFAULT.url.rpartition("/")[2]
    torch.save(get_model("s3d").state_dict(), no_weights / name)
    assert [each.name for each in encoders_here()] == ["torchvision:s3d", "motion-energy", "pixels"]


def test_imagenet_is_two_readers_side_by_side() -> None:
    assert seeing.JOINED["imagenet"] == ("imagenet:efficientnet-lite0", "motion-energy")
    assert encoder_named("pixels").readers["pixels"].sampling.framing == SIGNATURE_FRAMING
