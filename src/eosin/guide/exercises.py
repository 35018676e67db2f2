"""Exercises and their verdicts: code that is run and tested, a number, a choice.

A verdict is one sentence that a learner can act on; a wrong answer also gets the hint, which
points the way and does not give the answer.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from eosin.guide.comparing import difference
from eosin.guide.running_answers import Outcome, run_answer


@dataclass(frozen=True)
class Verdict:
    """The verdict on an answer."""

    passed: bool
    sentence: str
    #: A step toward the answer; "" where the answer passed.
    hint: str = ""
    #: What the reader's code printed, shortened.
    printed: str = ""


@dataclass(frozen=True)
class Case:
    """One thing that the reader's code must get right.

    ``expression`` is Python, evaluated after the reader's code; ``expected`` is the value it must
    have (numbers, text, lists, tuples, dictionaries, NumPy arrays); ``because`` explains the case
    and is shown when it fails.
    """

    expression: str
    expected: Any
    because: str = ""
    tolerance: float = 1e-6


@dataclass(frozen=True, kw_only=True)
class _Question:
    """What all exercises have: right and wrong are answers that must pass and must fail."""

    question: str
    hint: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Code(_Question):
    """Code to write. It runs in a separate process, with a time limit.

    question: Markdown. starter: the text in the editor. cases: what is tested, in order; the first
    that fails is shown. setup: Python that runs before the answer (imports). right and wrong:
    answers that must pass and must fail, for the tests; the first right one is the solution.

    >>> double = Code(
    ...     question="Write `double(x)`.", starter="def double(x):\\n    ...",
    ...     cases=(Case("double(3)", 6),), hint="What is twice x?",
    ...     right=("def double(x):\\n    return 2 * x",), wrong=("def double(x):\\n    return x",),
    ... )
    >>> double.check("def double(x):\\n    return x + x").passed
    True
    >>> print(double.check("def double(x):\\n    return x").sentence)
    `double(3)` gives `3`, and `6` is expected.
    """

    starter: str
    cases: tuple[Case, ...]
    setup: str = "import numpy as np"
    #: Seconds that the answer may take, imports of ``setup`` not counted.
    limit_s: float = 5.0
    #: Shown when the answer passes.
    praise: str = ""

    def check(self, answer: str | None) -> Verdict:
        """Run the answer and test it; never raises for anything that the answer does."""
        text = answer or ""
        if not text.strip() or _squeezed(text) == _squeezed(self.starter):
            return Verdict(False, "Write an answer first: change the code and check again.")
        outcome = run_answer(
            text, [case.expression for case in self.cases], setup=self.setup, limit_s=self.limit_s
        )
        return self._judged(outcome)

    def _judged(self, outcome: Outcome) -> Verdict:
        if outcome.problem:
            return Verdict(False, outcome.problem, self.hint, outcome.printed)
        for k, (case, result) in enumerate(zip(self.cases, outcome.values, strict=True)):
            because = f" {_sentence(case.because)}" if case.because else ""
            sentence = result.problem
            if sentence:
                # An error in the very first case has nothing to do with what that case is about.
                sentence += because if k else ""
            elif words := difference(case.expected, result.value, tolerance=case.tolerance):
                sentence = f"`{case.expression}` {words}.{because}"
            if sentence:
                return Verdict(False, sentence, self.hint, outcome.printed)
        count = len(self.cases)
        tested = "the test passes" if count == 1 else f"all {count} tests pass"
        sentence = f"Right: {tested}. {self.praise}".strip()
        return Verdict(True, sentence, printed=outcome.printed)


@dataclass(frozen=True, kw_only=True)
class Number(_Question):
    """A number to find; ``tolerance`` is absolute, ``near`` maps likely mistakes to a sentence.

    >>> half = Number(question="What is 1 / 2?", expected=0.5, hint="Halve 1.", right=("0.5",),
    ...               wrong=("2",), near={2.0: "That is 2 / 1."})
    >>> half.check("0,5").passed, half.check("2").sentence
    (True, '2 is not correct. That is 2 / 1.')
    """

    expected: float
    tolerance: float = 1e-6
    near: dict[float, str] | None = None
    unit: str = ""
    praise: str = ""

    def check(self, answer: str | float | None) -> Verdict:
        """Compare; decimals may follow a comma or a point, and ``3/4`` is understood."""
        text = "" if answer is None else str(answer).strip()
        if not text:
            return Verdict(False, "Write an answer first: enter a number and check again.")
        value = _number(text)
        thousands = _in_thousands(text)
        if thousands is not None and abs(thousands - self.expected) <= self.tolerance:
            value = thousands
        if value is None:
            return Verdict(
                False, f"`{_plain(text)}` is not a number; write it like 0.25.", self.hint
            )
        if abs(value - self.expected) <= self.tolerance:
            return Verdict(
                True, f"Right: {text}{self.unit and ' ' + self.unit}. {self.praise}".strip()
            )
        for known, sentence in (self.near or {}).items():
            if abs(value - known) <= self.tolerance:
                return Verdict(False, f"{text} is not correct. {sentence}", self.hint)
        return Verdict(False, f"{text} is not correct.", self.hint)


@dataclass(frozen=True, kw_only=True)
class Choice(_Question):
    """One of several answers. ``options`` maps each to its explanation.

    >>> sky = Choice(question="The sky is", options={"blue": "On a clear day.", "red": "At dusk."},
    ...              right=("blue",), wrong=("red",), hint="Look up at noon.")
    >>> sky.check("red").sentence
    'Not this one. At dusk.'
    """

    options: dict[str, str]

    def check(self, answer: str | None) -> Verdict:
        """Whether the chosen option is a right one."""
        if not answer:
            return Verdict(False, "Choose an answer first, then check again.")
        if answer not in self.options:
            return Verdict(False, f"`{_plain(answer)}` is not one of the answers.", self.hint)
        if answer in self.right:
            return Verdict(True, f"Right. {self.options[answer]}")
        return Verdict(False, f"Not this one. {self.options[answer]}", self.hint)


Exercise = Code | Number | Choice


def _plain(text: str) -> str:
    return " ".join(text.replace("`", "'").split())[:40]


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def _in_thousands(text: str) -> float | None:
    """The number behind "4,640" or "4 640", or None for another form."""
    if re.fullmatch(r"[-−]?\d{1,3}([, ]\d{3})+(\.\d+)?", text, re.ASCII):
        return _number(text.replace(",", "").replace(" ", ""))
    return None


def _number(text: str) -> float | None:
    """The number that a person wrote, or None."""
    above, slash, below = text.replace(",", ".").replace("−", "-").partition("/")
    try:
        value = float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) else None
