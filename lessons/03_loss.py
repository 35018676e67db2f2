# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""Loss, and why not accuracy

Goal: measure how wrong an answer is in one number that can be followed downhill.
Minutes: 10
Prerequisites: lesson 2 (sigmoid, softmax, slope)
"""

import marimo

app = marimo.App(width="medium", app_title="3. Loss", css_file="house.css")

with app.setup(hide_code=True):
    import marimo as mo
    import numpy as np
    from sklearn.datasets import load_breast_cancer

    from eosin.figures.canvas import BLUE, INK, ORANGE, QUIET, canvas, legend
    from eosin.guide.catalog import exercises_of
    from eosin.guide.notebook import ask, house_look, tell
    from eosin.scratch.activations import sigmoid
    from eosin.scratch.losses import (
        binary_cross_entropy,
        binary_cross_entropy_gradient,
        correct,
        cross_entropy,
        mean_squared_error,
    )

    house_look()


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 3. Loss, and why not accuracy

    **Goal.** You find one number that measures how wrong a network is and that can be followed
    downhill, and see why *the share of right answers* is not that number.
    **You need** lesson 2: sigmoid, softmax, slope. About 10 minutes.

    ## Set a boundary by hand

    scikit-learn contains measurements of 569 breast tumors. We use one of them, the mean radius of the
    nuclei, and the answer whether the tumor was malignant (1) or benign (0). Our network is one
    neuron: $z = w\,(\text{radius} - 14)$ plus a bias $b$, and $\sigma(z)$ is its probability of
    *malignant*. It answers *malignant* where that is above one half.
    (Research and education only, not for diagnosis.)

    Move the bias and look for the best place. Watch **two** numbers: how many of the tumors are
    answered rightly, and the other one, of which you know only that smaller is better.
    """)
    return


@app.cell
def _():
    _table = load_breast_cancer()
    radius = _table.data[:, 0]  # float64 [569]
    y = 1 - _table.target  # 1 is malignant, [569]

    def logits(w, b):
        return w * (radius - 14.0) + b

    return logits, radius, y


@app.cell(hide_code=True)
def _():
    bias = mo.ui.slider(-4.0, 4.0, 0.1, value=2.5, label="bias $b$", show_value=True)
    steep = mo.ui.slider(0.2, 4.0, 0.1, value=1.0, label="weight $w$", show_value=True)
    mo.hstack([bias, steep], justify="start", gap=3)
    return bias, steep


