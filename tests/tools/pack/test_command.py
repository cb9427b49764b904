from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskgrain.data.packed import open_store
from taskgrain.tools.pack.command import pack

pytestmark = pytest.mark.usefixtures("forked_workers")


@pytest.mark.slow
def test_a_store_is_packed_and_summed_up(
    tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tiny_dataset / "videos" / "3.webm").write_bytes(b"no video")
    store = tmp_path / "store"
    options = {"height": 16, "width": 24, "encoding": "jpeg", "fit": "crop"}
    pack(tiny_dataset, store, **options, workers=1, quiet=True)  # type: ignore[arg-type]
    said = capsys.readouterr()
    assert said.err == ""
    assert f"{store}: 8 clips, 165 frames of 24 x 16 as JPEG of quality 90" in said.out
    assert "1 failed and 0 truncated; `taskgrain check` says why" in said.out
    assert "2 packed now" in said.out
    pack(tiny_dataset, store, **options, as_json=True, quiet=True)  # type: ignore[arg-type]
    again = json.loads(capsys.readouterr().out)
    assert again["packed_shards"] == 0
    assert again["frames"] == 165
    assert (again["encoding"], again["quality"], again["fit"]) == ("jpeg", 90, "crop")
    assert len(open_store(store)) == 7
