# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""Activations and why they bend

Goal: replace the perceptron's jump by a slope, and see why layers without a bend are one layer.
Minutes: 10
Prerequisites: lesson 1 (weights, bias and the perceptron's decision)
"""

import marimo

app = marimo.App(width="medium", app_title="2. Activations", css_file="house.css")

with app.setup(hide_code=True):
    import marimo as mo
    import numpy as np

    from eosin.figures.canvas import BLUE, GREEN, INK, LINE, ORANGE, PURPLE, QUIET, canvas, legend
    from eosin.guide.catalog import exercises_of
    from eosin.guide.notebook import ask, house_look, tell
    from eosin.scratch.activations import ACTIVATIONS, relu, sigmoid, sigmoid_prime, softmax

    house_look()


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 2. Activations and why they bend

    **Goal.** You replace the jump of the perceptron by a slope, find out why a network without a
    bend is not a network, and meet the function that ends every classifier in this guide.
    **You need** lesson 1: weights, bias, and the perceptron's decision. About 10 minutes.

    ## The trouble with a jump

    A perceptron weighs its evidence, $z = w \cdot x + b$, and then jumps: no below 0, yes above it.
    Say its answer is wrong and we want to improve it by changing one weight *a little*. How much
    does the answer change? Move the nudge and see:
    """)
    return


@app.cell(hide_code=True)
def _():
    nudge = mo.ui.slider(0.0, 1.5, 0.05, value=0.2, label="nudge the weight by", show_value=True)
    nudge
    return (nudge,)


@app.cell(hide_code=True)
def _(nudge):
    _before = -0.8  # the evidence before the nudge; the input that the weight belongs to is 1
    _after = _before + nudge.value
    _z = np.linspace(-4, 4, 801)
    _figure, _both = canvas(
        f"Evidence from {_before:.2f} to {_after:.2f}: what does the answer do?",
        "Left, the perceptron's step. Right, the sigmoid. Open circle: before the nudge",
        panels=2, width_in=9.2, height_in=4.3, head_in=0.42,
    )  # fmt: skip
    for _axes, _name in zip(_both, ("step", "sigmoid"), strict=True):
        _function = ACTIVATIONS[_name].function
        _axes.plot(_z, _function(_z), color=INK, linewidth=1.8)
        _start, _end = (float(_function(each)) for each in (_before, _after))
        _axes.plot([_before, _after, _after], [_start, _start, _end], color=QUIET, linewidth=1)
        _axes.plot(_before, _start, "o", color=ORANGE, markerfacecolor="none", ms=10, mew=2)
        _axes.plot(_after, _end, "o", color=ORANGE, markersize=10)
        _axes.set(xlabel="evidence z", ylabel="answer", ylim=(-0.06, 1.15))
        _axes.set_title(f"{_name}: changes by {_end - _start:.3f}", color=INK, fontsize=12)
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    The step answers nothing until it answers everything. A nudge that goes the *right way* earns the same
    answer as one that goes wrong, so nobody can tell them apart, and there is nothing to follow.
    The curve on the right answers every nudge. It is the **sigmoid**:

    $$\sigma(z) = \frac{1}{1 + e^{-z}}$$

    where $e \approx 2.718$. Far to the left it is almost 0, far to the right almost 1, and at $z = 0$ exactly one half. A
    neuron whose answer is $\sigma(w \cdot x + b)$ no longer decides; it says *how much*. The
    function that turns the evidence into the answer is called the **activation**.
    """)
    return


@app.cell
def _():
    sigmoid([-6, -2, 0, 2, 6]).round(3)
    return


@app.cell(hide_code=True)
def _():
    first, second, third = exercises_of(2)
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
    ## Its slope

    How much an answer changes for a small nudge, divided by the nudge, is the **derivative**, the
    slope of the curve at that place. For the sigmoid it can be written with the sigmoid itself:

    $$\sigma'(z) = \sigma(z)\,\bigl(1 - \sigma(z)\bigr)$$

    Learning will multiply by this slope again and again (that is lesson 6), so look where it is
    large and where it is not. Here are the activations that people use, each with its slope.
    """)
    return


@app.cell(hide_code=True)
def _():
    shown = mo.ui.dropdown(list(ACTIVATIONS), value="sigmoid", label="activation")
    place = mo.ui.slider(-6, 6, 0.1, value=1.5, label="at z", show_value=True)
    mo.hstack([shown, place], justify="start", gap=3)
    return place, shown