@app.cell(hide_code=True)
def _(bias, logits, radius, steep, y):
    _z = logits(steep.value, bias.value)
    _right, _loss = correct(y, _z), binary_cross_entropy(y, _z)
    _figure, (_axes,) = canvas(
        f"{_right} of {len(y)} right; the other number is {_loss:.3f}",
        "Each point is a tumor; the curve is the neuron's probability of malignant",
        width_in=8.4, height_in=4.3,
    )  # fmt: skip
    _spread = np.random.default_rng(0).uniform(-0.05, 0.05, len(y))
    for _class, _color, _name in ((0, BLUE, "benign"), (1, ORANGE, "malignant")):
        _of = y == _class
        _axes.plot(
            radius[_of], y[_of] + _spread[_of], ".", color=_color, alpha=0.45, ms=5, label=_name
        )
    _r = np.linspace(6, 29, 400)
    _axes.plot(_r, sigmoid(steep.value * (_r - 14) + bias.value), color=INK, linewidth=2)
    _axes.axvline(
        14 - bias.value / steep.value, color=QUIET, linestyle="--", linewidth=1.4, label="boundary"
    )
    _axes.set(xlabel="mean radius of the nuclei", ylabel="probability of malignant", xlim=(6, 29))
    legend(_axes)
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## The same hill, seen twice

    Now let the machine look at *every* bias at once. On the left is what we want, right answers, on
    the right the other number. Imagine standing at one place in the fog: you feel only the ground
    under your feet. In which of the two landscapes would you find the best place?
    """)
    return


@app.cell(hide_code=True)
def _():
    zoom = mo.ui.slider(
        steps=[1, 2, 5, 10, 20, 50, 100], value=1, label="magnify around the bias", show_value=True
    )
    zoom
    return (zoom,)


@app.cell(hide_code=True)
def _(bias, logits, steep, y, zoom):
    _reach = 4.0 / zoom.value
    _at = np.linspace(bias.value - _reach, bias.value + _reach, 1201)
    _counts = np.array([correct(y, logits(steep.value, each)) for each in _at])
    _losses = np.array([binary_cross_entropy(y, logits(steep.value, each)) for each in _at])
    _z = logits(steep.value, bias.value)
    _slope = float(binary_cross_entropy_gradient(y, _z).sum())  # d z / d b is 1 for every tumor
    _edges = np.unique(-logits(steep.value, 0.0))  # where the evidence of a tumor is 0
    _treads = int(((_edges > _at[0]) & (_edges < _at[-1])).sum()) + 1
    _figure, (_left, _right) = canvas(
        f"{_treads} flat treads on the left; a slope of {_slope:+.3f} on the right",
        "For every bias in reach, with the weight fixed; the point is where you are",
        panels=2, width_in=9.2, height_in=4.3,
    )  # fmt: skip
    _left.plot(_at, _counts, color=BLUE, linewidth=1.8, drawstyle="steps-mid")
    _left.plot(bias.value, correct(y, _z), "o", color=ORANGE, markersize=10)
    _left.set(xlabel="bias b", ylabel="right answers")
    _right.plot(_at, _losses, color=BLUE, linewidth=2)
    _here = binary_cross_entropy(y, _z)
    _near = np.array([-0.3, 0.3]) * _reach
    _right.plot(bias.value + _near, _here + _slope * _near, color=ORANGE, linewidth=2)
    _right.plot(bias.value, _here, "o", color=ORANGE, markersize=10)
    _right.set(xlabel="bias b", ylabel="the other number")
    _figure
    return


@app.cell(hide_code=True)
def _(logits, steep, y):
    # An answer flips where the evidence is 0, so the count is flat between those biases.
    _flips = np.unique(-logits(steep.value, 0.0))
    _inside = _flips[(_flips > -4) & (_flips < 4)]
    _widest = float(np.diff(np.concatenate([[-4], _inside, [4]])).max())
    mo.md(f"""
    Magnify. The left hill is a staircase: between two jumps nothing changes at all. A tumor that
    was answered quite wrongly and is now answered *nearly* rightly counts as wrong as before, so
    the right direction earns no reward. Its slope is 0 on every tread, and on the edges it
    has none. Between the {len(_inside)} edges the widest tread is {_widest:.3f} wide.

    The right landscape is smooth. At every place it shows which way is down, and how steep it is.
    A number like that is called a **loss**: how wrong the answers are, on a scale that can be
    followed. We *report* right answers, and we *learn* from the loss.
    """)
    return


@app.cell(hide_code=True)
def _():
    first, second, third = exercises_of(3)
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
    ## Which loss?

    The obvious one is the **mean squared error**: the distance of each answer $p$ from the truth
    $y$ (0 or 1), squared, and averaged:

    $$L = \frac{1}{N} \sum_i (p_i - y_i)^2$$

    It is the right one for lines and measurements (lesson 4). For probabilities there is a better
    one. Ask: *how surprised should the network be by the truth?* If it gave the true answer a
    probability of 1, not at all; if it said 0.01, very much. That surprise is $-\log p$, where
    $\log$ is the natural logarithm and $p$ is the probability given to what was true. Averaged
    over the examples it is the **cross-entropy**, the other number that you have been watching:

    $$L = -\frac{1}{N} \sum_i \bigl( y_i \log p_i + (1 - y_i) \log (1 - p_i) \bigr)$$

    Only one of the two terms counts for each example: the other is multiplied by 0.
    """)
    return


@app.cell(hide_code=True)
def _():
    sure = mo.ui.slider(
        -8.0, 8.0, 0.25, value=-4.0, label="logit $z$ of a malignant tumor", show_value=True
    )
    sure
    return (sure,)


@app.cell(hide_code=True)
def _(sure):
    _z = np.linspace(-8, 8, 801)
    _p = sigmoid(_z)
    _squared, _surprise = (1 - _p) ** 2, -np.log(_p)
    _at = float(sigmoid(sure.value))
    # By the chain rule: d/dz (1 - p)^2 = -2 (1 - p) p (1 - p), and d/dz -log p = p - 1.
    _pull = (2 * (1 - _at) ** 2 * _at, 1 - _at)
    _figure, (_left, _right) = canvas(
        f"It says {_at:.4f}. Squared error pulls {_pull[0]:.4f}, cross-entropy {_pull[1]:.4f}",
        "Left: the loss of one malignant tumor. Right: how hard the loss pulls the logit up",
        panels=2, width_in=9.2, height_in=4.3,
    )  # fmt: skip
    for _curve, _color, _name in (
        (_squared, BLUE, "squared error"), (_surprise, ORANGE, "cross-entropy"),
    ):  # fmt: skip
        _left.plot(_z, _curve, color=_color, linewidth=2.2, label=_name)
    _right.plot(_z, 2 * (1 - _p) ** 2 * _p, color=BLUE, linewidth=2.2, label="squared error")
    _right.plot(_z, 1 - _p, color=ORANGE, linewidth=2.2, label="cross-entropy")
    for _axes, _values in (
        (_left, ((1 - _at) ** 2, -np.log(_at))), (_right, _pull),
    ):  # fmt: skip
        for _value, _color in zip(_values, (BLUE, ORANGE), strict=True):
            _axes.plot(sure.value, _value, "o", color=_color, markersize=10)
        _axes.set(xlabel="logit z", xlim=(-8, 8))
    _left.set(ylabel="loss")
    _right.set(ylabel="pull", ylim=(-0.03, 1.08))
    legend(_left)
    _figure
    return


