"""Which array has the labels of which images, by their names: x_train and y_train, and the like."""

from __future__ import annotations

import re
from collections.abc import Iterable

from eosin.sources.layouts import PARTS

_IMAGES = ("images", "image", "imgs", "img", "x")
_LABELS = ("labels", "label", "targets", "target", "classes", "class", "lbl", "y")
#: Words that mean the images where no other word of a name does.
_WEAK = ("data", "patches", "patch", "inputs", "pixels")

_SUFFIX = re.compile(r"(\.npy|\.h5|\.hdf5|\.gz)+$", re.I)
_JOINED = re.compile(rf"({'|'.join(PARTS)})?({'|'.join((*_IMAGES, *_LABELS))})({'|'.join(PARTS)})?")


def words_of(name: str) -> list[str]:
    """The words of a name in small letters, also those that are written as one.

    >>> words_of("Data_trainX.npy"), words_of("xylem")
    (['data', 'train', 'x', 'npy'], ['xylem'])
    """
    words: list[str] = []
    for word in re.split(r"[^a-z0-9]+", name.lower()):
        joined = _JOINED.fullmatch(word)
        words += filter(None, joined.groups() if joined else [word])
    return words


def role_of(name: str) -> tuple[str, tuple[str, ...]]:
    """("images" or "labels" or "", the other words) of the name of an array or its file.

    >>> role_of("x_train.npy"), role_of("trainY.npy")
    (('images', ('train',)), ('labels', ('train',)))
    >>> role_of("camelyonpatch_level_2_split_valid_x.h5.gz")[0], role_of("weights.h5")[0]
    ('images', '')
    """
    words = words_of(_SUFFIX.sub("", name))
    for role, known in (("labels", _LABELS), ("images", _IMAGES), ("images", _WEAK)):
        hits = [word for word in words if word in known]
        if hits:
            words.remove(hits[-1])
            return role, tuple(words)
    return "", tuple(words)


def paired(names: Iterable[str]) -> dict[str, str]:
    """The name of the labels of each name of images, "" where there is none.

    >>> paired(["x_train", "y_train", "x_test", "other"])
    {'x_train': 'y_train', 'x_test': ''}
    """
    roles = {name: role_of(name) for name in names}
    labels = {rest: name for name, (role, rest) in roles.items() if role == "labels"}
    return {name: labels.get(rest, "") for name, (role, rest) in roles.items() if role == "images"}
