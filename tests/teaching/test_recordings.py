from __future__ import annotations

from pathlib import Path

import av
import pytest

from taskgrain.errors import ManifestError
from taskgrain.teaching.recordings import (
    Filmed,
    Links,
    link_clips,
    read_recordings,
    source_of_name,
    time_in_name,
)
from tests.making import moving_square, write_video


def filmed(*names: str, action: str = "wave", folder: str | None = None) -> list[Filmed]:
    """Clips that are not there: what can be told without their files."""
    return [Filmed(name, Path("/nowhere") / f"{name}.mp4", action, folder) for name in names]


def recordings(clips: list[Filmed], declared: dict[str, str] | None = None) -> tuple[str, ...]:
    return link_clips(clips, declared or {}, []).recordings()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("v_ApplyEyeMakeup_g01_c01", "v_ApplyEyeMakeup_g01_c06"),
        ("--07WQ2iBlw_000001_000011", "--07WQ2iBlw_000012_000022"),
        ("April_09_brush_hair_u_nm_np1_ba_goo_0", "April_09_brush_hair_u_nm_np1_ba_goo_1"),
        ("person01_boxing_d1_uncomp", "person01_walking_d4_uncomp"),
        ("S001C002P003R002A013_rgb", "S001C001P003R001A050_rgb"),
        ("00003-000120-forward", "00003-000240-reversed"),
        ("lunch-00.00.01.000-00.00.05.500", "lunch-00.01.01.000-00.01.05.500-end"),
        ("GH010123", "GH020123"),
        ("GOPR0123", "GP010123"),
        ("lunch_clip003", "lunch_clip014"),
        ("lunch_seg2", "lunch_seg10"),
        ("lunch.part1", "lunch.part2"),
        ("lunch part 1 of 3", "lunch part 2 of 3"),
        ("lunch_window_7", "lunch_window_8"),
        ("lunch-Scene-001", "lunch-Scene-002"),
        ("IMG_0412_clip1", "IMG_0412_clip2"),
        ("昼食_part1", "昼食_part2"),
    ],
)
def test_parts_of_one_video_are_known_by_their_names(one: str, other: str) -> None:
    assert source_of_name(one) is not None
    assert source_of_name(one) == source_of_name(other)
    first, second = recordings(filmed(one, other))
    assert first == second


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("v_Archery_g01_c01", "v_Archery_g02_c01"),
        ("--07WQ2iBlw_000001_000011", "-0B32Iv4cDY_000001_000011"),
        ("person01_boxing_d1", "person02_boxing_d1"),
        ("S001C002P003R002A013", "S001C002P004R002A013"),
        ("00003-000120-forward", "00004-000120-forward"),
        ("GH010123", "GH010124"),
        ("lunch_clip1", "dinner_clip1"),
        ("IMG_0412", "IMG_0413"),
        ("walk3", "walk4"),
        ("name-0001", "name-0002"),
        ("clip1", "clip2"),
        ("video_clip1", "video_clip2"),
        ("wave_clip1", "wave_clip2"),  # of the action "wave": counted, not cut
        ("1", "2"),
        ("clip_a", "clip_b"),
        ("party1", "party2"),
        ("VID-20240131-WA0004", "VID-20240131-WA0005"),
    ],
)
def test_a_counter_links_nothing(one: str, other: str) -> None:
    first, second = recordings(filmed(one, other))
    assert first != second


def test_the_number_behind_the_words_of_an_action_is_a_counter() -> None:
    assert source_of_name("open_window3", "Open window") is None
    assert source_of_name("open_window3", "close door") == "open"
    assert source_of_name("jump_part3", "jump") == "jump"


@pytest.mark.parametrize(
    "name",
    [
        "20240131_104532",
        "2024-01-31 10.45.32",
        "VID_20240131_104532",
        "PXL_20240131_104532123",
        "Screen Recording 2024-01-31 at 10.45.32",
        "2024-01-31T10-45-32",
        "20240131104532",
        "signal-2024-01-31-10-45-32-1",
    ],
)
def test_times_are_read_from_names(name: str) -> None:
    assert time_in_name(name) == 1706697932.0  # date --utc --date "2024-01-31 10:45:32" +%s