@app.cell(hide_code=True)
def _():
    _p = float(sigmoid(-6.0))
    _ratio = (1 - _p) / (2 * (1 - _p) ** 2 * _p)
    mo.md(rf"""
    Go far to the left, where the network is *sure and wrong*. The squared error hardly pulls: the
    sigmoid is saturated there, and its tiny slope is a factor of the pull. At $z = -6$ the
    cross-entropy pulls **{_ratio:,.0f} times** as hard. In its derivative the slope of the sigmoid
    cancels, and what remains could not be simpler:

    $$\frac{{\partial L}}{{\partial z_i}} = \frac{{p_i - y_i}}{{N}}$$

    The pull *is* the error. Check it, as always, by nudging:
    """)
    return


@app.cell
def _():
    truth = np.array([1.0, 0.0, 1.0])
    z = np.array([-4.0, 0.5, 3.0])
    h = 1e-5

    by_formula = (sigmoid(z) - truth) / 3
    by_nudging = [
        (binary_cross_entropy(truth, z + one) - binary_cross_entropy(truth, z - one)) / (2 * h)
        for one in h * np.eye(3)
    ]
    largest_difference = float(np.abs(by_formula - by_nudging).max())
    mo.md(f"The largest difference is **{largest_difference:.0e}**.")
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
    ## More classes

    With softmax over $K$ logits the idea stays the same: the loss of an example is $-\log$ of the
    probability that its *true* class got. What should a network know before it has seen anything?
    All logits alike, each class equally likely. Its loss is then $\log K$:
    """)
    return


@app.cell
def _():
    clueless = {k: cross_entropy([0], np.zeros((1, k))) for k in (2, 10)}
    mo.md(f"Two classes: **{clueless[2]:.3f}**. Ten digits: **{clueless[10]:.3f}**.")
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Keep these two numbers in mind. A run that starts far above them has something wrong with its
    input or its weights; a run that *stays* at them has learned nothing.

    ## Share right, and the laziest answer

    The share of right answers is easily fooled as well. In the archive of lesson 11, 71.6 % of all
    patches are negative. How good is a network that says *negative* every time?
    """)
    return


@app.cell(hide_code=True)
def _():
    rare = mo.ui.slider(1, 50, 1, value=28, label="positives in 100 patches", show_value=True)
    rare
    return (rare,)


@app.cell(hide_code=True)
def _(rare):
    _y = np.zeros(1000, dtype=int)
    _y[: 10 * rare.value] = 1
    _lazy = np.full(1000, -20.0)  # sure that every patch is negative
    _honest = np.full(1000, np.log(rare.value / (100 - rare.value)))  # says the share itself
    _share = correct(_y, _lazy) / 1000
    _rows = [
        ("always surely negative", _lazy),
        ("always the share of positives", _honest),
        ("what a tossed coin says, at 0.5", np.random.default_rng(0).choice([-1e-9, 1e-9], 1000)),
    ]
    _lines = "\n".join(
        f"| {name} | {correct(_y, z) / 1000:.0%} | {correct(_y[_y == 1], z[_y == 1])} "
        f"of {rare.value * 10} | {binary_cross_entropy(_y, z):.3f} |"
        for name, z in _rows
    )
    mo.vstack(
        [
            mo.md(
                "| the network says | right | positives found | cross-entropy |\n"
                f"|:--|--:|--:|--:|\n{_lines}"
            ),
            mo.md(f"""
    The first is right **{_share:.0%}** of the time and finds not a single positive. The share of right
    answers praises it; the loss does not, for it was sure and wrong. The best that can be said
    without looking at a patch is the share of positives itself. Where a network cannot beat that
    loss, it has not looked.
    """),
        ]
    )
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
def _(logits, y):
    _all = [(w, b) for w in np.arange(0.2, 4.01, 0.1) for b in np.arange(-4, 4.01, 0.1)]
    _counts = [correct(y, logits(*each)) for each in _all]
    _losses = [binary_cross_entropy(y, logits(*each)) for each in _all]
    _squares = [mean_squared_error(y, sigmoid(logits(*each))) for each in _all]
    _best, _lowest = int(np.argmax(_counts)), int(np.argmin(_losses))
    _least = int(np.argmin(_squares))
    mo.md(f"""
    ## And on the tumors?

    Of all {len(_all):,} settings of the two sliders at the top, the best has {_counts[_best]}
    right answers. The lowest cross-entropy has {_counts[_lowest]} right
    (w = {_all[_lowest][0]:.1f}, b = {_all[_lowest][1]:.1f}, loss {_losses[_lowest]:.3f}), and the
    lowest squared error {_counts[_least]}. Going down the loss leads close to what we want. It need
    not be the same place, and that is not a mistake: the loss also asks how *sure* an answer may be.

    ## Summary

    - Right answers come in jumps, so they cannot be followed downhill. A loss can.
    - Cross-entropy is the mean surprise, $-\\log$ of the probability of the truth.
    - With sigmoid or softmax its slope is $p - y$: the error itself, however sure the network was.
    - A clueless network has a loss of $\\log K$; a lazy one may have many right answers.

    **Next:** `eosin learn 4`. You have a number that should be small, and you know the slope under
    your feet. Time to walk.
    """)
    return


if __name__ == "__main__":
    app.run()
