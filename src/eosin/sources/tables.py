"""Tables that list patches: what is in each column, judged by its name, and in each row.

A table comes from a CSV, from JSON lines, from a Parquet file or from the records of a tar; all
values are text, and "" is a missing one. Nothing here reads a file.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eosin.errors import SourceError, closest
from eosin.sources.layouts import Entry, plainly
from eosin.sources.likeness import part_of
from eosin.sources.members import is_image_name

#: What a column can be, with its usual names in small letters without spaces, ``_`` and ``-``. The
#: first name is eosin's own. Of the names of a case those of one line are of one kind.
ROLES: dict[str, tuple[str, ...]] = {
    "path": (
        "path", "filepath", "filename", "file", "imagepath", "imagefile", "imagefilename",
        "imagename", "image", "imageid", "img", "imgpath", "imgname", "imgid", "isicid",
        "patchpath", "patch", "patchname", "patchid", "tilepath", "tile", "tilename", "tileid",
        "relativepath", "fname", "name", "id", "uuid", "key",
    ),
    "label": (
        "label", "labels", "class", "classname", "classlabel", "labelname", "category", "target",
        "diagnosis", "dx", "groundtruth", "gt", "classid", "labelid", "categoryid", "cls",
    ),
    "case": (
        "patient", "patientid", "patientno", "patientnumber", "pid", "subject", "subjectid",
        "participant", "participantid", "donor", "donorid", "individual",
        "case", "caseid", "caseno", "casenumber",
        "specimen", "specimenid", "biopsy", "biopsyid",
    ),
    "x": ("x", "coordx", "xcoord", "xcoordinate", "posx", "xpos", "x0", "xmin", "left"),
    "y": ("y", "coordy", "ycoord", "ycoordinate", "posy", "ypos", "y0", "ymin", "top"),
    "part": ("part", "split", "set", "subset", "partition", "datasplit", "phase", "fold"),
    "slide": ("slide", "slideid", "slidename", "wsi", "wsiid", "wsiname"),
    "subtype": ("subtype",),
}  # fmt: skip

_PATIENT, _CASE = set(ROLES["case"][:12]), set(ROLES["case"][12:16])
_MISSING = frozenset(("", "nan", "na", "n/a", "<na>", "none", "null", "nat"))

#: Counts how many values of a column are names of images that are there.
Fits = Callable[[Sequence[str]], int]


@dataclass(frozen=True)
class Table:
    """Rows of text by column."""

    #: Name or path, for messages.
    name: str
    columns: dict[str, list[str]]
    #: Where each row is, for messages: a line of a CSV, a row of a Parquet file.
    places: Sequence[str]
    #: Rows that cannot be used, and why.
    damaged: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.places)


@dataclass
class Roles:
    """Which column has which role, what is left over, and what was decided on the way."""

    columns: dict[str, str]
    unused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def present(text: str) -> str:
    """A value without spaces around it; "" for nan, NA, none and the like.

    >>> present(" a "), present("NaN"), present("none")
    ('a', '', '')
    """
    text = text.strip()
    return "" if text.lower() in _MISSING else text


def parse_table(name: str, data: bytes) -> Table:
    """The table in a CSV (separated by , ; | or tab) or in JSON lines, in UTF-8 or UTF-16.

    Raises SourceError where it is not one, or is a file that eosin wrote about another.

    >>> parse_table("a.csv", b"id;label\\n7;nan\\n").columns
    {'id': ['7'], 'label': ['']}
    """
    try:
        wide = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        text = data.decode("utf-16" if wide else "utf-8-sig")
        if text.startswith("# eosin"):
            raise SourceError(f"{name} is a split of eosin, not a table of images")
        if name.lower().endswith((".jsonl", ".ndjson")):
            return _from_json(name, text)
        head = text.lstrip("\r\n").partition("\n")[0]
        separator = max(",;\t|", key=head.count)
        source = io.StringIO(text, newline="")
        rows = csv.reader(source, delimiter=separator, skipinitialspace=separator != "\t")
        return _from_rows(name, rows)
    except (csv.Error, ValueError, RecursionError) as error:
        raise SourceError(
            f"{name} cannot be read as a table; save it as CSV in UTF-8 ({plainly(error)})"
        ) from None


def _from_rows(name: str, rows: Any) -> Table:
    columns: dict[str, list[str]] = {}
    for column in next(filter(any, rows), []):
        column, k = column.strip(), 2
        while column in columns:
            column, k = f"{column} ({k})", k + 1
        columns[column] = []
    places: list[str] = []
    damaged = {}
    width = len(columns)
    for row in rows:
        if not any(row):
            continue
        place = f"line {rows.line_num}"
        if any(map(str.strip, row[width:])):
            damaged[len(places)] = f"{place} has {len(row)} values for {width} columns"
        places.append(place)
        for values, value in zip(columns.values(), row + [""] * (width - len(row)), strict=False):
            values.append(present(value))
    return Table(name, columns, places, damaged)


def _from_json(name: str, text: str) -> Table:
    records, places = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            record = json.loads(line)
            if "\\u" in line:
                # Half of a pair, which has no UTF-8: UnicodeEncodeError is a ValueError.
                json.dumps(record, ensure_ascii=False).encode()
            if not isinstance(record, dict):
                raise ValueError(f"line {number} is not an object")
            records.append(record)
            places.append(f"line {number}")
    return table_of(name, records, places)


def table_of(name: str, records: Sequence[Mapping[str, Any]], places: Sequence[str]) -> Table:
    """A table of records, such as objects of JSON; a missing key is a missing value.

    >>> table_of("a", [{"id": 1, "label": None}, {"id": 2}], ["1", "2"]).columns
    {'id': ['1', '2'], 'label': ['', '']}
    """
    names = dict.fromkeys(key for record in records for key in record)
    columns = {
        key: [as_text(record.get(key)) for record in records] for key in names
    }  # fmt: skip
    return Table(name, columns, places)


def as_text(value: Any) -> str:
    """A value of JSON or Parquet as a table has it."""
    if value is None or isinstance(value, (list, dict, bytes)):
        return ""
    return present(str(value))


def squeezed(name: str) -> str:
    """A column's name as ``ROLES`` has it.

    >>> squeezed("Patient ID"), squeezed("patient_id")
    ('patientid', 'patientid')
    """
    return re.sub(r"[\W_]+", "", name.lower())


def roles_of(table: Table, chosen: Mapping[str, str], fits: Fits) -> Roles:
    """What each column of a table is.

    chosen: role -> column, as a person chose; a column that the table does not have is left to the
    caller. fits: how many values of a column are images; of several columns that may be the path
    the one with most is taken. "path" or "label" is missing from the result where none fits.
    Raises SourceError where two columns fit the label, the case or the part and differ.

    >>> table = parse_table("a.csv", b"Image,Patient ID,case,class\\n1.png,P1,7,tumor\\n")
    >>> roles = roles_of(table, {}, len)
    >>> roles.columns
    {'path': 'Image', 'label': 'class', 'case': 'Patient ID'}
    """
    roles = Roles({role: name for role, name in chosen.items() if name in table.columns})
    for role, names in ROLES.items():
        if role in roles.columns:
            continue
        taken = set(roles.columns.values())
        order = {name: k for k, name in enumerate(names)}
        fitting = sorted(
            (name for name in table.columns
             if squeezed(name) in order and name not in taken and any(table.columns[name])),
            key=lambda name: order[squeezed(name)],
        )  # fmt: skip
        try:
            column = _CHOOSE.get(role, _first)(table, role, fitting, roles.notes, fits)
        except SourceError:
            # A table of something else is not worth a question.
            if "path" not in roles.columns or not fits(table.columns[roles.columns["path"]]):
                return Roles({})
            raise
        if column:
            roles.columns[role] = column
    if "case" not in roles.columns and "slide" in roles.columns:
        roles.columns["case"] = slide = roles.columns["slide"]
        roles.notes.append(
            f"no column of {table.name} names the case: the slide ({slide}) is taken for it; two "
            "slides of one patient count as two cases"
        )
    used = set(roles.columns.values())
    roles.columns = {role: roles.columns[role] for role in ROLES if role in roles.columns}
    roles.unused = [
        name
        for name in table.columns
        # Nor the numbers of rows that pandas writes without a name.
        if name not in used and not re.fullmatch(r"(unnamed\d+)?", squeezed(name))
    ]
    return roles


def _first(table: Table, role: str, names: list[str], notes: list[str], fits: Fits) -> str:
    if len(names) > 1:
        others = ", ".join(names[1:])
        notes.append(
            f"{role} is the column {names[0]}; {others} would fit as well: "
            f"--column {role}={names[1]}"
        )
    return names[0] if names else ""


def _path(table: Table, role: str, names: list[str], notes: list[str], fits: Fits) -> str:
    counts = {name: fits(table.columns[name]) for name in names}
    if not any(counts.values()):
        for name, values in table.columns.items():
            full = [value for value in values if value]
            if name not in counts and full and all(map(is_image_name, full)):
                counts[name] = fits(values)
    best = max(counts, key=lambda name: counts[name], default="")
    equal = [name for name, count in counts.items() if count and count == counts[best]]
    return _first(table, role, equal or [best], notes, fits)


def _label(table: Table, role: str, names: list[str], notes: list[str], fits: Fits) -> str:
    if len(names) < 2:
        return _first(table, role, names, notes, fits)
    # Numbers and names of the same classes are one choice: the names.
    words = [name for name in names if not all(map(_is_number, table.columns[name]))]
    best = (words or names)[0]
    rest = [name for name in names if name != best]
    if all(agree(table.columns[best], table.columns[name]) for name in rest):
        return _first(table, role, [best, *rest], notes, fits)
    if squeezed(names[0]) == role:
        return _first(table, role, names, notes, fits)
    raise _asked(table, role, names)


def _case(table: Table, role: str, names: list[str], notes: list[str], fits: Fits) -> str:
    """The patient before the case before the specimen: what is wider cannot leak."""
    for kind in (_PATIENT, _CASE, set(ROLES["case"]) - _PATIENT - _CASE):
        same = [name for name in names if squeezed(name) in kind]
        if same and not all(agree(table.columns[same[0]], table.columns[n]) for n in same[1:]):
            raise _asked(table, role, same)
        if same:
            rest = [name for name in names if name not in same]
            return _first(table, role, [*same, *rest], notes, fits)
    return ""


def _part(table: Table, role: str, names: list[str], notes: list[str], fits: Fits) -> str:
    fitting = []
    for name in names:
        words = {value.lower() for value in table.columns[name]} - {""}
        if squeezed(name) == role or all(map(part_of, words)):
            fitting.append(name)
        else:
            shown = plainly(", ".join(sorted(words)[:3]))
            notes.append(
                f"column {name} is not a part: its values ({shown}) are no train, val, test"
            )
    if fitting and squeezed(fitting[0]) != role:
        first = table.columns[fitting[0]]
        if not all(agree(first, table.columns[name]) for name in fitting[1:]):
            raise _asked(table, role, fitting)
    return _first(table, role, fitting, notes, fits)


_CHOOSE = {"path": _path, "label": _label, "case": _case, "part": _part}


def _asked(table: Table, role: str, names: Sequence[str]) -> SourceError:
    shown = " and ".join(
        f"{plainly(name)} ({len(set(table.columns[name]) - {''})} values)" for name in names[:4]
    )
    return SourceError(
        f"{table.name}: the columns {shown} fit the {role} and differ; choose one with "
        f"--column {role}={names[0]}"
    )


def agree(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two columns divide the rows in the same way, under whatever names.

    >>> agree(["a", "a", "b"], ["0", "0", "1"]), agree(["a", "a"], ["0", "1"])
    (True, False)
    """
    pairs = set(zip(first, second, strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def _is_number(text: str) -> bool:
    return not text or re.fullmatch(r"-?\d+(\.0*)?", text) is not None


def check_choice(columns: Mapping[str, str], known: Sequence[str], where: str) -> None:
    """Refuse a role that does not exist, or a column that no table has.

    >>> check_choice({"case": "id"}, ["id", "label"], "a.csv")
    """
    for role, name in columns.items():
        if role not in ROLES:
            raise SourceError(f"--column {role}={name}: unknown role; {closest(role, ROLES)}")
        if name not in known:
            raise SourceError(
                f"--column {role}={name}: no such column in {where}; {closest(name, known)}"
            )


def entries_of(
    table: Table, roles: Roles
) -> tuple[list[tuple[int, str, Entry]], list[tuple[str, str]]]:
    """(row, path, entry) of each row that can be used, and (path, reason) of each that cannot.

    >>> table = parse_table("a.csv", b"path,label,x\\n1.png,0.0,50.0\\n")
    >>> entries_of(table, roles_of(table, {}, len))[0]
    [(0, '1.png', Entry(label='0', case='', x=50, y=None, part='', slide='', subtype=''))]
    """
    empty = [""] * len(table)
    of = {
        role: table.columns[roles.columns[role]] if role in roles.columns else empty
        for role in ROLES
    }
    for role in ("label", "case", "slide"):
        of[role] = _whole(of[role])
    of["part"] = [part_of(value) or value for value in of["part"]]
    entries, rejects = [], []
    for row, where in enumerate(table.places):
        name = of["path"][row].replace("\\", "/").removeprefix("./")
        problem = ""
        positions: list[int | None] = []
        for axis in ("x", "y"):
            try:
                positions.append(_position(of[axis][row]))
            except (ValueError, OverflowError):
                value = of[axis][row][:40]
                problem = f"impossible position: {axis} is {value!r} in {where}"
        if not name or not of["label"][row]:
            problem = f"incomplete row: {where} lacks its {'label' if name else 'path'}"
        if row in table.damaged:
            problem = f"damaged row: {table.damaged[row]}"
        if problem:
            rejects.append((name or where, problem))
            continue
        entry = Entry(of["label"][row], of["case"][row], positions[0], positions[1],
                      of["part"][row], of["slide"][row], of["subtype"][row])  # fmt: skip
        entries.append((row, name, entry))
    return entries, rejects


def _position(text: str) -> int | None:
    if not text:
        return None
    text = re.sub(r",0{1,2}$", "", text)  # a decimal comma; 1,000 may be a thousand
    value = int(text) if re.fullmatch(r"[-+]?\d{1,11}", text) else float(text)
    if value != int(value) or not -(2**31) <= value < 2**31:
        raise ValueError
    return int(value)


def _whole(values: list[str]) -> list[str]:
    """Numbers that a program wrote as 1.0 because some were missing are 1 again."""
    if all(_is_number(value) for value in values) and any("." in value for value in values):
        return [value.partition(".")[0] for value in values]
    return values
