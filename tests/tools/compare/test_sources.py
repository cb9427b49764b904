from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrain.errors import ConfigError, ManifestError, ResultError
from taskgrain.tools.compare.labels import LabelTable
from taskgrain.tools.compare.sources import (
    SourceFiles,
    check_coverage,
    parse_sources,
    read_named_arrays,
    read_source,
)
from taskgrain.transfer.features import FeatureSet, write_features

LABELS = LabelTable(Path("y.csv"), ("a", "b", "c"), ("x", "y", "x"), None)
ONES = np.ones((3, 4), dtype=np.float32)


def test_a_source_is_called_by_its_file_or_by_its_name(tmp_path: Path) -> None:
    assert parse_sources(["runs/a.npz", "B = x=1.npz,y.npz"]) == (
        SourceFiles("a", (Path("runs/a.npz"),)),
        SourceFiles("B", (Path(" x=1.npz"), Path("y.npz"))),
    )
    odd = tmp_path / "lr=1,2.npz"
    odd.touch()
    assert parse_sources([str(odd), f"B={odd.with_name('b.npz')}"])[0] == SourceFiles(
        "lr=1,2", (odd,)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no source; expected at least one file of features"),
        (["x/a.npz", "y/a.npz"], "source a is given twice; name them: NAME=FILE"),
        (["A=a.npz", "B=a.npz"], r"file .*a\.npz is given twice"),
        (["A=a.npz", "=b.npz"], "no name for a source"),
        (["A=a.npz", "B=b.npz,"], "a file is missing"),
        (["A=a.npz", "b.npz,c.npz"], "several seeds of a source take a name"),
        (["A=a.npz", "B\x1b=b.npz"], "no name for a source"),
    ],
)
def test_sources_that_cannot_be_told_apart_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_sources(arguments)


@pytest.mark.parametrize("clip", [["a", "b", "c"], [b"a", b"b", b"c"], [1, 2, 3]])
def test_ids_may_be_text_bytes_or_numbers(tmp_path: Path, clip: list[object]) -> None:
    np.savez(tmp_path / "s.npz", clip=np.array(clip), features=ONES.astype(np.float16))
    found = read_source(SourceFiles("s", (tmp_path / "s.npz",)), LABELS).seeds[0]
    assert found.clip_ids in (("a", "b", "c"), ("1", "2", "3"))
    assert found.features.dtype == np.float32


def test_what_taskgrain_wrote_is_read(tmp_path: Path) -> None:
    steps = np.arange(24, dtype=np.float32).reshape(3, 2, 4)
    write_features(tmp_path / "s.npz", FeatureSet(("c", "b", "z"), steps, {"readout": "x"}))
    found = read_source(SourceFiles("s", (tmp_path / "s.npz",)), LABELS)
    assert found.seeds[0].clip_ids == ("c", "b", "z")
    assert np.array_equal(found.seeds[0].features, steps)
    assert not found.by_order


def test_rows_without_ids_are_those_of_the_labels_only_if_there_are_as_many(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", ONES)
    np.savez(tmp_path / "s.npz", ONES)
    for name in ("s.npy", "s.npz"):
        found = read_source(SourceFiles("s", (tmp_path / name,)), LABELS)
        assert found.by_order
        assert found.seeds[0].clip_ids == LABELS.clip_ids
    np.save(tmp_path / "s.npy", ONES[:2])
    with pytest.raises(ResultError, match=r"no entry 'clip' .* and 2 rows to the 3 of y\.csv"):
        read_source(SourceFiles("s", (tmp_path / "s.npy",)), LABELS)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"clip": np.array(["a", "b", "c"])}, "no entry 'features'; it has clip"),
        ({"x": ONES, "y": ONES}, "no entry 'features'; it has x, y"),
        ({"clip": np.array(["a", "b"]), "features": ONES}, r"clip is \(2,\) for 3 features"),
        ({"clip": np.array([1.0, 2, 3]), "features": ONES}, "clip is float64; expected ids"),
        ({"clip": np.array([b"\xff", b"b", b"c"]), "features": ONES}, "an id is not UTF-8"),
        ({"clip": np.array(["a", "b", "a"]), "features": ONES}, "clip a has features twice"),
        ({"features": ONES[0]}, r"features are \(4,\); expected \(N, D\)"),
        ({"features": ONES[:, :0]}, r"features are \(3, 0\); expected"),
        ({"features": ONES[:, :, None, None]}, r"features are \(3, 4, 1, 1\); expected"),
        ({"features": ONES.astype(complex)}, "features are complex128; expected real numbers"),
        ({"features": ONES * np.array([1, 1, np.nan, 1])}, r"s\.npz: the features of clip a are"),
        ({"features": ONES.astype(np.float64) * 1e300}, "larger than float32 holds"),
        (
            {"clips": np.array(["c", "b", "a"]), "features": ONES},
            "no entry 'clip', but one 'clips'",
        ),
        ({"filenames": np.array(["c", "b", "a"]), "features": ONES}, "but one 'filenames'"),
        ({"video_id": np.array([3, 2, 1]), "features": ONES}, "but one 'video_id' beside"),
    ],
)
def test_arrays_that_are_no_features_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "s.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(ResultError, match=message):
        read_source(SourceFiles("s", (tmp_path / "s.npz",)), LABELS)


