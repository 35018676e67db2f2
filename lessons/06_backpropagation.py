# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""Backpropagation

Goal: find the slope of every weight of a network in one walk backward, and read from the four
  equations which neurons learn slowly.
Minutes: 10
Prerequisites: lesson 4 (gradient descent) and lesson 2 (activations)
"""

import marimo

app = marimo.App(width="medium", app_title="6. Backpropagation", css_file="house.css")

with app.setup(hide_code=True):
    import time

    import marimo as mo
    import numpy as np
    from sklearn.datasets import load_digits

    from eosin.figures.canvas import BLUE, GREEN, INK, ORANGE, PAPER, QUIET, canvas, legend
    from eosin.guide.catalog import exercises_of
    from eosin.guide.notebook import ask, house_look, tell
    from eosin.scratch.activations import sigmoid, sigmoid_prime
    from eosin.scratch.network import (
        Network,
        bias_gradient,
        hidden_error,
        output_error,
        weight_gradient,
    )

    house_look()


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 6. Backpropagation

    **Goal.** You find the slope of *every* weight of a network in one walk backward, check it
    against an independent program, and read from four equations which neurons learn slowly.
    **You need** lessons 2 (activations) and 4 (gradient descent). About 10 minutes.

    Gradient descent asks one thing of a network: for each weight, if I nudge it, how does the loss
    change? A weight in the first layer changes a neuron, which changes all neurons after it, which
    change the answer. Who is to blame for a wrong answer, and by how much?

    ## Two neurons in a row

    Take the smallest network with a hidden part: an input $x$, one hidden neuron, one output
    neuron, the sigmoid $f$ in both, and the squared loss. The right answer is 1.

    $$z_1 = w_1 x \quad\to\quad a_1 = f(z_1) \quad\to\quad z_2 = w_2 a_1 \quad\to\quad
    a_2 = f(z_2) \quad\to\quad L = (a_2 - 1)^2$$

    Each arrow is one small calculation, and of each we know the derivative. The **chain rule**
    says: the derivative of the whole chain is the product of the derivatives of its links.
    """)
    return


@app.cell(hide_code=True)
def _():
    chain_x = mo.ui.slider(-3.0, 3.0, 0.1, value=1.0, label="input x", show_value=True)
    chain_1 = mo.ui.slider(-8.0, 8.0, 0.1, value=0.5, label="weight w1", show_value=True)
    chain_2 = mo.ui.slider(-8.0, 8.0, 0.1, value=-1.0, label="weight w2", show_value=True)
    mo.hstack([chain_x, chain_1, chain_2], justify="start", gap=2)
    return chain_1, chain_2, chain_x


