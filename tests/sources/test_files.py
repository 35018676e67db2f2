"""Arrays and tables of any origin: whatever is wrong with a file, reading it is a ValueError."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eosin.sources.files import read_npy, read_npz, read_parquet, read_predictions


def npy(header: str) -> bytes:
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + bytes(64)


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        pickle.dumps([1]),
        npy("{'descr': '|u1', {\n"),
        npy("(" * 90 + ")" * 90),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}\n"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,)}\n"),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n"),
        npy("{'descr': 'x9', 'fortran_order': False, 'shape': (1,)}\n"),
    ],
)
def test_an_array_with_a_wrong_header_is_refused(
    tmp_path: Path, content: bytes, mapped: bool
) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r".+"):
        read_npy(tmp_path / "a.npy", mapped=mapped)


def test_archives_of_arrays_are_no_array_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(3))
    assert read_npz(path)["x"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="archive"):
        read_npy(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", npy("{'descr': '|u1', {\n"))
    with pytest.raises(ValueError, match=r".+"):
        read_npz(path)
    path.write_bytes(b"PK\3\4")
    with pytest.raises(ValueError, match=r".+"):
        read_npz(path)


def test_the_columns_of_predictions_have_their_kind_or_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    good = pl.DataFrame({"patch": [0, 1], "label": [0, 1], "case": ["1", "2"], "p_a": [0.5, 1.0]})
    other = good.with_columns(
        pl.col("label").cast(pl.Int128),
        pl.col("case").cast(pl.Int64),
        pl.col("p_a").cast(pl.String),
    )
    other.write_parquet(path)
    table = read_predictions(path)
    assert table.equals(good)
    assert table.schema == good.schema
    good.with_columns(label=pl.Series(["x", "y"])).write_parquet(path)
    with pytest.raises(ValueError, match="label"):
        read_predictions(path)
    path.write_bytes(b"PAR1" + bytes(40) + b"PAR1")
    with pytest.raises(ValueError, match=r".+"):
        read_parquet(path)
