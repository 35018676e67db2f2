# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""Perceptron and decision

Goal: build a machine that decides from weighted evidence, let it learn, and find what it cannot do.
Minutes: 10
Prerequisites: Python (functions, lists) and school algebra; nothing about networks.
"""

import marimo

app = marimo.App(width="medium", app_title="1. Perceptron and decision", css_file="house.css")

with app.setup(hide_code=True):
    import itertools

    import marimo as mo
    import numpy as np
    from scipy.optimize import linprog
    from sklearn.datasets import load_breast_cancer

    from eosin.figures.canvas import BLUE, GREEN, INK, LINE, ORANGE, PAPER, QUIET, canvas, legend
    from eosin.guide.catalog import exercises_of
    from eosin.guide.notebook import ask, house_look, tell
    from eosin.scratch.perceptron import AND, INPUTS, NAND, OR, XOR, Perceptron

    house_look()


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 1. Perceptron and decision

    **Goal.** You build a machine that decides from weighted evidence, let it learn from its
    mistakes, and find the simplest question that it can never answer.
    **You need** Python (functions, lists) and school algebra. About 10 minutes.

    ## A decision

    Somebody looks at a small square of tissue under the microscope, a **patch**, and has to
    decide: *does a colleague need to see this one as well?* Three questions help, each with the
    answer yes (1) or no (0):

    - $x_1$: are the nuclei crowded?
    - $x_2$: do the nuclei differ much in shape and size?
    - $x_3$: is any cell dividing?

    Not all questions count the same. So each answer gets a **weight** $w$, which says how much a
    yes counts, and the decision is yes where the sum exceeds a **threshold**:

    $$\text{decide yes if}\quad w_1 x_1 + w_2 x_2 + w_3 x_3 > \text{threshold}$$

    This is a **perceptron**, invented in 1957 by Frank Rosenblatt, and the ancestor of every
    network in this guide. The weights here are ours, made up to learn with. (Research and
    education only, not for diagnosis.)

    Move the sliders. Can you make the machine say yes *only* where at least two answers are yes?
    And can you make a dividing cell enough on its own?
    """)
    return


@app.cell(hide_code=True)
def _():
    crowded = mo.ui.slider(-3, 6, 0.5, value=2, label="$w_1$ crowded", show_value=True)
    uneven = mo.ui.slider(-3, 6, 0.5, value=2, label="$w_2$ uneven", show_value=True)
    dividing = mo.ui.slider(-3, 6, 0.5, value=3, label="$w_3$ dividing", show_value=True)
    threshold = mo.ui.slider(-3, 8, 0.5, value=4.5, label="threshold", show_value=True)
    mo.hstack(
        [mo.vstack([crowded, uneven]), mo.vstack([dividing, threshold])], justify="start", gap=3
    )
    return crowded, dividing, threshold, uneven


