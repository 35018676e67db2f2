"""CSV, TSV, JSON lines and Parquet tables with columns, cells and types that do not fit."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

from hostile import damage

CELLS = (
    "", " ", "0", "-1", "1e400", "nan", "NULL", "None", "true", "99999999999999999999", "1.5",
    "../../x", "/etc/hostname", "a\0b", 'a"b', "a,b", "a\nb", "\U0001f600", "x" * 20_000, "=1+1",
    "[red]", "train", "test", "val", "TRAIN ", "negative", "\ufeff", "1_000", "0x10", "é",
    "\x1b[2J",
)  # fmt: skip
HEADS = ("", "path", "label", "case", "part", "x", "y", "source", "patch", "a b", "LABEL", "é",
         "fold",
         "0", "path ", "label_name", "image", "class", "[b]", "y" * 3000)  # fmt: skip


def hostile_csv(rng: random.Random, text: str, separator: str = ",") -> tuple[bytes, str]:
    """A table as text with damage to its cells, columns, rows, comments, quotes or encoding."""
    comments = [line for line in text.splitlines() if line.startswith("#")]
    rows = [line.split(separator) for line in text.splitlines() if not line.startswith("#")]
    done = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        draw = rng.randrange(13)
        row = rng.choice(rows) if rows else []
        at = rng.randrange(len(row)) if row else 0
        if draw < 3 and row:
            row[at] = rng.choice(CELLS)
            done.append(f"a cell is {row[at][:20]!r}")
        elif draw == 3 and rows and rows[0]:
            head = rng.randrange(len(rows[0]))
            rows[0][head] = rng.choice(HEADS)
            done.append(f"column {head} is named {rows[0][head][:20]!r}")
        elif draw == 4 and rows and rows[0]:
            column = rng.randrange(len(rows[0]))
            value = rng.choice(CELLS)
            for each in rows[1:]:
                each[column : column + 1] = [value]
            done.append(f"column {column} is {value[:20]!r}")
        elif draw == 5 and row:
            rng.choice((row.clear, lambda row=row: row.append("x"), row.pop))()
            done.append("a row of another width")
        elif draw == 6 and rows:
            rows[1:] = rows[1:] * rng.choice((0, 2, 50))
            done.append("rows again, or none")
        elif draw == 7 and rows:
            column = rng.randrange(max(len(rows[0]), 1))
            for each in rows:
                each[column : column + 1] = (
                    [] if rng.random() < 0.9 else each[column : column + 1] * 2
                )
            done.append(f"column {column} taken out")
        elif draw == 8 and comments:
            k = rng.randrange(len(comments))
            name = comments[k].partition(":")[0]
            comments[k] = rng.choice(
                (f"{name}: {rng.choice(CELLS)}", "#", name, comments[k] * 2, "")
            )
            done.append(f"comment {comments[k][:30]!r}")
        elif draw == 9:
            rng.shuffle(rows)
            done.append("rows in disorder")
        elif draw == 10 and comments:
            del comments[rng.randrange(len(comments))]
            done.append("a comment is gone")
        elif draw == 11 and row:
            row[at] = '"' + row[at]
            done.append("a quote that does not end")
    lines = comments + [separator.join(row) for row in rows]
    made = rng.choice(("\n", "\n", "\n", "\r\n", "\r", "\n\n")).join(lines)
    data = made.encode("utf-8", "surrogatepass")
    draw = rng.random()
    if draw < 0.12:
        data, words = damage.bytes_of(rng, data)
        done.append(words)
    elif draw < 0.2:
        encoding = rng.choice(("utf-16", "utf-8-sig", "utf-32", "cp500"))
        data = made.encode(encoding, "replace")
        done.append(encoding)
    return data, "; ".join(done)


def manifest(rng: random.Random, folder: Path, names: list[str]) -> tuple[str, str]:
    """A table of images beside them; (its name, what was done)."""
    rows = ["path,label,case,x,y,part"]
    for k, name in enumerate(names):
        part = ("train", "val", "test")[k // 4 % 3]
        rows.append(f"{name},{('negative', 'positive')[k % 2]},case{k // 4},{k * 32},0,{part}")
    draw = rng.random()
    if draw < 0.2:
        import json

        heads = rows[0].split(",")
        text = "\n".join(
            json.dumps(dict(zip(heads, row.split(","), strict=True))) for row in rows[1:]
        )
        data, words = damage.lines_of(rng, text, damage.json_of)
        name = "list.jsonl"
    elif draw < 0.35:
        data, words = hostile_csv(rng, "\n".join(rows).replace(",", "\t"), "\t")
        name = "list.tsv"
    else:
        data, words = hostile_csv(rng, "\n".join(rows))
        name = "list.csv"
    (folder / name).write_bytes(data)
    return name, f"{name}: {words}"


def hostile_parquet(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """A Parquet file whose columns have other types, names, values or rows, or damaged bytes."""
    import polars as pl

    if rng.random() < 0.25:
        return damage.bytes_of(rng, data)
    table = pl.read_parquet(data)
    done = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        if not table.width:
            break
        name = rng.choice(table.columns)
        table, words = _column(rng, table, name)
        done.append(f"{name[:20]}: {words}")
    stream = io.BytesIO()
    table.write_parquet(stream)
    return stream.getvalue(), "; ".join(done)


def _column(rng: random.Random, table: Any, name: str) -> tuple[Any, str]:
    import polars as pl

    column = table[name]
    draw = rng.randrange(12)
    if draw < 3:
        kind = rng.choice(
            (pl.String, pl.Int64, pl.Int8, pl.UInt64, pl.Float32, pl.Float64, pl.Boolean, pl.Null,
             pl.List(pl.String), pl.Date, pl.Binary, pl.Categorical, pl.Int128)
        )  # fmt: skip
        try:
            changed = column.cast(kind, strict=False)
        except Exception:
            changed = pl.Series(name, [None] * table.height)
        return table.with_columns(changed.alias(name)), f"of type {kind}"
    if draw == 3:
        return table.drop(name), "taken out"
    if draw == 4:
        new = rng.choice((*HEADS[:8], f"{name} ", "x" * 300))
        if new in table.columns:
            return table.drop(new).rename({name: new}), f"now {new!r}"
        return table.rename({name: new}), f"now {new[:20]!r}"
    if draw == 5:
        rows = rng.choice((table[:0], table[:1], pl.concat([table, table]), table.reverse()))
        return rows, f"{rows.height} rows"
    if draw == 6:
        values = column.to_list()
        for k in rng.sample(range(len(values)), min(len(values), rng.choice((1, 5)))):
            values[k] = None
        return table.with_columns(pl.Series(name, values, dtype=column.dtype)), "nulls in it"
    if column.dtype.is_float() or column.dtype.is_integer():
        wild = (0, -1, 2**31, 2**62, -(2**62), 255, 7) if column.dtype.is_integer() else (
            float("nan"), float("inf"), -1.0, 1e308, 2.0
        )  # fmt: skip
        values, value = column.to_list(), rng.choice(wild)
        for k in rng.sample(range(len(values)), min(len(values), rng.choice((1, 5, 10**6)))):
            values[k] = value
        kind = pl.Float64 if column.dtype.is_float() else pl.Int64
        return table.with_columns(pl.Series(name, values, dtype=kind)), f"values {value}"
    if column.dtype == pl.String:
        values, value = column.to_list(), rng.choice(CELLS)
        for k in rng.sample(range(len(values)), min(len(values), rng.choice((1, 5, 10**6)))):
            values[k] = value
        return table.with_columns(pl.Series(name, values)), f"texts {value[:20]!r}"
    if column.dtype == pl.Binary:
        values = column.to_list()
        for k in rng.sample(range(len(values)), min(len(values), 3)):
            values[k] = rng.choice((b"", None, b"x", damage.bytes_of(rng, values[k] or b"")[0]))
        return table.with_columns(pl.Series(name, values, dtype=pl.Binary)), "other bytes"
    return table.with_columns(pl.lit(None).alias(name)), "only nulls"
