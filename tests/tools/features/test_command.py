from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from taskgrain.cli.main import main
from taskgrain.transfer.features import read_features
from tests.tools.features.making import checkpoint


def test_features_are_written_and_summed_up(
    tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tiny_dataset / "videos" / "3.webm").write_bytes(b"no video")
    folder, out = checkpoint(tmp_path / "last"), tmp_path / "f.npz"
    main(["features", str(folder), str(tiny_dataset), str(out), "--split", "train", "--quiet"])
    said = capsys.readouterr()
    assert said.out.startswith(f"{out}: 16 features of 5 clips\n1 failed and 0 truncated\nin ")
    assert said.err.startswith("taskgrain: 3: ")
    assert said.err.count("\n") == 1
    assert read_features(out).clip_ids == ("0", "1", "2", "4", "5")
    main(["features", str(folder), str(tiny_dataset), str(out), "--split", "train", "--json"])
    said = capsys.readouterr()
    again = json.loads(said.out)
    assert set(again) == {"out", "shape", "failed", "truncated", "seconds"}
    assert again["shape"] == [5, 16]
    assert list(again["failed"]) == ["3"]
    assert f"{out}: has these features already" in said.err


def test_a_disk_that_takes_no_more_is_named_with_what_to_do_and_the_command_goes_on(
    tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "f.npz"
    command = ["features", "pixels", str(tiny_dataset), str(out), "--quiet"]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))  # as a quota does
    try:
        with pytest.raises(SystemExit) as stopped:
            main(command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == (
        f"taskgrain: {out}.parts/00000.npz: File too large; allow larger files there (ulimit -f), "
        "then give the same command again: what was finished is kept\n"
    )
    assert not out.exists()
    main(command)
    assert read_features(out).features.shape == (8, 1728)


def test_steps_and_read_outs_are_options(
    tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(checkpoint(tmp_path / "last"))
    where = [str(tiny_dataset), str(tmp_path / "s.npz")]
    main(["features", folder, *where, "--readout", "channels-mean", "--steps", "--batch-size", "1"])
    assert capsys.readouterr().out.startswith(f"{where[1]}: 2x10 features of 8 clips\nin ")
    main(["features", "pixels", str(tiny_dataset), str(tmp_path / "p.npz"), "--frames", "1"])
    assert read_features(tmp_path / "p.npz").features.shape == (8, 1728)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--download", "--random-weights", "0"], "give one of them"),
        (["--download"], "--download is for torchvision:NAME"),
        (["--readout", "lstm-last"], "pixels has one vector a clip"),
        (["--readout", "lstm-mean"], "pixels has one vector a clip"),
        (["--split", "test"], "holds no test clip"),
        (["--steps"], "pixels gives one vector a clip and has no steps"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(
    tiny_dataset: Path,
    tmp_path: Path,
    options: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["features", "pixels", str(tiny_dataset), str(tmp_path / "f.npz"), *options])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("f.npz*"))


@pytest.mark.parametrize("readout", ["lstm-last", "lstm-mean-deviation"])
def test_one_vector_a_clip_has_no_steps_to_keep(
    tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], readout: str
) -> None:
    folder, out = str(checkpoint(tmp_path / "last")), tmp_path / "f.npz"
    with pytest.raises(SystemExit):
        main(["features", folder, str(tiny_dataset), str(out), "--readout", readout, "--steps"])
    assert f"--steps: {readout} has none; lstm-steps keeps" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.slow
def test_a_network_from_elsewhere_takes_its_weights_only_where_they_are(
    tiny_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    arguments = ["features", "torchvision:resnet18", str(tiny_dataset), str(tmp_path / "f.npz")]
    with pytest.raises(SystemExit):
        main(arguments)
    assert "resnet18-f37072fd.pth: no such file" in capsys.readouterr().err
    main([*arguments, "--random-weights", "1", "--frames", "2", "--steps"])
    features = read_features(tmp_path / "f.npz")
    assert features.features.shape == (8, 2, 512)
    assert features.header["random_weights"] == 1
