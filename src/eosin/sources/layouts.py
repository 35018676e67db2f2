"""What a path means: label, case and position, for the layouts that patch archives come in.

A layout is a row of ``LAYOUTS``: how it is called, its classes and resolution where these are
fixed, and a function from a path to an Entry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from eosin.errors import ImageError, SourceError, closest

#: Top folders that stand for a part of the data set, and its name in the index.
PARTS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test", "dev": "val", "holdout": "test", "validierung": "val",
    "entrainement": "train", "apprentissage": "train",
}  # fmt: skip


class Entry(NamedTuple):
    """What a path contains about its patch; x, y are level-0 pixels of its top-left corner."""

    label: str
    case: str = ""
    x: int | None = None
    y: int | None = None
    part: str = ""
    slide: str = ""
    subtype: str = ""


class Layout(NamedTuple):
    """One way to name patches."""

    name: str
    about: str
    #: None where the layout is not one of paths (tables and arrays), or depends on all of them.
    parse: Callable[[str], Entry | None] | None
    #: Fixed class names in the order of their labels, or None: those in the source.
    classes: tuple[str, ...] | None = None
    #: Micrometers a pixel, where the data set has one resolution.
    mpp: float | None = None


def plainly(text: object, most: int = 200) -> str:
    """A text from a source that is safe in a sentence: one line, no control characters.

    >>> plainly("a\\nb")
    'a\\\\nb'
    """
    shown = str(text)
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shown[: 4 * most])
    return shown if len(shown) <= most else shown[: most - 3] + "..."


_IDC = re.compile(r"(\d+)_idx\d+_x(\d+)_y(\d+)_class(\d)\.png", re.I)
#: The same with its folders, all in agreement, as nearly every path of the archive is.
_IDC_USUAL = re.compile(
    r"((?:[^/]+/)*)(\d+)/([01])/\2_idx\d+_x(\d{1,9})_y(\d{1,9})_class\3\.png", re.A
)
_BREAKHIS = re.compile(
    r"SOB_([BM])_([A-Z]+)-(\d+-\d+)([A-Z]*)-(\d+)-\d+\.(?:png|jpe?g|tiff?)", re.I
)
_NCT = ("ADI", "BACK", "DEB", "LYM", "MUC", "MUS", "NORM", "STR", "TUM")
_NCT_FILE = re.compile(rf"({'|'.join(_NCT)})-(?:TCGA-)?[0-9A-Za-z]+\.tiff?", re.I)
_DIGITS = re.compile(r"(\d+)")


def natural_key(text: str) -> str:
    """A sorting key by which x2 comes before x10.

    >>> sorted(["x10", "x9", "x2"], key=natural_key)
    ['x2', 'x9', 'x10']
    """
    folder, slash, name = text.rpartition("/")
    return _padded_folder(folder) + slash + _padded(name)


def _padded(text: str) -> str:
    pieces = _DIGITS.split(text)
    pieces[1::2] = [piece.zfill(12) for piece in pieces[1::2]]
    return "".join(pieces)


#: Thousands of files are in one folder.
_padded_folder = lru_cache(maxsize=4096)(_padded)


@lru_cache(maxsize=4096)
def part_in(folders: str) -> str:
    """The part of the data set that one of the folders of a path stands for, or "".

    >>> part_in("BreaKHis_v1/train_set/40X"), part_in("BreaKHis_v1")
    ('train', '')
    """
    words = re.split(r"[\W_]+", folders.lower())
    return next((PARTS[word] for word in words if word in PARTS), "")


def parse_idc(path: str) -> Entry | None:
    """``<case>/<class>/<case>_idx5_x<X>_y<Y>_class<C>.png``; the folders above may be missing.

    >>> parse_idc("8863/0/8863_idx5_x51_y1251_class0.png")
    Entry(label='negative', case='8863', x=51, y=1251, part='', slide='', subtype='')
    """
    usual = _IDC_USUAL.fullmatch(path)
    if usual is not None:
        above, case, label, x, y = usual.groups()
        return Entry(
            "positive" if label == "1" else "negative", case, int(x), int(y), part_in(above)
        )
    folders, _, name = path.rpartition("/")
    match = _IDC.fullmatch(name)
    if match is None:
        return None
    case, x, y, label = match.groups()
    if label not in "01":
        raise ImageError(f"unknown class: class{label} in the file name; IDC has 0 and 1")
    if folders:
        last = folders.rsplit("/", 2)
        if last[-1] in ("0", "1") and last[-1] != label:
            raise ImageError(f"contradiction: folder {last[-1]}, file name class{label}")
        if len(last) > 1 and last[-2].isdigit() and last[-2] != case:
            raise ImageError(f"contradiction: folder of case {last[-2]}, file name of {case}")
    return Entry(
        "positive" if label == "1" else "negative", case, _position(x), _position(y),
        part_in(folders),
    )  # fmt: skip


def _position(digits: str) -> int:
    value = int(digits) if len(digits) < 11 else 1 << 31
    if value >= 1 << 31:
        raise ImageError(f"impossible position: {digits[:20]}")
    return value


def parse_breakhis(path: str) -> Entry | None:
    """``SOB_M_DC-14-2523-400-001.png``: class, subtype, slide, magnification, number.

    Letters behind the number of a slide count the specimens of one patient: the number is the case.

    >>> entry = parse_breakhis("40X/SOB_B_A-14-22549AB-40-001.png")
    >>> entry.label, entry.case, entry.slide, entry.subtype
    ('benign', '14-22549', '14-22549AB', 'A')
    """
    folders, _, name = path.rpartition("/")
    match = _BREAKHIS.fullmatch(name)
    if match is None:
        return None
    label = "benign" if match[1].upper() == "B" else "malignant"
    above = {folder.lower() for folder in folders.split("/")} & {"benign", "malignant"}
    if above and label not in above:
        raise ImageError(f"contradiction: folder {above.pop()}, file name {label}")
    slide = f"{match[3]}{match[4].upper()}"
    return Entry(label, match[3], part=part_in(folders), slide=slide, subtype=match[2].upper())


def magnification(path: str) -> str:
    """The magnification in a BreakHis name, or "".

    >>> magnification("SOB_M_DC-14-2523-400-001.png")
    '400'
    """
    match = _BREAKHIS.fullmatch(path.rpartition("/")[2])
    return match[5] if match else ""


def parse_nct(path: str) -> Entry | None:
    """``TUM/TUM-ABCDEFGH.tif`` of NCT-CRC-HE; no case is known.

    >>> parse_nct("NCT-CRC-HE-100K/TUM/TUM-AAACLDYA.tif").label
    'TUM'
    """
    folders, _, name = path.rpartition("/")
    match = _NCT_FILE.fullmatch(name)
    if match is None:
        return None
    label, folder = match[1].upper(), folders.rpartition("/")[2].upper()
    if folder in _NCT and folder != label:
        raise ImageError(f"contradiction: folder {folder}, file name {label}")
    # Published as a training and a validation set, of other patients.
    part = "test" if "CRC-VAL" in folders else "train" if "NCT-CRC" in folders else ""
    return Entry(label, part=part)


#: In the order in which they are tried.
LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("idc", "Kaggle breast-histopathology-images: CASE/CLASS/CASE_idx5_xX_yY_classC.png",
               parse_idc, ("negative", "positive"), 4.0),
        Layout("breakhis", "BreakHis: SOB_M_DC-14-2523-400-001.png anywhere",
               parse_breakhis, ("benign", "malignant")),
        Layout("nct-crc", "NCT-CRC-HE, CRC-VAL-HE: TUM/TUM-XXXXXXXX.tif", parse_nct, _NCT, 0.5),
        Layout("folders", "[part/]label/[case/]any image, case/label/any image, ...", None),
        Layout("manifest", "a table with path,label[,case,x,y,part,slide,subtype], alone or "
               "beside the images", None),
        Layout("parquet", "Parquet files with images as bytes (Hugging Face datasets)", None),
        Layout("webdataset", "tar files of KEY.png with KEY.cls, KEY.json or KEY.txt", None),
        Layout("idx", "MNIST: train-images-idx3-ubyte[.gz], train-labels-idx1-ubyte[.gz]", None),
        Layout("medmnist", "MedMNIST: an npz with train_images, train_labels, x_train, ...", None),
        Layout("pcam", "PatchCamelyon: *_split_train_x.h5[.gz] next to *_y.h5 and *_meta.csv",
               None, ("normal", "tumor"), 0.972),
        Layout("hdf5", "other HDF5 files with images and labels in pairs", None),
    )
}  # fmt: skip


#: Those in which a table says what each image is.
TABLES = ("manifest", "parquet", "webdataset")


def find_layout(name: str) -> Layout:
    """The layout of that name; raises SourceError that lists the known ones.

    >>> find_layout("idc").mpp
    4.0
    """
    if name not in LAYOUTS:
        known = ", ".join(LAYOUTS)
        raise SourceError(f"unknown layout {name!r}: {closest(name, LAYOUTS)} (known: {known})")
    return LAYOUTS[name]


def detect_layout(paths: Sequence[str]) -> Layout | None:
    """The first known archive that explains at least half of (a sample of) the paths, or None.

    >>> detect_layout(["8863/0/8863_idx5_x51_y1251_class0.png"]).name
    'idc'
    """
    sample = paths[:: max(1, len(paths) // 2000)]
    for layout in LAYOUTS.values():
        if layout.parse is None:
            continue
        hits = 0
        for path in sample:
            try:
                hits += layout.parse(path) is not None
            except ImageError:
                # A contradiction is about the label; the name has the layout's form.
                hits += 1
        if sample and hits * 2 >= len(sample):
            return layout
    return None
