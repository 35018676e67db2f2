"""`eosin scan`: from slide files to results, with everything that can go wrong on the way."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from eosin.locks import Lock
from eosin.scanning.slides import WORK, named
from eosin.slides.opening import open_slide
from eosin.slides.reading import read
from eosin.synthetic.cases import make_case

tifffile = pytest.importorskip("tifffile")
pytest.importorskip("onnxruntime")

Run = Callable[..., Any]
MPP = 1.0  # of the slides; the model's is 4
ENDINGS = {
    ".parquet", ".json", ".geojson", ".tiles.geojson.gz", ".heatmap.png", ".heatmap.ome.tif",
    ".heatmap.groovy", ".thumbnail.jpg",
}  # fmt: skip


def write_slide(path: Path, seed: int = 1, *, mpp: float | None = MPP, side: int = 1000) -> Path:
    """A made-up section, four times as large as drawn, in JPEG tiles with one level more."""
    import cv2

    drawn = make_case("9", seed, width_px=side // 4, height_px=side // 4).image
    whole = cv2.resize(drawn, (side, side), interpolation=cv2.INTER_CUBIC)
    half = cv2.resize(whole, (side // 2, side // 2), interpolation=cv2.INTER_AREA)
    text = "Aperio Image Library made up|AppMag = 10" + (f"|MPP = {mpp}" if mpp else "")
    with tifffile.TiffWriter(path) as file:
        for number, picture in enumerate((whole, half)):
            file.write(
                picture, tile=(128, 128), photometric="rgb", compression="jpeg", metadata=None,
                compressionargs={"level": 90}, description=text, subfiletype=int(number > 0),
            )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slides") / "one.svs")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, make_exported: Callable[..., Path]) -> Path:
    return make_exported(tmp_path_factory.mktemp("model") / "model.onnx")


def table(out: Path, name: str = "one") -> pl.DataFrame:
    return pl.read_parquet(out / name / f"{name}.parquet")


def test_every_file_is_there_and_answers_are_of_the_pixels_below(
    eosin: Run, slide: Path, model: Path, tmp_path: Path
) -> None:
    from eosin.runtime.predictor import load_file

    # The section is drawn small and enlarged: all of it is out of focus.
    words = ["-o", tmp_path / "out", "--qc", "none", "--json"]
    found = eosin("scan", model, slide, *words)
    assert found.code == 0, found.err
    result = json.loads(found.out)
    (row,) = result["slides"]
    assert (row["name"], row["status"], result["failed"]) == ("one", "scanned", 0)
    files = {path.name for path in (tmp_path / "out" / "one").iterdir()}
    assert {f"one{ending}" for ending in ENDINGS} <= files
    assert Path(result["summary"]).is_file()
    rows = table(tmp_path / "out")
    assert 3 < len(rows) == row["patches"] <= 25
    # Each patch read by itself, and answered by itself, is what the scan has for it.
    predictor = load_file(model)
    with_scale = open_slide(slide)
    for place in rows.iter_rows(named=True):
        x, y = place["column"] * 200, place["row"] * 200
        assert (place["x"], place["y"]) == (x, y)
        patch = read(with_scale, x, y, 50, 50, (Fraction(4), Fraction(4)))
        probabilities, _ = predictor.examine(patch[None])
        assert place["p_positive"] == pytest.approx(float(probabilities[0, 1]), abs=1e-6)
    with_scale.close()
    facts = json.loads((tmp_path / "out" / "one" / "one.json").read_text())
    assert facts["slide"]["reader"].startswith("eosin")
    assert len(facts["settings"]["model"]["file_digest"]) == 32
    assert not list((tmp_path / "out" / WORK).glob("*.answers"))


def test_what_is_finished_is_skipped_and_other_settings_are_not(
    eosin: Run, slide: Path, model: Path, tmp_path: Path
) -> None:
    def status(*words: object) -> str:
        found = eosin("scan", model, slide, "-o", tmp_path, "--json", *words)
        assert found.code == 0, found.err
        return str(json.loads(found.out)["slides"][0]["status"])

    assert status() == "scanned"
    (tmp_path / "one" / "mine.txt").write_text("my notes")
    before = table(tmp_path)
    assert status() == "skipped"
    assert status("--point", "f1") == "scanned"
    assert (tmp_path / "one" / "mine.txt").read_text() == "my notes"
    assert table(tmp_path)["p_positive"].equals(before["p_positive"])
    assert status("--point", "f1") == "skipped"
    assert status("--stride-um", "100") == "scanned"
    assert len(table(tmp_path)) > 2 * len(before)


def test_a_slide_that_fails_is_recorded_and_the_rest_goes_on(
    eosin: Run, slide: Path, model: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "slides", tmp_path / "out"
    folder.mkdir()
    shutil.copy(slide, folder / "one.svs")
    write_slide(folder / "bare.svs", mpp=None)
    (folder / "broken.svs").write_bytes(slide.read_bytes()[:20_000])
    (folder / "empty.svs").touch()
    (folder / "notes.txt").write_text("no slide")
    found = eosin("scan", model, folder, "-o", out)
    assert found.code == 1
    assert "Traceback" not in found.err
    assert "3 of 4 slide(s) could not be scanned" in found.err
    assert {path.name for path in out.iterdir()} >= {"one", "bare.failed.json", "summary.html"}
    assert "--mpp" in json.loads((out / "bare.failed.json").read_text())["error"]
    summary = (out / "summary.csv").read_text()
    for name in ("one", "bare.svs", "broken.svs", "empty.svs"):
        assert name in summary
    # With its scale the slide is scanned, and what failed is forgotten.
    (tmp_path / "scales.csv").write_text("slide,mpp\nbare.svs,1.0\n")
    found = eosin("scan", model, folder, "-o", out, "--mpp", tmp_path / "scales.csv", "--json")
    rows = {row["name"]: row["status"] for row in json.loads(found.out)["slides"]}
    assert rows == {"bare": "scanned", "broken": "failed", "empty": "failed", "one": "skipped"}
    assert not (out / "bare.failed.json").exists()


def test_a_model_without_scale_asks_for_it(
    eosin: Run, slide: Path, tmp_path: Path, make_exported: Callable[..., Path]
) -> None:
    from eosin.runtime.predictor import load_file

    facts = load_file(make_exported(tmp_path / "a.onnx")).facts.to_json() | {"mpp": None}
    bare = make_exported(tmp_path / "model.onnx", facts=facts)
    found = eosin("scan", bare, slide, "-o", tmp_path / "out")
    assert found.code == 2
    assert "--model-mpp" in found.err
    assert not (tmp_path / "out").exists()
    assert eosin("scan", bare, slide, "-o", tmp_path / "out", "--model-mpp", "4").code == 0


def test_another_process_has_the_slide(
    eosin: Run, slide: Path, model: Path, tmp_path: Path
) -> None:
    lock = Lock.take(tmp_path / WORK / "one.lock")
    assert lock is not None
    found = eosin("scan", model, slide, "-o", tmp_path, "--json")
    assert found.code == 0
    assert json.loads(found.out)["slides"][0]["status"] == "elsewhere"
    lock.release()
    # A process that was killed has no lock, whatever file it left.
    found = eosin("scan", model, slide, "-o", tmp_path, "--json")
    assert json.loads(found.out)["slides"][0]["status"] == "scanned"


def test_every_slide_is_of_one_machine(
    eosin: Run, slide: Path, model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "slides"
    folder.mkdir()
    for number in range(5):
        shutil.copy(slide, folder / f"{number}.svs")
    seen = []
    for part in ("1/3", "2/3", "3/3"):
        found = eosin("scan", model, folder, "-o", tmp_path / "out", "--shard", part, "--json")
        seen += [row["name"] for row in json.loads(found.out)["slides"]]
    assert sorted(seen) == ["0", "1", "2", "3", "4"]
    assert (tmp_path / "out" / "summary.csv").read_text().count("\n") == 6
    for part in ("0/3", "4/3", "a", "1/", "/2", "1/2/3"):
        assert eosin("scan", model, folder, "-o", tmp_path / "out", "--shard", part).code == 2


def test_a_mask_of_others_is_used(eosin: Run, slide: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    ring = [[0, 0], [400, 0], [400, 200], [0, 200], [0, 0]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "classification": {"name": "tissue"}},
    }
    text = json.dumps({"type": "FeatureCollection", "features": [feature]})
    (tmp_path / "masks" / "one.geojson").write_text(text)
    words = ["scan", model, slide, "-o", tmp_path / "out", "--masks"]
    assert eosin(*words, tmp_path / "masks").code == 0
    rows = table(tmp_path / "out")
    assert list(zip(rows["column"], rows["row"], strict=True)) == [(0, 0), (1, 0)]
    (tmp_path / "masks" / "one.geojson").rename(tmp_path / "masks" / "two.geojson")
    found = eosin(*words, tmp_path / "masks")
    assert found.code == 1
    assert "one.*" in found.err + found.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--qc", "smudge"], "smudge"),
        (["--mpp", "90"], "0.05"),
        (["--reader", "magic"], "magic"),
        (["--masks", "nowhere"], "nowhere"),
        (["--point", "best"], "best"),
        (["--mpp", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_a_wrong_option_is_a_sentence(
    eosin: Run, slide: Path, model: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    found = eosin("scan", model, slide, "-o", tmp_path / "out", *words)
    assert found.code == 2
    assert said in found.err + found.out
    assert "internal error" not in found.err


def test_a_folder_without_slides(eosin: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    found = eosin("scan", model, tmp_path / "a", "-o", tmp_path / "out")
    assert (found.code, "no slide in it" in found.err) == (2, True)
    assert eosin("scan", model, tmp_path / "b", "-o", tmp_path / "out").code == 2


def test_a_slide_of_glass_alone_has_no_patch(eosin: Run, model: Path, tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "white.svs") as file:
        file.write(
            np.full((600, 600, 3), 250, np.uint8), tile=(128, 128), photometric="rgb",
            compression="jpeg", metadata=None, description="Aperio|MPP = 1.0",
        )  # fmt: skip
    found = eosin("scan", model, tmp_path / "white.svs", "-o", tmp_path / "out")
    assert found.code == 0, found.err
    facts = json.loads((tmp_path / "out" / "white" / "white.json").read_text())
    assert facts["areas"]["patches"] == 0
    assert facts["areas"]["positive_share"]["value"] is None
    assert any("No patch" in note for note in facts["notes"])


def test_names_tell_slides_apart() -> None:
    paths = [Path("a/x.svs"), Path("b/x.svs"), Path("b/x.tif"), Path("c/y.ome.tif")]
    names = named(paths)
    assert list(names.values()) == paths
    assert len(set(names)) == 4
    assert "y" in names


@pytest.mark.slow
def test_killed_at_any_moment_the_results_are_the_same(
    rows_of_benchmark: Callable[..., list[dict[str, str]]], tmp_path: Path
) -> None:
    words = ["--only", "scan", "--moments", "2", "--changes", "3"]
    rows = rows_of_benchmark("kill", tmp_path, *words)
    assert {row["command"] for row in rows} == {"scan", "scan again"}
    assert [row["problem"] for row in rows] == [""] * len(rows)


@pytest.mark.parametrize("missing", ["tifffile", "shapely"])
def test_without_the_extra_the_first_line_says_so(
    eosin: Run,
    slide: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    found = eosin("scan", model, slide, "-o", tmp_path / "out")
    assert found.code == 2
    assert 'pip install "eosin[slides]"' in found.err
    assert not (tmp_path / "out").exists()


def test_a_scale_that_is_not_the_models_is_a_mark_of_the_results(
    eosin: Run, slide: Path, model: Path, tmp_path: Path
) -> None:
    found = eosin("scan", model, slide, "-o", tmp_path, "--model-mpp", "2")
    assert found.code == 0, found.err
    facts = json.loads((tmp_path / "one" / "one.json").read_text())
    assert any("trained at 4" in note for note in facts["notes"])
    assert "trained at 4" in found.err


def test_a_fault_inside_one_slide_does_not_stop_the_others(
    eosin: Run, slide: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import eosin.scanning.job as job

    whole = job.overview

    def torn(opened: Any, *words: Any) -> Any:
        if opened.path.name == "a.svs":
            raise IndexError("what no one thought of")
        return whole(opened, *words)

    monkeypatch.setattr(job, "overview", torn)
    (tmp_path / "slides").mkdir()
    for name in ("a", "b"):
        shutil.copy(slide, tmp_path / "slides" / f"{name}.svs")
    found = eosin("scan", model, tmp_path / "slides", "-o", tmp_path / "out", "--json")
    assert found.code == 1
    rows = {row["name"]: row for row in json.loads(found.out)["slides"]}
    assert rows["b"]["status"] == "scanned"
    assert "IndexError: what no one thought of" in rows["a"]["error"]
