"""`taskgrain describe`: clips in, their descriptions out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taskgrain.cli.windows import (
    EventsFile,
    ExpectNone,
    Quiet,
    StepSeconds,
    WindowOptions,
    WindowSeconds,
    WindowsFlag,
    watch_videos,
)
from taskgrain.labels.vocabulary import MAX_BEAMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskgrain.describing import Describer, Description
    from taskgrain.labels.taxonomy import NamedProbability
    from taskgrain.teaching.model import Prediction

ANIMATION = ".webp"


def describe(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="checkpoint folder, as runs/quick/checkpoints/SOURCE-seed-0/last, a run folder "
            "with one training in it, or what `taskgrain teach` wrote"
        ),
    ],
    clips: Annotated[
        list[Path], typer.Argument(metavar="CLIP", help="video files, or folders of them")
    ],
    top: Annotated[int, typer.Option(min=1, help="classes to name")] = 5,
    saliency: Annotated[
        Path | None,
        typer.Option(metavar="OUT.webp", help="draw what each word rests on, for one clip"),
    ] = None,
    beam_width: Annotated[
        int,
        typer.Option(
            min=1, max=MAX_BEAMS, help="beginnings of a caption to follow side by side; 1 is greedy"
        ),
    ] = 1,
    length_penalty: Annotated[
        float, typer.Option(min=0, help="of several beams: compare log-probability / words ** this")
    ] = 0.0,
    windows: WindowsFlag = False,
    window: WindowSeconds = None,
    step: StepSeconds = None,
    csv: EventsFile = None,
    expect_none: ExpectNone = False,
    quiet: Quiet = False,
    device: Annotated[str, typer.Option(help="where the encoder computes: cpu, cuda")] = "cpu",
    as_json: Annotated[
        bool, typer.Option("--json", help="one JSON object a clip, or a video")
    ] = False,
) -> None:
    """Describe clips: action groups, categories and a caption; or your own actions, as taught.

    Of a folder every video in it is described, at any depth, in the order of names. A clip that
    cannot be read is named on standard error; the others are still described, and the exit code
    is 2. With --windows videos may be hours long, and what happens in them is listed with times.
    """
    from taskgrain.teaching.taught import is_taught

    clips = [clip for path in clips for clip in _clips_at(path)]
    of_windows = WindowOptions(window, step, csv, expect_none, quiet, as_json)
    if windows:
        _refuse_captions("--windows names classes alone", saliency, beam_width)
        watch_videos(checkpoint, clips, device, of_windows)
        return
    of_windows.refuse()
    if is_taught(checkpoint):
        why = "is for a study's checkpoint; a taught model has neither captions nor channels"
        _refuse_captions(why, saliency, beam_width)
        _answer(checkpoint, clips, top, device, as_json=as_json)
        return
    if saliency is not None:
        _check_saliency(saliency, clips)
    describer = _opened(checkpoint, device, beam_width, length_penalty)
    _describe(describer, clips, top, saliency, as_json=as_json)


def _describe(
    describer: Describer, clips: list[Path], top: int, saliency: Path | None, *, as_json: bool
) -> None:
    """Print what a study's checkpoint says of clips."""
    from taskgrain.errors import ClipError

    failed = 0
    for path in clips:
        try:
            if saliency is None:
                decoded = describer.decode(path)
            else:
                from taskgrain.saliency.clip import decode_to_draw, draw_explanation

                drawn = decode_to_draw(path, describer.description.sampling)
                decoded = drawn.stored
        except ClipError as error:
            failed += 1
            print(f"taskgrain: {error}", file=sys.stderr)
            continue
        description = describer.describe_decoded(decoded, str(path), top=top)
        if saliency is not None:
            draw_explanation(describer, path, saliency, decoded=drawn)
        if as_json:
            picture = {} if saliency is None else {"saliency": str(saliency)}
            print(json.dumps({**description.to_json(), **picture}, ensure_ascii=False))
        else:
            print(_text(description, describer.description.level, saliency))
    if failed:
        raise typer.Exit(2)


def _refuse_captions(why: str, saliency: Path | None, beam_width: int) -> None:
    """Refuse options that are about captions and channels, and say why."""
    for option, is_given in (
        ("--saliency", saliency is not None),
        ("--beam-width", beam_width > 1),
    ):
        if is_given:
            raise typer.BadParameter(why, param_hint=option)


