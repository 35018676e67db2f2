"""The scale of a model beside that of what it is shown: micrometers a pixel, and the field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eosin.data.fit import SAME
from eosin.errors import UserError
from eosin.records.evaluation import MeasuredScale
from eosin.records.marks import Mark
from eosin.records.model import ModelFacts

if TYPE_CHECKING:
    from eosin.data.store import PatchStore

Size = tuple[int, int]


def measured_scale(facts: ModelFacts, size: Size, mpp: float | None) -> MeasuredScale:
    """The scale of patches beside the model's.

    size: (height_px, width_px) of the patches; mpp: micrometers a pixel, None where unknown. The
    network stretches them to its own patch size, so the ratio is that of the fields of view, on
    the side where it is further from 1; None where a scale is unknown.

    >>> facts = ModelFacts(architecture="compact", classes=("n", "p"), patch_size=(50, 50), mpp=4.0)
    >>> measured_scale(facts, (100, 100), 0.5).ratio
    0.25
    """
    ratio = None
    if facts.mpp and mpp:
        sides = [
            mpp * mine / (facts.mpp * own) for mine, own in zip(size, facts.patch_size, strict=True)
        ]
        ratio = max(sides, key=lambda side: max(side, 1 / side))
    return MeasuredScale(
        model_mpp=facts.mpp, model_patch_size=facts.patch_size, mpp=mpp, patch_size=size,
        ratio=ratio,
    )  # fmt: skip


def differs(ratio: float | None) -> bool:
    """Whether two scales differ by more than 10 percent, in either direction.

    >>> differs(1.05), differs(0.9), differs(0.95), differs(None)
    (False, True, False, False)
    """
    return ratio is not None and max(ratio, 1 / ratio) > 1 + SAME


def scale_mark(scale: MeasuredScale, what: str = "these patches") -> Mark | None:
    """The mark of another scale than the model's, or None."""
    if not differs(scale.ratio):
        return None
    assert scale.ratio is not None
    seen = f"{1 / scale.ratio:.2g} times as large" if scale.ratio < 1 else (
        f"{scale.ratio:.2g} times as small"
    )  # fmt: skip
    return Mark(
        "scale",
        f"another scale: {what} have {_words(scale.patch_size, scale.mpp)}, the model's training "
        f"patches {_words(scale.model_patch_size, scale.model_mpp)}: it sees tissue {seen} as it "
        "learned it",
    )


def unknown_scale(scale: MeasuredScale, what: str = "these patches") -> str:
    """Why scales cannot be compared, in a sentence; "" where they can."""
    if scale.ratio is not None:
        return ""
    mine, own = (
        _words(scale.patch_size, scale.mpp), _words(scale.model_patch_size, scale.model_mpp),
    )  # fmt: skip
    return f"Scales cannot be compared: {what} have {mine}, the model's training patches {own}."


def _words(size: Size | None, mpp: float | None) -> str:
    height, width = size or (0, 0)
    if not mpp:
        return f"{width}x{height} px at an unknown scale"
    return f"{width}x{height} px at {mpp:g} micrometers a pixel ({width * mpp:g} wide)"


def to_model_scale(facts: ModelFacts, store: PatchStore) -> tuple[PatchStore, Mark | None]:
    """The store at the model's scale, and the mark of what was done; itself where nothing was.

    Each patch is resampled, and its middle of the model's patch size is used. Raises UserError
    where a scale is unknown, or the patches show less of the tissue than the model needs.
    """
    from eosin.data.views import resampled_view

    if not facts.mpp or not store.mpp:
        who = "the model" if not facts.mpp else str(store.path)
        raise UserError(
            f"--resample needs the micrometers a pixel of both, and {who} does not have them; "
            "give them when packing: eosin pack SOURCE STORE --mpp MPP"
        )
    scale = store.mpp / facts.mpp
    if scale == 1 and store.patch_size == facts.patch_size:
        return store, None
    before = measured_scale(facts, store.patch_size, store.mpp)
    sides = [round(side * scale) for side in store.patch_size]
    if any(s < (1 - SAME) * own for s, own in zip(sides, facts.patch_size, strict=True)):
        raise UserError(
            f"--resample: {store.path} has {_words(store.patch_size, store.mpp)}, and the model "
            f"needs {_words(facts.patch_size, facts.mpp)}: no resampling shows it tissue that is "
            "not in the patch. Cut larger patches from the slides"
        )
    sentence = (
        f"resampled: patches of {_words(store.patch_size, store.mpp)} were brought to the model's "
        f"{_words(before.model_patch_size, facts.mpp)}"
    )
    if any(s > (1 + SAME) * own for s, own in zip(sides, facts.patch_size, strict=True)):
        sentence += "; only their middle is seen, and labels are of the complete patch"
    return resampled_view(store, scale, facts.patch_size, facts.mpp), Mark("scale", sentence)