@app.cell(hide_code=True)
def _(chain_1, chain_2, chain_x):
    def _run(x, w_1, w_2):
        _z_1 = w_1 * x
        _z_2 = w_2 * sigmoid(_z_1)
        return float(_z_1), float(_z_2), float((sigmoid(_z_2) - 1) ** 2)

    _x, _w_1, _w_2 = chain_x.value, chain_1.value, chain_2.value
    _z_1, _z_2, _loss = _run(_x, _w_1, _w_2)
    _links = [
        (r"loss by output: $2 (a_2 - 1)$", 2 * (float(sigmoid(_z_2)) - 1)),
        (r"output by its sum: $f'(z_2)$", float(sigmoid_prime(_z_2))),
        (r"that sum by the hidden answer: $w_2$", _w_2),
        (r"hidden answer by its sum: $f'(z_1)$", float(sigmoid_prime(_z_1))),
        (r"that sum by the weight $w_1$: $x$", _x),
    ]
    _product = float(np.prod([value for _, value in _links]))
    _nudged = (_run(_x, _w_1 + 1e-5, _w_2)[2] - _run(_x, _w_1 - 1e-5, _w_2)[2]) / 2e-5
    _rows = "\n".join(f"    | {words} | {value:+.5f} |" for words, value in _links)
    mo.md(f"""
    | link | its derivative |
    |:--|--:|
{_rows}
    | **product: slope of the loss in $w_1$** | **{_product:+.6f}** |
    | the same by nudging $w_1$ | {_nudged:+.6f} |

    The loss is {_loss:.4f}. Now try to make the product tiny while the loss stays large. There are
    four ways: $x$ near 0, $w_2$ near 0, or either sum far from 0, where the sigmoid is flat
    ($w_1 = 8$ with $x = 3$; or $w_2 = -8$).
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## From a chain to a network: four equations

    In a network many chains lead from one weight to the loss. Their products are added up. To do so
    without counting chains, give each neuron one number, its **error** $\delta$: how the loss would
    change if the neuron's sum $z$ grew a little, $\delta = \frac{\partial L}{\partial z}$. Then four
    equations suffice, whatever the depth ($+$ marks the next layer):

    - **BP1**, at the output: $\delta_{\text{last}} = \frac{\partial L}{\partial a} \cdot f'(z)$.
      How wrong, times how far the output can move.
    - **BP2**, a layer's error from the next: $\delta = (W_{+}^{T}\, \delta_{+}) \cdot f'(z)$.
      Blame comes back through the same weights: each neuron sums, over the neurons it leads to,
      weight times error. ($W^{T}$ is the table of weights with rows and columns exchanged.)
    - **BP3**, a bias's slope: $\frac{\partial L}{\partial b} = \delta$. It is the error itself.
    - **BP4**, a weight's slope: $\frac{\partial L}{\partial w} = \delta \cdot a_{\text{in}}$.
      The error it leads to, times the input it carries.

    One walk forward gets all $z$ and $a$; one walk backward, with BP1 and BP2, all errors; BP3 and
    BP4 read off the slopes. Change the inputs and the truth, and watch the blame move.
    """)
    return


@app.cell(hide_code=True)
def _():
    in_1 = mo.ui.slider(-2.0, 2.0, 0.1, value=1.0, label="input 1", show_value=True)
    in_2 = mo.ui.slider(-2.0, 2.0, 0.1, value=-0.5, label="input 2", show_value=True)
    truth = mo.ui.radio(["class 0", "class 1"], value="class 1", label="truth", inline=True)
    hidden = mo.ui.dropdown(["sigmoid", "tanh", "relu"], value="sigmoid", label="hidden")
    ending = mo.ui.dropdown(
        {
            "sigmoid, squared loss": "sigmoid_squared",
            "sigmoid, cross-entropy": "sigmoid",
            "softmax, cross-entropy": "softmax",
        },
        value="sigmoid, squared loss", label="ending",
    )  # fmt: skip
    start = mo.ui.number(0, 99, value=3, label="start")
    mo.vstack(
        [
            mo.hstack([in_1, in_2, truth], justify="start", gap=2),
            mo.hstack([hidden, ending, start], justify="start", gap=2),
        ]
    )
    return ending, hidden, in_1, in_2, start, truth


@app.cell
def _(ending, hidden, in_1, in_2, start, truth):
    net = Network(
        [2, 3, 2], activation=hidden.value, output=ending.value, seed=int(start.value or 0)
    )
    x = np.array([[in_1.value, in_2.value]])  # one example: [1, 2]
    _class = int(truth.value[-1])
    y = np.array([_class]) if ending.value == "softmax" else np.eye(2)[[_class]]

    # Forward: the sums z and the answers a of both layers.
    (z_1, z_2), (_, a_1, a_2) = net.layers(x)

    # Backward, the four equations.
    error_2 = output_error(y, z_2, output=ending.value)  # BP1
    error_1 = hidden_error(net.weights[1], error_2, net.derivative(z_1))  # BP2
    bias_slopes = [bias_gradient(error_1), bias_gradient(error_2)]  # BP3
    weight_slopes = [weight_gradient(x, error_1), weight_gradient(a_1, error_2)]  # BP4
    return a_1, a_2, bias_slopes, error_1, error_2, net, weight_slopes, x, y