@app.cell(hide_code=True)
def _(crowded, dividing, threshold, uneven):
    _weights = [crowded.value, uneven.value, dividing.value]
    _answers = np.array(list(itertools.product([0, 1], repeat=3)))  # int [8, 3]
    _machine = Perceptron(3, weights=_weights, bias=-threshold.value)
    _sums = _answers @ _weights
    _yes = _machine.decide(_answers) == 1
    _names = ("crowded", "uneven", "dividing")
    _labels = [
        " + ".join(name for name, is_so in zip(_names, row, strict=True) if is_so) or "none"
        for row in _answers
    ]
    _order = np.argsort(_answers.sum(axis=1), kind="stable")[::-1]
    _figure, (_axes,) = canvas(
        f"{_yes.sum()} of the 8 possible answers lead to a second look",
        "Weighted sum of each combination of answers; yes where it passes the threshold",
        width_in=8.4, height_in=4.5, side_in=2.35,
    )  # fmt: skip
    _axes.plot(np.zeros(8), range(8), "o", color=QUIET, markersize=4)
    for _kind, _color, _name in ((True, ORANGE, "yes"), (False, BLUE, "no")):
        _at = np.flatnonzero(_yes[_order] == _kind)
        _axes.barh(_at, _sums[_order][_at], 0.62, color=_color, label=_name)
    _axes.axvline(threshold.value, color=INK, linewidth=1.8, label="threshold")
    _axes.axvline(0, color=QUIET, linewidth=0.8)
    _axes.set_yticks(range(8), [_labels[k] for k in _order])
    _axes.set(xlabel="weighted sum", xlim=(-6.5, 15))
    _axes.invert_yaxis()
    legend(_axes)
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## From threshold to bias

    A threshold on the right is a number that the evidence must pass. Bring it to the left with the
    other sign, and call it the **bias** $b = -\text{threshold}$:

    $$\text{decide yes if}\quad w \cdot x + b > 0$$

    Here $w \cdot x$ is short for $w_1 x_1 + w_2 x_2 + \dots$, each weight times its input, all
    added up: the **dot product**. The bias is how ready the machine is to say yes before it has
    seen anything. It looks like mere bookkeeping, but now there is nothing special about the
    threshold: it is one more number to be learned. In Python `@` is the dot product:
    """)
    return


@app.cell
def _():
    patch = np.array([1, 0, 1])  # crowded, even, dividing
    weights = np.array([2.0, 2.0, 3.0])
    bias = -4.5

    evidence = patch @ weights + bias
    decision = int(evidence > 0)

    mo.md(f"The evidence is {evidence:g}, so the decision is **{decision}**.")
    return


@app.cell(hide_code=True)
def _():
    first, second, third = exercises_of(1)
    return first, second, third


@app.cell(hide_code=True)
def _(first):
    answer_1 = ask(first)
    answer_1
    return (answer_1,)


@app.cell(hide_code=True)
def _(answer_1, first):
    tell(first, answer_1.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## A perceptron draws a line

    With two inputs the whole machine fits in one picture. The four possible inputs are four
    points, and the places where the evidence is exactly 0 form a straight line: on one side the
    answer is yes, on the other no. Weights turn the line; the bias shifts it.

    Three questions about two inputs have names of their own: **AND** (are both 1?), **OR** (is at
    least one 1?) and **NAND** (not both?). Find weights for each. Then try **XOR**: *exactly one*
    of the two.
    """)
    return


@app.cell(hide_code=True)
def _():
    wish = mo.ui.radio(["AND", "OR", "NAND", "XOR"], value="AND", inline=True, label="Question")
    w1 = mo.ui.slider(-3, 3, 0.25, value=1, label="$w_1$", show_value=True)
    w2 = mo.ui.slider(-3, 3, 0.25, value=-1, label="$w_2$", show_value=True)
    b = mo.ui.slider(-4, 4, 0.25, value=0.5, label="bias $b$", show_value=True)
    mo.vstack([wish, mo.hstack([w1, w2, b], justify="start", gap=2)], gap=1)
    return b, w1, w2, wish


@app.cell(hide_code=True)
def _(b, w1, w2, wish):
    _wanted = {"AND": AND, "OR": OR, "NAND": NAND, "XOR": XOR}[wish.value]
    _line = Perceptron(2, weights=[w1.value, w2.value], bias=b.value)
    _got = _line.decide(INPUTS)
    _right = int((_got == _wanted).sum())
    _side = np.linspace(-0.5, 1.5, 201)
    _grid = np.stack([each.ravel() for each in np.meshgrid(_side, _side)], axis=1)
    _yes = _line.decide(_grid).reshape(201, 201).astype(float)
    _figure, (_axes,) = canvas(
        f"{wish.value}: {_right} of 4 right",
        "Orange ground: the machine says yes. A point's number is the answer it should get.",
        width_in=6.4, height_in=5.6,
    )  # fmt: skip
    _axes.contourf(_side, _side, _yes, levels=[0.5, 1.5], colors=[ORANGE], alpha=0.22)
    if 0 < _yes.mean() < 1:
        _evidence = _line.evidence(_grid).reshape(201, 201)
        _axes.contour(_side, _side, _evidence, levels=[0], colors=[ORANGE], linewidths=2)
    for _point, _answer, _given in zip(INPUTS, _wanted, _got, strict=True):
        _good = _answer == _given
        _axes.plot(
            *_point, "o", color=GREEN if _good else PAPER, markeredgecolor=INK, ms=24, mew=1.2
        )
        _axes.annotate(
            str(_answer), _point, ha="center", va="center_baseline", fontsize=13,
            color=PAPER if _good else INK, fontweight="bold",
        )  # fmt: skip
    _axes.set(xlim=(-0.5, 1.5), ylim=(-0.5, 1.5), xlabel="$x_1$", ylabel="$x_2$")
    _axes.set_xticks([0, 1])
    _axes.set_yticks([0, 1])
    _axes.set_aspect("equal")
    _figure
    return


