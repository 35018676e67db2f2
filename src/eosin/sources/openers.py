"""From a path to the files in it: a folder, a zip, a tar, Parquet files, or shards of these."""

from __future__ import annotations

import zipfile
from pathlib import Path

from eosin.errors import SourceError
from eosin.sources import nested
from eosin.sources.archives import Files
from eosin.sources.arrays import in_order
from eosin.sources.layouts import LAYOUTS, Layout
from eosin.sources.members import is_image_name, is_slide
from eosin.sources.parquet import ParquetFiles, has_images
from eosin.sources.tables import Table
from eosin.sources.tars import is_tar_name, open_tars, records_of


class Records:
    """What an archive says of its images: a table, its layout and the column of the names."""

    def __init__(self, table: Table, layout: Layout, path: str, notes: list[str]) -> None:
        self.table, self.layout, self.path, self.notes = table, layout, path, notes


def open_files(
    source: Path, *, scratch: Path | None, max_bytes: int, column: str | None = None
) -> tuple[Files, Records | None]:
    """The files of a source, and the records that belong to them where it has some.

    scratch: a folder for the temporary file of a packed tar. column: the column of the images in
    Parquet files. Raises SourceError for what is none of these or is damaged.
    """
    if source.is_dir():
        files = nested.open_files(source, max_bytes=max_bytes, scratch=scratch)
        if any(map(is_image_name, files.names)):
            return files, None
        tables = [source / name for name in files.names if _is_parquet(source / name)]
        if tables:
            return _parquet(source, tables, column, max_bytes)
        names = [name for name in files.names if is_tar_name(name) and "/" not in name]
        shards = [source / name for name in in_order(names)]
        return _tars(source, shards, scratch, max_bytes) if shards else (files, None)
    if source.suffix.lower() == ".parquet":
        return _parquet(source, [source], column, max_bytes)
    if is_tar_name(source.name):
        return _tars(source, [source], scratch, max_bytes)
    _check_zip(source)
    return nested.open_files(source, max_bytes=max_bytes, scratch=scratch), None


def is_archive(source: Path) -> bool:
    """Whether a file is a zip or a tar."""
    return is_tar_name(source.name) or zipfile.is_zipfile(source)


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet" and has_images(path)


def _parquet(
    source: Path, tables: list[Path], column: str | None, max_bytes: int
) -> tuple[Files, Records]:
    files = ParquetFiles(source, tables, column=column, max_bytes=max_bytes)
    layout, notes = LAYOUTS["parquet"], []
    if missing := files.missing():
        notes.append(f"{len(missing)} files of the set are missing, the first is {missing[0]}")
    return files, Records(files.table(), layout, files.column, notes)


def _tars(
    source: Path, shards: list[Path], scratch: Path | None, max_bytes: int
) -> tuple[Files, Records | None]:
    files = open_tars(source, shards, scratch=scratch, max_bytes=max_bytes)
    try:
        table = records_of(files)
    except BaseException:
        files.close()
        raise
    webdataset = LAYOUTS["webdataset"]
    return files, None if table is None else Records(table, webdataset, "member", [])


def _check_zip(source: Path) -> None:
    if source.suffix.lower() in (".xlsx", ".xls", ".ods"):
        raise SourceError(f"{source} is a spreadsheet: save its table as CSV and pack that file")
    try:
        with open(source, "rb") as file:
            start = file.read(4)
    except OSError as error:
        raise SourceError(f"{source} cannot be opened: {error.strerror}") from None
    if start[:2] == b"PK" or source.suffix.lower() == ".zip":
        return
    if source.suffix.lower() in (".gz", ".7z", ".rar", ".bz2", ".xz", ".zst"):
        raise SourceError(f"{source}: {source.suffix} is not read; unpack it and pack the folder")
    raise SourceError(
        f"{source} is a whole slide: export its tiles, or label patches of it with --annotations"
        if is_slide(source.name)
        else f"{source} begins with {start!r}: neither a zip, a tar nor a folder, CSV, Parquet, "
        "npz, IDX or HDF5 file"
    )
