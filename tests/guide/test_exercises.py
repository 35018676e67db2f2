"""What is said about answers: right, wrong, broken, endless and hostile ones."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eosin.errors import FailureError
from eosin.guide.comparing import difference, shown
from eosin.guide.exercises import Case, Choice, Code, Number
from eosin.guide.running_answers import run_answer

DOUBLE = Code(
    question="Write `double(x)`.",
    starter="def double(x):\n    ...",
    cases=(
        Case("double(3)", 6, "twice three"),
        Case("double(np.array([1.0, 2.5]))", [2.0, 5.0]),
    ),
    hint="What is twice x?",
    right=("def double(x):\n    return x + x",),
    wrong=("def double(x):\n    return x",),
    limit_s=2.0,
    praise="Twice is twice.",
)


def test_a_right_answer_passes_and_is_praised() -> None:
    verdict = DOUBLE.check("def double(x):\n    print('here')\n    return x + x")
    assert verdict.passed
    assert verdict.sentence == "Right: all 2 tests pass. Twice is twice."
    assert verdict.hint == ""
    assert verdict.printed == "here\nhere\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "Write an answer first"),
        ("  \n", "Write an answer first"),
        ("def double(x):\n    ...\n\n", "Write an answer first"),
        (
            "def double(x):\n    return x",
            "`double(3)` gives `3`, and `6` is expected. Twice three.",
        ),
        ("def double(x):\n    return 6", "gives the single value `6`, and shape (2,) is expected"),
        ("def double(x):\n    x + x", "gives nothing (`None`); look for a missing `return`"),
        ("def double(x):\n    return '6'", "gives `'6'`, and `6` is expected"),
        ("def double(x):\n    return double", "the function double itself, not its result"),
        ("def double(x)\n    return 2 * x", "Line 1 is not Python yet (`def double(x)`): expected"),
        ("def double(x):\nreturn 2 * x", "Line 2 is not Python yet (`return 2 * x`)"),
        ("def doubel(x):\n    return 2 * x", "does not define `double`. It defines `doubel`"),
        ("def double():\n    return 6", "`double(3)` cannot be called"),
        ("double = 6", "'int' object is not callable"),
        (
            "def double(x):\n    y = 1\n    return z",
            "stops at line 3 of your code: `z` has no value",
        ),
        ("x = 1 / 0", "Your code stops at line 1: it divides by zero."),
        ("def double(x):\n    return double(x)", "a function calls itself without end"),
        ("def double(x):\n    return {}[x]", "the key `3` does not exist"),
        ("def double(x):\n    return ... * 2", "it still has a `...`"),
        ("import nowhere", "No further import is needed"),
        ("def double(x):\n    raise ValueError('`no`')", "ValueError: `'no'`"),
        ("\x00", "not Python yet"),
        ("class E(Exception):\n    def __str__(self): 1 / 0\nraise E", "stops at line 3: E."),
    ],
)
def test_a_wrong_answer_gets_one_sentence(answer: str | None, said: str) -> None:
    verdict = DOUBLE.check(answer)
    assert not verdict.passed
    assert said in verdict.sentence
    assert "Traceback" not in verdict.sentence
    assert "\n" not in verdict.sentence
    assert verdict.hint in ("", "What is twice x?")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("while True:\n    pass", "did not end in 2 seconds.*line [12]"),
        ("def double(x):\n    while True:\n        x += 1", "did not end in 2 seconds.*line [23]"),
        ("try:\n    while True: pass\nexcept BaseException:\n    pass", "did not end"),
        ("import time\ntime.sleep(1000)", "did not end in 2 seconds"),
        (
            "import faulthandler\nfaulthandler.cancel_dump_traceback_later()\nwhile 1: pass",
            "did not end",
        ),
        ("exit()", "it ends Python"),
        ("import os\nos._exit(0)", "ended Python"),
        ("import os, signal\nos.kill(os.getpid(), 9)", "ended Python"),
        ("import os, signal\nos.killpg(0, 9)", "ended Python"),
        ("held = []\nwhile True:\n    held.append(bytes(10**8))", "more memory"),
        ("raise KeyboardInterrupt", "it ends Python"),
        ("import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()", "."),
        (
            "open('outcome.json', 'w').write('{\"found\": 7}')\nimport os\nos._exit(0)",
            "ended Python",
        ),
        ("open('outcome.json', 'w').write('[]')\nimport os\nos._exit(0)", "ended Python"),
        ("open('outcome.json', 'w').write('not json')\nimport os\nos._exit(0)", "ended Python"),
        ("import sys\nsys.stdout = None\nprint = None", "does not define `double`"),
        ("import builtins\nbuiltins.__dict__.clear()", "."),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="signals and limits of this kind")
def test_hostile_code_reaches_nothing(answer: str, said: str) -> None:
    verdict = DOUBLE.check(answer)
    assert not verdict.passed
    assert re.search(said, verdict.sentence), verdict.sentence
    assert "Traceback" not in verdict.sentence


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="processes of this kind")
def test_what_an_answer_starts_ends_with_it(tmp_path: Path) -> None:
    sign = tmp_path / "alive"
    code = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', "
        f"\"import time\\ntime.sleep(4)\\nopen({str(sign)!r}, 'w')\"])\n"
        "def double(x):\n    return 2 * x"
    )
    assert DOUBLE.check(code).passed
    time.sleep(5)
    assert not sign.exists()


def test_what_is_printed_is_kept_short() -> None:
    verdict = DOUBLE.check("for k in range(10**5): print(k)\ndef double(x): return 2 * x")
    assert verdict.passed
    assert len(verdict.printed) <= 4000


def test_the_answer_cannot_see_the_lesson_and_leaves_nothing(tmp_path: Path) -> None:
    before = set(sys.modules), os.getcwd()
    outcome = run_answer("import os\nplace = os.getcwd()\nopen('left', 'w')", ["place", "dir()"])
    assert (set(sys.modules) >= before[0], os.getcwd()) == (True, before[1])
    assert not Path(outcome.values[0].value).exists()
    assert "DOUBLE" not in outcome.values[1].value


def test_an_exercise_that_does_not_run_itself_is_the_authors_fault() -> None:
    with pytest.raises(FailureError, match="the exercise itself does not run: ModuleNotFoundError"):
        run_answer("x = 1", ["x"], setup="import nowhere_at_all")


@pytest.mark.parametrize(
    "value",
    [1, 2.5, True, "text", None, [1, [2, 3]], (1.0, 2.0), {"a": [1, 2], 3: "b"}, float("nan")],
)
def test_values_come_back_as_they_were(value: Any) -> None:
    found = run_answer(f"nan = float('nan')\nx = {value!r}", ["x"]).values[0]
    assert difference(value, found.value) == ""


def test_arrays_come_back_with_their_shape() -> None:
    code = "import numpy as np\nx = np.arange(6.0).reshape(2, 3)\ny = np.array([[True], [False]])"
    x, y = run_answer(code, ["x", "y"]).values
    assert difference(np.arange(6.0).reshape(2, 3), x.value) == ""
    assert difference([[1], [0]], y.value) == ""


@pytest.mark.parametrize(
    ("expected", "found", "said"),
    [
        (True, 1, ""),
        (1, True, ""),
        (True, False, "gives `False`, and `True` is expected"),
        (2.0, 2.0 + 1e-9, ""),
        (2.0, float("nan"), "gives `NaN`, and `2` is expected"),
        ([1, 2], [1, 2, 3], "gives `[1, 2, 3]`, and `[1, 2]` is expected"),
        (np.ones(2), np.ones(3), "gives an array of shape (3,), and shape (2,) is expected"),
        ([1, 2], [1, [2]], "gives rows of different lengths, and `[1, 2]` is expected"),
        (list(range(20)), [*range(19), 0], "gives `0` at [19], and `19` is expected there"),
        ({"a": 1}, {"a": 2}, "at `'a'` gives `2`, and `1` is expected"),
        ({"a": 1}, {}, "has no `'a'`"),
        ({"a": 1}, {"a": 1, "b": 2}, "has `'b'`, which is not expected"),
        ({"a": 1}, 3, "gives `3`, and `{'a': 1}` is expected"),
        ("a", "b", "gives `'b'`, and `'a'` is expected"),
        (["a", "b"], ["a", "b"], ""),
        ([1, [2, 3]], [1, (2, 3)], ""),
        ([1, [2, 3]], [1, [2, 4]], "at [1] gives `[2, 4]`, and `[2, 3]` is expected"),
        ([1, [2, 3]], [1], "gives `[1]`, and `[1, [2, 3]]` is expected"),
        (["a", "b"], ["a", "c"], "gives `['a', 'c']`, and `['a', 'b']` is expected"),
        (None, None, ""),
        (1, ..., "gives `...`: replace it with your code"),
    ],
)
def test_differences_are_said_in_words(expected: Any, found: Any, said: str) -> None:
    assert difference(expected, found) == said


def test_long_values_are_shortened_and_hold_no_backtick() -> None:
    assert len(shown("`" * 1000)) <= 120
    assert "`" not in shown("a`b")
    assert shown(np.arange(100)).endswith(", ...]")


def test_numbers() -> None:
    third = Number(
        question="One third?", expected=1 / 3, hint="Divide.", right=("1/3",), wrong=("3",),
        tolerance=1e-3, near={3.0: "That is upside down."}, unit="cm", praise="Good.",
    )  # fmt: skip
    assert third.check("0,3333").sentence == "Right: 0,3333 cm. Good."
    assert third.check(" 1/3 ").passed
    assert third.check(0.3334).passed
    assert third.check("3").sentence == "3 is not correct. That is upside down."
    assert third.check("3").hint == "Divide."
    assert third.check("1e-2").sentence == "1e-2 is not correct."
    for text in ("many", "nan", "inf", "1/0", "`x`", "[](x)"):
        verdict = third.check(text)
        assert not verdict.passed
        assert "is not a number" in verdict.sentence
    assert "Write an answer first" in third.check("").sentence
    assert "Write an answer first" in third.check(None).sentence


def test_choices() -> None:
    sky = Choice(
        question="The sky?", options={"blue": "By day.", "black": "At night.", "red": "On Mars."},
        right=("blue", "black"), wrong=("red",), hint="Look up.",
    )  # fmt: skip
    assert sky.check("black").sentence == "Right. At night."
    assert sky.check("red").sentence == "Not this one. On Mars."
    assert sky.check("red").hint == "Look up."
    assert "not one of the answers" in sky.check("green").sentence
    assert "Choose an answer first" in sky.check(None).sentence