@app.cell(hide_code=True)
def _():
    def draw_network(axes, title, edges, nodes, lines):
        """Three columns of neurons; edges: [out, in] a layer, nodes: values, lines: texts below."""
        places = [
            [(column, y_) for y_ in np.linspace(1, -1, count + 2)[1:-1] * (1.0 + 0.25 * count)]
            for column, count in enumerate(map(len, nodes))
        ]
        for layer, table in enumerate(edges):
            most = max(float(abs(table).max()), 1e-12)
            for out, row in enumerate(table):
                for into, value in enumerate(row):
                    (x_0, y_0), (x_1, y_1) = places[layer][into], places[layer + 1][out]
                    axes.plot(
                        [x_0, x_1], [y_0, y_1], color=BLUE if value > 0 else ORANGE,
                        linewidth=0.4 + 4.6 * abs(value) / most, alpha=0.75, zorder=1,
                    )  # fmt: skip
                    at = 0.3 if (into + out) % 2 else 0.62
                    axes.text(
                        x_0 + at * (x_1 - x_0), y_0 + at * (y_1 - y_0), f"{value:.2g}",
                        fontsize=8.5, color=INK, ha="center", va="center", zorder=2,
                        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
                    )  # fmt: skip
        for column, values in enumerate(nodes):
            for (x_0, y_0), value, line in zip(places[column], values, lines[column], strict=True):
                axes.plot(x_0, y_0, "o", markersize=37, color=PAPER, markeredgecolor=INK, zorder=3)
                axes.text(
                    x_0, y_0, f"{value:.1g}" if abs(value) < 0.1 else f"{value:.2g}",
                    ha="center", va="center", fontsize=9.5, color=INK, zorder=4,
                )  # fmt: skip
                axes.text(x_0, y_0 - 0.26, line, ha="center", va="top", fontsize=8.5, color=QUIET)
        axes.set(xlim=(-0.3, 2.3), ylim=(-1.45, 1.2))
        axes.set_title(title, fontsize=12, color=INK, loc="left")
        axes.set_axis_off()

    return (draw_network,)


