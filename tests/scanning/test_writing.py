"""All files of a slide appear whole or not at all; names; what is replaced and what stays."""

from __future__ import annotations

import json
import os

import polars as pl
import pytest

from eosin.errors import SlideError, UserError
from eosin.folders import kind_of, make_folder, others
from eosin.scanning import writing
from eosin.scanning.summary import found_in, write_summary
from eosin.scanning.writing import name_of, read_result, write

NAMES = (
    "a b", "[1] *", "\N{CJK UNIFIED IDEOGRAPH-4E2D}\N{GREEK SMALL LETTER BETA}", "-x", "a.b.c",
    "it's \"q\" <b>&", "%20#?", "x" * 190, "{name}", ".hidden",
)  # fmt: skip
ENDINGS = (
    ".parquet", ".heatmap.png", ".heatmap.ome.tif", ".heatmap.groovy", ".geojson",
    ".tiles.geojson.gz", ".thumbnail.jpg", ".json",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_written_and_read(make_scan, tmp_path, name):
    folder = write(make_scan({(1, 1): 0.9}, slide={"name": f"{name}.svs"}), tmp_path, name)
    assert folder == tmp_path / name
    assert {entry.name for entry in folder.iterdir()} == {
        ".eosin.json", *(name + ending for ending in ENDINGS)
    }  # fmt: skip
    result = read_result(folder)
    assert result.name == name
    assert result.facts.areas.patches == 1
    assert others(folder, "scan") == []
    with open(folder / f"{name}.parquet", "rb") as file:
        assert len(pl.read_parquet(file)) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\nb", "x" * 201, "\udcff"])
def test_a_name_that_no_folder_can_have_is_refused(make_scan, tmp_path, name):
    with pytest.raises(UserError, match="cannot be called"):
        write(make_scan({(1, 1): 0.9}), tmp_path, name)
    assert not list(tmp_path.iterdir())


def test_every_slide_has_a_name_that_can_be_written():
    odd = ["a/\udcff\n.svs", "x/..", "x/.svs", "y/" + "\N{GREEK SMALL LETTER BETA}" * 150 + ".tif"]
    for slide in odd:
        writing.check_name(name_of(slide))
    assert name_of("slides/case 7.ome.tif") == "case 7"
    assert name_of("slides/TCGA-A1.01Z.svs") == "TCGA-A1.01Z"


def test_a_file_name_that_is_no_utf8(make_scan, tmp_path):
    scan = make_scan({(1, 1): 0.9}, slide={"name": os.fsdecode(b"a\xff.svs")})
    result = read_result(write(scan, tmp_path, name_of(scan.slide.path)))
    assert result.facts.slide.file == "a?.svs"


@pytest.mark.parametrize(
    "step",
    ["write_table", "write_pictures", "write_heatmap", "write_regions", "write_tiles",
     "write_script", "facts"],
)  # fmt: skip
def test_nothing_is_left_when_a_file_fails(make_scan, tmp_path, monkeypatch, step):
    def fail(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(writing, step, fail)
    with pytest.raises(RuntimeError):
        write(make_scan({(1, 1): 0.9}), tmp_path, "s")
    assert not list(tmp_path.iterdir())


def test_an_earlier_scan_stays_when_a_file_fails(make_scan, tmp_path, monkeypatch):
    folder = write(make_scan({(1, 1): 0.9}), tmp_path, "s")
    before = {entry.name: entry.read_bytes() for entry in folder.iterdir()}

    def fail(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(writing, "write_tiles", fail)
    with pytest.raises(RuntimeError):
        write(make_scan({(1, 1): 0.2}), tmp_path, "s", force=True)
    assert {entry.name: entry.read_bytes() for entry in folder.iterdir()} == before


def test_replaced_with_force_alone_and_nothing_of_the_users_goes(make_scan, tmp_path):
    folder = write(make_scan({(1, 1): 0.9}), tmp_path, "s")
    (folder / "corrected.geojson").write_text("mine")
    (folder / "t.json").write_text("mine")
    (folder / "qupath").mkdir()
    (folder / "qupath" / "project.qpproj").write_text("mine")
    with pytest.raises(UserError, match="already contains a scan of a slide"):
        write(make_scan({(1, 1): 0.2}), tmp_path, "s")
    write(make_scan({(1, 1): 0.2}), tmp_path, "s", force=True)
    assert read_result(folder).facts.areas.positive_share.value == 0
    assert (folder / "corrected.geojson").read_text() == "mine"
    assert (folder / "t.json").read_text() == "mine"
    assert (folder / "qupath" / "project.qpproj").read_text() == "mine"
    assert len(list(folder.iterdir())) == len(ENDINGS) + 4
    assert [entry.name for entry in tmp_path.iterdir()] == ["s"]
    assert kind_of(folder) == "scan"
    # Also the second time, when the mark has been written anew.
    write(make_scan({(1, 1): 0.9}), tmp_path, "s", force=True)
    assert (folder / "corrected.geojson").read_text() == "mine"


def test_the_same_scan_gives_the_same_bytes(make_scan, tmp_path):
    scan = make_scan({(1, 1): 0.9, (2, 1): 0.5})
    one, two = (write(scan, tmp_path / name, "s") for name in "ab")
    for ending in ENDINGS:
        assert (one / f"s{ending}").read_bytes() == (two / f"s{ending}").read_bytes(), ending


def test_a_renamed_folder_is_read(make_scan, tmp_path):
    folder = write(make_scan({(1, 1): 0.9}), tmp_path, "a.b")
    assert read_result(folder.rename(tmp_path / "c")).name == "a.b"


def test_what_eosin_made_in_a_folder_of_scans_goes_and_nothing_else(make_scan, tmp_path):
    out = tmp_path / "out"
    make_folder(out, "scans")
    one, two = (write(make_scan({(1, 1): 0.9}), out, name) for name in ("one", "two"))
    write_summary(out, found_in(out)[0])
    (two / "mine.geojson").write_text("mine")
    (out / "notes.txt").write_text("mine")
    (out / "other").mkdir()
    assert others(out, "scans") == ["notes.txt", "other", "two"]
    make_folder(out, "scans", force=True)
    assert not one.exists()
    assert {entry.name for entry in two.iterdir()} == {".eosin.json", "mine.geojson"}
    assert found_in(out) == ([], [])
    assert {entry.name for entry in out.iterdir()} == {".eosin.json", "notes.txt", "other", "two"}


def test_what_is_no_scan_is_a_sentence(make_scan, tmp_path):
    with pytest.raises(SlideError, match="is no scan of a slide"):
        read_result(tmp_path)
    folder = write(make_scan({(1, 1): 0.9}), tmp_path, "s")
    path = folder / "s.json"
    whole = json.loads(path.read_text("utf-8"))
    for broken in ("", "{", "[]", json.dumps({**whole, "format": 99}), json.dumps({"name": "s"})):
        path.write_text(broken)
        with pytest.raises(SlideError, match="is damaged"):
            read_result(folder)
    path.unlink()
    with pytest.raises(SlideError, match="is missing"):
        read_result(folder)
