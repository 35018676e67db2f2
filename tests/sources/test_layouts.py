from __future__ import annotations

import pytest

from eosin.errors import ImageError, SourceError
from eosin.sources.layouts import (
    LAYOUTS,
    Entry,
    detect_layout,
    find_layout,
    magnification,
    natural_key,
    parse_breakhis,
    parse_idc,
    parse_nct,
    plainly,
)


@pytest.mark.parametrize("above", ["", "8863/1/", "IDC_regular_ps50_idx5/8863/1/", "a/b/1/"])
def test_idc_names(above):
    name = "8863_idx5_x1001_y51_class1.png"
    assert parse_idc(above + name) == Entry("positive", "8863", 1001, 51)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("8863/0/8863_idx5_x1_y1_class1.png", "contradiction: folder 0, file name class1"),
        ("8864/1/8863_idx5_x1_y1_class1.png", "contradiction: folder of case 8864"),
        ("8863/1/8863_idx5_x1_y1_class7.png", "unknown class"),
        ("8863/1/8863_idx5_x99999999999_y1_class1.png", "impossible position"),
    ],
)
def test_idc_contradictions(path, reason):
    with pytest.raises(ImageError, match=reason):
        parse_idc(path)


def test_breakhis_names():
    path = "benign/SOB/adenosis/SOB_B_A_14-22549AB/40X/SOB_B_A-14-22549AB-40-001.png"
    entry = parse_breakhis(path)
    assert entry == Entry("benign", "14-22549", slide="14-22549AB", subtype="A")
    assert parse_breakhis("test/x/SOB_M_DC-14-2523-40-001.png").part == "test"
    assert magnification(path) == "40"
    assert parse_breakhis("SOB_X_A-14-1-40-001.png") is None
    with pytest.raises(ImageError, match="contradiction: folder malignant, file name benign"):
        parse_breakhis(path.replace("benign", "malignant"))


def test_nct_names():
    assert parse_nct("x/ADI/ADI-AAAMHQMK.tif") == Entry("ADI")
    assert parse_nct("NCT-CRC-HE-100K/ADI/ADI-AAAMHQMK.tif").part == "train"
    assert parse_nct("CRC-VAL-HE-7K/ADI/ADI-TCGA-ABCDEF.tif").part == "test"
    assert parse_nct("x/XYZ/XYZ-AAAMHQMK.tif") is None
    with pytest.raises(ImageError, match="contradiction: folder TUM, file name ADI"):
        parse_nct("x/TUM/ADI-AAAMHQMK.tif")


def test_detection():
    assert detect_layout(["7/0/7_idx5_x1_y1_class0.png"] * 3 + ["readme.png"]).name == "idc"
    assert detect_layout(["a/SOB_M_DC-14-2523-400-001.png"]).name == "breakhis"
    assert detect_layout(["TUM/TUM-ABCD.tif"]).name == "nct-crc"
    assert detect_layout(["a/1.png", "b/1.png"]) is None
    # A label that contradicts its folder still has the layout's form.
    assert detect_layout(["7/1/7_idx5_x1_y1_class0.png"]).name == "idc"
    assert detect_layout(["1.png"]) is None
    assert detect_layout([]) is None


def test_an_unknown_layout_lists_the_known():
    with pytest.raises(SourceError, match=r"did you mean folders\?") as caught:
        find_layout("folder")
    assert all(name in str(caught.value) for name in LAYOUTS)


def test_natural_order():
    paths = ["b/10.png", "b/9.png", "a/x100_y2", "a/x20_y11", "a/x20_y2"]
    wanted = ["a/x20_y2", "a/x20_y11", "a/x100_y2", "b/9.png", "b/10.png"]
    assert sorted(paths, key=natural_key) == wanted


def test_plain_text():
    assert plainly("a\x1b[31m\n") == "a\\x1b[31m\\n"
    assert len(plainly("x" * 999)) == 200
