"""Which directories of a TIFF file are the levels of one slide, and which are something else."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from eosin.errors import SlideError
from eosin.slides import scale as scales
from eosin.slides.slide import Scale
from eosin.slides.tags import Page

#: Signs of vendors whose files have rules of their own, which OpenSlide knows.
_VENDOR_TAGS = {65420: "Hamamatsu NDPI", 65000: "Argos"}
_VENDOR_WORDS = {
    "<scn": "Leica SCN", "DPUfsImport": "Philips TIFF", "Trestle": "Trestle", "MedScan": "Trestle",
    "<iScan": "Ventana BIF", "<EncodeInfo": "Ventana BIF", "Philips": "Philips TIFF",
    "Huron": "Huron",
}  # fmt: skip


@dataclass(frozen=True)
class Pyramid:
    """The levels of a slide, from the largest, and what else its file has."""

    format: str
    levels: tuple[Page, ...]
    associated: dict[str, Page]
    scale: Scale | None
    objective: float | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)


def pyramid_of(pages: tuple[Page, ...]) -> Pyramid:
    """The slide in these directories; raises SlideError where it is not certain what is what."""
    for page in pages:
        for code, vendor in _VENDOR_TAGS.items():
            if code in page.codes:
                raise SlideError(f"{vendor} has rules of its own")
        text = page.description[:4000] + page.software + page.make + page.xmp[:4000]
        for word, vendor in _VENDOR_WORDS.items():
            if word in text:
                raise SlideError(f"{vendor} has rules of its own")
    if pages[0].description.startswith("Aperio"):
        return _aperio(pages)
    root = scales.ome_root(pages[0].description)
    return _generic(pages) if root is None else _ome(pages, scales.ome_pixels(root))


def scale_of(page: Page) -> tuple[Scale | None, float | None, str]:
    """Scale, objective power and a note, from the texts of a directory or its resolution.

    The resolution of an OME-TIFF means nothing, and Aperio's text is believed first.
    """
    root = scales.ome_root(page.description)
    if root is not None:
        images = scales.ome_pixels(root)
        scale, note = scales.ome(images[0][1]) if images else (None, "")
        return scale, None, note
    scale, power, note = None, None, ""
    if page.description.startswith("Aperio"):
        scale, power, note = scales.aperio(page.description)
    if scale is None and not note:
        scale, note = scales.resolution(page.resolution, page.unit)
    return scale, power, note


def fits(level: Page, base: Page) -> bool:
    """Whether a picture has the shape of another one, reduced, to two pixels.

    Both sides may have been rounded, up or down, each time that a picture was halved.
    """
    (w, h), (wide, high) = base.size_px, level.size_px
    return wide < w and high <= h and abs(w * high - h * wide) <= 2 * max(w, h)


def _levels(pages: list[Page], what: str) -> tuple[Page, ...]:
    """Tiled pictures as levels, largest first; raises SlideError where they are not of one."""
    ordered = sorted(pages, key=lambda page: -page.width_px * page.height_px)
    base = ordered[0]
    for above, page in pairwise(ordered):
        if page.width_px >= above.width_px or page.height_px > above.height_px:
            raise SlideError(
                f"{what}: pictures {above.name} and {page.name} are of one size, so they are no "
                "levels of one slide"
            )
        if not fits(page, base):
            raise SlideError(
                f"{what}: picture {page.name} ({page.width_px}x{page.height_px}) has not the shape "
                f"of the largest one ({base.width_px}x{base.height_px})"
            )
    return tuple(ordered)


def _order_note(pages: list[Page], levels: tuple[Page, ...]) -> tuple[str, ...]:
    if [page.name for page in pages] == [page.name for page in levels]:
        return ()
    names = ", ".join(page.name for page in levels)
    return (f"the levels are not in order of size in the file; used in the order {names}",)


def _aperio(pages: tuple[Page, ...]) -> Pyramid:
    tiled = [page for page in pages if page.tile_px]
    if not tiled or tiled[0] is not pages[0]:
        raise SlideError("Aperio text, but its first picture is not in tiles")
    for page in tiled:
        if (page.counts == 0).any():
            # What is missing is made of the next finer level, which OpenSlide does.
            raise SlideError("Aperio leaves tiles out, which are then made of another level")
    levels = _levels(tiled, "Aperio")
    if levels[0] is not pages[0]:
        raise SlideError("Aperio text, but the first picture is not the largest")
    found, power, note = scale_of(pages[0])
    return Pyramid(
        "Aperio SVS", levels, _aperio_pictures(pages), found, power,
        (*_order_note(tiled, levels), *scales.notes_of(found, power, note)),
    )  # fmt: skip


def _aperio_pictures(pages: tuple[Page, ...]) -> dict[str, Page]:
    """Thumbnail, label and macro: the second directory, and names in the texts of the others."""
    found: dict[str, Page] = {}
    for number, page in enumerate(pages):
        if page.tile_px:
            continue
        lines = page.description.splitlines()
        name = lines[1].split(" ")[0] if len(lines) > 1 else ""
        found["thumbnail" if number == 1 else name or f"page {page.name}"] = page
    return dict(sorted(found.items()))


def _generic(pages: tuple[Page, ...]) -> Pyramid:
    everything = [page for each in pages for page in (each, *each.subs)]
    tiled = [page for page in everything if page.tile_px]
    if not tiled:
        raise SlideError("its pictures are not in tiles")
    largest = max(everything, key=lambda page: page.width_px * page.height_px)
    if not largest.tile_px:
        raise SlideError("its largest picture is not in tiles")
    if any(page.subfile & 4 for page in everything):
        raise SlideError("it has a transparency mask")
    if any(page.subfile & 2 for page in everything):
        raise SlideError("its pictures are pages of a document")
    levels = _levels(tiled, "TIFF")
    if levels[0].subfile & 1:
        raise SlideError("its largest picture is marked as a reduced one")
    notes = list(_order_note(tiled, levels))
    unmarked = [page.name for page in levels[1:] if not page.subfile & 1 and "/" not in page.name]
    if unmarked:
        notes.append(
            f"pictures {', '.join(unmarked)} are not marked as reduced; they are taken for levels "
            "by their shape"
        )
    found, _, note = scale_of(levels[0])
    rest = {f"page {page.name}": page for page in everything if page not in levels}
    return Pyramid(
        "generic tiled TIFF",
        levels,
        rest,
        found,
        None,
        (*notes, *scales.notes_of(found, None, note)),
    )


def _ome(
    pages: tuple[Page, ...], images: list[tuple[str, dict[str, str], int, set[str]]]
) -> Pyramid:
    if not images:
        raise SlideError("its OME-XML has no image")
    _, pixels, first, files = images[0]
    if len({file for _, _, _, each in images for file in each}) > 1:
        raise SlideError("its OME-XML spreads the image over several files")
    if first != 0 or files - {file for _, _, _, each in images for file in each}:
        raise SlideError("its OME-XML has its first image elsewhere than in the first directory")
    for side in ("SizeZ", "SizeT"):
        if pixels.get(side, "1") != "1":
            raise SlideError(f"its OME-XML has {side} {pixels[side]}; only a flat image is a slide")
    if pixels.get("SizeC", "3") != str(pages[0].samples):
        raise SlideError(
            f"its OME-XML has {pixels['SizeC']} channels, and a pixel {pages[0].samples} samples"
        )
    if not pages[0].tile_px or any(not page.tile_px for page in pages[0].subs):
        raise SlideError("its pictures are not in tiles")
    own = [pages[0], *pages[0].subs]
    levels = _levels(own, "OME-TIFF")
    if levels[0] is not pages[0]:
        raise SlideError("an OME-TIFF whose first picture is not the largest")
    names = {first: name for name, _, first, _ in images[1:]}
    rest: dict[str, Page] = {}
    for number, page in enumerate(pages[1:], 1):
        if page.width_px * page.height_px >= pages[0].width_px * pages[0].height_px:
            raise SlideError("its OME-XML has several images of the size of the first")
        name = names.get(number) or f"page {number}"
        rest[name if name not in rest else f"{name} (page {number})"] = page
    found, _, note = scale_of(pages[0])
    return Pyramid(
        "OME-TIFF", levels, rest, found, None,
        (*_order_note(own, levels), *scales.notes_of(found, None, note)),
    )  # fmt: skip
