"""eosin slide: what is in a file; labels are named, and never written unless asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

Run = Callable[..., Any]


@pytest.fixture
def svs(tmp_path: Path) -> Path:
    """A small SVS with a label and a macro photograph."""
    path = tmp_path / "case 1.svs"
    rng = np.random.default_rng(0)
    pixels = np.repeat(np.repeat(rng.integers(90, 255, (40, 60, 3)), 16, 0), 16, 1).astype(np.uint8)
    text = "Aperio Image Library v11.2.1\n{} |AppMag = 20|MPP = 0.499"
    options: dict[str, Any] = {"metadata": None, "photometric": "rgb"}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(
            pixels, tile=(240, 240), compression="jpeg", description=text.format("960x640"),
            **options,
        )  # fmt: skip
        tiff.write(pixels[::8, ::8], description=text.format("thumbnail"), **options)
        tiff.write(pixels[:80, :100], description=text.format("label 100x80"), **options)
        tiff.write(pixels[:90, :300], description=text.format("macro 300x90"), **options)
    return path


def test_what_is_in_the_file(eosin: Run, svs: Path) -> None:
    before = sorted(svs.parent.iterdir())
    done = eosin("slide", svs)
    assert done.code == 0
    for words in (
        "case 1.svs", "Aperio SVS", "eosin (OpenCV", "960 x 640 px", "JPEG", "240 x 240 px",
        "0.499 micrometers a pixel (ImageDescription: MPP)", "label, macro, thumbnail",
    ):  # fmt: skip
        assert words in done.out, words
    assert "only with --associated" in done.err
    assert sorted(svs.parent.iterdir()) == before


def test_json(eosin: Run, svs: Path) -> None:
    facts = json.loads(eosin("slide", svs, "--json").out)
    assert facts["levels"] == [{"width_px": 960, "height_px": 640, "factor": 1.0}]
    assert (facts["mpp_x"], facts["mpp_source"]) == (0.499, "ImageDescription: MPP")
    assert facts["associated"] == ["label", "macro", "thumbnail"]
    assert facts["reader"].startswith("eosin (OpenCV")
    assert facts["objective"] == 20
    assert facts["bounds_px"] == {"x": 0, "y": 0, "width": 960, "height": 640}
    assert facts["files"] == facts["notes"] == []


def test_reader_and_scale(eosin: Run, svs: Path, tmp_path: Path) -> None:
    facts = json.loads(eosin("slide", svs, "--reader", "openslide", "--mpp", "0,5", "--json").out)
    assert facts["reader"] == "OpenSlide 4.0.1"
    assert (facts["mpp_x"], facts["mpp_source"]) == (0.5, "--mpp")
    (tmp_path / "scales.csv").write_text("slide,mpp\ncase 1.svs,0.25\n")
    facts = json.loads(eosin("slide", svs, "--mpp", tmp_path / "scales.csv", "--json").out)
    assert facts["mpp_x"] == 0.25


def test_a_thumbnail(eosin: Run, svs: Path, tmp_path: Path) -> None:
    done = eosin("slide", svs, "--thumbnail", tmp_path / "t.png", "--size", "120")
    assert done.code == 0
    assert f"wrote {tmp_path}/t.png" in done.out
    with Image.open(tmp_path / "t.png") as image:
        assert image.size == (120, 80)


def test_a_label_is_written_when_it_is_asked_for(eosin: Run, svs: Path, tmp_path: Path) -> None:
    done = eosin("slide", svs, "--associated", "label", "-o", tmp_path / "label.png")
    assert done.code == 0
    with Image.open(tmp_path / "label.png") as image:
        assert image.size == (100, 80)


def test_a_slide_without_a_scale(eosin: Run, tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "s.svs", np.zeros((300, 300, 3), np.uint8), tile=(128, 128), metadata=None,
        photometric="rgb", description="Aperio\n|AppMag = 40",
    )  # fmt: skip
    done = eosin("slide", tmp_path / "s.svs")
    assert done.code == 0
    assert "unknown" in done.out
    assert "objective power 40 is often 0.25: give --mpp 0.25" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--associated", "label"], "belong together"),
        (["-o", "OUT/a.png"], "belong together"),
        (["--associated", "labels", "-o", "OUT/a.png"], "did you mean label"),
        (["--thumbnail", "OUT/a.svs"], "ends with .png or .jpg"),
        (["--reader", "tiffslide"], "no reader 'tiffslide'"),
        (["--mpp", "40"], "is no scale of a slide"),
        (["--mpp", "quarter"], "or a CSV file"),
    ],
)
def test_mistakes_are_a_sentence(
    eosin: Run, svs: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    place = tmp_path / "out"
    done = eosin("slide", svs, *(word.replace("OUT", str(place)) for word in words))
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert not place.exists() or not any(place.iterdir())


def test_what_is_no_slide(eosin: Run, tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_bytes(b"no slide" * 20)
    done = eosin("slide", tmp_path / "a.svs", "--thumbnail", tmp_path / "t.png")
    assert done.code == 2
    assert "cannot be opened as a slide (eosin: it is not a TIFF; openslide:" in done.err
    assert not (tmp_path / "t.png").exists()
    assert "no such file" in eosin("slide", tmp_path / "b.svs").err


def test_the_slide_itself_is_not_overwritten(eosin: Run, tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(path)
    before = path.read_bytes()
    done = eosin("slide", path, "--thumbnail", path)
    assert done.code == 2
    assert "is the slide itself" in done.err
    assert path.read_bytes() == before


@pytest.mark.real
def test_the_real_slide(eosin: Run, tmp_path: Path) -> None:
    slide = Path(__file__).parents[3] / "shared" / "data" / "wsi" / "CMU-1-Small-Region.svs"
    if not slide.exists():
        pytest.skip("the real slide is not beside the project")
    done = eosin("slide", slide, "--thumbnail", tmp_path / "t.png")
    assert done.code == 0
    with Image.open(tmp_path / "t.png") as image:
        assert image.size == (766, 1024)
