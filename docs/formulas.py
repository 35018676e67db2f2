"""Formulas as MathML, by the converter that comes with docutils."""

from __future__ import annotations

import re

from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml

#: Commands of LaTeX that the converter does not know -> what it does.
_OTHERWISE = {r"\\dots\b": r"\\ldots", r"\\(?:bigl|bigr|Bigl|Bigr)\b": "", r"\\tfrac\b": r"\\frac"}


class FormulaError(ValueError):
    """A formula that cannot be read."""


def mathml(tex: str, *, block: bool = False) -> str:
    r"""A formula as a <math> element; raises FormulaError where it cannot be read.

    >>> "<mi>w</mi>" in mathml(r"w, \dots")
    True
    >>> mathml(r"a &= b \\ c &= d", block=True).count("<mtr")
    2
    >>> mathml(r"\nothing")
    Traceback (most recent call last):
    formulas.FormulaError: \nothing: Unknown LaTeX command "\nothing".
    """
    text = tex.strip()
    text = re.sub(r"\{(?:align|aligned|split|gather)\*?\}", "{aligned}", text)
    for pattern, known in _OTHERWISE.items():
        text = re.sub(pattern, known, text)
    if block and "\\\\" in text and "\\begin" not in text:
        text = rf"\begin{{aligned}} {text} \end{{aligned}}"
    try:
        return str(tex2mathml(text, as_block=block))
    # On what it does not foresee the converter stumbles over its own tree.
    except (MathError, ValueError, AttributeError, IndexError) as error:
        raise FormulaError(f"{tex.strip()}: {error}") from None