@app.cell(hide_code=True)
def _(place, shown):
    _both = ACTIVATIONS[shown.value]
    _z = np.linspace(-6, 6, 1201)
    _at, _value = place.value, float(_both.function(place.value))
    _slope = float(_both.derivative(place.value))
    _figure, (_left, _right) = canvas(
        f"{shown.value} at z = {_at:g}: value {_value:.3f}, slope {_slope:.3f}",
        "Left: the activation and its tangent. Right: the slope at every z",
        panels=2, width_in=9.2, height_in=4.1,
    )  # fmt: skip
    _reach = np.array([-1.2, 1.2])
    _left.plot(_z, _both.function(_z), color=BLUE, linewidth=2.2)
    _left.plot(_at + _reach, _value + _slope * _reach, color=ORANGE, linewidth=2)
    _left.plot(_at, _value, "o", color=ORANGE, markersize=9)
    _low, _high = float(_both.function(-6.0)), float(_both.function(6.0))
    _left.set(
        xlabel="z", ylabel="activation", xlim=(-6, 6), ylim=(min(_low, -0.3) - 0.1, _high * 1.12)
    )
    _right.fill_between(_z, _both.derivative(_z), color=BLUE, alpha=0.15, linewidth=0)
    _right.plot(_z, _both.derivative(_z), color=BLUE, linewidth=2.2)
    _right.plot(_at, _slope, "o", color=ORANGE, markersize=9)
    _right.set(xlabel="z", ylabel="slope", xlim=(-6, 6), ylim=(-0.05, 1.15))
    _figure
    return


@app.cell(hide_code=True)
def _():
    _share = float(sigmoid_prime(6.0) / sigmoid_prime(0.0))
    mo.md(rf"""
    - **sigmoid**: the slope is never more than 0.25, and at $z = 6$ only {_share:.1%} of that. Such
      a neuron is **saturated**: it may be quite wrong and still hardly move.
    - **tanh**: the same shape from -1 to 1. Its slope reaches 1, four times the sigmoid's.
    - **ReLU** ("rectified linear unit"): 0 below 0, and $z$ itself above. The slope above 0 is 1,
      always. Below 0 it is 0, so a neuron that is negative for every example never learns again.
    - **leaky ReLU** lets a hundredth through below 0, so that it can come back.
    - **linear** does nothing at all. The next section is about how much that costs.

    How much is lost when ten layers follow one another, and each multiplies by its slope?
    """)
    return


@app.cell
def _():
    layers = 10
    at_best = sigmoid_prime(0.0) ** layers  # every sigmoid at its steepest
    mo.md(f"Sigmoid, at best: **{float(at_best):.1e}**. ReLU, where it is on: **{1.0**layers:g}**.")
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
    ## Why they must bend

    Lesson 1 ended with layers. So let us stack them, first without any activation: a layer computes
    $W x + b$, where $W$ is the table of all its weights, a row for each neuron, and $b$ contains their
    biases. Five layers, with random weights, from one number to one number. (Many inputs go through
    at once, a row each, so in the code $W$ is on the right, transposed: `.T`.)
    """)
    return


@app.cell
def _():
    def deep(x, activation, seed, layers=5, width=8):
        """x: [N]; one number in, `layers` layers of `width` neurons, one number out: [N]."""
        rng = np.random.default_rng(seed)
        answer = x[:, None]
        for _ in range(layers):
            weights = rng.normal(0, 1.6 / np.sqrt(answer.shape[1]), (width, answer.shape[1]))
            answer = activation(answer @ weights.T + rng.normal(0, 0.7, width))
        return (answer @ rng.normal(0, 1 / np.sqrt(width), (width, 1)))[:, 0]

    return (deep,)


@app.cell(hide_code=True)
def _():
    bend = mo.ui.radio(
        ["linear", "relu", "tanh", "sigmoid"], value="linear", inline=True, label="activation"
    )
    depth = mo.ui.slider(1, 8, 1, value=5, label="layers", show_value=True)
    dice = mo.ui.slider(1, 20, 1, value=3, label="random weights no.", show_value=True)
    mo.vstack([bend, mo.hstack([depth, dice], justify="start", gap=3)], gap=1)
    return bend, depth, dice


@app.cell(hide_code=True)
def _(bend, deep, depth, dice):
    _x = np.linspace(-3, 3, 601)
    _function = ACTIVATIONS[bend.value].function
    _colors = (BLUE, ORANGE, GREEN, PURPLE)
    _figure, (_axes,) = canvas(
        f"{depth.value} {'layer' if depth.value == 1 else 'layers'}, activation {bend.value}",
        "What four networks with random weights compute, from one number to one number",
        width_in=8.4, height_in=4.2,
    )  # fmt: skip
    _off = 0.0
    for _k, _color in enumerate(_colors):
        _y = deep(_x, _function, 4 * dice.value + _k, layers=depth.value)
        _line = np.polyval(np.polyfit(_x, _y, 1), _x)
        _off = max(_off, float(np.abs(_y - _line).max()))
        _axes.plot(_x, _y, color=_color, linewidth=2.2)
    _axes.axhline(0, color=LINE, linewidth=1)
    _axes.set(xlabel="input", ylabel="output")
    mo.vstack(
        [
            _figure,
            mo.md(
                f"The furthest that any of them is from a straight line: **{_off:.1e}**."
                if _off < 1e-6
                else f"The furthest that any of them is from a straight line: **{_off:.2f}**."
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Without a bend the lines are straight, however many layers you stack; what is left is rounding.
    It has to be so: two such layers are

    $$W_2 (W_1 x + b_1) + b_2 = (W_2 W_1)\, x + (W_2 b_1 + b_2),$$

    again one table times $x$ plus one bias: a single layer in disguise. And a single layer cannot
    answer XOR. With a bend between them, each layer can fold what the one before has drawn.

    ## Two folds make XOR

    Lesson 1 needed three perceptrons. Two ReLU neurons and a sum do it as well. Both get
    $x_1 + x_2$; the second one wakes up only when both inputs are 1, and, counted twice, takes away
    all that the first one gave:
    """)
    return


