"""Published results on the breast-histopathology archive, and whether a run compares with them.

A figure is compared with a published one only where it was measured in the same way: on the 49 test
cases of the published lists, or by five folds over all 279 cases. Everything else has a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from eosin.data.published import PublishedCase
from eosin.records.figures import Figure

LISTS, FOLDS = "published lists", "5 folds"
#: The scheme of a store that has no split with the model's own.
UNSEEN = "unseen store"
#: Patches that may be missing (files that cannot be read, exact duplicates that were dropped)
#: before figures no longer compare with published ones: 1 in 1,000, 51 of the 51,439 of the lists.
SHORTFALL = 0.001


@dataclass(frozen=True, slots=True)
class PublishedResult:
    """One published result: figures between 0 and 1, None where it has none."""

    name: str
    source: str
    #: What was measured on which cases.
    protocol: str
    #: LISTS or FOLDS: results of one group were measured in the same way.
    group: str
    f1: float | None = None
    balanced_accuracy: float | None = None
    auroc: float | None = None
    auprc: float | None = None
    remark: str = ""


_TEST = "the 49 published test cases"
_CROSS = "5 folds over all 279 cases of the archive"
_UNTRACED = "quoted without a source: the publication was not traced"

#: Oldest first, folds last.
RESULTS: tuple[PublishedResult, ...] = (
    PublishedResult(
        "Cruz-Roa 2014",
        "Cruz-Roa et al., Automatic detection of invasive ductal carcinoma in whole slide images "
        "with convolutional neural networks, SPIE Medical Imaging 9041, 2014",
        _TEST, LISTS, f1=0.7180, balanced_accuracy=0.8423,
    ),
    PublishedResult(
        "Janowczyk & Madabhushi 2016",
        "Janowczyk and Madabhushi, Deep learning for digital pathology image analysis: a "
        "comprehensive tutorial with selected use cases, J Pathol Inform 7:29, 2016, "
        "doi:10.4103/2153-3539.186902",
        _TEST, LISTS, f1=0.7648, balanced_accuracy=0.8468,
    ),
    PublishedResult(
        "Romero 2019",
        "Romero, Tang and Kadoury, Multi-level batch normalization in deep networks for invasive "
        "ductal carcinoma cell discrimination in histopathology images, IEEE ISBI 2019, "
        "doi:10.1109/ISBI.2019.8759410, arXiv:1901.03684",
        _TEST, LISTS, balanced_accuracy=0.89,
        remark="its F1 of 0.90 is left out: at 27.5 % positive patches and a balanced accuracy of "
        "0.89 the F1 of the positive class is at most 0.88, so it must be another F1",
    ),
    PublishedResult("EfficientNet-B0", _UNTRACED, _CROSS, FOLDS, auprc=0.883),
    PublishedResult("ConvNeXt-T features + SVM", _UNTRACED, _CROSS, FOLDS, auroc=0.926),
)  # fmt: skip

#: Name in the table -> names that a run's figures may have.
_FIGURES = {
    "f1": ("f1",),
    "balanced_accuracy": ("balanced_accuracy",),
    "auroc": ("auroc",),
    "auprc": ("auprc", "average_precision"),
}


def compare_with_published(
    scheme: str,
    part: str,
    cases: Iterable[str],
    n_patches: int,
    published: Sequence[PublishedCase],
    figures: Mapping[str, Any],
    *,
    made_up: bool = False,
    listed_only: bool | None = True,
    folds: int | None = None,
) -> dict[str, Any]:
    """The "published" key of evaluation.json: published results, and this run where it compares.

    scheme: of the split ("published", "case", "folds", "patch", ...); part: the measured one
    ("test", "val", or "all" for out-of-fold predictions, which count as test);
    cases: names of the measured cases, each once or more; n_patches: how many were measured;
    published: the lists with the archive's patch counts; figures: name -> number or Interval dict;
    listed_only: whether all training cases are in the lists, or None where that is not known;
    folds: how many, for scheme "folds".

    Returns ``comparable``, ``reason`` (why not, or what is short), ``rows`` (one a result, each
    with its own ``comparable``; none for other data), ``run`` (this run's figures as {value, low,
    high}, None where it does not compare) and ``missing``: cases of the protocol that were not
    measured, and patches.
    Up to 1 patch in 1,000 may be missing, which is then reported; one missing case is too many.

    >>> lists = [PublishedCase("1", "test", 70, 30), PublishedCase("2", "train", 10, 10)]
    >>> table = compare_with_published("published", "test", ["1"], 100, lists, {"f1": 0.7})
    >>> table["comparable"], table["run"]["f1"]["value"], table["missing"]
    (True, 0.7, {'cases': [], 'patches': 0})
    >>> compare_with_published("case", "test", ["1"], 100, lists, {})["reason"]
    'not comparable: the split is not that of the published lists (it is by case)'
    """
    measured = {str(case) for case in cases} - {""}
    known = {c.case: patches for c in published if (patches := _patches(c)) is not None}
    group = FOLDS if scheme == "folds" else LISTS
    protocol = {
        c.case: known[c.case]
        for c in published
        if c.case in known and (group == FOLDS or c.part == "test")
    }
    missing: dict[str, Any] = {"cases": [], "patches": 0}
    expected = sum(protocol.values())
    of_archive = not made_up and bool(measured & set(known))
    if of_archive and scheme in ("published", "folds"):
        # On another part every case of the protocol is missing, which is what there is to know.
        here = n_patches if part in ("test", "all") else 0
        missing = {
            "cases": sorted(set(protocol) - measured),
            "patches": max(0, expected - here),
        }
    reason = _why_not(scheme, part, measured, known, protocol, made_up, folds, n_patches)
    if not reason and group == LISTS and not listed_only:
        trained = "cases in no list were trained on as well"
        unknown = "which cases the model was trained on is not known"
        reason = f"not comparable: {unknown if listed_only is None else trained}"
    if not reason:
        reason = _shortfall(missing["patches"], n_patches, expected)
    comparable = not reason.startswith("not comparable")
    run = {name: _figure(figures, names) for name, names in _FIGURES.items()}
    rows = [asdict(result) for result in RESULTS if of_archive]
    for row in rows:
        row["comparable"] = (row.pop("group") == group) and comparable
    return {
        "comparable": comparable, "reason": reason, "rows": rows,
        "note": _lists_note(published) if of_archive else "",
        "run": run if comparable else None, "missing": missing,
    }  # fmt: skip


def _why_not(
    scheme: str,
    part: str,
    measured: set[str],
    known: Mapping[str, int],
    protocol: Mapping[str, int],
    made_up: bool,
    folds: int | None,
    n_patches: int,
) -> str:
    """Why figures of this split, part and data do not compare with published ones, or ""."""
    no = "not comparable: "
    if made_up:
        return f"{no}the data are made up"
    if not measured:
        return f"{no}the measured patches have no case names, so they cannot be identified"
    other = measured - set(known)
    if len(other) == len(measured):
        return f"{no}this is another data set, none of its cases is in the published archive"
    if scheme not in ("published", "folds"):
        if scheme == UNSEEN:
            return f"{no}the model is not known to have learned from the published lists alone"
        name = {"case": "by case", "patch": "by patch"}.get(scheme, repr(scheme))
        return f"{no}the split is not that of the published lists (it is {name})"
    if part not in ("test", "all"):
        word = {"val": "validation", "train": "training"}.get(part, part)
        return (
            f"{no}measured on the {word} cases; the published results are of the "
            f"{len(protocol)} {'cases of 5 folds' if scheme == 'folds' else 'published test cases'}"
        )
    if scheme == "folds" and folds != 5:
        many = "an unknown number" if folds is None else str(folds)
        return f"{no}the published cross-validations have 5 folds, this one has {many}"
    if other:
        return f"{no}{_cases(len(other))} not in the published archive ({_first(other)})"
    if extra := measured - set(protocol):
        return f"{no}{_cases(len(extra))} not in the published test list ({_first(extra)})"
    if absent := set(protocol) - measured:
        what = "cases of the archive" if scheme == "folds" else "published test cases"
        verb = "is" if len(absent) == 1 else "are"
        expected = sum(protocol.values())
        return (
            f"{no}{len(absent)} of the {len(protocol)} {what} {verb} missing ({_first(absent)}): "
            f"{max(0, expected - n_patches):,} of {expected:,} patches"
        )
    return ""


def _shortfall(short: int, n_patches: int, expected: int) -> str:
    """A sentence on patches that are missing or too many, or ""; the cases are all there."""
    if n_patches > expected:
        return (
            f"not comparable: {n_patches:,} patches were measured, but the archive has "
            f"{expected:,} of these cases; some are in the store twice"
        )
    if short > SHORTFALL * expected:
        return (
            f"not comparable: {short:,} of the {expected:,} patches of these cases are missing; "
            "a sample of their patches is easier or harder than all of them"
        )
    return f"comparable, but {short:,} of {expected:,} patches are missing" if short else ""


def _lists_note(published: Sequence[PublishedCase]) -> str:
    """What is in the lists but not in the archive; a run cannot change that."""
    absent = [c for c in published if c.part and _patches(c) is None]
    if not absent:
        return ""
    words = {"train": "training", "val": "validation", "test": "test"}
    by_list = [
        f"{', '.join(sorted(c.case for c in absent if c.part == part))} of the {word} list"
        for part, word in words.items()
        if any(c.part == part for c in absent)
    ]
    test = sum(c.part == "test" for c in published)
    complete = not any(c.part == "test" for c in absent)
    return (
        f"the archive lacks {' and '.join(by_list)}"
        + (f"; all {test} cases of the test list are in it" if complete else "")
        + "; the published results are of the lists as their authors had them"
    )


def _patches(case: PublishedCase) -> int | None:
    if case.n_negative is None or case.n_positive is None:
        return None
    return case.n_negative + case.n_positive


def _figure(figures: Mapping[str, Any], names: Sequence[str]) -> dict[str, float | None]:
    """{value, low, high} from a number or an Interval dict; None for what is not finite."""
    figure: Any = next((figures[name] for name in names if name in figures), None)
    known = figure if isinstance(figure, Mapping) else {"value": figure}
    return Figure.model_validate(known).model_dump(include={"value", "low", "high"})


def _cases(count: int) -> str:
    return f"{count} measured case is" if count == 1 else f"{count} measured cases are"


def _first(names: set[str]) -> str:
    shown = sorted(names)[:5]
    return ", ".join(shown) + (", ..." if len(names) > len(shown) else "")
