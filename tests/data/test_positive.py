"""Which class is positive: by name, by words, guessed; kept in the store and its models."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from eosin.config import make_recipe
from eosin.data.pack import pack
from eosin.data.positive import choose_positive, known_positive, positive_sentence
from eosin.data.store import PatchStore
from eosin.data.views import for_recipe, in_order
from eosin.errors import RecipeError, StoreError, UserError


@pytest.mark.parametrize(
    ("positive", "negative"),
    [
        ("cancer", "normal"), ("lung_aca", "lung_n"), ("colon_aca", "colon_n"),
        ("malignant", "benign"), ("adenocarcinoma", "adenoma"), ("adenoma", "normal"),
        ("tumor", "non_tumor"), ("Tumor", "NonTumor"), ("glioma", "notumor"),
        ("tumor", "tumor_free"), ("cancer", "free of cancer"), ("idc", "no_idc"),
        ("1", "0"), ("class1", "class0"), ("p", "n"), ("m", "b"), ("yes", "no"), ("true", "false"),
        ("pos", "neg"), ("her2_positive", "her2_negative"), ("ER+", "ER-"), ("met", "normal"),
        ("Tumor", "Stroma"), ("tumor", "tumor_adjacent_normal"), ("nodule", "healthy"),
        ("invasive carcinoma", "carcinoma_in_situ"), ("malignant tumor", "benign tumor"),
        ("abnormal", "normal"), ("unhealthy", "healthy"), ("not healthy", "healthy"),
        ("responder", "nonresponder"), ("mitosis", "no_mitosis"), ("tissue", "no tissue"),
        ("MSIMUT", "MSS"), ("triple negative", "normal"), ("Krebs", "kein Krebs"),
        ("Karzinom", "Normalgewebe"), ("bösartig", "gutartig"), ("Tumor", "tumorfrei"),
        ("Tumeur", "Sain"), ("cancéreux", "bénin"), ("maligno", "sano"), ("tumor", "sin tumor"),
        ("cancro", "sano"), ("câncer", "saudável"), ("癌", "正常"), ("癌", "非癌"),
        ("がん", "正常"), ("悪性", "良性"),
    ],
)  # fmt: skip
def test_names_decide_in_any_order(positive: str, negative: str) -> None:
    assert known_positive([positive, negative]) == positive
    assert known_positive([negative, positive]) == positive


@pytest.mark.parametrize(
    "names", [("alpha", "beta"), ("lung_aca", "lung_scc"), ("type_a", "type_b"), ("1", "2")]
)
def test_other_names_decide_nothing(names: tuple[str, str]) -> None:
    assert known_positive(names) is None
    assert choose_positive(names) == (names[1], "guess")
    assert "--positive" in positive_sentence(names, "guess")


def test_a_choice_is_checked() -> None:
    assert choose_positive(["alpha", "beta"], "alpha") == ("alpha", "chosen")
    with pytest.raises(UserError, match="no such class; did you mean alpha"):
        choose_positive(["alpha", "beta"], "alpa")
    with pytest.raises(UserError, match="there are 3 classes, and a single positive one"):
        choose_positive(["a", "b", "c"], "a")
    assert choose_positive(["a", "b", "c"]) == ("", "")
    assert positive_sentence(["a"], "").endswith("there is one class, and a model needs two")


def test_a_class_against_its_name_is_told() -> None:
    text = positive_sentence(["cancer", "normal"], "")
    assert "about normal" in text
    assert "earlier version" in text
    assert "cancer may be meant" in text
    assert positive_sentence(["cancer", "normal"], "chosen").endswith("chosen by name")
    assert positive_sentence(["normal", "cancer"], "").endswith("known from the class names")


def folder_of(path: Path, *classes: str) -> Path:
    for value, name in enumerate(classes):
        (path / name).mkdir(parents=True)
        for k in range(2):
            image = np.full((4, 4, 3), 100 * value + k, np.uint8)
            cv2.imwrite(str(path / name / f"{k}.png"), image)
    return path


def test_pack_puts_the_positive_class_second(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "source", "cancer", "normal")
    store = pack(source, tmp_path / "store")
    assert store.classes == ("normal", "cancer")
    assert store.labels.tolist() == [1, 1, 0, 0]
    assert store.info["counts"] == {"normal": 2, "cancer": 2}
    info = json.loads((store.path / "store.json").read_text())
    assert (info["positive"], info["positive_by"], info["notes"][1:]) == ("cancer", "names", [])
    other = pack(source, tmp_path / "other", positive="normal")
    assert other.classes == ("cancer", "normal")
    assert other.labels.tolist() == [0, 0, 1, 1]
    assert other.positive_by == "chosen"


def test_pack_tells_that_it_guessed(tmp_path: Path) -> None:
    store = pack(folder_of(tmp_path / "source", "alpha", "beta"), tmp_path / "store")
    assert store.info["positive"] == "beta"
    assert store.positive_by == "guess"
    assert "--positive" in positive_sentence(store.classes, store.positive_by)
    with pytest.raises(UserError, match="no such class"):
        pack(tmp_path / "source", tmp_path / "third", positive="gamma")
    assert not (tmp_path / "third").exists()


def test_a_recipe_chooses_another(tmp_path: Path) -> None:
    store = pack(folder_of(tmp_path / "source", "alpha", "beta"), tmp_path / "store")
    view = for_recipe(store, make_recipe({"positive": "alpha"}))
    assert view.classes == ("beta", "alpha")
    assert view.labels.tolist() == [1, 1, 0, 0]
    assert view.index["label"].to_list() == [1, 1, 0, 0]
    assert view.positive_by == "chosen"
    # The same files: a split or a cache of this store fits it.
    assert view.digest == store.digest
    assert store.labels.tolist() == [0, 0, 1, 1]
    back = in_order(view, store.classes)
    assert back.labels.tolist() == store.labels.tolist()
    with pytest.raises(RecipeError, match="positive = 'gamma': there is no such class"):
        for_recipe(store, make_recipe({"positive": "gamma"}))


def test_labels_are_mapped_by_name(tmp_path: Path) -> None:
    store = pack(folder_of(tmp_path / "source", "b", "c"), tmp_path / "store")
    assert in_order(store, ("c", "a", "b")).labels.tolist() == [2, 2, 0, 0]
    assert in_order(store, ("c", "a", "b")).info["counts"] == {"c": 2, "a": 0, "b": 2}
    with pytest.raises(StoreError, match="c is not among a, b"):
        in_order(store, ("a", "b"))
    assert PatchStore.open(store.path).labels.tolist() == [0, 0, 1, 1]
