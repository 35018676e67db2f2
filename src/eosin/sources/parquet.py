"""Images inside Parquet files, as Hugging Face ``datasets`` writes them: bytes in a column.

Only some rows are in memory at a time; the other columns are a table.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from eosin.errors import ImageError, SourceError, first_line
from eosin.sources.archives import MAX_BYTES, Files
from eosin.sources.arrays import in_order
from eosin.sources.files import BAD_TABLE
from eosin.sources.layouts import plainly
from eosin.sources.tables import ROLES, Table, as_text, squeezed
from eosin.texts import from_json

#: Rows that are read together: so many bytes about, and so many rows at most; and such blocks kept.
#: Each access decodes a row group, which may be the whole file: smaller blocks take minutes then.
_BLOCK_BYTES, _BLOCK_ROWS, _BLOCKS = 64 << 20, 1 << 14, 3


class ParquetFiles(Files):
    """The images of Parquet files with equal columns, by the number of their row.

    column: the one with the images, or None for the only one (or that of a usual name). Raises
    SourceError for a file that is damaged or has no such column.
    """

    together = 20

    def __init__(
        self,
        path: Path,
        shards: Sequence[Path],
        *,
        column: str | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        super().__init__(path, max_bytes=max_bytes)
        root = path if path.is_dir() else path.parent
        names = {shard.relative_to(root).as_posix(): shard for shard in shards}
        self.shards = [(name, names[name]) for name in in_order(names)]
        self.starts: list[int] = []
        self.steps: list[int] = []
        with _reading(self.shards[0][0]):
            schema = pl.read_parquet_schema(self.shards[0][1])
        self.column = _image_column(path, dict(schema), column)
        for name, shard in self.shards:
            with _reading(name):
                if pl.read_parquet_schema(shard).get(self.column) != schema[self.column]:
                    raise SourceError(f"{name} has no column {self.column} as {self.shards[0][0]}")
                count = pl.scan_parquet(shard).select(pl.len()).collect().item()
            self.starts.append(len(self.names))
            mean = 1 + shard.stat().st_size // max(1, count)
            self.steps.append(max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // mean)))
            self.names += [f"{name}#{k}" for k in range(count)]
        self._kind = schema[self.column]
        self._blocks: OrderedDict[tuple[int, int], list[bytes | None]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, i: int) -> bytes:
        """The bytes of the image in row i of all files."""
        shard = next(k for k in reversed(range(len(self.starts))) if self.starts[k] <= i)
        step = self.steps[shard]
        block, row = divmod(i - self.starts[shard], step)
        with self._lock:
            if (shard, block) not in self._blocks:
                self._blocks[shard, block] = self._load(shard, block * step, step)
                if len(self._blocks) > _BLOCKS:
                    self._blocks.popitem(last=False)
            self._blocks.move_to_end((shard, block))
            rows = self._blocks[shard, block]
        data = rows[row] if row < len(rows) else None
        if not data:
            raise ImageError("empty: the row has no bytes of an image")
        if len(data) > self.max_bytes:
            raise ImageError(f"too many bytes: {len(data)}, more than {self.max_bytes}")
        return data

    def _load(self, shard: int, start: int, count: int) -> list[bytes | None]:
        values = pl.col(self.column)
        if isinstance(self._kind, pl.Struct):
            values = values.struct.field("bytes")
        try:
            with _reading(self.shards[shard][0]):
                table = pl.scan_parquet(self.shards[shard][1]).select(values.alias("bytes"))
                return table.slice(start, count).collect()["bytes"].to_list()
        except SourceError as error:
            raise ImageError(f"unreadable: {error}") from None

    def same_bytes(self, i: int, j: int) -> bool:
        """Nothing is known without reading."""
        return True

    def table(self) -> Table:
        """The other columns of all files, a row an image; ``image`` has the names of the images."""
        columns: dict[str, list[str]] = {}
        stops = [*self.starts[1:], len(self.names)]
        for k, (label, shard) in enumerate(self.shards):
            other = _texts(label, shard, leave=self.column)
            count = stops[k] - self.starts[k]
            for name in other:
                columns.setdefault(name, [""] * self.starts[k])
            for name, values in columns.items():
                values += other.get(name, [""] * count)
        columns[self.column] = list(self.names)
        return Table(self.path.name, columns, self.names)

    def classes(self) -> dict[str, list[str]]:
        """Column -> the names of its classes in order, of those that have names."""
        return _class_names(self.shards[0][1])

    def missing(self) -> list[str]:
        """Names of files that should be there, by the numbers in the names of those that are."""
        names = {name for name, _ in self.shards}
        wanted = set()
        for name in names:
            match = re.fullmatch(r"(.*-)(\d{5})-of-(\d{5})(\.parquet)", name, re.I)
            if match is not None:
                head, _, count, tail = match.groups()
                wanted |= {
                    f"{head}{k:05d}-of-{count}{tail}" for k in range(min(int(count), 10_000))
                }
        return sorted(wanted - names)


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    """Whatever polars says of a damaged file as one sentence."""
    try:
        yield
    except (*BAD_TABLE, OSError, ValueError) as error:
        why = plainly(first_line(error))
        raise SourceError(f"{name} cannot be read as Parquet: {why}") from None


def _is_image(kind: Any) -> bool:
    if isinstance(kind, pl.Struct):
        return {field.name: field.dtype for field in kind.fields}.get("bytes") == pl.Binary
    return bool(kind == pl.Binary)


def _image_column(path: Path, schema: dict[str, Any], chosen: str | None) -> str:
    fitting = [name for name, kind in schema.items() if _is_image(kind)]
    usual = [name for name in fitting if squeezed(name) in ROLES["path"]]
    if chosen is not None and chosen in fitting:
        return chosen
    if len(fitting) == 1 or len(usual) == 1:
        return (usual or fitting)[0]
    if fitting:
        raise SourceError(
            f"{path} has images in the columns {plainly(', '.join(fitting))}; choose one with "
            f"--column path={fitting[0]}"
        )
    raise SourceError(
        f"{path} has no column with the bytes of images; it has {plainly(', '.join(schema))}"
    )


def has_images(path: Path) -> bool:
    """Whether a Parquet file has a column of bytes; SourceError where it is damaged."""
    with _reading(str(path)):
        return any(map(_is_image, pl.read_parquet_schema(path).values()))


def parquet_table(name: str, data: bytes) -> Table:
    """All columns of values of a Parquet file as a table."""
    columns = _texts(name, data)
    count = max(map(len, columns.values()), default=0)
    return Table(name, columns, [f"row {k}" for k in range(1, count + 1)])


def _texts(name: str, file: Path | bytes, leave: str = "") -> dict[str, list[str]]:
    with _reading(name):
        schema = pl.read_parquet_schema(file)
        plain = [
            column for column, kind in schema.items()
            if column != leave and not kind.is_nested() and kind != pl.Binary
        ]  # fmt: skip
        table = pl.read_parquet(file, columns=plain) if plain else pl.DataFrame()
    columns = {column: [as_text(value) for value in table[column].to_list()] for column in plain}
    for column, names in _class_names(file).items():
        if column in columns:
            columns[column] = [_class_of(name, column, text, names) for text in columns[column]]
    return columns


def _class_of(name: str, column: str, text: str, names: Sequence[str]) -> str:
    if text in ("", "-1"):
        return ""
    if not text.isdigit() or int(text) >= len(names):
        raise SourceError(f"{name}: {column} contains {plainly(text)}; it has {len(names)} classes")
    return names[int(text)]


def _class_names(file: Path | bytes) -> dict[str, list[str]]:
    """The names of the classes that ``datasets`` wrote into a Parquet file, by column."""
    try:
        known = from_json(pl.read_parquet_metadata(file).get("huggingface", "{}"))
        features = known.get("info", {}).get("features", {})
        return {
            column: [str(name) for name in feature["names"]]
            for column, feature in features.items()
            if isinstance(feature, dict) and isinstance(feature.get("names"), list)
        }
    except (ValueError, AttributeError, RecursionError, OSError, pl.exceptions.PolarsError):
        return {}
