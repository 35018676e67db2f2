"""`eosin scan` on a DICOM slide: from its folder to DICOM files, with and without the extra."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import polars as pl
import pytest

from eosin.synthetic.cases import make_case

pytest.importorskip("onnxruntime")
sys.path.insert(0, str(Path(__file__).parents[1] / "slides"))
from dicoms import write_slide

ENDINGS = (".heatmap.dcm", ".decisions.dcm", ".areas.dcm")


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    """A made-up section of 1000 x 1000 pixels, 1 micrometer each, as DICOM."""
    import cv2

    drawn = make_case("9", 1, width_px=250, height_px=250).image
    whole = cv2.resize(drawn, (1000, 1000), interpolation=cv2.INTER_CUBIC)
    return write_slide(tmp_path / "one", [whole, whole[::2, ::2]], (0.001, 0.001))


@pytest.mark.slow
def test_a_dicom_slide_gets_dicom_files_once_the_extra_is_there(
    eosin: Callable[..., Any], slide: Path, tmp_path: Path, make_exported: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    model, out = make_exported(tmp_path / "model.onnx"), tmp_path / "out"
    words = ("scan", model, slide, "-o", out, "--json")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "highdicom", None)
        found = eosin(*words)
    assert found.code == 0, found.err
    assert 'pip install "eosin[dicom]"' in " ".join(found.err.split())
    (row,) = json.loads(found.out)["slides"]
    assert (row["status"], "were left out" in row["left_out"]) == ("scanned", True)
    assert not list((out / "one").glob("*.dcm"))

    found = eosin(*words)
    assert found.code == 0, found.err
    (row,) = json.loads(found.out)["slides"]
    assert (row["status"], row["left_out"]) == ("scanned", "")
    assert {path.name for path in (out / "one").glob("*.dcm")} == {f"one{e}" for e in ENDINGS}
    # The same probabilities as in the table, at the same places.
    rows = pl.read_parquet(out / "one" / "one.parquet")
    image = highdicom.pm.ParametricMap.from_file(out / "one" / "one.heatmap.dcm")
    values = image.get_total_pixel_matrix(apply_real_world_transform=True)
    classes = [name for name in rows.columns if name.startswith("p_")]
    x, y = (
        rows[a].to_numpy() + rows[b].to_numpy() / 2 for a, b in (("x", "width"), ("y", "height"))
    )
    rows_mm, columns_mm = (
        image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    )
    column, row_ = (x * 0.001 / columns_mm).astype(int), (y * 0.001 / rows_mm).astype(int)
    np.testing.assert_allclose(values[row_, column], rows[classes[1]].to_numpy(), atol=1 / 65535)

    found = eosin(*words)
    (row,) = json.loads(found.out)["slides"]
    assert row["status"] == "skipped"
