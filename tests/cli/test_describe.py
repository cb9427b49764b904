from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from taskgrain.checkpoint import ModelDescription
from taskgrain.cli.main import main
from taskgrain.data.sampling import FrameSampling
from taskgrain.labels.caption import CaptionForm
from taskgrain.labels.ssv2 import BRACKETED
from taskgrain.labels.taxonomy import ACTION_GROUP, CATEGORY, Taxonomy, taxonomy_of
from taskgrain.labels.vocabulary import build_vocabulary
from taskgrain.models.weights import save_weights
from taskgrain.predict import Predictor
from tests.making import moving_square, write_video
from tests.networks import build_model, compact_shape

CATEGORIES = taxonomy_of(sorted(BRACKETED)[:20])
HAND = "hand"  # a level of the dataset's own
TAXONOMY = Taxonomy(
    CATEGORIES.categories, {**CATEGORIES.levels, HAND: ("one hand",) * 12 + ("both hands",) * 8}
)
VOCABULARY = build_vocabulary(["pushing a small red cup from left to right"])
SHAPE = compact_shape(spatial_widths=(4, 4), temporal_widths=(4, 4), lstm_width=8)


def checkpoint(folder: Path, level: str | None, form: CaptionForm | None) -> Path:
    vocabulary = None if form is None else VOCABULARY
    description = ModelDescription(
        "tiny", 3, SHAPE, TAXONOMY, level, form, vocabulary, FrameSampling(8, 36, 36, 32, 32)
    )
    model = build_model(
        SHAPE,
        num_classes=None if level is None else len(TAXONOMY.names(level)),
        vocabulary_size=None if vocabulary is None else len(vocabulary),
        seed=3,
    )
    folder.mkdir()
    save_weights(model, folder / "model.safetensors")
    (folder / "model.json").write_text(json.dumps(description.to_json()))
    return folder


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.webm", moving_square(20, size=48)[:, :36])