@app.cell(hide_code=True)
def _(b, w1, w2, wish):
    _wanted = {"AND": AND, "OR": OR, "NAND": NAND, "XOR": XOR}[wish.value]
    _got = Perceptron(2, weights=[w1.value, w2.value], bias=b.value).decide(INPUTS)
    _wrong = [f"({p:.0f}, {q:.0f})" for p, q in INPUTS[_got != _wanted]]
    mo.callout(
        mo.md(
            f"Still wrong: {', '.join(_wrong)}, the points that are not green."
            if _wrong
            else f"All four right: with these weights the perceptron **is** {wish.value}."
        ),
        kind="neutral" if _wrong else "success",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Learning from mistakes

    You have just been the learning rule. Rosenblatt's does it without you. It looks at the
    examples one after another, and only a wrong decision changes anything:

    $$w \leftarrow w + (y - \text{decided})\, x \qquad b \leftarrow b + (y - \text{decided})$$

    Here $y$ is the right answer. Where the machine said no and should have said yes, $y -
    \text{decided}$ is $+1$: every input that was on gains weight. Where it said yes and should have
    said no, it is $-1$, and they lose weight. Going once through all examples is an **epoch**.

    Watch it on AND, from weights of zero:
    """)
    return


@app.cell
def _():
    student = Perceptron(2)
    history = student.learn(INPUTS, AND, epochs=20)
    history.mistakes
    return (history,)


@app.cell(hide_code=True)
def _(history):
    epoch = mo.ui.slider(0, len(history.mistakes), 1, value=1, label="after epoch", show_value=True)
    epoch
    return (epoch,)


@app.cell(hide_code=True)
def _(epoch, history):
    _k = epoch.value
    _w, _bias = history.weights[_k], history.biases[_k]
    _line = Perceptron(2, weights=_w, bias=_bias)
    _side = np.linspace(-0.5, 1.5, 201)
    _grid = np.stack([each.ravel() for each in np.meshgrid(_side, _side)], axis=1)
    _figure, (_left, _right) = canvas(
        f"After epoch {_k}: w = ({_w[0]:g}, {_w[1]:g}), b = {_bias:g}",
        "Left: the line so far, and what AND wants. Right: mistakes in each epoch",
        panels=2, width_in=9.2, height_in=4.8,
    )  # fmt: skip
    _left.contourf(
        _side, _side, _line.decide(_grid).reshape(201, 201), levels=[0.5, 1.5], colors=[ORANGE],
        alpha=0.22,
    )  # fmt: skip
    for _point, _answer in zip(INPUTS, AND, strict=True):
        _good = _line.decide(_point[None])[0] == _answer
        _left.plot(
            *_point, "o", color=GREEN if _good else PAPER, markeredgecolor=INK, ms=22, mew=1.2
        )
        _left.annotate(
            str(_answer), _point, ha="center", va="center_baseline", fontsize=12,
            color=PAPER if _good else INK, fontweight="bold",
        )  # fmt: skip
    _left.set(xlim=(-0.5, 1.5), ylim=(-0.5, 1.5), xlabel="$x_1$", ylabel="$x_2$")
    _left.set_xticks([0, 1])
    _left.set_yticks([0, 1])
    _epochs = np.arange(1, len(history.mistakes) + 1)
    _right.bar(_epochs, history.mistakes, color=[BLUE if e <= _k else LINE for e in _epochs])
    _right.set(xlabel="epoch", ylabel="mistakes", ylim=(0, 4))
    _right.set_xticks(_epochs)
    _right.set_yticks(range(5))
    _figure
    return


@app.cell(hide_code=True)
def _(second):
    answer_2 = ask(second)
    answer_2
    return (answer_2,)


@app.cell(hide_code=True)
def _(answer_2, second):
    tell(second, answer_2.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## On real measurements

    Toys prove little. scikit-learn contains measurements of 569 breast tumors, 30 numbers each, with
    the answer whether the tumor was malignant (1) or benign (0). We make 30 yes-or-no questions of
    them: *is this measurement above its median?* The machine learns from 400 tumors and is then
    asked about the 169 that it has never seen.
    """)
    return


@app.cell
def _():
    table = load_breast_cancer()
    order = np.random.default_rng(1).permutation(len(table.data))
    learn, ask_later = order[:400], order[400:]
    medians = np.median(table.data[learn], axis=0)
    questions = (table.data > medians).astype(float)  # 0 or 1, [569, 30]
    malignant = 1 - table.target  # scikit-learn counts benign as 1

    reader = Perceptron(30)
    lessons_learned = reader.learn(questions[learn], malignant[learn], epochs=40)
    return ask_later, learn, lessons_learned, malignant, questions, reader


