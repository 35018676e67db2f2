from __future__ import annotations

import random

import pytest

from eosin.errors import ImageError, SourceError
from eosin.sources.levels import parse_levels, read_tree
from eosin.sources.trees import TreeLayout

L = ("benign", "malignant")
BRACS = ("0_N", "1_PB", "2_UDH", "3_FEA", "4_ADH", "5_DCIS", "6_IC")


def tree(*levels: tuple[str, ...], each: int = 30) -> dict[str, int]:
    """All folders of one name a level."""
    paths = [""]
    for names in levels:
        paths = [f"{path}/{name}".lstrip("/") for path in paths for name in names]
    return dict.fromkeys(paths, each)


def numbered(form: str, *numbers: int) -> tuple[str, ...]:
    return tuple(form.format(k) for k in numbers)


PATIENTS = numbered("patient_{:02d}", *range(6))
BARCODES = tuple(f"TCGA-{k:02d}-A0B{k}-01Z-00-DX{j}" for k in range(5) for j in (1, 2))

#: Folders -> levels, number of classes, number of cases.
READ = {
    "classes": (tree(("beta", "alpha")), "label", 2, 0),
    "two small classes": (tree(("a", "b"), each=1), "label", 2, 0),
    "digits": (tree(numbered("{}", *range(10))), "label", 10, 0),
    "numbered classes": (tree(BRACS), "label", 7, 0),
    "label/case": (tree(L, PATIENTS, each=5), "label/case", 2, 6),
    "case/label": (tree(PATIENTS, L, each=5), "case/label", 2, 6),
    "part/label/case": (tree(("train", "val"), L, PATIENTS), "part/label/case", 2, 6),
    "label/part": (tree(L, ("Training", "test_set")), "label/part", 2, 0),
    "part and numbered classes": (tree(("train", "val", "test"), BRACS), "part/label", 7, 0),
    "parts in longer names": (tree(("CRC_TRAIN", "CRC_TEST"), ("MSS", "MSI")), "part/label", 2, 0),
    "numbers with 0 and 1": (tree(numbered("{}", *range(8863, 8880)), ("0", "1")),
                             "case/label", 2, 17),
    "few numbers with 0 and 1": (tree(numbered("{}", 1, 2, 3, 4, 5, 6), ("0", "1")),
                                 "case/label", 2, 6),
    "grades of cases": (tree(PATIENTS, numbered("Gleason_{}", 3, 4, 5)), "case/label", 3, 6),
    "images below": (tree(PATIENTS, ("patches",), L, ("images",)), "case/*/label", 2, 6),
    "common folders above": (tree(("data",), ("BreastCancer",), L), "label", 2, 0),
    "a zip is a folder": (tree(("x",), ("train.zip", "test.zip"), L), "part/label", 2, 0),
    "all there is": (
        tree(("hospital A", "hospital B"), ("train", "test"), L, PATIENTS, ("s1", "s2"), ("png",)),
        "*/part/label/case/slide", 2, 6,
    ),
    "barcodes": (tree(L, BARCODES), "label/case", 2, 5),
    "cases named after labels": (
        {f"{name}/{name}_{k:03d}": 9 for k in range(12) for name in ("tumor", "normal")},
        "label/case", 2, 24,
    ),
    "words of another language": (
        {f"{name}/Fall {k + 6 * j}": 9 for j, name in enumerate(("gut", "bös")) for k in range(6)},
        "label/case", 2, 12,
    ),
    "scores": (tree(("0", "1+", "2+", "3+")), "label", 4, 0),
    "Gleason's sums of cases": (tree(PATIENTS, ("3+3", "3+4", "4+3")), "case/label", 3, 6),
    "French": (tree(("hôpital A", "hôpital B"), ("bénin", "malin"), PATIENTS, each=3),
               "*/label/case", 2, 6),
    "parts in German": (tree(("Training", "Validierung"), ("gesund", "Tumor")), "part/label", 2, 0),
    "organs above": (
        {"lung_sets/lung_aca": 99, "lung_sets/lung_n": 99, "colon_sets/colon_aca": 99,
         "colon_sets/colon_n": 99},
        "*/label", 4, 0,
    ),
    "cases of one label only": ({**tree(("tumor",), PATIENTS), "normal": 90}, "label/case", 2, 6),
    "stray images above": ({**tree(("data",), L), "data": 1, "": 1}, "label", 2, 0),
    "test without labels": ({**tree(("train",), L), "test": 20}, "part/label", 2, 0),
    "masks": (tree(("images", "masks"), L), "label", 2, 0),
    "magnifications": (tree(("40X", "100X"), L), "*/label", 2, 0),
    "unpacked twice": ({f"{name}/{name}": 9 for name in L}, "label", 2, 0),
    "sizes": (tree(("80", "120", "160"), L), "*/label", 2, 0),
    "unlabeled images": (tree((*L, "unlabeled")), "label", 2, 0),
    "folds": (tree(numbered("fold{}", 1, 2, 3), L), "*/label", 2, 0),
    "one class": (tree(("a",)), "label", 1, 0),
    "spellings": ({"Tumor": 9, " tumor": 3, "normal": 9}, "label", 2, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_trees_that_are_read(name):
    folders, levels, classes, cases = READ[name]
    read = read_tree(folders)
    reading = read.reading
    assert (reading.levels, len(reading.classes), reading.cases) == (levels, classes, cases)
    # What is printed can be typed, and means the same.
    assert read_tree(folders, levels=levels).entries == read.entries
    left = sum(folders[folder] for folder in read.left_out)
    labeled = sum(reading.classes.values())
    assert labeled + left == sum(count for f, count in folders.items() if f not in ("", "data"))


#: Folders -> words of the question.
ASKED = {
    "cases alone": (tree(PATIENTS), "the 6 folders .* look like cases, not classes"),
    "cases with images below": (tree(PATIENTS, ("patches",)), "look like cases, not classes"),
    "many numbers": (tree(numbered("{}", *range(8000, 8030))), "look like case numbers"),
    "few numbers": (tree(numbered("{}", 8863, 8864, 8865)), "look like case numbers"),
    "small numbers": (tree(numbered("{}", *range(1, 9)), each=5), "8 classes of a handful"),
    "many classes": (tree(numbered("class_{}", *range(30))), "give 30 classes"),
    "subtypes": (tree(("benign",), ("adenosis", "fibroadenoma"))
                 | tree(("malignant",), ("ductal_carcinoma", "lobular_carcinoma")),
                 r"several ways.*'label/subtype': 2 classes.*'\*/label': 4 classes"),
    "zeros and ones twice": (tree(("0", "1"), ("0", "1")), "several ways"),
    "few numbers in few groups": (tree(("a", "b"), ("1", "2")), "several ways"),
    "persons": (tree(L, ("anna", "bert", "carl", "dora")), "several ways.*'label/case'"),
    "numbers in numbers": ({f"{k}/{10 * k + j}": 9 for k in range(1, 7) for j in range(6)},
                           "1, 2, 3, ... may be classes or cases"),
    "few names for cases": (tree(L, ("a12", "b13", "c99")), "'label/case': .*'label': 2 classes"),
    "part and label in one name": (tree(("train_tumor", "train_fat", "test_tumor", "test_fat")),
                                   "test_fat, .* on the level of labels may be no label"),
    "images among labels": (tree(("tumor", "normal", "images")), "images on the level of labels"),
    "a folder more in one part": (tree(("train",), ("x",), L) | tree(("test",), L),
                                  "benign, malignant are on several levels"),
    "a block among labels": ({**tree(("P1", "P2"), L), **tree(("P2",), ("block1",), L)},
                             "block1 on the level of labels"),
    "parts in each fold": (tree(numbered("fold{}", 1, 2), ("train", "test"), L),
                           r"2 folds, .* --include '\*fold1/\*'"),
    "nothing but holders": (tree(("train", "test"), ("images",)), "no level .* names of labels"),
    "deep": (tree(*[("a", "b")] * 8, ("x",), *[("y",)] * 6), "15 levels deep"),
}  # fmt: skip


@pytest.mark.parametrize("name", ASKED)
def test_trees_that_are_asked_about(name):
    folders, words = ASKED[name]
    with pytest.raises(SourceError, match=words) as caught:
        read_tree(folders)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 800


def test_what_a_folder_means():
    entry = read_tree(tree(("train", "hold-out"), L, BARCODES)).entries[
        "hold-out/benign/TCGA-03-A0B3-01Z-00-DX2"
    ]
    assert (entry.label, entry.case, entry.part) == ("benign", "TCGA-03-A0B3", "test")
    assert entry.slide == "TCGA-03-A0B3-01Z-00-DX2"
    read = read_tree({**tree(("tumor",), PATIENTS), "normal": 90})
    assert read.entries["normal"].case == ""


def test_notes():
    def notes(folders: dict[str, int]) -> str:
        return "\n".join(read_tree(folders).notes)

    assert "left out: 60 images in folders of masks" in notes(READ["masks"][0])
    assert "left out: 20 images in test and without a label" in notes(
        READ["test without labels"][0]
    )
    assert "keep one with --include '*/40X/*'" in notes(READ["magnifications"][0])
    # As the folders are written: patterns tell capitals apart.
    assert "keep one with --include '*/40x/*'" in notes(tree(("40x", "100x"), L))
    assert "folds fold1, fold2, fold3 are not kept" in notes(READ["folds"][0])
    assert "level of hospital A, hospital B is not kept" in notes(READ["all there is"][0])
    assert "below several of benign, malignant is taken for one case" in notes(
        READ["label/case"][0]
    )
    assert "below several of site1, site2 is taken for one" in notes(
        tree(("site1", "site2"), numbered("P{}", *range(5)), L)
    )
    assert "extra on the level of parts is none" in notes(tree(("train", "val", "extra"), L))
    assert notes(READ["case/label"][0]) == ""


def test_levels_that_are_chosen():
    assert parse_levels(" Label/case/ ") == ("label", "case")
    for text in ("", "case", "label/label", "label/patient", "label//case", "lab\nel"):
        with pytest.raises(SourceError, match="is no list of levels: name each"):
            parse_levels(text)
    folders = tree(("top",), L, ("a", "b"), ("images",))
    assert read_tree(folders, levels="*/label").reading.classes == {"a": 60, "b": 60}
    # Fewer of the common folders are left away where the levels need them.
    assert read_tree(folders, levels="*/label/case/*").reading.cases == 2
    assert read_tree(folders, levels="*/*/*/label").reading.classes == {"images": 120}
    with pytest.raises(SourceError, match="120 images are below fewer levels"):
        read_tree(folders, levels="*/*/*/*/label")


NAMES = (
    "tumor", "normal", "P1", "P2", "train", "test", "images", "40X", "fold1", "patient_7", "0", "1",
    "TCGA-AA-0001-01Z", "8863", "a", "\u00e9", "e\u0301", "Tumor ", "\n", "\x1b[31m", "*", "masks",
    "..", "unlabeled", "x" * 300, "d.zip", "slide [x=1,y=2,w=3,h=4]", "\udcff", "'", "\u0663",
)  # fmt: skip


def test_strange_names_are_read_or_asked_about():
    outcomes = set()
    for seed in range(300):
        rng = random.Random(seed)
        pools = [rng.sample(NAMES, rng.randint(1, 6)) for _ in range(rng.randint(1, 4))]
        paths = set()
        for k in range(rng.randint(1, 40)):
            folders = [rng.choice(pool) for pool in pools][: rng.choice([9, 9, 9, 1])]
            names = [f"{k}.png", f"P{k % 3}_{k}.png", f"s [x={k},y=0,w=1].png", rng.choice(NAMES)]
            paths.add("/".join([*folders, rng.choice(names)]))
        try:
            tree = TreeLayout(sorted(paths), levels=rng.choice([None, None, "label", "*/label"]))
            for path in paths:
                tree.parse(path)
            texts = [tree.text, *tree.notes]
            outcomes.add("read")
        except SourceError as error:
            texts = [str(error)]
            outcomes.add("asked")
        except ImageError as error:
            texts = [str(error)]
        assert all(text.isprintable() and len(text) < 1000 for text in texts), seed
    assert outcomes == {"read", "asked"}