@app.cell(hide_code=True)
def _(a_1, a_2, draw_network, error_1, error_2, net, weight_slopes, x, y):
    _figure, (_left, _right) = canvas(
        f"The loss is {net.loss(x, y):.3g}",
        "Blue is positive, orange negative; the wider a line, the larger its number",
        panels=2, width_in=9.6, height_in=5.0, side_in=0.2, foot_in=0.1, head_in=0.4,
    )  # fmt: skip
    _names = (["input 1", "input 2"], ["hidden"] * 3, ["class 0", "class 1"])
    draw_network(
        _left, "Forward: weights, and answers", net.weights,
        (x[0], a_1[0], a_2[0]), _names,
    )  # fmt: skip
    draw_network(
        _right, "Backward: slopes (BP4), and errors (BP1, BP2)", weight_slopes,
        (x[0], error_1[0], error_2[0]), _names,
    )  # fmt: skip
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Do not believe it: check

    PyTorch, the library that large networks are built with, has **autograd**: it writes down every
    calculation as it happens and applies the chain rule to the record, without knowing our
    equations. The cell below builds the network that you have set there, and compares all slopes.
    """)
    return


@app.cell
def _():
    def by_autograd(net, x, y, *, activation, output):
        """Slopes of all biases and weights from torch, float64: the other opinion."""
        import torch

        weights = [torch.tensor(w, requires_grad=True) for w in net.weights]
        biases = [torch.tensor(b, requires_grad=True) for b in net.biases]
        a = torch.tensor(x)
        for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
            z = a @ w.T + b
            a = getattr(torch, activation)(z) if layer < len(weights) - 1 else z
        functional = torch.nn.functional
        if output == "softmax":
            loss = functional.cross_entropy(a, torch.tensor(y))
        elif output == "sigmoid":
            loss = functional.binary_cross_entropy_with_logits(a, torch.tensor(y))
        else:
            loss = ((torch.sigmoid(a) - torch.tensor(y)) ** 2).mean()
        loss.backward()
        return [b.grad.numpy() for b in biases], [w.grad.numpy() for w in weights]

    return (by_autograd,)


@app.cell(hide_code=True)
def _(bias_slopes, by_autograd, ending, hidden, net, weight_slopes, x, y):
    _biases, _weights = by_autograd(net, x, y, activation=hidden.value, output=ending.value)

    def _nudged(array, at):
        _kept = array[at]
        _losses = []
        for _way in (1e-5, -1e-5):
            array[at] = _kept + _way
            _losses.append(net.loss(x, y))
        array[at] = _kept
        return (_losses[0] - _losses[1]) / 2e-5

    _rows = []
    for _layer, _name in enumerate(("hidden", "output")):
        for _j in range(len(net.biases[_layer])):
            _rows.append(
                {
                    "slope of": f"bias of {_name} {_j + 1}",
                    "equations": bias_slopes[_layer][_j],
                    "autograd": _biases[_layer][_j],
                    "nudging": _nudged(net.biases[_layer], (_j,)),
                }
            )
            _rows.extend(
                {
                    "slope of": f"weight {_k + 1} of {_name} {_j + 1}",
                    "equations": weight_slopes[_layer][_j, _k],
                    "autograd": _weights[_layer][_j, _k],
                    "nudging": _nudged(net.weights[_layer], (_j, _k)),
                }
                for _k in range(net.weights[_layer].shape[1])
            )
    largest = max(abs(_row["equations"] - _row["autograd"]) for _row in _rows)
    _nudge_off = max(abs(_row["equations"] - _row["nudging"]) for _row in _rows)
    for _row in _rows:
        for _key in ("equations", "autograd", "nudging"):
            _row[_key] = f"{float(_row[_key]):+.9f}"
    mo.vstack(
        [
            mo.callout(
                mo.md(
                    f"**{len(_rows)} slopes.** Largest difference between the four equations and "
                    f"autograd: **{largest:.1e}**; to nudging: {_nudge_off:.1e}. (Numbers of 64 "
                    "bits keep about 16 digits.)"
                ),
                kind="success" if largest < 1e-12 else "danger",
            ),
            mo.accordion({"All slopes": mo.ui.table(_rows, selection=None, page_size=17)}),
        ]
    )
    return


@app.cell(hide_code=True)
def _():
    first, second, third = exercises_of(6)
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
    _table = load_digits()
    digits_x = _table.data / 16.0  # float64 [1797, 64], from 0 to 1
    digits_y = _table.target
    return digits_x, digits_y


@app.cell(hide_code=True)
def _(digits_x, digits_y):
    _net = Network([64, 30, 10], seed=0)
    _x, _y = digits_x[:100], digits_y[:100]
    _net.backpropagate(_x, _y)
    _begin = time.perf_counter()
    for _ in range(10):
        _net.backpropagate(_x, _y)
    _backward = (time.perf_counter() - _begin) / 10
    _begin = time.perf_counter()
    for _ in range(40):
        _net.loss(_x, _y)
    _one = (time.perf_counter() - _begin) / 40
    _count = sum(p.size for p in _net.parameters)
    mo.md(f"""
    So nudging works too. Why not just nudge? On a network for handwritten digits (8 by 8 pixels, 30
    hidden neurons, 10 classes; {_count:,} slopes), a hundred images took {_backward * 1e3:.2g} ms just
    now by backpropagation. Nudging needs two losses for each slope: {2 * _count * _one * 1e3:,.0f} ms
    (reckoned from 40), **{2 * _count * _one / _backward:,.0f} times** as much. And the ratio grows with
    the network: backpropagation costs a few forward walks, however many weights there are.
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md(f"""
    ## What the equations tell, 1: a saturated neuron learns slowly

    BP1 and BP2 both contain the factor $f'(z)$. Where a sigmoid's sum is far from 0, its curve is
    flat, the factor is near 0, and little error comes through: the neuron is **saturated**.

    One neuron, one input $x = 1$; its answer should become 0. Start $w$ and $b$ at 0.6 and it
    answers {float(sigmoid(1.2)):.2f}; at 2, {float(sigmoid(4.0)):.2f}. One would hope that it learns
    *faster* the more wrong it is.
    """)
    return


@app.cell(hide_code=True)
def _():
    begin = mo.ui.slider(0.0, 5.0, 0.1, value=2.0, label="start of w and b", show_value=True)
    begin
    return (begin,)