def test_several_beams_find_a_more_probable_caption(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkpoint(tmp_path / "a", None, "full")
    captions = []
    for options in ([], ["--beam-width", "8"], ["--beam-width", "8", "--length-penalty", "2"]):
        main(["describe", str(folder), str(clip), "--json", *options])
        captions.append(json.loads(capsys.readouterr().out)["caption"])
    predictor = Predictor.from_checkpoint(folder)
    assert captions[0] == predictor.describe_file(clip).caption
    assert captions[0] != captions[1] != captions[2]
    lengths = [len(caption.split()) for caption in captions]
    assert lengths[1] < lengths[2]  # sums favour short captions


def test_a_length_penalty_without_beams_is_refused(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkpoint(tmp_path / "a", None, "full")
    with pytest.raises(SystemExit):
        main(["describe", str(folder), str(clip), "--length-penalty", "1"])
    assert "give --beam-width of 2 or more with it" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("level", "named"), [(CATEGORY, "groups"), (ACTION_GROUP, "groups"), (HAND, HAND)]
)
def test_classes_stand_under_the_name_of_their_level(
    tmp_path: Path, clip: Path, level: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["describe", str(checkpoint(tmp_path / "a", level, None)), str(clip), "--top", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [str(clip), "  caption     (not trained for captions)"]
    assert lines[2].startswith(f"  {named:<11} ")
    assert lines[2].endswith(tuple(TAXONOMY.names(ACTION_GROUP if named == "groups" else level)))
    assert lines[4].startswith("  categories ")
    assert ("(not trained for these)" in lines[4]) == (level != CATEGORY)


@pytest.mark.slow
def test_a_picture_of_what_the_words_rest_on_is_written(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = checkpoint(tmp_path / "a", CATEGORY, "full"), tmp_path / "new" / "out.webp"
    main(["describe", str(folder), str(clip), "--saliency", str(out), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["saliency"] == str(out)
    assert [path.name for path in out.parent.iterdir()] == ["out.webp"]
    num_words = len(said["caption"].split())
    assert num_words >= 1
    with Image.open(out) as image:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
    assert len(frames) == 8
    # Panels of 4 x 3, four in a row: the clip, the class, the words.
    assert frames[0].shape[1] == 14 + min(4, 2 + num_words) * (192 + 14)
    assert any(not np.array_equal(frames[0], frame) for frame in frames[1:])


def test_without_json_the_picture_is_named(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = checkpoint(tmp_path / "a", ACTION_GROUP, None), tmp_path / "out.webp"
    main(["describe", str(folder), str(clip), "--saliency", str(out)])
    assert capsys.readouterr().out.splitlines()[-1] == f"  saliency    {out}"
    assert out.is_file()


@pytest.mark.parametrize(
    ("clips", "out", "said"),
    [
        (["clip.webm", "clip.webm"], "out.webp", "2 clips for one picture; give one clip"),
        (["clip.webm"], "out.gif", "expected a name that ends in .webp"),
    ],
)
def test_a_picture_that_cannot_be_is_refused_before_anything_is_done(
    clips: list[str], out: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["describe", "nowhere", *clips, "--saliency", out])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_a_clip_that_cannot_be_read_gives_no_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clip.webm").write_text("no video")
    folder, out = checkpoint(tmp_path / "a", CATEGORY, None), tmp_path / "out.webp"
    with pytest.raises(SystemExit) as stopped:
        main(["describe", str(folder), str(tmp_path / "clip.webm"), "--saliency", str(out)])
    assert stopped.value.code == 2
    assert "not a video" in capsys.readouterr().err
    assert not out.exists()


def test_a_clip_that_is_cut_off_says_so(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip.write_bytes(clip.read_bytes()[: len(clip.read_bytes()) * 2 // 3])
    main(["describe", str(checkpoint(tmp_path / "a", CATEGORY, None)), str(clip)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("  problem     truncated: ")
    assert lines[1].endswith("; described as far as it goes")


def test_every_video_of_a_folder_is_described_and_what_is_broken_is_listed(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my clips"
    (folder / "deep").mkdir(parents=True)
    for name in ("b.webm", "a.webm", "deep/c.webm", ".hidden.webm"):
        (folder / name).write_bytes(clip.read_bytes())
    (folder / "broken.mp4").write_text("no video")
    (folder / "notes.txt").write_text("no video, and not called one")
    with pytest.raises(SystemExit) as ended:
        main(["describe", str(checkpoint(tmp_path / "a", CATEGORY, None)), str(folder), "--json"])
    assert ended.value.code == 2
    said = capsys.readouterr()
    described = [json.loads(line)["clip"] for line in said.out.splitlines()]
    assert described == [str(folder / name) for name in ("a.webm", "b.webm", "deep/c.webm")]
    assert said.err.startswith(f"taskgrain: {folder / 'broken.mp4'}: ")
    assert said.err.count("\n") == 1


def test_a_folder_of_frames_is_one_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for n, frame in enumerate(moving_square(12, size=40)):
        Image.fromarray(frame).save(folder / f"{n:05}.png")
    main(["describe", str(checkpoint(tmp_path / "a", CATEGORY, None)), str(folder), "--json"])
    assert json.loads(capsys.readouterr().out)["clip"] == str(folder)


def test_a_folder_without_videos_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit) as ended:
        main(["describe", str(checkpoint(tmp_path / "a", CATEGORY, None)), str(tmp_path / "empty")])
    assert ended.value.code == 2
    assert f"taskgrain: {tmp_path / 'empty'}: holds no video" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["describe", "export", "features"])
def test_a_run_names_the_checkpoints_to_choose_from(
    tmp_path: Path, clip: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    for name in ("joint-seed-0", "words-seed-0"):
        (run / "checkpoints" / name).mkdir(parents=True)
        checkpoint(run / "checkpoints" / name / "last", CATEGORY, None)
    others = {
        "describe": [str(clip)],
        "export": ["--out", str(tmp_path / "out")],
        "features": [str(clip.parent), str(tmp_path / "f.npz")],
    }
    with pytest.raises(SystemExit) as ended:
        main([command, str(run), *others[command]])
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"taskgrain: {run}: no checkpoint, but it holds 2; give one of them:"
    assert said[1:] == [
        str(run / "checkpoints" / f"{each}-seed-0/last") for each in ("joint", "words")
    ]
