from __future__ import annotations

import pytest

from eosin.errors import ImageError, SourceError
from eosin.sources.members import is_image_name, is_left_behind
from eosin.sources.names import (
    CasePattern,
    NameFacts,
    folded,
    form_of,
    one_spelling,
    patient,
    qupath,
    suggestion,
)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("slide_3 [d=4,x=800,y=0,w=200,h=200].png", ("slide_3", "slide_3", 800, 0, 4)),
        ("slide_3 [x=800,y=10,w=200,h=200].tif", ("slide_3", "slide_3", 800, 10, None)),
        ("a b.svs [d=2.5,x=-8,y=0,w=2,h=2,z=1,t=2].jpg", ("a b", "a b", -8, 0, 2.5)),
        ("a.ome.tiff [d=2,5,x=8,5,y=0,w=2,h=2]-labelled.png", ("a", "a", 8, 0, 2.5)),
        ("a [1][x=1,y=2,w=3,h=4].png", ("a [1]", "a [1]", 1, 2, None)),
        ("TCGA-AA-3664-01Z-00-DX1.svs [x=1,y=2,w=3,h=4].png",
         ("TCGA-AA-3664", "TCGA-AA-3664-01Z-00-DX1", 1, 2, None)),
        ("slide_3.png", None), ("a [y=1,w=2].png", None), ("a [x=,y=1].png", None),
        ("[", None), ("", None),
    ],
)  # fmt: skip
def test_qupath_tiles(name, facts):
    assert qupath(name) == (None if facts is None else NameFacts(*facts))


def test_a_position_beyond_32_bits():
    with pytest.raises(ImageError, match="impossible position: 99999999999"):
        qupath("a [x=99999999999,y=2,w=3,h=4].png")


@pytest.mark.parametrize(
    ("name", "case", "slide"),
    [
        ("blk-AAFW-TCGA-az-6601-01Z-00-DX1.png", "TCGA-az-6601", "TCGA-az-6601-01Z-00-DX1"),
        ("patch_patient_004_node_4_x_3328_y_21792.png", "patient_004", "patient_004_node_4"),
        ("C3L-00001-21.png", "C3L-00001", "C3L-00001-21"),
        ("BRACS_264_N_1.png", "BRACS_264", "BRACS_264"),
        ("5A11_CRC-Prim-HE-10_021.tif_Row_1_Col_151.tif", "CRC-Prim-HE-10", "CRC-Prim-HE-10_021"),
    ],
)
def test_identifiers_of_archives(name, case, slide):
    assert patient(name) == NameFacts(case, slide)


def test_names_without_identifiers():
    for name in ("ADI-TCGA-AAICEQFN.tif", "b001.tif", "colonca12.jpeg", "ATCGA-AA-3664.png", ""):
        assert patient(name) is None


def files(form: str, count: int = 40) -> list[str]:
    return [f"tumor/{form.format(k % 4, k)}" for k in range(count)]


def test_the_form_of_file_names():
    def about(names: list[str]) -> str:
        form = form_of(names)
        return form.about if form else ""

    assert "QuPath" in about(files("s{} [x={},y=0,w=1,h=1].png"))
    assert about(files("TCGA-AA-000{}-{}.png")) == "TCGA barcodes"
    for form in ("patient_{}_{}.png", "P{}-{}.png", "img_case {}_{}.png", "x_slide{}_{}_tile.png",
                 "patient.{}.tile.{}.png"):  # fmt: skip
        assert "patient, case or slide number" in about(files(form))
    assert "before x and y" in about(files("B{}_x{}_y0.png"))
    # One case a file is a running number; few names in the form are chance.
    for form in ("patient_{1}.png", "tile_x{}_y{}.png", "{1}.png", "a{}_{}.png", "sample{}{}.png"):
        assert about(files(form)) == ""
    assert about(files("P{}_{}.png", 20) + files("{1}.png", 20)) == ""


def test_a_pattern_is_suggested():
    text = suggestion(files("A{}-{}.png"), ["tumor"])
    assert "4 names (A0, A1, A2, ...)" in text
    assert CasePattern(text.split("'")[1]).case_of("tumor/A3-17.png") == "A3"
    assert suggestion(files("tumor_{1}.png"), ["tumor"]) == ""
    assert suggestion(files("{1}.png"), ["tumor"]) == ""


def test_a_pattern_for_cases():
    assert CasePattern(r"(\d+)").case_of("7/P12_3.png") == "12"
    assert CasePattern(r"^([^/]+)/").case_of("7/P12_3.png") == "7"
    with pytest.raises(ImageError, match="unknown case: --case-pattern does not match"):
        CasePattern(r"^P( ?)").case_of("P12.png")
    for text, reason in (
        ("(", "is not a regular expression: missing"),
        (r"\d+", "has 0 groups; it needs one"),
        ("(a)(b)", "has 2 groups"),
    ):
        with pytest.raises(SourceError, match=reason):
            CasePattern(text)


def test_spellings():
    names = {"Tumor": 14, "tumor": 2, " tumor ": 1, "e\u0301": 1, "\u00e9": 1, "normal": 9, " ": 1}
    spelled = one_spelling(names)
    assert spelled["tumor"] == spelled[" tumor "] == "Tumor"
    assert spelled["e\u0301"] == spelled["\u00e9"] == "\u00e9"
    assert spelled[" "] == " "
    assert folded("STRASSE") == folded("stra\u00dfe")
    assert folded("1") != folded("01")


def test_which_files_are_images():
    images = [
        "a/1.png",
        "1.JPEG",
        "a.b/x.tif",
        "../1.png",
        "./a/1.png",
        "1.txt.png",
        "a/thumb_1.png",
    ]
    others = [
        "x.txt", "png", "__MACOSX/a/1.png", "a/._1.png", "a/.hidden/1.png", ".1.png",
        "thumbs/1.png", "a/Thumbnails/1.png", "a/@eaDir/1.png/x.jpg", "$RECYCLE.BIN/1.png",
        "a/.ipynb_checkpoints/1-checkpoint.png", "tumor/Thumbnail.png", "thumb.jpg",
    ]  # fmt: skip
    assert [is_image_name(name) for name in images + others] == [True] * 7 + [False] * 13
    assert not is_left_behind("thumbsucker/1.png")