def _answer(model: Path, clips: list[Path], top: int, device: str, *, as_json: bool) -> None:
    """Print what a taught model answers to clips."""
    from taskgrain.errors import ClipError
    from taskgrain.teaching.model import TaughtModel

    taught = TaughtModel.from_folder(model, device=device)
    failed = 0
    for path in clips:
        try:
            prediction = taught.predict_file(path)
        except ClipError as error:
            failed += 1
            print(f"taskgrain: {error}", file=sys.stderr)
            continue
        if as_json:
            print(json.dumps(prediction.to_json(), ensure_ascii=False))
        else:
            print("\n".join(_answer_lines(prediction, top)))
    if failed:
        raise typer.Exit(2)


def _answer_lines(prediction: Prediction, top: int) -> list[str]:
    answer = prediction.answer
    lines = [prediction.clip]
    if prediction.problem is not None:
        lines.append(f"  problem     {prediction.problem}; read as far as it goes")
    if answer.verdict == "none of these":
        own = f"{answer.typical:.0%} of the actions' own clips are so unlike"
        lines.append(f"  none of these ({own})")
    lines += _ranking("if any" if answer.label is None else "action", answer.ranking[:top])
    if answer.verdict == "cannot tell":
        lines.append("  (this model always names an action: it cannot tell unknown from known)")
    return lines


def _opened(checkpoint: Path, device: str, beam_width: int, length_penalty: float) -> Describer:
    if length_penalty > 0 and beam_width == 1:
        raise typer.BadParameter(
            f"{length_penalty:g} compares beams; give --beam-width of 2 or more with it",
            param_hint="--length-penalty",
        )
    from taskgrain.describing import Describer

    return Describer.from_checkpoint(
        checkpoint, device=device, beam_width=beam_width, length_penalty=length_penalty
    )


def _clips_at(path: Path) -> list[Path]:
    """List the clips at a path: the path itself, or the videos of a folder.

    Raises:
        ClipError: if a folder holds neither videos nor the frames of one.
    """
    if not path.is_dir():
        return [path]
    from taskgrain.data.layouts.tree import find_clips
    from taskgrain.data.videos import is_image_name
    from taskgrain.errors import ClipError

    videos = [path / file for file in find_clips(path)]
    if videos:
        return videos
    if any(is_image_name(each.name) for each in path.iterdir()):
        return [path]
    raise ClipError(f"{path}: holds no video; expected a video file, or a folder with some in it")


def _check_saliency(out: Path, clips: list[Path]) -> None:
    from taskgrain.data.files import check_writable

    if len(clips) > 1:
        raise typer.BadParameter(
            f"{len(clips)} clips for one picture; give one clip, and a command for each of the "
            "others",
            param_hint="--saliency",
        )
    if out.suffix.lower() != ANIMATION:
        raise typer.BadParameter(
            f"{out} is to be an animated WebP; expected a name that ends in {ANIMATION}",
            param_hint="--saliency",
        )
    check_writable(out)


def _text(description: Description, level: str | None, saliency: Path | None) -> str:
    from taskgrain.labels.taxonomy import ACTION_GROUP, CATEGORY

    lines = [description.clip]
    if description.problem is not None:
        lines.append(f"  problem     {description.problem}; described as far as it goes")
    if description.is_unlike:
        lines.append(
            "  unlike      what this model learned from: of its own validation clips "
            f"{description.typical:.1%} are so unlike; the answers may mean nothing"
        )
    caption = (
        "(not trained for captions)" if description.caption is None else f'"{description.caption}"'
    )
    lines.append(f"  caption     {caption}")
    # What stands under "groups" are the classes of the head's own level, where that is coarser.
    coarse = "groups" if level in (None, CATEGORY, ACTION_GROUP) else level
    lines += _ranking(coarse, description.groups)
    lines += _ranking("categories", description.categories)
    if saliency is not None:
        lines.append(f"  saliency    {saliency}")
    return "\n".join(lines)


def _ranking(name: str, ranking: Sequence[NamedProbability] | None) -> list[str]:
    if ranking is None:
        return [f"  {name:<11} (not trained for these)"]
    return [
        f"  {name if index == 0 else '':<11} {each.probability:6.1%}  {each.name}"
        for index, each in enumerate(ranking)
    ]