@pytest.mark.parametrize(
    "name",
    ["20240231_104532", "20241301_104532", "20240131", "IMG_0412", "120240131_1045321", "a" * 99],
)
def test_what_is_no_time_is_read_as_none(name: str) -> None:
    assert time_in_name(name) is None


def test_clips_that_follow_within_a_minute_are_one_recording() -> None:
    names = ("VID_20240131_104532", "VID_20240131_104632", "VID_20240131_104732")
    later = "VID_20240131_104833"  # 61 seconds after the third
    links = link_clips(filmed(*names, later), {}, [])
    assert links.recordings() == (names[0],) * 3 + (later,)
    assert links.counts == {"time": 3}


def test_the_length_of_a_clip_counts_from_the_time_in_its_name(tmp_path: Path) -> None:
    first = write_video(tmp_path / "VID_20240131_104500.mp4", moving_square(60))  # 5 s
    clips = [
        Filmed("a", first, "wave"),
        Filmed("b", tmp_path / "VID_20240131_104605.mp4", "wave"),
        Filmed("c", tmp_path / "VID_20240131_104706.mp4", "wave"),
    ]
    assert recordings(clips) == ("a", "a", "c")


def test_a_clip_that_another_one_spans_does_not_end_the_recording(tmp_path: Path) -> None:
    names = ("VID_20240131_104500", "VID_20240131_104510", "VID_20240131_104730")
    write_video(tmp_path / f"{names[0]}.mp4", moving_square(100), rate=1)  # to 10:46:40
    clips = [Filmed(name, tmp_path / f"{name}.mp4", "wave") for name in names]
    assert recordings(clips) == (names[0],) * 3


