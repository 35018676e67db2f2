"""A model beside patches of another scale: it is told, and resampling brings them together."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.inference.test_assess import TRAIN, made, mixed, session_of
from tests.inference.test_images import model_of

from eosin.data.fit import PictureRule, resampled
from eosin.data.pack import pack
from eosin.data.scale import measured_scale, scale_mark, to_model_scale, unknown_scale
from eosin.data.store import PatchStore, StoreWriter
from eosin.data.views import resampled_view
from eosin.errors import ImageError, SourceError, UserError
from eosin.inference.assess import assess_unseen
from eosin.inference.images import picture_rule, predict_images
from eosin.inference.predictor import Predictor, load
from eosin.records.model import ModelFacts
from eosin.runs import RunFolder

WSI = Path(__file__).parents[3] / "shared" / "data" / "wsi" / "CMU-1-Small-Region.svs"
FACTS = ModelFacts(architecture="compact", classes=("n", "p"), patch_size=(50, 50), mpp=4.0)


@pytest.mark.parametrize(
    ("size", "mpp", "words"),
    [
        ((50, 50), 4.0, None),
        ((50, 50), 4.3, None),
        ((400, 400), 0.5, None),  # the network stretches it to the same field
        ((50, 50), 0.5, "8 times as large"),
        ((96, 96), 1.0, "2.1 times as large"),
        ((50, 50), 8.0, "2 times as small"),
        ((50, 50), None, None),
    ],
)
def test_fields_of_view_are_compared(
    size: tuple[int, int], mpp: float | None, words: str | None
) -> None:
    scale = measured_scale(FACTS, size, mpp)
    mark = scale_mark(scale)
    assert (mark is None) == (words is None)
    if mark is not None and words is not None:
        assert mark.kind == "scale"
        assert words in mark.sentence
        assert "50x50 px at 4 micrometers a pixel (200 wide)" in mark.sentence
    assert ("cannot be compared" in unknown_scale(scale)) == (mpp is None)


def test_resampling_averages_and_takes_the_middle() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[2:6, 2:6] = 200
    small = resampled(image, 0.5, (2, 2))
    assert (small == 200).all()
    assert resampled(image, 0.5, (4, 4))[0, 0].tolist() == [0, 0, 0]
    # 10 percent short is stretched; less tissue than the model needs is refused.
    assert resampled(np.zeros((19, 19, 3), np.uint8), 0.5, (10, 10)).shape == (10, 10, 3)
    with pytest.raises(ImageError, match="too small a field: at the model's scale it has 4x4 px"):
        resampled(image, 0.5, (10, 10))


def test_a_resampled_store_is_read_as_an_array(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    writer = StoreWriter(tmp_path / "s", classes=["n", "p"], patch_size=(8, 8), mpp=2.0)
    writer.append(patches, [{"label": 0}] * 3)
    store = writer.close()
    view = resampled_view(store, 0.5, (4, 4), 4.0)
    assert (view.patch_size, view.mpp, view.patches.shape) == ((4, 4), 4.0, (3, 4, 4, 3))
    assert (store.patch_size, store.mpp) == ((8, 8), 2.0)
    wanted = np.stack([resampled(patch, 0.5, (4, 4)) for patch in patches])
    np.testing.assert_array_equal(view.patches[np.array([2, 0])], wanted[[2, 0]])
    np.testing.assert_array_equal(view.patches[1], wanted[1])
    assert view.patches[np.array([], int)].shape == (0, 4, 4, 3)
    facts = FACTS.model_copy(update={"patch_size": (4, 4)})
    same, mark = to_model_scale(facts, store)
    assert mark is not None
    assert "4x4 px at 4 micrometers" in mark.sentence
    np.testing.assert_array_equal(same.patches[np.arange(3)], wanted)
    with pytest.raises(UserError, match="no resampling shows it tissue"):
        to_model_scale(FACTS, store)
    with pytest.raises(UserError, match="the model does not have them"):
        to_model_scale(FACTS.model_copy(update={"mpp": None}), store)


def with_mpp(store: PatchStore, mpp: float) -> PatchStore:
    path = store.path / "store.json"
    path.write_text(json.dumps({**store.info, "mpp": mpp}))
    return PatchStore.open(store.path)


def test_another_store_is_measured_by_names_and_at_scale(tmp_path: Path) -> None:
    """Its classes are in another order, at half the scale, and then it lacks one of them."""
    val = {f"v{k}": mixed() for k in range(3)}
    labels = {**TRAIN, **val, "e": mixed()}
    store = with_mpp(made(tmp_path / "s.store", labels), 4.0)
    parts = {case: "test" if case == "e" else "val" if case in val else "train" for case in labels}
    run = session_of(store, tmp_path, parts).run
    quick = {"replicates": 20, "with_baselines": False}

    def other(name: str, classes: tuple[str, str], mine: list[int], mpp: float) -> PatchStore:
        made_one = made(tmp_path / name, {"o1": mine, "o2": mine}, classes=("no", "yes"))
        order = [classes.index(each) for each in ("no", "yes")]
        with StoreWriter(
            tmp_path / f"{name}.store", classes=classes, patch_size=(24, 24), mpp=mpp
        ) as writer:
            rows = made_one.index.drop("digest").to_dicts()
            writer.append(
                np.asarray(made_one.patches), [{**r, "label": order[r["label"]]} for r in rows]
            )
        return PatchStore.open(tmp_path / f"{name}.store")

    plain = assess_unseen(RunFolder(run.path), other("p", ("no", "yes"), mixed(), 4.0), **quick)
    turned = assess_unseen(RunFolder(run.path), other("t", ("yes", "no"), mixed(), 8.0), **quick)
    for name in ("auroc", "sensitivity", "positive", "confusion", "prevalence"):
        assert turned.evaluation[name] == plain.evaluation[name]
    assert turned.evaluation["classes"] == ["no", "yes"]
    assert not any(mark["kind"] == "scale" for mark in plain.evaluation["marks"])
    (mark,) = (mark for mark in turned.evaluation["marks"] if mark["kind"] == "scale")
    assert "2 times as small" in mark["sentence"]
    assert turned.evaluation["scale"]["ratio"] == 2

    again = assess_unseen(
        RunFolder(run.path), PatchStore.open(tmp_path / "t.store"), resample=True, **quick
    )
    assert again.evaluation["scale"]["resampled"]
    (mark,) = (mark for mark in again.evaluation["marks"] if mark["kind"] == "scale")
    assert "only their middle is seen" in mark["sentence"]

    path = tmp_path / "t.store" / "store.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "fit": "resize", "other_sizes": 7}))
    fitted = assess_unseen(RunFolder(run.path), PatchStore.open(path.parent), **quick)
    (warning,) = (text for text in fitted.evaluation["warnings"] if "another size" in text)
    assert "7 patches" in warning
    assert warning.endswith("by resize; the model learned from patches made by pad")

    lacking = assess_unseen(RunFolder(run.path), other("l", ("no", "yes"), [1] * 9, 4.0), **quick)
    assert lacking.evaluation["auroc"]["value"] is None
    assert "class" in lacking.evaluation["undefined"]["auroc"]
    assert lacking.evaluation["sensitivity"]["value"] is not None


@pytest.fixture
def tumor_model(tmp_path: Path) -> Predictor:
    writer = StoreWriter(tmp_path / "s", classes=["normal", "tumor"], patch_size=(20, 20), mpp=4.0)
    writer.append(np.zeros((1, 20, 20, 3), np.uint8), [{"label": 0}])
    return model_of(writer.close(), tmp_path / "run", mpp=4.0)


def image(path: Path, side: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(side)
    cv2.imwrite(str(path), rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
    return path


def test_resampled_images_are_answered_as_resampled_patches(
    tumor_model: Predictor, tmp_path: Path
) -> None:
    path = image(tmp_path / "i" / "a.png", 40)
    rule = picture_rule(tumor_model, scale=0.5)
    (row,) = predict_images(tumor_model, [path], rule=rule)
    patch = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    wanted = tumor_model.predict(resampled(patch, 0.5, (20, 20))[None])[0]
    assert list(row.probabilities.values()) == pytest.approx(wanted)
    assert row.change == "resampled"


def test_the_command_tells_the_scale(
    tumor_model: Predictor, tmp_path: Path, eosin: Callable[..., Any]
) -> None:
    path = image(tmp_path / "i" / "a.png", 20)
    got = eosin("predict", tmp_path / "run", path, "--mpp", 1, "--json")
    assert got.code == 0, got.err
    result = json.loads(got.out)
    assert any("4 times as large" in mark for mark in result["marks"])
    assert (result["positive"], result["model_mpp"], result["mpp"]) == ("tumor", 4.0, 1.0)
    assert "--mpp" in eosin("predict", tmp_path / "run", path).err
    large = image(tmp_path / "i" / "b.png", 80)
    got = eosin("predict", tmp_path / "run", large, "--mpp", 1, "--resample", "--json")
    assert got.code == 0, got.err
    assert json.loads(got.out)["predictions"][0]["resampled"]
    assert not json.loads(got.out)["marks"]
    for given, said in (
        (("--resample",), "--mpp MPP"),
        (("--resample", "--mpp", 1, "--fit", "pad"), "leave out --fit pad"),
    ):
        refused = eosin("predict", tmp_path / "run", path, *given)
        assert (refused.code, said in refused.err) == (2, True)


def test_slides_and_large_pictures_are_refused(
    tumor_model: Predictor, tmp_path: Path, eosin: Callable[..., Any]
) -> None:
    large, small = image(tmp_path / "i" / "a.png", 90), image(tmp_path / "i" / "b.png", 20)
    slide = tmp_path / "x.svs"
    slide.write_bytes(large.read_bytes())
    for path in (large, slide):
        for fit in ("pad", "resize"):
            refused = eosin("predict", tmp_path / "run", small, path, "--fit", fit)
            assert refused.code == 2
            assert "tiles of 20x20 px at 4 micrometers a pixel" in refused.err
            assert "eosin scan MODEL SLIDE" in refused.err
    # Among the files of a folder it is a row.
    rows = list(predict_images(tumor_model, [tmp_path / "i"]))
    assert [bool(row.error) for row in rows] == [True, False]
    assert rows[0].error.startswith("no patch: 90x90 px are many times 20x20 px")
    # Where training images were as large and were resized, it is a patch.
    facts = tumor_model.facts.model_copy(update={"fit": "resize", "largest": (90, 90)})
    tumor_model.facts = facts
    (row,) = predict_images(tumor_model, [large])
    assert row.change == "resized"


@pytest.mark.real
def test_a_real_slide_is_refused(tumor_model: Predictor, tmp_path: Path) -> None:
    if not WSI.exists():
        pytest.skip("no real data beside the project")
    copy = tmp_path / "slide.tif"
    copy.write_bytes(WSI.read_bytes())
    with pytest.raises(UserError, match="is a whole slide"):
        list(predict_images(tumor_model, [WSI]))
    with pytest.raises(UserError, match=r"no patch: 2220x2967 px .* eosin scan MODEL SLIDE"):
        list(predict_images(tumor_model, [copy]))


def test_slides_in_a_folder_are_rows(tumor_model: Predictor, tmp_path: Path) -> None:
    (tmp_path / "a.SVS").write_bytes(b"II*")
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((*tumor_model.patch_size, 3), np.uint8))
    rows = {Path(row.file).name: row.error for row in predict_images(tumor_model, [tmp_path])}
    assert rows == {"a.SVS": "a whole slide: use eosin scan", "b.png": ""}
    (tmp_path / "b.png").rename(tmp_path / "store.json")
    (tmp_path / "a.SVS").unlink()
    with pytest.raises(SourceError, match="no image files; of a store use eosin evaluate"):
        list(predict_images(tumor_model, [tmp_path]))


def test_the_rule_for_more_than_8_bits_is_the_models(tmp_path: Path) -> None:
    for value, name in ((100, "normal"), (250, "tumor")):
        (tmp_path / "source" / name).mkdir(parents=True)
        deep = np.full((20, 20, 3), value, np.uint16)
        deep[0, 0] = 0
        cv2.imwrite(str(tmp_path / "source" / name / "1.png"), deep)
    store = pack(tmp_path / "source", tmp_path / "s")
    model = model_of(store, tmp_path / "run", white=store.info["white"])
    rows = list(predict_images(model, [tmp_path / "source"]))
    wanted = model.predict(np.asarray(store.patches))
    for row, answer in zip(rows, wanted, strict=True):
        assert list(row.probabilities.values()) == pytest.approx(answer)
        assert row.white == 255
    # A model of 8 bits looks at what the images reach, all of them together.
    plain = load(tmp_path / "run")
    plain.facts = plain.facts.model_copy(update={"white": None})
    assert [row.white for row in predict_images(plain, [tmp_path / "source"])] == [255, 255]
    # Deeper than all training images: refused, as nobody can tell what is white.
    cv2.imwrite(str(tmp_path / "deeper.png"), np.full((20, 20, 3), 900, np.uint16))
    (row,) = predict_images(model, [tmp_path / "deeper.png"])
    assert row.error == "other depth: values up to 900, and the others reach 255 at most"
    assert PictureRule((20, 20)).white is None
    assert dataclasses.asdict(row)["white"] is None
