"""Whether a new run should take an old one's place: one sentence with its reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eosin.evaluation.definitions import NAMES
from eosin.studies import markdown
from eosin.studies.compare import difference_rows

OLD, NEW = "old", "new"
#: Figures whose smaller value is the better one.
LOWER = ("brier", "log_loss")

Result = Mapping[str, Any]


def verdict(result: Result) -> dict[str, Any]:
    """{"verdict": replace, look or keep, "sentence", "losses", "gains"}.

    "replace" only where the interval of the difference in AUROC (two classes; the mean over classes
    for more) excludes 0 in the new run's favor and no other compared figure is worse with an
    interval that excludes 0: calibration (Brier score) and the operating point count as much as
    ranking. "look" where ranking is better and something else is worse. "keep" in all other cases.

    >>> verdict({"why_not": "no test case is new to both"})["verdict"]
    'keep'
    """
    if why := result.get("why_not"):
        text = f"Keep the old run: no comparison can be made, as {why}."
        return {"verdict": "keep", "sentence": text, "losses": [], "gains": []}
    rows = result["differences"][NEW]
    key = "auroc" if "auroc" in rows else "macro_auroc"
    gains = [name for name, row in rows.items() if _sign(name, row) > 0]
    losses = [name for name, row in rows.items() if _sign(name, row) < 0]
    ranking, on, kind = _words(key, rows[key]), _on(result), "keep"
    if key in losses:
        text = f"Keep the old run: on {on} the new one is worse ({ranking})."
    elif key not in gains:
        text = f"Keep the old run: {on} do not show that the new one is better ({ranking})."
        if losses:
            text += f" It is worse in {_list(losses, rows)}."
    elif result["interval"]["kind"] != "cases":
        text = (
            f"Keep the old run for now: on {on} the new one looks better ({ranking}), but the "
            "cases of these patches are unknown, so the interval is too narrow to rely on."
        )
    elif losses:
        kind = "look"
        text = (
            f"Do not replace the old run yet: on {on} the new one ranks better ({ranking}), but it "
            f"is worse in {_list(losses, rows)}. See whether another threshold helps (eosin "
            "evaluate shows the operating points), and let a person decide."
        )
    else:
        kind = "replace"
        text = (
            f"Replace the old run: on {on}, which neither has learned from, the new one is better "
            f"({ranking}), and no other compared figure is worse with an interval that excludes 0."
        )
    return {"verdict": kind, "sentence": text, "losses": losses, "gains": gains}


def _sign(name: str, row: Mapping[str, Any]) -> int:
    """1 where the new run is better with an interval that excludes 0, -1 where it is worse."""
    if row["low"] is None or row["low"] <= 0 <= row["high"]:
        return 0
    better = row["low"] > 0
    return 1 if better != (name in LOWER) else -1


def _words(name: str, row: Mapping[str, Any]) -> str:
    if row["value"] is None:
        return f"{NAMES[name]}: not defined"
    text = f"{NAMES[name]} {row['value']:+.3f}"
    if row["low"] is None:
        return f"{text}, without an interval"
    return f"{text}, {row['low']:+.3f} to {row['high']:+.3f}"


def _list(names: list[str], rows: Mapping[str, Any]) -> str:
    texts = [_words(name, rows[name]) for name in names]
    return texts[0] if len(texts) == 1 else f"{'; '.join(texts[:-1])}; and {texts[-1]}"


def _on(result: Result) -> str:
    common = result["common"]
    patches = f"{common['patches']:,} patches"
    return f"{common['cases']:,} cases ({patches})" if common["cases"] else patches


def page(result: Result) -> str:
    """retrain.md: the sentence, the patches compared on, the table and the notes."""
    lines = [
        *markdown.paragraphs([f"**{result['sentence']}**"]),
        f"Old: `{result['old']['path']}`  ",
        *markdown.paragraphs([f"New: `{result['new']['path']}`", shared_cases(result)]),
    ]
    if not result["why_not"]:
        columns = ["figure", "old", "new", "new less old", "95 % interval", "p"]
        lines += markdown.table(columns, difference_rows(dict(result))[NEW])
    lines += [f"- {text}" for text in notes_on(result)]
    return markdown.page("Replace the old run?", result, lines)


def shared_cases(result: Result) -> str:
    """The test patches that both can be measured on."""
    shared = result["shared"]
    if not shared["patches"]:
        return (
            f"Compared on the new run's test part, {_on(result)}: the old run has seen none of it."
        )
    names = ", ".join(shared["names"][:5]) + (" ..." if len(shared["names"]) > 5 else "")
    of = f" of {shared['cases']} cases ({names})" if shared["cases"] else ""
    return (
        f"Left out of the new run's test part, because the old run has seen them: "
        f"{shared['patches']:,} patches{of}. What remains: {_on(result)}."
    )


def notes_on(result: Result) -> list[str]:
    """Notes on how to read the comparison."""
    texts = list(result["notes"])
    if result["why_not"]:
        return texts
    for row in result["runs"]:
        ece = row["calibration"]["ece"]
        if ece["value"] is not None:
            texts.append(
                f"Calibration of the {row['name']} run: expected error {ece['value']:.3f}"
                + (f" ({ece['low']:.3f} to {ece['high']:.3f})." if ece["low"] is not None else ".")
            )
    own = ["Each run decides at its own threshold."] if result["thresholds"] else []
    return [*texts, *own, f"{result['interval']['p']}."]