def created(path: Path, when: str) -> Path:
    """Write a video of a second that says when it was filmed."""
    with av.open(str(path), "w", container_options={}) as container:
        container.metadata["creation_time"] = when
        stream = container.add_stream("libx264", rate=12)
        assert isinstance(stream, av.VideoStream)
        stream.height = stream.width = 32
        stream.pix_fmt = "yuv420p"
        for image in moving_square(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_the_time_in_the_container_links_as_the_one_in_the_name_does(tmp_path: Path) -> None:
    times = {
        "a": "2024-01-31T10:45:32Z",
        "b": "2024-01-31T10:46:30Z",
        "c": "2024-01-31T12:00:00Z",
        "d": "1970-01-01T00:00:05Z",  # a camera that does not know the time
        "e": "1970-01-01T00:00:05Z",
    }
    clips = [
        Filmed(name, created(tmp_path / f"{name}.mp4", when), "x") for name, when in times.items()
    ]
    assert recordings(clips) == ("a", "a", "c", "d", "e")
    # A time of a name is of no time zone: it is not compared with that of a container.
    clips[1] = Filmed("b", tmp_path / "20240131_104532.mp4", "x")
    assert recordings(clips)[:2] == ("a", "b")


def test_a_folder_is_a_recording_under_every_action() -> None:
    clips = [
        *filmed("jump/ann/1", "jump/bob/1", folder=None),
        *filmed("wave/ann/1", action="wave", folder="ann"),
    ]
    clips[0] = Filmed("jump/ann/1", Path("/nowhere/1.mp4"), "jump", "ann")
    links = link_clips(clips, {}, [])
    assert links.recordings() == ("ann", "jump/bob/1", "ann")
    assert links.counts == {"folder": 2}


def test_links_are_transitive_and_counted_by_their_reason() -> None:
    clips = [
        *filmed("lunch_part1", "x", folder="ann"),
        *filmed("lunch_part2"),
        *filmed("y", "z"),
    ]
    links = link_clips(clips, {}, [(2, 3)])
    assert links.recordings() == ("ann", "ann", "ann", "ann", "z")
    assert links.counts == {"folder": 2, "name": 2, "equal files": 2}


def test_a_declared_clip_is_linked_by_nothing_else_but_equal_content() -> None:
    clips = filmed("lunch_part1", "lunch_part2", "lunch_part3", "other", folder="ann")
    declared = {"lunch_part1": "monday", "lunch_part2": "tuesday"}
    assert recordings(clips, declared) == ("monday", "tuesday", "ann", "ann")
    links = link_clips(clips, declared, [(0, 3)])
    assert links.recordings() == ("monday", "tuesday", "monday", "monday")
    assert links.counts == {"folder": 2, "equal files": 2}


def test_no_two_recordings_are_called_the_same() -> None:
    clips = [*filmed("a", "b", folder="ann"), *filmed("c"), *filmed("ann")]
    names = recordings(clips, {"c": "ann"})
    assert names[0] == names[1] == "ann"
    assert len(set(names)) == 3


def test_joining_one_clip_names_it_and_counts_nothing() -> None:
    links = Links(["a", "b"])
    links.join("declared", [1], "monday")
    assert links.recordings() == ("a", "monday")
    assert links.counts == {}


TABLE_CLIPS = [
    Filmed("wave/a", Path("/x/wave/a.mp4"), "wave", None, ("7", "wave/a.mp4")),
    Filmed("wave/b é", Path("/x/wave/b é.mp4"), "wave", None, ("8", "wave/b é.mp4")),
    Filmed("none/c", Path("/y/c.mp4"), None, None, ("none/c.mp4",)),
]


@pytest.mark.parametrize(
    "text",
    [
        "clip,recording\nwave/a,monday\nwave/b é,monday\nnone/c,2\n",
        "clip;recording\nwave/a.mp4;monday\nwave/b é.mp4;monday\nnone/c.mp4;2\n",
        "recording\tnotes\tclip\nmonday\tx\twave\\a.mp4\nmonday\t\t8\n2\t\tnone/c\n",
        '"clip","recording"\r\n"./wave/a","monday"\r\n"wave/b e\u0301","monday"\r\nnone/c,2\r\n',
        "\ufeffclip,recording\n7,monday\n8,monday\n7,monday\nnone/c,2\n",
    ],
)
def test_a_table_names_recordings(tmp_path: Path, text: str) -> None:
    table = tmp_path / "my recordings.csv"
    table.write_text(text, encoding="utf-8", newline="")
    assert read_recordings(table, TABLE_CLIPS) == {
        "wave/a": "monday",
        "wave/b é": "monday",
        "none/c": "2",
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"clip,recording\nwave/a,x\nwave/q,x\n", r"r\.csv:3: no clip 'wave/q'; did you mean"),
        (b"clip,recording\nwave/a,x\n7,y\n", r"r\.csv:3: clip '7' is of recording 'y' here, and "),
        (b"clip,recording\nwave/a,\n", r"r\.csv:2: clip 'wave/a' has no recording"),
        (b"clip,recording\nholiday,x\n", r"no clip 'holiday'; expected its path .*, as 'wave/a'"),
        (b"clip,recording\n,x\n", r"r\.csv:2: no clip; expected clip,recording"),
        (b"clip,group\nwave/a,x\n", r"r\.csv:1: no column recording, but clip, group; expected "),
        (b"wave/a,x\n", r"r\.csv:1: no column clip and no column recording"),
        (b"clip,recording\n", r"names no clip"),
        (b"", r"names no clip"),
        (b"clip,recording\nwave/\xff,x\n", r"r\.csv"),
        (b"\x00\x01\x02", r"r\.csv"),
        (b'clip,recording\nwave/a,"x\n', r"r\.csv:\d: not CSV"),
        (b"clip,recording\nwave/a,x,y,z\n", r"r\.csv:2: 4 cells"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_by_line(
    tmp_path: Path, text: bytes, found: str
) -> None:
    table = tmp_path / "r.csv"
    table.write_bytes(text)
    with pytest.raises(ManifestError, match=found):
        read_recordings(table, TABLE_CLIPS)


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"r\.csv: no such file; expected a table with the"):
        read_recordings(tmp_path / "r.csv", TABLE_CLIPS)
    with pytest.raises(ManifestError, match="is a folder"):
        read_recordings(tmp_path, TABLE_CLIPS)
