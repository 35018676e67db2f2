"""Which files of a source are images, and which were only left there by systems and viewers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from eosin.kinds import MARK

_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".ppm", ".pgm",
)  # fmt: skip

#: How files of whole slides end.
_SLIDES = (
    ".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".czi", ".vsi", ".dcm", ".svslide",
    ".qptiff", ".isyntax",
)  # fmt: skip

#: Hidden files and folders, and the folders of small copies that systems and viewers make.
_LEFT_BEHIND = re.compile(
    r"(?:^|/)(?:\.(?!\.?/)|_?thumb(?:nail)?s?(?:/|\.\w+$)|"
    r"(?:__macosx|@eadir|\$recycle\.bin|lost\+found)/)"
)


def has_image_suffix(name: str) -> bool:
    """Whether a file name ends like an image.

    >>> has_image_suffix("a/1.PNG"), has_image_suffix("a/1.txt")
    (True, False)
    """
    return name.lower().endswith(_SUFFIXES)


def is_image_name(name: str) -> bool:
    """Whether a path ends like an image and is neither hidden nor a thumbnail.

    >>> is_image_name("a/1.PNG"), is_image_name("a/1.txt"), is_image_name("__MACOSX/a/._1.png")
    (True, False, False)
    >>> is_image_name(".cache/1.png"), is_image_name("a/@eaDir/1.png"), is_image_name("../1.png")
    (False, False, True)
    """
    lower = name.lower()
    return lower.endswith(_SUFFIXES) and _LEFT_BEHIND.search(lower) is None


def is_slide(name: str) -> bool:
    """Whether a path ends like a whole slide.

    >>> is_slide("a/CMU-1.SVS"), is_slide("a/CMU-1.tif")
    (True, False)
    """
    lower = name.lower()
    return lower.endswith(_SLIDES) and not is_left_behind(lower)


def is_left_behind(name: str) -> bool:
    """Whether a path is hidden or below a folder of thumbnails; nobody means it to be a patch.

    >>> is_left_behind("tumor/.ipynb_checkpoints/1.png"), is_left_behind("tumor/1.png")
    (True, False)
    """
    return _LEFT_BEHIND.search(name.lower()) is not None


def own_folders(names: Iterable[str]) -> tuple[str, ...]:
    """How paths begin in the folders that eosin made below a source, and in their pictures.

    >>> own_folders(["a/1.png", "a/mine.store/.eosin.json"])
    ('a/mine.store/', 'a/mine.store.pictures/')
    """
    own = [name.removesuffix("/" + MARK) for name in names if name.endswith("/" + MARK)]
    return tuple(folder + end for folder in own for end in ("/", ".pictures/"))


def is_unsafe(name: str) -> bool:
    """Whether a member's name is an absolute path or one with ``..``.

    >>> is_unsafe("a/1.png"), is_unsafe("../a/1.png"), is_unsafe("C:/1.png")
    (False, True, True)
    """
    return (
        name[:1] == "/"
        or name[1:2] == ":"
        or "\0" in name
        or (".." in name and ".." in name.split("/"))
    )
