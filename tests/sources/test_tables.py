"""What tables say: columns to roles, rows to images, and which of several tables is meant."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from eosin.data.identity import origin_of
from eosin.data.pack import pack
from eosin.errors import RejectsError, SourceError
from eosin.sources.detect import Plan, open_source
from eosin.sources.tables import entries_of, parse_table, roles_of


def png(value: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(out, "PNG")
    return out.getvalue()


def put(folder: Path, *names: str) -> Path:
    """Images of different gray in a folder."""
    for k, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(k))
    return folder


def read(source: Path, **options: object) -> Plan:
    plan = open_source(source, **options)  # type: ignore[arg-type]
    assert isinstance(plan, Plan)
    plan.close()
    return plan


def said(plan: Plan) -> dict[str, str]:
    """Image -> class."""
    labels = [plan.classes[label] for label in plan.columns["label"]]
    return dict(zip(plan.columns["source"], labels, strict=True))


def roles(header: str, row: str = "", **chosen: str) -> dict[str, str]:
    names = header.split(",")
    table = parse_table("t.csv", f"{header}\n{row or ','.join('v' * len(names))}\n".encode())
    return roles_of(table, chosen, len).columns


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("path,label,case,x,y,part,slide,subtype", None),
        ("File Name,Class,Patient ID", {"path": "File Name", "label": "Class",
                                        "case": "Patient ID"}),
        ("IMAGE_ID,dx,subject", {"path": "IMAGE_ID", "label": "dx", "case": "subject"}),
        ("id,Target,case_id,wsi", {"path": "id", "label": "Target", "case": "case_id",
                                   "slide": "wsi"}),
        ("img,diagnosis,specimen", {"path": "img", "label": "diagnosis", "case": "specimen"}),
        ("image,category,x_coord,coord_y", {"path": "image", "label": "category", "x": "x_coord",
                                            "y": "coord_y"}),
        # The patient is wider than the case, and the case than the specimen.
        ("file,label,case,specimen,patient", {"path": "file", "label": "label",
                                              "case": "patient"}),
        ("file,label,slide_id", {"path": "file", "label": "label", "case": "slide_id",
                                 "slide": "slide_id"}),
        ("name,age", {"path": "name"}),
    ],
)  # fmt: skip
def test_usual_names(header: str, wanted: dict[str, str] | None) -> None:
    same = {name: name for name in header.split(",")}
    assert roles(header) == (same if wanted is None else wanted)


def test_words_of_parts() -> None:
    assert roles("file,label,fold", "a,b,3") == {"path": "file", "label": "label"}
    assert roles("file,label,fold", "a,b,Valid")["part"] == "fold"
    assert roles("file,label,set,split", "a,b,x,test")["part"] == "split"
    assert roles("file,label,grade", case="grade")["case"] == "grade"


def test_what_two_columns_decide() -> None:
    text = b"file,class_id,class_name,patient,subject\n1,0,benign,A,1\n2,1,tumor,B,2\n"
    made = roles_of(parse_table("t.csv", text), {}, len)
    assert made.columns == {"path": "file", "label": "class_name", "case": "patient"}
    assert made.unused == ["class_id", "subject"]
    assert [note.partition(":")[0] for note in made.notes] == [
        "label is the column class_name; class_id would fit as well",
        "case is the column patient; subject would fit as well",
    ]
    differing = text.replace(b"2,1,tumor", b"2,0,tumor")
    with pytest.raises(SourceError, match=r"class_id \(1 values\) .* --column label=class_name"):
        roles_of(parse_table("t.csv", differing), {"case": "patient"}, lambda values: 1)
    with pytest.raises(SourceError, match=r"patient \(1 values\) and subject .* fit the case"):
        roles_of(parse_table("t.csv", text.replace(b"B,2", b"A,2")), {}, lambda values: 1)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_and_missing_values(separator: str) -> None:
    rows = [
        ["\ufeffpath", "label", "case", "x"], ["a.png", "1.0", "7.0", "1101.0"],
        ["b.png", "0.0", "NaN", "NA"], ["c.png", "none", "8.0", "5"], ["d.png", "1", "", "1.5"],
        ["e.png", "1", "9", "", "more"], ["f.png", "1"],
    ]  # fmt: skip
    text = "\r\n".join(separator.join(row) for row in rows)
    table = parse_table("t.csv", text.encode())
    entries, rejects = entries_of(table, roles_of(table, {}, len))
    assert [(e.label, e.case, e.x) for _, _, e in entries] == [
        ("1", "7", 1101), ("0", "", None), ("1", "", None),
    ]  # fmt: skip
    assert rejects == [
        ("c.png", "incomplete row: line 4 lacks its label"),
        ("d.png", "impossible position: x is '1.5' in line 5"),
        ("e.png", "damaged row: line 6 has 5 values for 4 columns"),
    ]


def test_tables_as_spreadsheets_write_them() -> None:
    text = '\r\n\r\n, "File Name", "Diagnosis",Split\r\n0,"a, b.png", "tumor","Hold-out set"\r\n'
    for encoding in ("utf-8-sig", "utf-16"):
        table = parse_table("t.csv", text.encode(encoding))
        read = roles_of(table, {}, len)
        assert read.columns == {"path": "File Name", "label": "Diagnosis", "part": "Split"}
        assert read.unused == []  # the column without a name numbers the rows
        [(_, path, entry)], rejects = entries_of(table, read)
        assert (path, entry.label, entry.part, rejects) == ("a, b.png", "tumor", "test", [])
        assert table.places == ["line 4"]
    # A decimal comma; what may be a thousand is none.
    table = parse_table("t.csv", b"path;label;x;y\na;1;50,0;7\nb;1;1,000;7\nc;1;0,5;7\n")
    entries, rejects = entries_of(table, roles_of(table, {}, len))
    assert [(path, entry.x) for _, path, entry in entries] == [("a", 50)]
    assert [path for path, _ in rejects] == ["b", "c"]
    with pytest.raises(SourceError, match="save it as CSV in UTF-8"):
        parse_table("t.csv", "path,label\na,b\u00e9nin\n".encode("latin-1"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Datei;Klasse\n1.png;a\n2.png;b\n",
         r"^t\.csv has the columns Datei, Klasse, and none is the path or the label .*"
         "--column path=NAME --column label=NAME. By its paths: no known layout"),
        ("path,patient\n1,P1\n2,P2\n", "none is the label .*choose with --column label=NAME"),
        ("path,label\n", "t.csv has no rows"),
        ("1.png,a\n2.png,b\n", "begins with 1.png, a; its first line must name the columns"),
        ("path,label\n7.png,a\n8.png,b\n",
         "the first is 7.png .missing: no image of this name., by the column path"),
        ("path,label,x\n1,a,0.5\n2,b,0.5\n", "the first is 1 .impossible position"),
    ],
)  # fmt: skip
def test_what_a_table_lacks(tmp_path: Path, text: str, wanted: str) -> None:
    put(tmp_path, "1.png", "2.png")
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(SourceError, match=wanted):
        read(tmp_path)
    # It is no reason to refuse images whose folders tell their classes.
    put(tmp_path / "f", "a/1.png", "b/2.png")
    (tmp_path / "f" / "t.csv").write_text(text.replace("patient", "age"))
    assert set(said(read(tmp_path / "f")).values()) == {"a", "b"}


def test_labels_in_folders_and_cases_in_a_table(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "a/2.png", "b/3.png", "b/4.png")
    text = "file,patient\n1.png,P1\n2.png,P2\n3.png,P2\n4.png,P3\n"
    (tmp_path / "t.csv").write_text(text)
    for plan in (read(tmp_path), read(tmp_path, table="t.csv")):
        assert list(said(plan).values()) == ["a", "a", "b", "b"]
        assert plan.columns["case"] == ["P1", "P2", "P2", "P3"]
        assert "read as path=file, case=patient, label=the folders" in plan.notes[0]
    # Images without a case would be lost: a question.
    (tmp_path / "t.csv").write_text(text[:-9])
    with pytest.raises(SourceError, match=r"t\.csv \(3 images; 2 .*; the folders \(4 images"):
        read(tmp_path)
    assert len(read(tmp_path, table="t.csv")) == 3


def test_levels_are_chosen_and_the_cases_are_in_a_table(tmp_path: Path) -> None:
    names = [f"Class {a}/{b}/{k}.png" for a in "AB" for b in ("high", "low") for k in range(4)]
    put(tmp_path, *names)
    (tmp_path / "t.csv").write_text(
        "path,patient\n" + "".join(f"{name},P{k // 2}\n" for k, name in enumerate(names))
    )
    with pytest.raises(SourceError, match=r"several ways.* A table: t\.csv has the columns path"):
        read(tmp_path)
    plan = read(tmp_path, levels="label/subtype")
    assert plan.classes == ["Class A", "Class B"]
    cases = dict(zip(plan.columns["source"], plan.columns["case"], strict=True))
    assert cases == {name: f"P{k // 2}" for k, name in enumerate(names)}
    assert "the cases are those of t.csv (patient)" in plan.notes


def test_the_folders_have_the_cases_and_a_table_the_same_classes(tmp_path: Path) -> None:
    names = [f"{a}/P{a}{k}/{a}{k}.png" for a in ("fat", "tumor") for k in range(9)]
    put(tmp_path, *names)
    text = "path,label\n" + "".join(f"{name},{int(name[0] == 't')}\n" for name in names)
    (tmp_path / "t.csv").write_text(text)
    plan = read(tmp_path)
    assert (plan.classes, len(set(plan.columns["case"]))) == (["fat", "tumor"], 18)
    assert "t.csv: the same classes as the folders, which have the cases" in plan.notes
    # A table that has nothing to add is told.
    (tmp_path / "t.csv").write_text(text.replace("label", "split"))
    notes = "\n".join(read(tmp_path).notes)
    assert "a table is not used: t.csv has the columns path, split" in notes


def test_labels_that_are_no_classes(tmp_path: Path) -> None:
    names = [f"{k}.png" for k in range(40)]
    put(tmp_path, *names)
    rows = "".join(f"{name},{k / 40}\n" for k, name in enumerate(names))
    (tmp_path / "t.csv").write_text(f"path,label\n{rows}")
    for source in (tmp_path, tmp_path / "t.csv"):
        with pytest.raises(SourceError, match=r"label has 40 values for 40 images .0.0, 0.025"):
            read(source)
        assert len(read(source, columns={"label": "label"}).classes) == 40


def test_names_that_a_table_shortens(tmp_path: Path) -> None:
    put(tmp_path, "train/1.png", "test/1.png", "train/b.c.png", "deep/a/2.png", "deep/b/2.png")
    (tmp_path / "t.csv").write_text(
        "id,label,split\n1,a,train\n1,b,test\nb.c,a,train\na/2,b,train\n/k/deep/b/2.png,a,test\n"
    )
    assert said(read(tmp_path / "t.csv")) == {
        "train/1.png": "a", "test/1.png": "b", "train/b.c.png": "a", "deep/a/2.png": "b",
        "deep/b/2.png": "a",
    }  # fmt: skip
    (tmp_path / "t.csv").write_text("id,label\n1,a\n2.png,b\nb.c,a\na/2.jpg,a\nx/a/2,a\n")
    plan = read(tmp_path / "t.csv")
    assert said(plan) == {"train/b.c.png": "a"}
    assert dict(plan.rejects) == {
        "1": "ambiguous name: fits test/1.png and train/1.png",
        "2.png": "ambiguous name: fits deep/a/2.png and deep/b/2.png",
        "a/2.jpg": "missing: no image of this name",
        "x/a/2": "missing: no image of this name",
    }


def test_listed_but_missing_and_there_but_not_listed(tmp_path: Path) -> None:
    put(tmp_path, "train/1.png", "train/2.png", "test/3.png", "test/4.png")
    (tmp_path / "t.csv").write_text("id,label\n1,a\n2,b\n9,a\n")
    with pytest.raises(RejectsError, match=r"1 of 3 images .* missing 1; the first is 9"):
        pack(tmp_path, tmp_path / "out" / "s")
    store = pack(tmp_path, tmp_path / "out" / "s", max_rejects=1)
    assert store.info["table"] == {
        "name": "t.csv", "columns": {"path": "id", "label": "label"}, "unused": [], "unlisted": 2,
    }  # fmt: skip
    assert "2 images in test/ are not in the table t.csv" in store.info["notes"]
    assert store.info["reject_reasons"] == {"missing": 1}
    # Paths that are where the table has them are read there, and their folders are looked at.
    (tmp_path / "u.csv").write_text("path,label\ntrain/1.png,a\ntest/3.png,b\n")
    plan = read(tmp_path / "u.csv")
    assert said(plan) == {"train/1.png": "a", "test/3.png": "b"}
    assert plan.notes == [
        "1 image in test/ is not in the table u.csv", "1 image in train/ is not in the table u.csv",
    ]  # fmt: skip


def test_one_image_with_two_labels(tmp_path: Path) -> None:
    put(tmp_path, "i/1.png", "i/2.png")
    for names in (("i/1.png", "i/1.png"), ("1", "i/1.png")):
        (tmp_path / "t.csv").write_text(f"path,label\n{names[0]},a\n{names[1]},b\n2,a\n")
        for source in (tmp_path, tmp_path / "t.csv"):
            with pytest.raises(SourceError, match=r"i/1\.png two labels, a and b \(line 3\)"):
                read(source)


def test_a_table_beside_its_images_or_in_their_zip(tmp_path: Path) -> None:
    folder = put(tmp_path / "f", "images/1.png", "images/2.png", "images/3.png")
    (folder / "t.csv").write_text("image;patient;diagnosis\n1;P1;b\n2;P2;a\n3;P2;b\n")
    # Of something else, or not of anything.
    (folder / "clinical.csv").write_text("patient,diagnosis,target,age\nP1,b,0,50\nP2,a,0,60\n")
    (folder / "notes.csv").write_bytes(b"\xff\xfe\0")
    (folder / "mine.store.split.csv").write_text("# eosin split 1\ncase,part\n1,train\n")
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, path.relative_to(folder))
    for source in (folder, tmp_path / "f.zip"):
        plan = read(source)
        assert said(plan) == {"images/1.png": "b", "images/2.png": "a", "images/3.png": "b"}
        assert plan.columns["case"] == ["P1", "P2", "P2"]
        assert plan.layout.name == "manifest"
        assert plan.notes[0] == (
            "the columns of t.csv are read as path=image, label=diagnosis, case=patient"
        )
    before = origin_of(folder)
    (folder / "t.csv").write_text("image;patient;diagnosis\n1;P1;a\n2;P2;a\n3;P2;b\n")
    assert origin_of(folder) != before
    assert set(said(read(folder, include=["*/[12].png"]))) == {"images/1.png", "images/2.png"}
    (folder / "t.csv").unlink()
    with pytest.raises(SourceError, match="no level of the folders"):
        read(folder)


def test_folders_and_a_table_that_differ(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/2.png", "b/3.png")
    (tmp_path / "t.csv").write_text("path,label,case\na/1.png,x,P1\nb/2.png,x,P2\nb/3.png,y,P3\n")
    wanted = (
        r"2 ways: the table t\.csv \(3 images; 2 classes: x, y\); the folders \(3 images; "
        r"2 classes: a, b\)\. Choose one with --table t\.csv or --layout folders"
    )
    with pytest.raises(SourceError, match=wanted):
        read(tmp_path)
    assert said(read(tmp_path, layout="folders"))["b/2.png"] == "b"
    for options in ({"table": "t.csv"}, {"layout": "manifest"}):
        assert said(read(tmp_path, **options))["b/2.png"] == "x"
    # One that agrees adds its cases.
    (tmp_path / "t.csv").write_text("path,label,case\na/1.png,x,P1\nb/2.png,y,P2\nb/3.png,y,P3\n")
    plan = read(tmp_path)
    assert (plan.classes, plan.columns["case"]) == (["x", "y"], ["P1", "P2", "P3"])
    # A table that is elsewhere.
    (tmp_path / "t.csv").rename(tmp_path / "b" / "other.csv")
    (tmp_path / "c").mkdir()
    (tmp_path / "b" / "other.csv").rename(tmp_path / "c" / "other.csv")
    with pytest.raises(SourceError, match=r"--table no\.csv: no such file"):
        read(tmp_path, table="no.csv")
    with zipfile.ZipFile(tmp_path / "c" / "i.zip", "w") as archive:
        for name in ("a/1.png", "b/2.png", "b/3.png"):
            archive.write(tmp_path / name, name)
    plan = read(tmp_path / "c" / "i.zip", table=tmp_path / "c" / "other.csv")
    assert said(plan) == {"a/1.png": "x", "b/2.png": "y", "b/3.png": "y"}


def test_the_layout_decides_what_is_looked_at(tmp_path: Path) -> None:
    put(tmp_path / "f", "a/1.png", "b/2.png")
    table = pl.DataFrame({"image_path": ["a/1.png", "b/2.png"], "class": ["x", "y"]})
    table.write_parquet(tmp_path / "f" / "t.parquet")
    assert said(read(tmp_path / "f" / "t.parquet")) == {"a/1.png": "x", "b/2.png": "y"}
    assert said(read(tmp_path / "f", table="t.parquet")) == {"a/1.png": "x", "b/2.png": "y"}
    table.write_csv(tmp_path / "f" / "t.csv")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for name in ("a/1.png", "b/2.png", "t.csv"):
            archive.write(tmp_path / "f" / name, name)
    for source in (tmp_path / "z.zip", tmp_path / "f"):
        assert said(read(source, layout="manifest")) == {"a/1.png": "x", "b/2.png": "y"}
        with pytest.raises(SourceError, match="is not of layout webdataset"):
            read(source, layout="webdataset")
        with pytest.raises(SourceError, match="choose one of --table"):
            read(source, layout="folders", table="t.csv")
        with pytest.raises(SourceError, match="--column is for tables"):
            read(source, layout="folders", columns={"case": "class"})


def test_several_tables(tmp_path: Path) -> None:
    put(tmp_path, "i/1.png", "i/2.png", "i/3.png", "i/4.png")
    (tmp_path / "u.csv").write_text("file,target\n1,0\n2,1\n3,0\n4,1\n")
    (tmp_path / "t.csv").write_text("file,label,patient\n1,n,A\n2,t,B\n3,n,C\n4,t,D\n")
    plan = read(tmp_path)
    assert (plan.classes, plan.columns["case"]) == (["n", "t"], ["A", "B", "C", "D"])
    assert "u.csv says the same as t.csv or less" in plan.notes
    (tmp_path / "u.csv").write_text("file,target\n1,0\n2,0\n3,0\n4,1\n")
    with pytest.raises(SourceError, match=r"Choose one with --table t\.csv or --table u\.csv"):
        read(tmp_path)
    assert said(read(tmp_path, table="u.csv"))["i/2.png"] == "0"


def test_a_table_a_part(tmp_path: Path) -> None:
    put(tmp_path, "train/1.png", "train/2.png", "test/1.png", "test/3.png")
    (tmp_path / "train.csv").write_text("id,label\n1,0\n2,1\n")
    (tmp_path / "test.csv").write_text("id,label\n1,1\n3,0\n")
    plan = read(tmp_path)
    assert said(plan) == {
        "train/1.png": "0", "train/2.png": "1", "test/1.png": "1", "test/3.png": "0",
    }  # fmt: skip
    parts = dict(zip(plan.columns["source"], plan.columns["part"], strict=True))
    assert parts == {name: name.partition("/")[0] for name in parts}
    # A form for answers has no labels, whatever stands in it.
    (tmp_path / "test.csv").rename(tmp_path / "sample_submission.csv")
    plan = read(tmp_path)
    assert said(plan) == {"train/1.png": "0", "train/2.png": "1"}
    assert set(plan.columns["part"]) == {""}
    assert any("its labels are answers or places" in note for note in plan.notes)


def test_columns_that_a_person_chooses(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png")
    (tmp_path / "t.csv").write_text("pic,grade,block,label\n1,I,B1,z\n2,II,B2,z\n")
    columns = {"path": "pic", "label": "grade", "case": "block"}
    store = pack(tmp_path / "t.csv", tmp_path / "s", columns=columns)
    assert (store.classes, store.cases.tolist()) == (("I", "II"), ["B1", "B2"])
    assert store.info["table"]["columns"] == columns
    assert store.info["table"]["unused"] == ["label"]
    for source in (tmp_path, tmp_path / "t.csv"):
        with pytest.raises(SourceError, match=r"--column case=blok: .* did you mean block\?"):
            read(source, columns={"case": "blok"})
        with pytest.raises(SourceError, match=r"--column patient=block: unknown role"):
            read(source, columns={"patient": "block"})
    with pytest.raises(SourceError, match=r"none is the path .* --column path=NAME"):
        read(tmp_path / "t.csv", columns={"case": "pic"})


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_the_image_folders_of_datasets(tmp_path: Path, kind: str) -> None:
    put(tmp_path, "train/1.png", "train/2.png", "test/1.png")
    for part, rows in (("train", [("1.png", "a"), ("2.png", "b")]), ("test", [("1.png", "b")])):
        table = pl.DataFrame(rows, schema=["file_name", "label"], orient="row")
        file = tmp_path / part / f"metadata.{kind}"
        if kind == "csv":
            table.write_csv(file)
        elif kind == "parquet":
            table.write_parquet(file)
        else:
            file.write_text("".join(json.dumps(row) + "\n" for row in table.rows(named=True)))
    plan = read(tmp_path)
    assert said(plan) == {"train/1.png": "a", "train/2.png": "b", "test/1.png": "b"}
    parts = dict(zip(plan.columns["source"], plan.columns["part"], strict=True))
    assert parts == {"train/1.png": "train", "train/2.png": "train", "test/1.png": "test"}


def test_made_up_images_stay_made_up(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png")
    (tmp_path / "t.csv").write_text("id,label\n1,a\n2,b\n")
    (tmp_path / "MADE_UP.txt").write_text("drawn")
    assert read(tmp_path).made_up
    assert read(tmp_path / "t.csv").made_up


def test_the_command(tmp_path: Path, eosin: Any) -> None:
    put(tmp_path, "i/1.png", "i/2.png", "i/3.png")
    (tmp_path / "t.csv").write_text("file,class,grade,age\n1,a,I,5\n2,b,II,6\n3,b,I,7\n")
    shown = eosin("pack", tmp_path, tmp_path / "s", "--column", "label=grade", "--table", "t.csv")
    assert shown.code == 0
    text = " ".join((shown.out + shown.err).split())
    assert "the columns of t.csv are read as path=file, label=grade" in text
    assert "columns of t.csv that are not used: class, age" in text
    (tmp_path / "t.csv").write_text("file,class\n1,a\n1,b\n2,b\n")
    shown = eosin("pack", tmp_path, tmp_path / "u")
    assert shown.code == 2
    assert "t.csv gives 1 two labels, a and b (line 3)" in shown.err
    assert not (tmp_path / "u").exists()
    shown = eosin("pack", tmp_path, tmp_path / "u", "--column", "grade")
    assert (shown.code, "use ROLE=NAME once a role" in shown.err) == (2, True)
