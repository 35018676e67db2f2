"""OUT/summary.csv and OUT/summary.html: all slides of a folder, failed ones with their cause."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from eosin import __version__
from eosin.data.sheets import sheet
from eosin.errors import SlideError
from eosin.folders import whole_files
from eosin.records.model import INTENDED_USE
from eosin.records.scan import Amount
from eosin.scanning import dicom as dicoms
from eosin.scanning.facts import unlike_training
from eosin.scanning.writing import Result, is_result, read_result

CSV, HTML = "summary.csv", "summary.html"


@dataclass(frozen=True)
class Failed:
    """A slide without a result."""

    #: The slide's file, as it is to be shown.
    slide: str
    cause: str


@dataclass(frozen=True)
class Column:
    """A figure of the summary."""

    #: In the CSV, and at the head of the page's table.
    key: str
    head: str
    value: Callable[[Result], float | int | None]
    #: Of a number that is there, for the page.
    shown: Callable[[float], str]
    #: Whether the page draws a bar of this share behind it.
    bar: bool = False


@dataclass(frozen=True)
class Cell:
    """A figure of one slide on the page: what it is sorted by, and what is read."""

    text: str
    sort: float | None
    #: Percent of a bar.
    bar: float | None = None
    #: Why there is no value.
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A slide on the page."""

    name: str
    file: str
    cells: Sequence[Cell]
    thumbnail: str = ""
    heatmap: str = ""
    #: Words and addresses of its files.
    links: Sequence[tuple[str, str]] = ()
    flag: str = ""
    cause: str = ""


def write_summary(
    out: str | os.PathLike[str], results: Iterable[Result], failed: Iterable[Failed] = ()
) -> Path:
    """Write both files; returns the page's path.

    out: the folder that the folders of the results are in. Both files are replaced together.
    """
    place = Path(out)
    good = sorted(results, key=lambda each: each.name.casefold())
    bad = sorted(failed, key=lambda each: each.slide.casefold())
    chosen = columns(good)
    texts = {CSV: _sheet(chosen, good, bad), HTML: page(place, chosen, good, bad)}
    with whole_files(place) as new:
        for name, text in texts.items():
            new(name).write_text(text, "utf-8")
    return place / HTML


def found_in(out: str | os.PathLike[str]) -> tuple[list[Result], list[Failed]]:
    """The scans in a folder, by whatever command they were made, and those that are damaged."""
    results, failed = [], []
    for folder in sorted(Path(out).iterdir()):
        if not is_result(folder):
            continue
        try:
            results.append(read_result(folder))
        except SlideError as error:
            failed.append(Failed(folder.name, str(error)))
    return results, failed


def columns(results: Sequence[Result]) -> list[Column]:
    """The figures of these slides: with more than two classes, a share for each."""
    found = [
        Column("patches", "patches", lambda r: r.facts.areas.patches, _whole),
        Column("tissue_mm2", "tissue, mm²", _of("tissue_mm2"), _short),
        Column("scanned_mm2", "scanned, mm²", _of("scanned_mm2"), _short),
    ]
    positives = [r.facts.decision.positive for r in results]
    if not results or any(each is not None for each in positives):
        found += [
            Column("positive_mm2", "positive, mm²", _of("positive_mm2"), _short),
            Column("positive_share", "positive", _of("positive_share"), _percent, bar=True),
            Column("largest_focus_mm2", "largest focus, mm²", _of("largest_focus_mm2"), _short),
        ]
    many = [r.facts.decision.classes for r in results if r.facts.decision.positive is None]
    for name in dict.fromkeys(name for classes in many for name in classes):
        found.append(Column(f"share_{name}", name, _share(name), _percent, bar=True))
    found.append(Column("refer_share", "referred", _of("refer_share"), _percent, bar=True))
    outside = _of("out_of_scope_share")
    found.append(Column("out_of_scope_share", "out of scope", outside, _percent, bar=True))
    return found


