from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from taskgrain.checkpoint import load_model
from taskgrain.data.decode import decode_clip
from taskgrain.data.sampling import see
from taskgrain.encoders import Reader, Wanted, open_reader
from taskgrain.errors import ResultError
from taskgrain.tools.compare.labels import read_labels
from taskgrain.tools.compare.sources import parse_sources, read_source
from taskgrain.tools.features import writing
from taskgrain.tools.features.clips import Clip, ClipList, list_clips
from taskgrain.tools.features.writing import Extraction, Outcome, write_clip_features
from taskgrain.transfer.archive import read_arrays
from taskgrain.transfer.features import read_features
from tests.making import moving_square, write_video
from tests.tools.features.making import SAMPLING, checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return checkpoint(tmp_path / "last")


def write(reader: Reader, extraction: Extraction, out: Path) -> tuple[Outcome, list[str], int]:
    said: list[str] = []
    done: list[int] = []
    outcome = write_clip_features(reader, extraction, out, tell=said.append, advance=done.append)
    return outcome, said, sum(done)


def extraction_of(data: Path, name: str = "last") -> Extraction:
    return Extraction(name, str(data), list_clips(data), batch_size=3)


def by_hand(folder: Path, clips: ClipList) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Float32 (N, T', D): one clip after the other through the encoder."""
    encoder = load_model(folder)[0].encoder
    steps = []
    for clip in clips.clips:
        stored = decode_clip(clip.path, height=36, width=36).frames
        video = torch.from_numpy(see(stored, SAMPLING))[None]
        with torch.inference_mode():
            steps.append(encoder(video)[0].numpy())
    return np.stack(steps)


def test_every_clip_gets_the_features_of_the_encoder(
    tiny_dataset: Path, folder: Path, tmp_path: Path
) -> None:
    extraction = extraction_of(tiny_dataset)
    out = tmp_path / "deep" / "f.npz"
    outcome, said, done = write(open_reader(Wanted(str(folder))), extraction, out)
    assert (outcome.shape, outcome.failed, outcome.truncated, done) == ((8, 16), {}, (), 8)
    assert said == []
    features = read_features(out)
    assert features.clip_ids == tuple("01234567")
    steps = by_hand(folder, extraction.clips)
    np.testing.assert_allclose(features.features, steps.mean(axis=1), rtol=1e-5, atol=1e-6)
    assert sorted(path.name for path in out.parent.iterdir()) == ["f.npz"]
    assert features.header["readout"] == "lstm-mean"
    assert features.header["layout"] == "taskgrain"


@pytest.mark.parametrize(
    ("readout", "keeps_steps", "shape"),
    [
        ("lstm-mean", True, (2, 16)),
        ("lstm-mean-deviation", False, (32,)),
        ("lstm-last", True, (16,)),
        ("lstm-steps", False, (32,)),
        ("lstm-steps", True, (2, 16)),
        ("channels-mean", False, (10,)),
        ("channels-mean", True, (2, 10)),
        ("spatial-mean", False, (6,)),
        ("temporal-mean", False, (4,)),
    ],
)
def test_a_read_out_says_what_is_kept(
    tiny_dataset: Path,
    folder: Path,
    tmp_path: Path,
    readout: str,
    keeps_steps: bool,
    shape: tuple[int, ...],
) -> None:
    extraction = replace(extraction_of(tiny_dataset), keeps_steps=keeps_steps)
    reader = open_reader(Wanted(str(folder), readout))  # type: ignore[arg-type]
    outcome, _, _ = write(reader, extraction, tmp_path / "f.npz")
    assert outcome.shape == (8, *shape)
    features = read_features(tmp_path / "f.npz")
    assert features.header["steps"] is (len(shape) == 2)
    if readout.startswith("lstm"):
        steps = by_hand(folder, extraction.clips)
        expected = {
            "lstm-mean": steps,
            "lstm-mean-deviation": np.concatenate([steps.mean(axis=1), steps.std(axis=1)], axis=1),
            "lstm-last": steps[:, -1],
            "lstm-steps": steps if keeps_steps else steps.reshape(8, -1),
        }[readout]
        np.testing.assert_allclose(features.features, expected, rtol=1e-5, atol=1e-6)


def test_a_clip_that_fails_is_named_and_the_others_have_features(
    tiny_dataset: Path, folder: Path, tmp_path: Path
) -> None:
    (tiny_dataset / "videos" / "3.webm").write_bytes(b"no video")
    (tiny_dataset / "videos" / "7.webm").unlink()
    whole = (tiny_dataset / "videos" / "1.webm").read_bytes()
    (tiny_dataset / "videos" / "1.webm").write_bytes(whole[: len(whole) * 2 // 3])
    extraction = extraction_of(tiny_dataset)
    outcome, _, done = write(open_reader(Wanted(str(folder))), extraction, tmp_path / "f.npz")
    assert set(outcome.failed) == {"3", "7"}
    assert outcome.truncated == ("1",)
    assert (outcome.shape, done) == ((6, 16), 8)
    features = read_features(tmp_path / "f.npz")
    assert features.clip_ids == ("0", "1", "2", "4", "5", "6")
    assert features.header["failed"] == dict(outcome.failed)
    alone = replace(extraction, clips=ClipList(None, extraction.clips.clips[2:3]))
    write(open_reader(Wanted(str(folder))), alone, tmp_path / "alone.npz")
    np.testing.assert_allclose(
        read_features(tmp_path / "alone.npz").features[0], features.features[2], rtol=1e-5
    )


def test_a_clip_that_its_dataset_leaves_out_is_not_opened(
    tiny_dataset: Path, folder: Path, tmp_path: Path
) -> None:
    clips = [replace(each, excluded="a face") for each in list_clips(tiny_dataset).clips[:2]]
    clips.append(list_clips(tiny_dataset).clips[2])
    extraction = Extraction("last", "d", ClipList("taskgrain", tuple(clips)))
    outcome, _, _ = write(open_reader(Wanted(str(folder))), extraction, tmp_path / "f.npz")
    assert outcome.failed == {"0": "a face", "1": "a face"}


def test_where_every_clip_fails_nothing_is_written(
    tiny_dataset: Path, folder: Path, tmp_path: Path
) -> None:
    for path in (tiny_dataset / "videos").iterdir():
        path.write_bytes(b"no video")
    with pytest.raises(ResultError, match=r"clip 0: .*not a video"):
        write(open_reader(Wanted(str(folder))), extraction_of(tiny_dataset), tmp_path / "f.npz")
    assert not (tmp_path / "f.npz").exists()


def test_equal_clips_and_encoder_give_equal_bytes_and_are_made_once(
    tiny_dataset: Path, folder: Path, tmp_path: Path
) -> None:
    extraction = extraction_of(tiny_dataset)
    for name in ("a", "b"):
        write(open_reader(Wanted(str(folder))), extraction, tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    outcome, said, done = write(open_reader(Wanted(str(folder))), extraction, tmp_path / "a.npz")
    assert said == [f"{tmp_path / 'a.npz'}: has these features already"]
    assert (outcome.shape, done) == ((8, 16), 0)


def test_other_features_are_never_written_over(
    tiny_dataset: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "f.npz"
    extraction = extraction_of(tiny_dataset)
    reader = open_reader(Wanted(str(folder)))
    write(reader, extraction, out)
    bytes_before = out.read_bytes()
    changed = write_video(tiny_dataset / "videos" / "0.webm", moving_square(30))
    os.utime(changed, ns=(1, 1))
    others = (
        (open_reader(Wanted("pixels")), extraction),
        (open_reader(Wanted(str(folder), "lstm-last")), extraction),
        (reader, replace(extraction, keeps_steps=True)),
        (reader, replace(extraction, clips=ClipList(None, extraction.clips.clips[:3]))),
        (reader, extraction),  # a video is another now
    )
    for other, of_these in others:
        with pytest.raises(ResultError, match="there already, and not these features"):
            write(other, of_these, out)
    (tmp_path / "text.npz").write_text("no features")
    with pytest.raises(ResultError, match="there already"):
        write(reader, extraction, tmp_path / "text.npz")
    assert out.read_bytes() == bytes_before


def stop_at_the_fifth_clip(reader: Reader, extraction: Extraction, out: Path) -> None:
    seen: list[int] = []

    def advance(clips: int) -> None:
        seen.append(clips)
        if len(seen) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_clip_features(reader, extraction, out, tell=print, advance=advance)


def test_a_stopped_run_goes_on_part_by_part(
    tiny_dataset: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PART_CLIPS", 3)
    extraction, reader = extraction_of(tiny_dataset), open_reader(Wanted(str(folder)))
    write(reader, extraction, tmp_path / "whole.npz")
    out = tmp_path / "f.npz"
    stop_at_the_fifth_clip(reader, extraction, out)
    assert not out.exists()
    _, said, done = write(reader, extraction, out)
    assert said == [f"{out}: goes on where it was stopped"]
    assert done == 5  # of 8: the first part of three is there
    assert out.read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert not (tmp_path / "f.npz.parts").exists()


@pytest.mark.parametrize("readout", ["lstm-mean", "lstm-steps", "channels-mean"])
def test_the_batch_size_changes_no_bit_and_may_be_another_when_a_run_goes_on(
    tiny_dataset: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    readout: str,
) -> None:
    monkeypatch.setattr(writing, "PART_CLIPS", 3)
    reader = open_reader(Wanted(str(folder), readout))  # type: ignore[arg-type]
    extraction = extraction_of(tiny_dataset)
    whole = tmp_path / "1.npz"
    for size in (1, 2, 3, 8):  # parts of 3, 3 and 2 clips: some batches have one clip alone
        write(reader, replace(extraction, batch_size=size), tmp_path / f"{size}.npz")
        assert (tmp_path / f"{size}.npz").read_bytes() == whole.read_bytes()
    out = tmp_path / "f.npz"
    stop_at_the_fifth_clip(reader, extraction, out)
    _, said, done = write(reader, replace(extraction, batch_size=1), out)
    assert (said, done) == ([f"{out}: goes on where it was stopped"], 5)
    assert out.read_bytes() == whole.read_bytes()
    _, said, done = write(reader, replace(extraction, batch_size=5), out)
    assert (said, done) == ([f"{out}: has these features already"], 0)


def test_what_was_begun_with_other_settings_is_begun_anew_with_a_word(
    tiny_dataset: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PART_CLIPS", 3)
    extraction, reader = extraction_of(tiny_dataset), open_reader(Wanted(str(folder)))
    out = tmp_path / "f.npz"
    stop_at_the_fifth_clip(reader, extraction, out)
    _, said, done = write(open_reader(Wanted(str(folder), "lstm-last")), extraction, out)
    assert said == [
        f"{out}: what was begun there was of other settings or clips, and is begun anew"
    ]
    assert done == 8
    assert read_features(out).header["readout"] == "lstm-last"


def test_features_that_are_not_finite_are_refused_by_clip(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    reader = open_reader(Wanted("pixels"))
    broken = replace(reader, read=lambda video: {"output": torch.full((len(video), 2), torch.nan)})
    with pytest.raises(ResultError, match="the features of clip 0 are not finite"):
        write(broken, extraction_of(tiny_dataset), tmp_path / "f.npz")
    assert not (tmp_path / "f.npz").exists()


def test_compare_reads_what_was_written(tiny_dataset: Path, folder: Path, tmp_path: Path) -> None:
    lines = [f"{clip},{'ab'[clip % 2]}" for clip in range(8)]
    (tmp_path / "y.csv").write_text("\n".join(["clip,label", *lines]))
    for name, encoder in (("one", str(folder)), ("two", "motion-energy")):
        extraction = extraction_of(tiny_dataset, encoder)
        write(open_reader(Wanted(encoder)), extraction, tmp_path / f"{name}.npz")
    labels = read_labels(tmp_path / "y.csv")
    for files in parse_sources([str(tmp_path / "one.npz"), str(tmp_path / "two.npz")]):
        source = read_source(files, labels)
        assert not source.by_order
        assert source.seeds[0].clip_ids == labels.clip_ids


def test_what_the_folder_knows_stands_beside_the_features(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    (tiny_dataset / "videos" / "3.webm").write_bytes(b"no video")
    extraction = extraction_of(tiny_dataset)
    known = {clip.clip_id: clip for clip in extraction.clips.clips}
    write(open_reader(Wanted("pixels")), extraction, tmp_path / "f.npz")
    held = read_arrays(tmp_path / "f.npz")
    assert held["clip"].tolist() == list("0124567")
    assert held["label"].tolist() == [known[clip].label for clip in held["clip"].tolist()]
    assert held["split"].tolist() == ["train"] * 5 + ["validation"] * 2


def test_a_label_that_changes_is_written_anew_and_the_features_stay(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    extraction, reader, out = extraction_of(tiny_dataset), open_reader(Wanted("pixels")), "f.npz"
    write(reader, extraction, tmp_path / out)
    before = read_arrays(tmp_path / out)
    first, *rest = extraction.clips.clips
    clips = (replace(first, label="another"), *rest)
    changed = replace(extraction, clips=replace(extraction.clips, clips=clips))
    _, said, done = write(reader, changed, tmp_path / out)
    assert said == [
        f"{tmp_path / out}: has these features already; labels, recordings and splits are written "
        "anew"
    ]
    after = read_arrays(tmp_path / out)
    assert (after["label"][0], done) == ("another", 0)
    assert after["label"][1:].tolist() == before["label"][1:].tolist()
    for name in ("clip", "features", "header", "split"):
        np.testing.assert_array_equal(after[name], before[name])


def test_a_clip_of_any_folder_needs_no_annotation(tmp_path: Path) -> None:
    write_video(tmp_path / "clips" / "walk" / "a.mp4", moving_square(9))
    extraction = extraction_of(tmp_path / "clips")
    assert extraction.clips.clips == (Clip("walk/a", tmp_path / "clips" / "walk" / "a.mp4"),)
    outcome, _, _ = write(open_reader(Wanted("pixels")), extraction, tmp_path / "f.npz")
    assert outcome.shape == (1, 1728)
    features = read_features(tmp_path / "f.npz")
    assert features.header["layout"] is None
    assert sorted(read_arrays(tmp_path / "f.npz")) == ["clip", "features", "header"]
    assert features.header["readout"] == "flat"