@app.cell(hide_code=True)
def _(begin):
    def _learn(output, first, steps=300, rate=0.15):
        _net = Network([1, 1], output=output)
        _net.weights[0][:] = first
        _net.biases[0][:] = first
        _x, _y = np.ones((1, 1)), np.zeros((1, 1))
        _answers, _slope = [], []
        for _ in range(steps + 1):
            _answers.append(float(_net.forward(_x)[0, 0]))
            _bias, _weight = _net.backpropagate(_x, _y)
            _slope.append(float(_weight[0][0, 0]))
            _net.weights[0] -= rate * _weight[0]
            _net.biases[0] -= rate * _bias[0]
        return np.array(_answers), np.array(_slope)

    _squared, _squared_slope = _learn("sigmoid_squared", begin.value)
    _entropy, _entropy_slope = _learn("sigmoid", begin.value)
    _mild, _ = _learn("sigmoid_squared", 0.6)
    _figure, (_left, _right) = canvas(
        "The more wrong, the slower; unless the loss cancels the flatness",
        "One sigmoid neuron learns to answer 0; rate 0.15",
        panels=2, width_in=9.6, height_in=4.4,
    )  # fmt: skip
    _left.plot(_mild, color=QUIET, linewidth=1.6, linestyle=":", label="squared, start 0.6")
    _left.plot(_squared, color=ORANGE, linewidth=2.4, label=f"squared, start {begin.value:g}")
    _left.plot(_entropy, color=BLUE, linewidth=2.4, label=f"cross-entropy, start {begin.value:g}")
    _left.set(xlabel="step", ylabel="the neuron's answer", ylim=(0, 1.02))
    legend(_left)
    _right.plot(_squared_slope, color=ORANGE, linewidth=2.4, label="squared")
    _right.plot(_entropy_slope, color=BLUE, linewidth=2.4, label="cross-entropy")
    _right.set(xlabel="step", ylabel="slope of the weight", ylim=(0, 1.05))
    legend(_right)
    _half = [int(np.argmax(_a < 0.5)) if (_a < 0.5).any() else None for _a in (_squared, _entropy)]
    half_way = [f"{_h} steps" if _h is not None else "more than 300 steps" for _h in _half]
    first_slopes = (float(_squared_slope[0]), float(_entropy_slope[0]))
    _figure
    return first_slopes, half_way


@app.cell(hide_code=True)
def _(begin, first_slopes, half_way):
    mo.md(f"""
    From a start of {begin.value:g} the answer falls below 0.5 after **{half_way[0]}** with the
    squared loss and after **{half_way[1]}** with the cross-entropy. The first slopes are
    {first_slopes[0]:.4f} and {first_slopes[1]:.4f}. The cross-entropy's slope contains
    $1 / f'(z)$; in BP1 the two cancel, and the error is simply *answer minus truth* (lesson 3). That
    is why classifiers use it.

    ## What the equations tell, 2: a weight with a low input learns slowly

    BP4: the slope of a weight is the error times **the input that it carries**. Input near 0:
    slope near 0. In the digits some pixels are always blank. Here is the mean value of each pixel,
    and the mean size of the slopes of the 30 weights that lead from it:
    """)
    return


@app.cell(hide_code=True)
def _(digits_x, digits_y):
    _net = Network([64, 30, 10], seed=0)
    _each = np.mean(
        [
            abs(_net.backpropagate(digits_x[_k : _k + 1], digits_y[_k : _k + 1])[1][0]).mean(axis=0)
            for _k in range(300)
        ],
        axis=0,
    )
    _mean = digits_x[:300].mean(axis=0)
    low_input = float(np.corrcoef(_mean, _each)[0, 1])
    blank = int(np.sum(_mean == 0))
    blank_slope = float(_each[_mean == 0].max())
    _figure, _axes = canvas(
        "Without ink, a weight learns nothing",
        "Mean over the first 300 digits; 30 hidden sigmoid neurons, random start",
        panels=3, width_in=10.4, height_in=4.2, head_in=0.5,
    )  # fmt: skip
    for _panel, _values, _name in (
        (_axes[0], _mean, "mean pixel"),
        (_axes[1], _each, "mean size of its weights' slopes"),
    ):
        _panel.imshow(_values.reshape(8, 8), cmap="magma")
        _panel.set_title(_name, fontsize=11, color=INK)
        _panel.set_axis_off()
    _axes[2].plot(_mean, _each, "o", color=BLUE, markersize=5, alpha=0.7)
    _axes[2].set(xlabel="mean pixel")
    _axes[2].set_title("one dot a pixel", fontsize=11, color=INK)
    _figure
    return blank, blank_slope, low_input