@app.cell(hide_code=True)
def _(ask_later, learn, lessons_learned, malignant, questions, reader):
    _seen, _unseen = [], []
    for _w, _bias in zip(lessons_learned.weights, lessons_learned.biases, strict=True):
        _then = Perceptron(30, weights=_w, bias=_bias)
        _seen.append(float((_then.decide(questions[learn]) == malignant[learn]).mean()))
        _unseen.append(float((_then.decide(questions[ask_later]) == malignant[ask_later]).mean()))
    _base = float(1 - malignant[ask_later].mean())
    _figure, (_axes,) = canvas(
        "It learns, and never comes to rest",
        "Share of right decisions after each epoch, from 30 yes-or-no questions",
        width_in=8.4, height_in=4.4,
    )  # fmt: skip
    _axes.plot(_seen, color=BLUE, linewidth=2, label="400 tumors that it learned from")
    _axes.plot(_unseen, color=ORANGE, linewidth=2, label="169 tumors that it never saw")
    _axes.axhline(_base, color=QUIET, linestyle="--", linewidth=1.4, label="always saying benign")
    _axes.set(xlabel="epoch", ylabel="share right", ylim=(0.5, 1.01), xlim=(0, len(_seen) - 1))
    legend(_axes)
    _signs = np.where(malignant[learn] == 1, 1.0, -1.0)[:, None]
    _rows = -_signs * np.c_[questions[learn], np.ones(len(learn))]
    _parted = linprog(
        np.zeros(31), A_ub=_rows, b_ub=-np.ones(len(learn)), bounds=(None, None)
    ).success
    _right = int((reader.decide(questions[ask_later]) == malignant[ask_later]).sum())
    mo.vstack(
        [
            _figure,
            mo.md(f"""
    At the end {_right} of {len(ask_later)} unseen tumors are decided rightly
    ({_unseen[-1]:.0%}). Answering *benign* every time, without any learning, gets {_base:.0%}: a
    share of right answers means nothing until you know what the laziest answer gets. Keep that
    thought for lesson 3.

    The curve jumps to the very end. Another method (a linear program), which is sure to find a flat
    cut between the two answers where there is one, finds {"one" if _parted else "none"} for these 400
    tumors. And the rule does not know *nearly right*: it takes each mistake as seriously as the
    first.
    """),
        ]
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## What no perceptron can do

    If any line parts the two answers, the rule is sure to find one (proved by Albert Novikoff in
    1962). And if none does? You have tried XOR with the sliders. Let the rule try, and then let
    100,000 perceptrons with random weights try:
    """)
    return


@app.cell
def _():
    endless = Perceptron(2).learn(INPUTS, XOR, epochs=1000)
    _rng = np.random.default_rng(0)
    _many = _rng.normal(size=(100_000, 3))  # w1, w2 and b of each
    _decided = INPUTS @ _many[:, :2].T + _many[:, 2] > 0  # [4, 100000]
    best = int((_decided == XOR[:, None]).sum(axis=0).max())

    mo.md(
        f"After {len(endless.mistakes)} epochs the rule still makes **{endless.mistakes[-1]} "
        f"mistakes an epoch**. The best of 100,000 random perceptrons gets **{best} of 4** right."
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    It is not bad luck. XOR wants a no at $(0, 0)$ and $(1, 1)$, which are opposite corners of the
    square, and a yes at the other two. A straight line cannot have both pairs on its own sides.

    But look at what a *second row* of perceptrons could do. "Exactly one" means "at least one,
    **and** not both": OR and NAND look at the inputs, and AND looks at *their* answers. Each of the
    three is easy. That is a **layer**, and it is the whole idea of a network.
    """)
    return


@app.cell(hide_code=True)
def _(third):
    answer_3 = ask(third)
    answer_3
    return (answer_3,)


@app.cell(hide_code=True)
def _(answer_3, third):
    tell(third, answer_3.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Summary

    - A perceptron weighs its inputs, adds a bias, and says yes where the sum is above 0.
    - With two inputs it is a straight line; with more, a flat cut through a larger space.
    - Its learning rule changes weights only after a mistake, and finds a line where there is one.
    - It cannot answer XOR. Two layers can, but the rule says nothing about the weights of a layer
      whose right answers nobody has.

    **Next:** `eosin learn 2`. The perceptron jumps from no to yes in a single step, and a machine
    that jumps cannot be improved little by little. What should replace the jump?
    """)
    return


if __name__ == "__main__":
    app.run()
