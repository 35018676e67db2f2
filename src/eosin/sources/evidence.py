"""How much speaks for a reading of folders: the words of each level, and how often names repeat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from eosin.sources.likeness import Likeness

#: Names of the levels, one spelling each -> number of images.
Keys = Mapping[tuple[str, ...], int]


def options_of(
    like: Mapping[int, Likeness], kinds: Sequence[str], keys: Keys
) -> Iterator[tuple[list[str], float]]:
    """For each level that may have the labels, those that may have the cases; with the evidence.

    like: the levels that divide something -> what their names look like. kinds: what the vocabulary
    decides of each level. keys: names of the levels, one spelling each -> number of images.

    >>> keys = {("benign", "p1"): 9, ("benign", "p2"): 9, ("malignant", "p3"): 9}
    >>> like = {0: Likeness(2, -1), 1: Likeness(-2, 2)}
    >>> max(options_of(like, ["", ""], keys), key=lambda option: option[1])
    (['label', 'case'], 6.5)
    """
    total = sum(keys.values())
    for label in [k for k in like if like[k].label >= 0] or like:
        sizes = {case: sizes_of(keys, label, case) for case in like if case != label}
        cases = [_case_level(like, sizes)]
        if cases == [None]:
            # Words that may be names of cases, if they are more than the labels.
            cases += [k for k, size in sizes.items() if like[k].case >= 0 and size[1] > size[0]]
        missing = sum(count for row, count in keys.items() if len(row) <= label)
        for case in cases:
            roles = ["part" if kind == "part" else "*" for kind in kinds]
            roles[label] = "label"
            evidence = 2 * like[label].label - 4 * missing / max(1, total)
            if case is not None:
                roles[case] = "case"
                evidence += like[case].case + _structure(*sizes[case], above=label < case)
            for k in sizes:
                if roles[k] == "*" and case is not None and k > case and like[k].case >= 1:
                    if "slide" not in roles:
                        roles[k] = "slide"
                elif (
                    roles[k] == "*" and k > label and like[k].label >= 2 and "subtype" not in roles
                ):
                    roles[k] = "subtype"
            yield roles, evidence


def _case_level(
    like: Mapping[int, Likeness], sizes: Mapping[int, tuple[int, int, int]]
) -> int | None:
    """The level of cases: that of patients by its words, or the top one of more names than labels.

    A level above is the safer one: what it keeps together is never on both sides of a split.
    """
    numbered = [k for k in sizes if like[k].case >= 1]
    if patients := [k for k in numbered if like[k].case >= 2]:
        return patients[0]
    for k in numbered:
        labels, cases, _ = sizes[k]
        if cases > labels:
            return k
    return numbered[-1] if numbered else None


def sizes_of(keys: Keys, label: int, case: int) -> tuple[int, int, int]:
    """Numbers of labels, cases, and pairs of both that occur."""
    deepest = max(label, case)
    pairs = {(row[label], row[case]) for row in keys if len(row) > deepest}
    return len({pair[0] for pair in pairs}), len({pair[1] for pair in pairs}), len(pairs)


def _structure(labels: int, cases: int, pairs: int, *, above: bool) -> float:
    """Evidence from how often names repeat: few labels, many cases."""
    if cases <= labels:
        return -1
    many = cases >= 3 * labels
    # Below each label the same few names: these may as well be the labels, of a few groups.
    return 0.5 + 0.5 * many - 1.5 * (above and not many and pairs == labels * cases)