def test_what_else_a_file_holds_is_left_alone(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", features=ONES, video_fps=ONES[:, 0], keypoints=ONES, grid=ONES)
    assert read_source(SourceFiles("s", (tmp_path / "s.npz",)), LABELS).by_order


def test_seeds_of_one_source_have_one_width(tmp_path: Path) -> None:
    np.save(tmp_path / "0.npy", ONES)
    np.save(tmp_path / "1.npy", ONES[:, :3])
    with pytest.raises(ResultError, match=r"1\.npy: features are \(N, 3\), those of .*\(N, 4\)"):
        read_source(SourceFiles("s", (tmp_path / "0.npy", tmp_path / "1.npy")), LABELS)


@pytest.mark.parametrize(
    ("clips", "hint"),
    [
        (("videos/a.mp4", "b.mp4"), "without folders and file endings they fit"),
        (("x", "y"), r"labels like 'a'$"),
    ],
)
def test_ids_that_never_meet_are_shown_beside_each_other(
    tmp_path: Path, clips: tuple[str, ...], hint: str
) -> None:
    np.savez(tmp_path / "s.npz", clip=np.array(clips), features=ONES[:2])
    source = read_source(SourceFiles("s", (tmp_path / "s.npz",)), LABELS)
    with pytest.raises(ManifestError, match=f"s: has features of no clip of y.csv; .*{hint}"):
        check_coverage([source], LABELS)


def test_leading_zeros_are_thought_of(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", clip=np.array([7]), features=ONES[:1])
    source = read_source(SourceFiles("s", (tmp_path / "s.npz",)), LABELS)
    labels = LabelTable(Path("y.csv"), ("007", "008"), ("x", "y"), None)
    with pytest.raises(ManifestError, match="without leading zeros they fit"):
        check_coverage([source], labels)


def test_sources_that_share_no_clip_are_refused(tmp_path: Path) -> None:
    sources = []
    for name, clip in (("s", "a"), ("t", "b")):
        np.savez(tmp_path / f"{name}.npz", clip=np.array([clip]), features=ONES[:1])
        sources.append(read_source(SourceFiles(name, (tmp_path / f"{name}.npz",)), LABELS))
    with pytest.raises(ManifestError, match=r"y\.csv: no clip of it has features in every source"):
        check_coverage(sources, LABELS)


def every(names: list[str]) -> list[str]:
    return names


class RunsCode:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("ran"),))  # type: ignore[return-value]


def write_header(path: Path, header: str, body: bytes = b"") -> Path:
    """An .npz whose one entry has a header of our own."""
    text = header.encode("latin-1") + b"\n"
    entry = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", entry)
    return path


def test_numpys_own_files_are_read_whatever_they_are_called(tmp_path: Path) -> None:
    array = np.arange(12.0).reshape(3, 4)
    for save in (np.savez, np.savez_compressed):
        with (tmp_path / "a.dat").open("wb") as file:
            save(file, features=array.T, clip=np.array(["a", "é", "c", "d"]))
        read = read_named_arrays(tmp_path / "a.dat", every)
        assert read["features"].tolist() == array.T.tolist()
        assert read["clip"].tolist() == ["a", "é", "c", "d"]
    np.save(tmp_path / "b.npy", array)
    assert read_named_arrays(tmp_path / "b.npy", every)["array"].tolist() == array.tolist()


