"""Folders of labeled images: the reading of their levels, together with what file names say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from eosin.errors import ImageError
from eosin.sources.layouts import Entry, plainly
from eosin.sources.levels import read_tree
from eosin.sources.names import CasePattern, NameFacts, NameForm, form_of, qupath, suggestion

#: A picture that belongs to a patch: patch_mask.png, or QuPath's "slide [x=..]-labelled.png".
_MASK_FILE = re.compile(
    r"[-_. ](?:mask|label+ed|seg|segmentation|annotation|overlay)s?\.\w+$", re.I
)


class TreeLayout:
    """What the paths of one source mean, as their folders show it together.

    paths: of all images. levels: see ``read_tree``. cases: how names give the case, or None.
    Raises SourceError where the folders can be read in several ways or in none.

    >>> tree = TreeLayout([f"{label}/P{k}/1.png" for label in ("fat", "tumor") for k in range(9)])
    >>> tree.text
    'label/case: 2 classes (fat 9, tumor 9), 9 cases'
    >>> tree.parse("tumor/P3/1.png").case
    'P3'
    """

    def __init__(
        self, paths: Sequence[str], *, levels: str | None = None, cases: CasePattern | None = None
    ) -> None:
        masks = [path for path in paths if _MASK_FILE.search(path)]
        #: Images that are no patches.
        self.left_out = set(masks) if 2 * len(masks) <= len(paths) else set()
        named = [path for path in paths if path not in self.left_out]
        folders = Counter(_folder(path) for path in named)
        tree = read_tree(folders, levels=levels)
        self._entries: Mapping[str, Entry] = tree.entries
        self.notes = list(tree.notes)
        if self.left_out:
            self.notes.append(f"left out: {len(self.left_out):,} masks ({plainly(masks[0])}, ...)")
        self.left_out.update(path for path in named if _folder(path) in tree.left_out)
        labeled = [path for path in named if _folder(path) in tree.entries]
        self._facts: dict[str, NameFacts | ImageError | None] = {}
        form = form_of(labeled)
        self._from_folders = "case" in tree.reading.roles
        if self._from_folders and form is not None and form.read is not qupath:
            form = None
        self.levels = tree.reading.levels
        self.text = f"{self.levels}: {tree.reading.words()}"
        if form is not None:
            self.text += self._from_names(form, labeled, cases)
        elif cases is None and not self._from_folders:
            hint = suggestion(labeled, list(tree.reading.classes))
            self.notes += [hint] if hint else []

    def _from_names(self, form: NameForm, labeled: Sequence[str], cases: CasePattern | None) -> str:
        """What the file names add, in words."""
        for path in labeled:
            try:
                self._facts[path] = form.read(_file(path))
            except ImageError as error:
                self._facts[path] = error
        facts = [fact for fact in self._facts.values() if isinstance(fact, NameFacts)]
        scales = sorted({fact.downsample for fact in facts if fact.downsample is not None})
        if scales:
            shown = ", ".join(f"{scale:g}" for scale in scales[:4])
            self.notes.append(
                f"QuPath's downsample is {shown}: --mpp is that of the slide's full resolution "
                f"times {scales[0]:g}" + " and differs between the tiles" * (len(scales) > 1)
            )
        if self._from_folders or cases is not None:
            return ", with x and y from QuPath tile names"
        missing = len(labeled) - len(facts)
        if missing:
            self.notes.append(f"{missing:,} file names do not give their case as the others do")
        count = len({fact.case for fact in facts})
        return f", {count:,} case{'' if count == 1 else 's'} from {form.about}"

    def parse(self, path: str) -> Entry | None:
        """What one of the paths means; None where it is not below a folder of a label.

        Raises ImageError where its name has an impossible position.
        """
        entry, facts = self._entries.get(_folder(path)), self._facts.get(path)
        if isinstance(facts, ImageError):
            raise facts
        if entry is None or facts is None:
            return entry
        slide = entry.slide or facts.slide
        return Entry(entry.label, entry.case or facts.case, facts.x, facts.y, entry.part, slide,
                     entry.subtype)  # fmt: skip


def _folder(path: str) -> str:
    return path[: max(0, path.rfind("/"))]


def _file(path: str) -> str:
    return path[path.rfind("/") + 1 :]
