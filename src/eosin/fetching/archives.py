"""The public archives that ``eosin fetch`` knows: files, license, citation, and how to pack them.

Addresses, sizes and checksums are those that the archive's own page or programs that load it give.
What could not be confirmed is left out: a file without a checksum has that of its first
download recorded in fetched.json, and is compared with it from then on.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from eosin.errors import UserError, closest


@dataclass(frozen=True)
class Item:
    """One file of an archive."""

    name: str
    #: "md5:..." or "sha256:..." as published; "" where none is known for certain.
    checksum: str = ""
    size_bytes: int = 0


@dataclass(frozen=True)
class Archive:
    """One public data set."""

    name: str
    about: str
    patches: int
    license: str
    citation: str
    page: str
    #: The words after `eosin pack`, a line a store; "{}" is the folder (or the one zip).
    pack: tuple[str, ...]
    items: tuple[Item, ...] = ()
    #: Addresses of folders with the files.
    mirrors: tuple[str, ...] = ()
    #: OWNER/NAME of a data set of Kaggle that is one zip, which ``items`` names.
    kaggle: str = ""
    #: What to do where the archive is given out by mail or form, in steps; such have no mirrors.
    steps: str = ""
    #: About how many bytes, where the items do not tell.
    about_bytes: int = 0
    note: str = ""

    @property
    def size_bytes(self) -> int:
        """The bytes to fetch; 0 where unknown."""
        sizes = [item.size_bytes for item in self.items]
        return sum(sizes) if sizes and all(sizes) else self.about_bytes

    @property
    def account(self) -> str:
        """What is needed besides a connection."""
        return "Kaggle token" if self.kaggle else "form, by mail" if self.steps else ""

    def commands(self, place: Path) -> list[str]:
        """The exact commands that pack what was fetched to ``place``, a folder (or the one zip)."""
        name = str(place)
        return [f"eosin pack {_placed(line, name)}" for line in self.pack]


def _placed(line: str, name: str) -> str:
    """A line of ``pack`` with its place, quoted for a shell as one word.

    >>> _placed("{}/a.zip a.store", "my data")
    "'my data/a.zip' a.store"
    """
    return shlex.join(word.format(name) for word in shlex.split(line))


def find_archive(name: str) -> Archive:
    """The archive of that name; raises UserError that lists the known ones.

    >>> find_archive("pcam").patches
    327680
    """
    if name not in ARCHIVES:
        raise UserError(
            f"no archive {name!r}; {closest(name, ARCHIVES)} (all of them: eosin fetch --list)"
        )
    return ARCHIVES[name]


_ZENODO = "https://zenodo.org/records/{}/files/"
_PCAM = "camelyonpatch_level_2_split_"
_MEDMNIST = (
    "Yang J et al. MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D biomedical image "
    "classification. Scientific Data 10, 41 (2023)"
)


def _medmnist(
    name: str, about: str, patches: int, md5: str, size_bytes: int = 0, license_: str = "CC BY 4.0"
) -> Archive:
    return Archive(
        name, f"MedMNIST: {about}", patches, license_, _MEDMNIST, "https://medmnist.com",
        (f"{{}}/{name}.npz {name}.store",), (Item(f"{name}.npz", f"md5:{md5}", size_bytes),),
        (_ZENODO.format(10519652),),
        note="cases are unknown; the parts of the source are kept: eosin split STORE --by given",
    )  # fmt: skip


_ALL = (
    Archive(
        "idc", "breast, invasive ductal carcinoma or not, 50x50 px", 277_524,
        "CC0 as recorded on Kaggle",
        "Janowczyk A, Madabhushi A. Journal of Pathology Informatics 7, 29 (2016); "
        "Cruz-Roa A et al. Proc. SPIE 9041 (2014)",
        "https://www.kaggle.com/datasets/paultimothymooney/breast-histopathology-images",
        ("{} idc.store",), (Item("breast-histopathology-images.zip"),),
        kaggle="paultimothymooney/breast-histopathology-images", about_bytes=3_100_000_000,
    ),
    Archive(
        "mnist", "handwritten digits, 28x28 px", 70_000, "CC BY-SA 3.0",
        "LeCun Y, Cortes C, Burges CJC. The MNIST database of handwritten digits",
        "http://yann.lecun.com/exdb/mnist/", ("{} mnist.store",),
        (
            Item("train-images-idx3-ubyte.gz", "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            Item("train-labels-idx1-ubyte.gz", "md5:d53e105ee54ea40749a09fcbcd1e9432"),
            Item("t10k-images-idx3-ubyte.gz", "md5:9fb629c4189551a2d022fa330f9573f3"),
            Item("t10k-labels-idx1-ubyte.gz", "md5:ec29112dd5afa0611ce80d1b7f02629c"),
        ),
        (
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
        about_bytes=12_000_000,
    ),
    Archive(
        "breakhis", "breast tumors, benign or malignant, 700x460 px, four magnifications", 7_909,
        "CC BY 4.0",
        "Spanhol FA et al. A dataset for breast cancer histopathological image classification. "
        "IEEE Transactions on Biomedical Engineering 63(7), 1455-1462 (2016)",
        "https://web.inf.ufpr.br/vri/databases/breast-cancer-histopathological-database-breakhis/",
        ("{}/BreaKHis_v1.tar.gz breakhis.store --include '*-40-*'",),
        (Item("BreaKHis_v1.tar.gz"),), ("http://www.inf.ufpr.br/vri/databases/",),
        about_bytes=4_000_000_000,
        note="the command packs magnification 40x; for the others use '*-100-*', '*-200-*' or "
        "'*-400-*'. They show the same fields, so never put two into one split",
    ),
    Archive(
        "nct-crc", "colorectal tissue, 9 classes, 224x224 px; 100K to train on, 7K to test",
        107_180,
        "CC BY 4.0",
        "Kather JN, Halama N, Marx A. 100,000 histological images of human colorectal cancer and "
        "healthy tissue. Zenodo (2018), doi 10.5281/zenodo.1214456",
        "https://zenodo.org/records/1214456",
        ("{}/NCT-CRC-HE-100K.zip nct-crc-100k.store", "{}/CRC-VAL-HE-7K.zip crc-val-7k.store"),
        (
            Item("NCT-CRC-HE-100K.zip", "md5:6fd702d11df6292bc054397ae038a464", 11_690_284_003),
            Item("CRC-VAL-HE-7K.zip", "md5:2fd1651b4f94ebd818ebf90ad2b6ce06", 800_276_929),
        ),
        (_ZENODO.format(1214456),),
        note="cases are unknown in both; train on the first, then measure on the second, which is "
        "of other patients: eosin evaluate RUN --store crc-val-7k.store",
    ),
    Archive(
        "pcam", "lymph nodes, metastasis in the center or not, 96x96 px", 327_680, "CC0 1.0",
        "Veeling BS, Linmans J, Winkens J, Cohen T, Welling M. Rotation equivariant CNNs for "
        "digital pathology. MICCAI (2018), arXiv:1806.03962; Ehteshami Bejnordi B et al. JAMA "
        "318(22), 2199-2210 (2017)",
        "https://github.com/basveeling/pcam", ("{} pcam.store",),
        (
            # SHA-256 and bytes of the files at Zenodo; the MD5 of the authors' page name valid and
            # test the other way round, so those of the two small tables are left out.
            Item(f"{_PCAM}train_x.h5.gz",
                 "sha256:d619e741468a7ab35c7e4a75e6821b7e7e6c9411705d45708f2a0efc8960656c",
                 6_421_353_462),
            Item(f"{_PCAM}train_y.h5.gz",
                 "sha256:b74126d2c01b20d3661f9b46765d29cf4e4fba6faba29c8e0d09d406331ab75a", 21_378),
            Item(f"{_PCAM}train_meta.csv", "md5:5a3dd671e465cfd74b5b822125e65b0a"),
            Item(f"{_PCAM}valid_x.h5.gz",
                 "sha256:f82ee1670d027b4ec388048d9eabc2186b77c009655dae76d624c0ecb053ccb2",
                 805_965_320),
            Item(f"{_PCAM}valid_y.h5.gz",
                 "sha256:ce1ae30f08feb468447971cfd0472e7becd0ad96d877c64120c72571439ae48c", 3_038),
            Item(f"{_PCAM}valid_meta.csv"),
            Item(f"{_PCAM}test_x.h5.gz",
                 "sha256:79174c2201ad521602a5888be8f36ee10875f37403dd3f2086caf2182ef87245",
                 800_875_929),
            Item(f"{_PCAM}test_y.h5.gz",
                 "sha256:0a522005fccc8bbd04c5a117bfaf81d8da2676f03a29d7499f71d0a0bd6068ef", 3_040),
            Item(f"{_PCAM}test_meta.csv"),
        ),
        (_ZENODO.format(2546921),), about_bytes=8_030_000_000,
        note="the slide of each patch is its case; the parts of the source are kept: "
        "eosin split pcam.store --by given",
    ),
    Archive(
        "lc25000", "lung and colon, 5 classes, 768x768 px", 25_000,
        "none is named by the authors; read that of the Kaggle page before you use it",
        "Borkowski AA et al. Lung and colon cancer histopathological image dataset (LC25000). "
        "arXiv:1912.12142 (2019)",
        "https://github.com/tampapath/lung_colon_image_set",
        ("{} lc25000.store --size 224 --fit resize",),
        (Item("lung-and-colon-cancer-histopathological-images.zip"),),
        kaggle="andrewmvd/lung-and-colon-cancer-histopathological-images",
        about_bytes=1_850_000_000,
        note="the 25,000 were made from 1,250 images by turns and flips, and cases are unknown. "
        "The search finds flips and quarter turns but not turns by a few degrees, so figures on "
        "any split of it are too good",
    ),
    Archive(
        "bach", "breast, normal, benign, in situ or invasive, 2048x1536 px", 400, "CC BY-NC-ND 4.0",
        "Polónia A, Eloy C, Aguiar P. BACH dataset: grand challenge on breast cancer histology "
        "images. Zenodo (2020), doi 10.5281/zenodo.3632035",
        "https://zenodo.org/records/3632035",
        ("{}/ICIAR2018_BACH_Challenge.zip bach.store --include '*Photos/*'",),
        (Item("ICIAR2018_BACH_Challenge.zip", "md5:8ae1801334aa943c44627c1eef3631b2"),),
        (_ZENODO.format(3632035),), about_bytes=10_400_000_000,
        note="cases are unknown; add --size 384x512 --fit resize for networks of that size. The "
        "zip has whole slides too, which are left out",
    ),
    Archive(
        "mhist", "colorectal polyps, hyperplastic or sessile serrated, 224x224 px", 3_152,
        "Dataset Research Use Agreement",
        "Wei J et al. A petri dish for histopathology image analysis. AIME (2021), "
        "arXiv:2101.12355",
        "https://bmirds.github.io/MHIST/", ("{} mhist.store --column 'label=Majority Vote Label'",),
        about_bytes=354_000_000,
        steps="1. Fill in the form at https://bmirds.github.io/MHIST/ and agree to its terms; "
        "links come by mail.\n  2. Put annotations.csv and the unpacked folder images into one "
        "folder.",
        note="cases are unknown; the parts of the source are kept: "
        "eosin split mhist.store --by given",
    ),
    _medmnist("pathmnist", "colorectal tissue of nct-crc, 9 classes, 28x28 px", 107_180,
              "a8b06965200029087d5bd730944a56c1", 205_615_438),
    _medmnist("pathmnist_64", "the same, 64x64 px", 107_180, "55aa9c1e0525abe5a6b9d8343a507616"),
    _medmnist("pathmnist_128", "the same, 128x128 px", 107_180, "ac42d08fb904d92c244187169d1fd1d9"),
    _medmnist("pathmnist_224", "the same, 224x224 px", 107_180, "2c51a510bcdc9cf8ddb2af93af1eadec"),
    _medmnist("bloodmnist", "blood cells, 8 classes, 28x28 px", 17_092,
              "7053d0359d879ad8a5505303e11de1dc"),
    _medmnist("tissuemnist", "kidney cells, 8 classes, 28x28 px", 236_386,
              "ebe78ee8b05294063de985d821c1c34b"),
    _medmnist("dermamnist", "skin, 7 classes, 28x28 px", 10_015,
              "0744692d530f8e62ec473284d019b0c7", license_="CC BY-NC 4.0"),
    _medmnist("breastmnist", "breast ultrasound, 2 classes, 28x28 px", 780,
              "750601b1f35ba3300ea97c75c52ff8f6"),
)  # fmt: skip

ARCHIVES: dict[str, Archive] = {archive.name: archive for archive in _ALL}