def test_only_chosen_entries_are_read(tmp_path: Path) -> None:
    objects = np.array([RunsCode()], dtype=np.object_)
    np.savez(tmp_path / "a.npz", features=np.ones((2, 2)), other=objects)
    seen: list[str] = []

    def choose(names: list[str]) -> list[str]:
        seen.extend(names)
        return ["features"]

    assert list(read_named_arrays(tmp_path / "a.npz", choose)) == ["features"]
    assert seen == ["features", "other"]


def test_nothing_pickled_is_ever_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    objects = np.array([RunsCode()], dtype=np.object_)
    np.savez("a.npz", features=objects)
    np.save("b.npy", objects)
    Path("c.npz").write_bytes(pickle.dumps(RunsCode()))
    with zipfile.ZipFile("d.pt", "w") as archive:
        archive.writestr("d/data.pkl", pickle.dumps(RunsCode()))
    for name, message in (
        ("a.npz", r"a\.npz: entry 'features': an array of Python objects, pickled, may run code"),
        ("b.npy", r"b\.npy: an array of Python objects"),
        ("c.npz", r"c\.npz: a pickle, which may run code .*save it by numpy\.savez"),
        ("d.pt", r"d\.pt: a PyTorch file, whose pickle may run code"),
    ):
        with pytest.raises(ResultError, match=message):
            read_named_arrays(Path(name), every)
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000)}",
            r"entry 'features': 3725 GiB; expected at most 16",
        ),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (9, 9)}",
            r"\(9, 9\) of float32 take 324 bytes, 0 are there: cut or damaged",
        ),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 9)}", r"shape \(-1, 9\)"),
        ("{'descr': '<f4', 'shape': (1,)}", r"entry 'features': "),
        ("(" * 3000, r"entry 'features': "),
    ],
)
def test_a_header_is_believed_only_as_far_as_the_bytes_go(
    tmp_path: Path, header: str, message: str
) -> None:
    with pytest.raises(ResultError, match=message):
        read_named_arrays(write_header(tmp_path / "a.npz", header), every)


def test_a_small_file_that_unpacks_to_much_is_not_unpacked(tmp_path: Path) -> None:
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}"
    path = write_header(tmp_path / "a.npz", header, body=bytes(50_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(ResultError, match="16 bytes, 50000000 are there"):
        read_named_arrays(path, every)


def test_cut_damaged_absent_and_other_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", features=np.arange(1000.0))
    whole = (tmp_path / "whole.npz").read_bytes()
    path = tmp_path / "a.npz"
    for size in (0, 1, 10, 200, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ResultError, match=r"a\.npz: "):
            read_named_arrays(path, every)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(ResultError, match="CRC"):
        read_named_arrays(path, every)
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(ResultError, match="an HDF5 file; save it by"):
        read_named_arrays(path, every)
    path.write_text("clip,x\n", encoding="utf-8")
    with pytest.raises(ResultError, match=r"neither an \.npz nor an \.npy"):
        read_named_arrays(path, every)
    with pytest.raises(ResultError, match="no such file"):
        read_named_arrays(tmp_path / "absent.npz", every)


def whole_file() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, clip=np.array(["a", "b"]), features=np.ones((2, 3)))
    return stream.getvalue()


@settings(max_examples=60, deadline=None)
@given(
    place=st.integers(0, len(whole_file()) - 1), value=st.integers(0, 255), cut=st.integers(0, 40)
)
def test_a_changed_byte_is_noticed_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int, cut: int
) -> None:
    content = bytearray(whole_file())
    content[place] = value
    path = tmp_path_factory.getbasetemp() / "changed.npz"
    path.write_bytes(content[: len(content) - cut])
    try:
        read = read_named_arrays(path, every)
    except ResultError:
        return
    assert all(not array.dtype.hasobject for array in read.values())
