"""Arrays and tables in files of any origin: what cannot be read is a ValueError, however broken."""

from __future__ import annotations

import tokenize
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import polars as pl

from eosin.errors import first_line

#: How NumPy refuses the header of an array, which it reads as a value of Python's.
BAD_HEADER = (
    ValueError, TypeError, SyntaxError, KeyError, AttributeError, OverflowError, RecursionError,
    MemoryError, tokenize.TokenError,
)  # fmt: skip
#: How polars refuses a Parquet file; a panic is what it did not expect itself.
BAD_TABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException)

#: What a column has to be: integers, floating-point numbers or texts.
Column = Literal["int", "float", "text"]
_GIVEN = {"int": pl.Int64, "float": pl.Float64, "text": pl.String}
_TAKEN = {
    "int": (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32),
    "float": (pl.Float32, pl.Float64),
    "text": (pl.String,),
}
#: The columns of predictions.parquet besides p_CLASS, which are numbers.
PREDICTIONS: dict[str, Column] = {
    "patch": "int", "label": "int", "x": "int", "y": "int", "case": "text", "part": "text",
    "slide": "text", "source": "text", "threshold": "float", "distance": "float",
}  # fmt: skip


def read_npy(path: Path, *, mapped: bool = False) -> npt.NDArray[Any]:
    """The array of an .npy file; mapped: memory-mapped, for reading.

    Raises OSError where the file cannot be opened, ValueError where it is damaged or would need
    pickle.
    """
    try:
        array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except EOFError as error:
        raise ValueError(first_line(error)) from None
    except BAD_HEADER as error:
        raise ValueError(first_line(error)) from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise ValueError("it is an archive of arrays, not one array")
    return array


def read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an .npz file by name; OSError and ValueError as ``read_npy`` has them."""
    try:
        # NumPy itself would leave a damaged file open.
        with open(path, "rb") as opened:
            file = np.load(opened, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise ValueError("it is one array, not an archive of arrays")
            return {name: file[name] for name in file.files}
    except (EOFError, BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise ValueError(first_line(error)) from None
    except BAD_HEADER as error:
        raise ValueError(first_line(error)) from None


def read_parquet(path: Path, columns: Mapping[str, Column] | None = None) -> pl.DataFrame:
    """The table of a Parquet file.

    columns: what each of these has to be, where the table has it; another type is converted. Raises
    OSError where the file cannot be opened, ValueError where it is damaged or a value does not fit.
    """
    try:
        table = pl.read_parquet(path)
        return table.with_columns(
            pl.col(name).cast(_GIVEN[kind])
            for name, kind in (columns or {}).items()
            if name in table.columns and table.schema[name] not in _TAKEN[kind]
        )
    except BAD_TABLE as error:
        raise ValueError(first_line(error)) from None


def read_predictions(path: Path) -> pl.DataFrame:
    """predictions.parquet with its columns as they have to be; errors as ``read_parquet``."""
    table = read_parquet(path, PREDICTIONS)
    numbers = [name for name in table.columns if name.startswith("p_")]
    wrong = [name for name in numbers if table.schema[name] not in _TAKEN["float"]]
    try:
        return table.with_columns(pl.col(name).cast(pl.Float64) for name in wrong)
    except BAD_TABLE as error:
        raise ValueError(first_line(error)) from None
