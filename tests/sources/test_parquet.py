"""Parquet files with images inside, as Hugging Face datasets writes them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from eosin.data.pack import pack
from eosin.errors import ImageError, SourceError
from eosin.sources.detect import open_source
from eosin.sources.parquet import ParquetFiles

NAMES = ["tumor", "normal", "never"]


def png(value: int, size: int = 4) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), value, np.uint8)).save(out, "PNG")
    return out.getvalue()


def write(path: Path, labels: list[Any], *, named: bool = True, **columns: list[Any]) -> Path:
    images = [{"bytes": png(k), "path": f"{k}.png"} for k in range(len(labels))]
    table = pl.DataFrame({"image": images, "label": labels, **columns})
    feature = {"names": NAMES, "_type": "ClassLabel"}
    known = {"info": {"features": {"image": {"_type": "Image"}, "label": feature}}}
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(
        path, row_group_size=50, metadata={"huggingface": json.dumps(known)} if named else None
    )
    return path


def test_one_file(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.parquet", [0, 1, 1, 0], patient_id=["A", "B", "B", None], age=[1] * 4
    )
    store = pack(path, tmp_path / "s")
    assert store.info["layout"] == "parquet"
    assert store.classes == ("normal", "tumor")
    assert [store.classes[label] for label in store.labels] == [
        "tumor",
        "normal",
        "normal",
        "tumor",
    ]
    assert store.cases.tolist() == ["A", "B", "B", ""]
    assert store.patches[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert store.index["source"].to_list() == [f"p.parquet#{k}" for k in range(4)]
    assert store.info["table"]["unused"] == ["age"]
    plain = pack(write(tmp_path / "q.parquet", [0, 1], named=False), tmp_path / "t")
    assert (plain.classes, plain.labels.tolist()) == (("0", "1"), [0, 1])


def test_shards_with_parts(tmp_path: Path) -> None:
    for k in range(2):
        write(tmp_path / "d" / "data" / f"train-0000{k}-of-00002.parquet", [k] * 130)
    write(tmp_path / "d" / "data" / "test-00000-of-00002.parquet", [1, 0])
    (tmp_path / "d" / "README.md").write_text("about")
    store = pack(tmp_path / "d", tmp_path / "s", workers=3)
    assert store.index["part"].to_list() == ["train"] * 260 + ["test"] * 2
    assert store.patches[:, 0, 0, 0].tolist() == [*range(130), *range(130), 0, 1]
    assert store.index["source"][130] == "data/train-00001-of-00002.parquet#0"
    assert (
        "1 files of the set are missing, the first is data/test-00001-of-00002.parquet"
        in (store.info["notes"])
    )
    assert len(pack(tmp_path / "d", tmp_path / "t", include=["*train-00000*"])) == 130


def test_rows_in_any_order_are_the_rows_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eosin.sources.parquet._BLOCK_ROWS", 7)
    path = write(tmp_path / "p.parquet", [0] * 200)
    files = ParquetFiles(path, [path], max_bytes=200)
    for i in np.random.default_rng(0).permutation(200).tolist():
        assert files.read(i) == png(i)
    files.max_bytes = 10
    with pytest.raises(ImageError, match="too many bytes"):
        files.read(0)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "p.parquet", [0, 5])
    with pytest.raises(SourceError, match="label contains 5; it has 3 classes"):
        open_source(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SourceError, match=r"p\.parquet cannot be read as Parquet"):
        open_source(path)
    pl.DataFrame({"a": [b"1"], "b": [b"2"], "label": [1]}).write_parquet(path)
    with pytest.raises(SourceError, match=r"columns a, b; choose one with --column path=a"):
        open_source(path)
    plan = open_source(path, columns={"path": "b"})
    assert len(plan) == 1
    pl.DataFrame({"image": ["1.png"]}).write_parquet(path)
    with pytest.raises(SourceError, match="none is the label of the images"):
        open_source(path)
    # Rows without a class, as in a hidden test part, are counted.
    store = pack(write(path, [0, -1, 1, None]), tmp_path / "s", max_rejects=2)
    assert (len(store), store.info["reject_reasons"]) == (2, {"incomplete row": 2})
    pl.DataFrame({"image": [png(1), None, b""], "label": ["a", "b", "b"]}).write_parquet(path)
    store = pack(path, tmp_path / "t", max_rejects=2)
    assert store.info["reject_reasons"] == {"empty": 2}