@app.cell
def _():
    inputs = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    total = inputs.sum(axis=1)
    xor_by_folding = relu(total) - 2 * relu(total - 1)
    xor_by_folding
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## The last layer: softmax

    A classifier ends with one number for each class, called **logits**: any numbers at all. We want
    probabilities: none below 0, and together 1. **Softmax** raises $e$ to each, which makes them
    positive, and divides by their sum:

    $$p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}$$

    Move the logits. Then move *all three* by the same amount: what happens?
    """)
    return


@app.cell(hide_code=True)
def _():
    z_1 = mo.ui.slider(-5, 5, 0.25, value=2, label="$z_1$", show_value=True)
    z_2 = mo.ui.slider(-5, 5, 0.25, value=1, label="$z_2$", show_value=True)
    z_3 = mo.ui.slider(-5, 5, 0.25, value=-1, label="$z_3$", show_value=True)
    mo.hstack([z_1, z_2, z_3], justify="start", gap=2)
    return z_1, z_2, z_3


@app.cell(hide_code=True)
def _(z_1, z_2, z_3):
    _logits = np.array([z_1.value, z_2.value, z_3.value], dtype=float)
    _p = softmax(_logits)
    _figure, (_axes,) = canvas(
        f"{_p.max():.3f} at most, {_p.sum():.3f} together",
        "Softmax of the three logits",
        width_in=7.2, height_in=3.7,
    )  # fmt: skip
    _axes.bar(range(3), _p, 0.6, color=[BLUE, ORANGE, GREEN])
    for _k, _each in enumerate(_p):
        _axes.annotate(
            f"{_each:.3f}", (_k, _each), xytext=(0, 5), textcoords="offset points", ha="center",
            color=INK, fontsize=11,
        )  # fmt: skip
    _axes.set_xticks(range(3), [f"class {k}: z = {z:g}" for k, z in enumerate(_logits, 1)])
    _axes.set(ylabel="probability", ylim=(0, 1.1))
    _figure
    return


@app.cell(hide_code=True)
def _(z_1, z_2, z_3):
    _logits = np.array([z_1.value, z_2.value, z_3.value], dtype=float)
    _moved = float(np.abs(softmax(_logits + 3) - softmax(_logits)).max())
    _one = [float(softmax([z])[0]) for z in (-7.0, 0.0, 7.0)]
    mo.md(rf"""
    Adding 3 to every logit changes no probability (the largest change is {_moved:.2g}): only
    differences count. With **two** classes, softmax is the sigmoid of the one difference there is.

    Now think of softmax over **one** logit. It has no difference, and nothing to divide between:
    for logits of -7, 0 and 7 it answers {_one[0]:g}, {_one[1]:g} and {_one[2]:g}. Whatever the
    network computes, the answer is 1. Remember this. It is the reason why the network of a
    well-known tutorial never learns anything, and in lesson 12 you will catch it in the act.
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
    _figure, (_left, _right) = canvas(
        "Four bends in one picture",
        "Left: what the next layer receives. Right: the slope, which learning multiplies by",
        panels=2, width_in=9.2, height_in=4.2,
    )  # fmt: skip
    _z = np.linspace(-4, 4, 801)
    for _name, _color in (
        ("sigmoid", BLUE), ("tanh", GREEN), ("relu", ORANGE), ("leaky_relu", PURPLE),
    ):  # fmt: skip
        _style = "--" if _name == "leaky_relu" else "-"
        _both = ACTIVATIONS[_name]
        _left.plot(_z, _both.function(_z), _style, color=_color, linewidth=2, label=_name)
        _right.plot(_z, _both.derivative(_z), _style, color=_color, linewidth=2, label=_name)
    _left.set(xlabel="z", ylabel="activation", ylim=(-1.1, 2.2))
    _right.set(xlabel="z", ylabel="slope", ylim=(-0.05, 1.15))
    legend(_left)
    mo.vstack(
        [
            _figure,
            mo.md(r"""
    ## Summary

    - A step cannot be improved little by little: its slope is 0 wherever it has one.
    - An activation with a slope answers every nudge. The sigmoid saturates; ReLU does not, above 0.
    - Layers without a bend between them are one layer, however many there are.
    - Softmax turns logits into probabilities. Over a single logit it always answers 1.

    **Next:** `eosin learn 3`. A nudge can now make an answer better. But what is *better*, in one
    number? Not, as it turns out, the number that everybody asks for.
    """),
        ]
    )
    return


if __name__ == "__main__":
    app.run()
