"""What the hostile inputs found in sources: pipes, and names that are not UTF-8."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from eosin.data.pack import pack
from eosin.errors import ImageError, SourceError
from eosin.sources.archives import read_file

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs pipes and free names")


def folder_of_images(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for k in range(8):
        case, label = f"9000{k // 4}", k % 2
        place = folder / case / str(label)
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        cv2.imwrite(str(place / f"{case}_idx5_x{1 + 32 * k}_y1_class{label}.png"), pixels)
    return folder


@pytest.mark.parametrize("name", ["store.json", "plan.json", ".eosin.json", "labels.csv", "a.png"])
def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path, name: str) -> None:
    folder = folder_of_images(tmp_path / "images")
    os.mkfifo(folder / "90000" / name)
    assert len(pack(folder, tmp_path / "s", max_rejects=1)) == 8


def test_a_pipe_or_device_is_no_source_and_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.zip")
    for source in (tmp_path / "a.zip", Path("/dev/zero")):
        with pytest.raises(SourceError, match="pipe or a device"):
            pack(source, tmp_path / "s")
        with pytest.raises(ImageError, match="pipe"):
            read_file(source)


def test_names_that_are_not_utf8_are_listed_readably(tmp_path: Path) -> None:
    folder = folder_of_images(tmp_path / "images")
    (first, *_) = sorted(folder.rglob("*.png"))
    bad = os.fsencode(folder / "90000" / "0") + b"/bad-\xff\xfe.png"
    Path(os.fsdecode(bad)).write_bytes(first.read_bytes())
    pack(folder, tmp_path / "s", max_rejects=2)
    info = json.loads((tmp_path / "s" / "store.json").read_text("utf-8"))
    assert [row["source"] for row in info["rejects"]] == ["90000/0/bad-\\udcff\\udcfe.png"]


@pytest.mark.parametrize(
    "cell", ["a\0b.png", "90000/\0/1.png", "x" * 5000 + ".png", "x" * 300 + "/1.png"]
)
def test_a_cell_that_can_be_no_path_is_a_reject(tmp_path: Path, cell: str) -> None:
    folder = folder_of_images(tmp_path)
    names = sorted(p.relative_to(folder).as_posix() for p in folder.glob("*/*/*.png"))
    rows = [f"{name},{k % 2},{name[:5]}" for k, name in enumerate(names)]
    table = folder / "list.csv"
    table.write_text("\n".join(["path,label,case", f"{cell},0,90000", *rows]))
    store = pack(table, tmp_path / "s", max_rejects=1)
    assert len(store) == 8
    assert store.info["rejects_count"] == 1
    assert store.info["table"]["unlisted"] == 0


def test_half_of_a_pair_in_json_lines_is_one_sentence(tmp_path: Path) -> None:
    table = tmp_path / "list.jsonl"
    table.write_text('{"path": "a.png", "label": "0", "case": "\\ud800"}\n')
    with pytest.raises(SourceError, match="cannot be read as a table"):
        pack(table, tmp_path / "s")
