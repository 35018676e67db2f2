"""Formulas and marimo's pages as plain text."""

from __future__ import annotations

import pytest

from eosin.guide.plain import formula, from_html, markdown_of, readable


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"w_1 x_1 + w_2 x_2 > \text{threshold}", "w₁ x₁ + w₂ x₂ > threshold"),
        (r"\sigma'(z) = \sigma(z)\,\bigl(1 - \sigma(z)\bigr)", "σ'(z) = σ(z) (1 - σ(z))"),
        (r"p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}", "pₖ = e^(zₖ) / (Σⱼ e^(zⱼ))"),
        (r"\frac{\partial L}{\partial w}", "∂L / ∂w"),
        (r"\delta^L = \nabla_a C \odot \sigma'(z^L)", "δᴸ = ∇ₐ C ⊙ σ'(zᴸ)"),
        (r"-\frac{1}{N} \sum_i y_i", "-1 / N Σᵢ yᵢ"),
        (r"10{,}000 \times 5\%", "10,000 × 5%"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "a = b ; c = d"),
        (r"\sqrt{x^2 + 1}", "√(x² + 1)"),
        (r"\text{size} = \lfloor n / 2 \rfloor", "size = ⌊ n / 2 ⌋"),
    ],
)
def test_formulas(latex: str, text: str) -> None:
    assert formula(latex) == text


def test_dollars_in_code_and_prices_stay() -> None:
    assert readable("`a$b$c` and $x_1$") == "`a$b$c` and x₁"
    assert readable("```\n$x$\n```") == "```\n$x$\n```"
    assert readable("it costs $5 and $6") == "it costs $5 and $6"
    assert "        L = x²" in readable("so\n\n$$L = x^2$$\n\nends")


def test_marimo_parts_become_words() -> None:
    mo = pytest.importorskip("marimo")
    slider = mo.ui.slider(0, 10, value=3, label="weight $w_1$")
    assert markdown_of(slider) == "- weight $w_1$: **3** (from 0 to 10)"
    steps = mo.ui.slider(steps=[1, 10, 100], value=10, label="zoom")
    assert markdown_of(steps) == "- zoom: **10** (from 1 to 100)"
    radio = mo.ui.radio(["a", "b"], value="a", label="Which")
    assert "- Which: **a** (of a, b)" in markdown_of(mo.hstack([slider, radio]))
    chosen = mo.ui.dropdown(["a", "b"], value="b", label="Which")
    assert markdown_of(chosen) == "- Which: **b** (of a, b)"
    none = mo.ui.dropdown(["a", "b"], label="Which")
    assert markdown_of(none) == "- Which: **nothing yet** (of a, b)"
    note = mo.callout(mo.md("It **is** $x^2$."), kind="warn")
    assert markdown_of(note) == "> It **is** $x^2$."
    assert markdown_of(mo.md("# A\n\n$$x$$")) == "# A\n\n$$x$$"
    assert markdown_of([1, 2]) == "```text\n[1, 2]\n```"


def test_pictures_are_kept_only_where_they_can_be_shown() -> None:
    picture = '<p>a <img alt="A curve" src="data:image/png;base64,AAAA"/></p>'
    assert from_html(picture) == "a \n\n*[A curve]*"
    assert "![A curve](data:image/png;base64,AAAA)" in from_html(picture, pictures=True)
    assert "http" not in from_html('<img src="http://127.0.0.1/x.png">', pictures=True)


def test_html_becomes_markdown() -> None:
    table = "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>"
    assert from_html(table) == "|a |b |\n| --- | --- |\n|1 |2 |"
    assert from_html("<h2>Two</h2><ul><li>x</li></ul>") == "## Two\n\n- x"
    assert from_html('<svg aria-label="A curve"><text>no</text></svg>') == "*[A curve]*"
