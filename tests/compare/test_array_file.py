from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrain.compare.array_file import read_named_arrays
from taskgrain.errors import ResultError


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