def page(
    out: Path, chosen: Sequence[Column], results: Sequence[Result], failed: Sequence[Failed]
) -> str:
    """summary.html as text: one file that fetches nothing but the pictures beside it."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = _file("summary.js")
    rows = [_row(out, chosen, each) for each in results]
    rows += [_failed(chosen, each) for each in failed]
    return environment.from_string(_file("summary.html.j2")).render(
        title=f"Scans in {_printable(out.resolve().name)}",
        columns=chosen,
        rows=rows,
        done=len(results),
        failed=len(failed),
        decisions=list(dict.fromkeys(each.facts.decision.words for each in results)),
        style=Markup(_file("summary.css")),
        script=Markup(script),
        # Only this one script may run, whatever a name contains.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        disclaimer=INTENDED_USE,
        version=__version__,
    )


def _sheet(chosen: Sequence[Column], results: Sequence[Result], failed: Sequence[Failed]) -> str:
    heads = ["name", "file", "status", "cause", *(each.key for each in chosen)]
    heads += ["unlike_training", "mpp_x", "mpp_y", "reader"]
    rows: list[list[object]] = []
    for each in results:
        slide = each.facts.slide
        rows.append(
            [
                *(each.name, slide.file, "done", ""),
                *(column.value(each) for column in chosen),
                *(unlike_training(each.facts.areas), *(slide.mpp or (None, None)), slide.reader),
            ]
        )
    for bad in failed:
        nothing = [None] * (len(heads) - 4)
        rows.append([None, _printable(bad.slide), "failed", _printable(bad.cause), *nothing])
    return sheet(heads, rows)


def _row(out: Path, chosen: Sequence[Column], result: Result) -> Row:
    inside = os.path.relpath(result.folder, out)

    def address(ending: str) -> str:
        path = Path(inside) / f"{result.name}{ending}"
        return quote(path.as_posix().encode("utf-8", "surrogateescape"))

    areas = result.facts.areas
    links = [
        ("heatmap", ".heatmap.png"), ("table", ".parquet"), ("regions", ".geojson"),
        ("tiles", ".tiles.geojson.gz"), ("OME-TIFF", ".heatmap.ome.tif"),
        ("QuPath script", ".heatmap.groovy"), ("figures", ".json"),
    ]  # fmt: skip
    # Only slides that are DICOM have these.
    dicom = [
        ("DICOM heatmap", dicoms.HEATMAP), ("DICOM decisions", dicoms.DECISIONS),
        ("DICOM report", dicoms.AREAS),
    ]  # fmt: skip
    links += [link for link in dicom if f"{result.name}{link[1]}" in result.facts.files]
    return Row(
        name=result.name,
        file=result.facts.slide.file,
        cells=[_cell(column, result) for column in chosen],
        thumbnail=address(".thumbnail.jpg"),
        heatmap=address(".heatmap.png"),
        links=[(words, address(ending)) for words, ending in links],
        flag="unlike the training data?" if unlike_training(areas) else "",
    )


def _failed(chosen: Sequence[Column], bad: Failed) -> Row:
    slide, cause = _printable(bad.slide), _printable(bad.cause)
    return Row(name=slide, file="", cells=[Cell("", None)] * len(chosen), cause=cause)


def _cell(column: Column, result: Result) -> Cell:
    value = column.value(result)
    if value is None:
        found = getattr(result.facts.areas, column.key, None)
        return Cell("–", None, note=found.note if isinstance(found, Amount) else "")
    return Cell(column.shown(value), value, bar=100 * value if column.bar else None)


def _of(name: str) -> Callable[[Result], float | None]:
    def value(result: Result) -> float | None:
        amount: Amount = getattr(result.facts.areas, name)
        return amount.value

    return value


def _share(name: str) -> Callable[[Result], float | None]:
    def value(result: Result) -> float | None:
        return next((c.share.value for c in result.facts.areas.classes if c.name == name), None)

    return value


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _short(value: float) -> str:
    """Three digits, which is more than a mask is worth.

    >>> _short(56.814), _short(0.04), _short(1234.5), _short(0)
    ('56.8', '0.04', '1,230', '0')
    """
    return f"{float(f'{value:.3g}'):,.10g}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _printable(text: str) -> str:
    """Bytes of a file's name that are no UTF-8 as question marks."""
    return text.encode("utf-8", "replace").decode()


def _file(name: str) -> str:
    return resources.files("eosin.scanning").joinpath(name).read_text("utf-8")