@app.cell(hide_code=True)
def _(blank, blank_slope, low_input):
    mo.md(f"""
    The correlation is {low_input:.3f}. {blank} pixels are blank in all 300 images, and the largest
    slope of any of their weights is {blank_slope:g}: whatever these weights were at the start, they
    stay. The same is true between layers: the weights that lead away from a hidden neuron of **low
    activation**, one that answers near 0, hardly learn.

    ## And a trap that all four equations share

    Every slope contains an error that began in BP1. **If BP1 gives 0, nothing in the network ever
    changes.** Softmax over *one* output always answers 1, so with it BP1 always gives 0. A
    well-known breast-cancer tutorial ends in exactly that; in lesson 12 you find it.
    """)
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
def _(third):
    answer_3 = ask(third)
    answer_3
    return (answer_3,)


@app.cell(hide_code=True)
def _(answer_3, third):
    tell(third, answer_3.value)
    return


@app.cell(hide_code=True)
def _(digits_x, digits_y):
    _figure, (_axes,) = canvas(
        "Blame fades on its way back through sigmoids",
        "Mean size of the errors in each layer, as a share of the last layer's; 300 digits",
        width_in=8.4, height_in=4.2,
    )  # fmt: skip
    _fade = {}
    for _name, _color in (("sigmoid", ORANGE), ("tanh", GREEN), ("relu", BLUE)):
        _net = Network([64, 30, 30, 30, 30, 30, 10], activation=_name, seed=1)
        _sizes = [
            float(abs(_e).mean())
            for _e in _net.errors(_net.layers(digits_x[:300])[0], digits_y[:300])
        ]
        _fade[_name] = _sizes[0] / _sizes[-1]
        _axes.plot(
            range(1, len(_sizes) + 1), np.array(_sizes) / _sizes[-1], "o-", color=_color,
            linewidth=2.2, label=_name,
        )  # fmt: skip
    _axes.set(xlabel="layer (6 is the output)", ylabel="error, share of the output's", yscale="log")
    legend(_axes)
    mo.accordion(
        {
            "If you have two minutes more: deep sigmoid networks fade": mo.vstack(
                [
                    mo.md(r"""
    BP2 multiplies by $f'(z)$ once for each layer, and a sigmoid's slope is at most 1/4. Five hidden
    layers of 30 neurons on the same digits: how large is the error that arrives in each?
    """),
                    _figure,
                    mo.md(f"""
    At the first layer **{_fade["sigmoid"]:.2g}** of the error is left with sigmoids,
    {_fade["tanh"]:.2g} with tanh, {_fade["relu"]:.2g} with ReLU, whose slope is 1 wherever it is
    active. Faded errors mean that the first layers, which see the image, hardly learn. That is why
    the networks of the later lessons use ReLU.
    """),
                ]
            )
        }
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Summary

    - The **error** of a neuron is the loss's slope in its sum. BP1 gives it at the output, BP2
      carries it back, BP3 and BP4 turn it into slopes for biases and weights.
    - Saturated neurons ($f'$ near 0), and weights with a low input ($a_{\text{in}}$ near 0), learn
      slowly; the cross-entropy and ReLU are the cures that the equations suggest.
    - One backward walk costs about as much as a few forward walks, however many weights there are.
    - A formula that can be checked against an independent program should be.

    **Next:** lesson 7 trains a whole network on tumors and on digits. `eosin learn 7`
    """)
    return


if __name__ == "__main__":
    app.run()
