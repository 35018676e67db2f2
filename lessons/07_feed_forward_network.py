# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""A feed-forward network

Goal: train a network on measurements of breast tumors and on handwritten digits, and judge it by
  what it has not seen.
Minutes: 12
Prerequisites: lessons 5 and 6 (stochastic descent, backpropagation)
"""

import marimo

app = marimo.App(width="medium", app_title="7. A feed-forward network", css_file="house.css")

with app.setup(hide_code=True):
    import marimo as mo
    import numpy as np
    from sklearn.datasets import load_breast_cancer, load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    from eosin.figures.canvas import BLUE, INK, MARK, ORANGE, QUIET, canvas, legend
    from eosin.guide.catalog import exercises_of
    from eosin.guide.notebook import ask, house_look, tell
    from eosin.scratch.network import Network

    house_look()


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 7. A feed-forward network

    **Goal.** You train a network on measurements of breast tumors and on handwritten digits, and
    judge it by what it has *not* seen. **You need** lessons 5 (stochastic descent) and 6
    (backpropagation). About 12 minutes. Research and education only, not for diagnosis.

    All parts are there: neurons, a loss, slopes, a way down. A **feed-forward network** puts them
    in layers, and numbers go through in one direction. Now for data with a question in them.

    ## 569 tumors, 30 measurements each

    The data of lessons 4 and 5 contain more than a radius: ten properties of the nuclei of a tumor
    (radius, texture, smoothness, concavity ...), and of each the mean, its standard error and the
    "worst" (the mean of the three largest). For each tumor it is known whether it was **malignant**
    (cancer) or **benign**. Can a network tell from the measurements?
    """)
    return


@app.cell
def _():
    _table = load_breast_cancer()
    tumors = _table.data  # float64 [569, 30]
    malignant = 1 - _table.target  # 1 is malignant here; scikit-learn has it the other way round
    names = list(_table.feature_names)
    return malignant, names, tumors


@app.cell(hide_code=True)
def _(names):
    across = mo.ui.dropdown(names, value="mean radius", label="across")
    up = mo.ui.dropdown(names, value="mean concave points", label="up")
    mo.hstack([across, up], justify="start", gap=2)
    return across, up


@app.cell(hide_code=True)
def _(across, malignant, names, tumors, up):
    _x, _y = tumors[:, names.index(across.value)], tumors[:, names.index(up.value)]
    _figure, (_axes,) = canvas(
        f"{int(malignant.sum())} malignant, {int((1 - malignant).sum())} benign",
        "Two of the 30 measurements; each point is a tumor",
        width_in=7.6, height_in=4.6,
    )  # fmt: skip
    for _class, _color, _name in ((0, BLUE, "benign"), (1, ORANGE, "malignant")):
        _axes.plot(
            _x[malignant == _class], _y[malignant == _class], "o", color=_color, markersize=4,
            alpha=0.6, label=_name,
        )  # fmt: skip
    _axes.set(xlabel=across.value, ylabel=up.value)
    legend(_axes)
    _figure
    return


@app.cell(hide_code=True)
def _(malignant):
    _base = 1 - malignant.mean()
    mo.md(f"""
    First, the number to beat. The answer "benign", without looking, is right in
    **{_base:.1%}** of the tumors, and finds not one cancer. Keep it in mind whenever you read an
    accuracy.

    ## Three parts

    A network can learn its examples by heart. So the tumors are dealt into three parts, at random,
    with the same share of malignant ones in each:

    - **training**: the network learns from these;
    - **validation**: we look at these as often as we like, to choose rate, size, and when to stop;
    - **test**: opened once, at the end. It shows what the choice is worth.
    """)
    return


@app.cell
def _(malignant, tumors):
    _rest_x, test_raw, _rest_y, test_y = train_test_split(
        tumors, malignant, test_size=114, stratify=malignant, random_state=42
    )
    train_raw, valid_raw, train_y, valid_y = train_test_split(
        _rest_x, _rest_y, test_size=114, stratify=_rest_y, random_state=42
    )
    mo.md(
        f"Training {len(train_y)}, validation {len(valid_y)}, test {len(test_y)} tumors; "
        f"malignant {train_y.mean():.1%}, {valid_y.mean():.1%}, {test_y.mean():.1%}."
    )
    return test_raw, test_y, train_raw, train_y, valid_raw, valid_y


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## The same network, twice

    One hidden layer of 16 sigmoid neurons, softmax at the end. Once it gets the measurements as
    they are: areas near 650, smoothnesses near 0.1. Once each measurement is centered and scaled,
    with the mean and deviation *of the training part*. All else is alike. What do lessons 4 and 6
    let you expect?
    """)
    return


@app.cell
def _(test_raw, train_raw, valid_raw):
    _mean, _deviation = train_raw.mean(axis=0), train_raw.std(axis=0)
    train_x = (train_raw - _mean) / _deviation
    valid_x = (valid_raw - _mean) / _deviation
    test_x = (test_raw - _mean) / _deviation
    return test_x, train_x, valid_x


@app.cell(hide_code=True)
def _(train_raw, train_x, train_y, valid_raw, valid_x, valid_y):
    _figure, (_left, _right) = canvas(
        "Unscaled inputs saturate the neurons, and nothing is learned",
        "Network 30-16-2, sigmoid; batches of 16, rate 0.1",
        panels=2, width_in=9.6, height_in=4.2,
    )  # fmt: skip
    saturated = {}
    for _name, _x, _valid, _color in (
        ("as measured", train_raw, valid_raw, ORANGE), ("scaled", train_x, valid_x, BLUE)
    ):  # fmt: skip
        _net = Network([30, 16, 2], activation="sigmoid", seed=0)
        _hidden = _net.layers(_x)[1][1]
        saturated[_name] = float(np.mean((_hidden < 0.01) | (_hidden > 0.99)))
        _history = _net.fit(
            _x, train_y, epochs=30, batch_size=16, rate=0.1, validation=(_valid, valid_y)
        )
        saturated[_name + ", accuracy"] = _history.validation_accuracy[-1]
        _left.plot(_history.loss, color=_color, linewidth=2.2, label=_name)
        _right.plot(_history.validation_accuracy, color=_color, linewidth=2.2, label=_name)
    _right.axhline(1 - valid_y.mean(), color=QUIET, linestyle="--", linewidth=1.3)
    _right.text(
        30, 1 - valid_y.mean() + 0.02, 'always "benign"', color=QUIET, fontsize=10, ha="right"
    )
    _left.set(xlabel="epoch", ylabel="loss on training", ylim=(0, None))
    _right.set(xlabel="epoch", ylabel="accuracy on validation", ylim=(0.3, 1.02))
    legend(_left)
    _figure
    return (saturated,)


@app.cell(hide_code=True)
def _(saturated):
    mo.md(f"""
    Before the first step, {saturated["as measured"]:.0%} of the hidden answers of the unscaled
    network were below 0.01 or above 0.99: saturated, so their slopes were almost 0.
    With scaled inputs it was {saturated["scaled"]:.0%}. After 30 epochs the validation accuracy is
    {saturated["as measured, accuracy"]:.1%} against {saturated["scaled, accuracy"]:.1%}.

    ## Your turn

    Find a network with the lowest loss on the **validation** tumors.
    """)
    return


@app.cell(hide_code=True)
def _():
    hidden = mo.ui.slider(1, 64, 1, value=16, label="hidden", show_value=True)
    activation = mo.ui.dropdown(["sigmoid", "tanh", "relu"], value="relu", label="activation")
    rate = mo.ui.slider(
        steps=[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0], value=0.03, label="rate", show_value=True
    )
    epochs = mo.ui.slider(5, 100, 5, value=40, label="epochs", show_value=True)
    seed = mo.ui.number(0, 99, value=0, label="start")
    mo.hstack(
        [mo.vstack([hidden, activation]), mo.vstack([rate, epochs]), seed], justify="start", gap=3
    )
    return activation, epochs, hidden, rate, seed


@app.cell(hide_code=True)
def _(activation, epochs, hidden, rate, seed, train_x, train_y, valid_x, valid_y):
    chosen = Network([30, hidden.value, 2], activation=activation.value, seed=int(seed.value or 0))
    try:
        history = chosen.fit(
            train_x, train_y, epochs=epochs.value, batch_size=16, rate=rate.value,
            validation=(valid_x, valid_y),
        )  # fmt: skip
    except ValueError as _error:  # a rate so high that the weights leave all bounds
        mo.stop(True, mo.callout(f"It diverged: {_error}.", kind="danger"))
    _low = int(np.argmin(history.validation_loss))
    _figure, (_left, _right) = canvas(
        f"Validation: loss {history.validation_loss[-1]:.3f}, "
        f"accuracy {history.validation_accuracy[-1]:.1%}",
        f"30-{hidden.value}-2, {sum(p.size for p in chosen.parameters):,} parameters; "
        f"lowest validation loss {history.validation_loss[_low]:.3f}, after epoch {_low + 1}",
        panels=2, width_in=9.6, height_in=4.4,
    )  # fmt: skip
    _ticks = np.arange(1, epochs.value + 1)
    _left.plot(_ticks, history.loss, color=BLUE, linewidth=2.2, label="training")
    _left.plot(_ticks, history.validation_loss, color=ORANGE, linewidth=2.2, label="validation")
    _left.axvline(_low + 1, color=QUIET, linestyle=":", linewidth=1.3)
    _left.set(xlabel="epoch", ylabel="loss", ylim=(0, min(1.0, max(history.validation_loss) * 1.1)))
    legend(_left)
    _right.plot(_ticks, history.accuracy, color=BLUE, linewidth=2.2)
    _right.plot(_ticks, history.validation_accuracy, color=ORANGE, linewidth=2.2)
    _right.set(xlabel="epoch", ylabel="accuracy", ylim=(0.85, 1.005))
    _figure
    return (chosen,)


@app.cell(hide_code=True)
def _():
    first, second, third = exercises_of(7)
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
def _(second):
    answer_2 = ask(second)
    answer_2
    return (answer_2,)


@app.cell(hide_code=True)
def _(answer_2, second):
    tell(second, answer_2.value)
    return


@app.cell(hide_code=True)
def _(train_x, train_y, valid_x, valid_y):
    _linear = LogisticRegression(max_iter=1000).fit(train_x, train_y)
    linear_accuracy = float(_linear.score(valid_x, valid_y))
    _seeds = []
    for _seed in range(10):
        _net = Network([30, 16, 2], activation="relu", seed=_seed)
        _net.fit(train_x, train_y, epochs=30, batch_size=16, rate=0.03, seed=_seed)
        _seeds.append(_net.accuracy(valid_x, valid_y))
    mo.md(f"""
    ## Is it better than something simpler?

    On the same {len(valid_y)} validation tumors:

    | | right |
    |:--|--:|
    | always "benign" | {1 - valid_y.mean():.1%} |
    | logistic regression (one neuron, no hidden layer) | {linear_accuracy:.1%} |
    | network 30-16-2, ten starts, lowest to highest | {min(_seeds):.1%} to {max(_seeds):.1%} |

    One tumor more or less is {1 / len(valid_y):.1%}. So the network's own luck is as large as its
    difference from a single neuron: on these 30 measurements, chosen by experts, there is little
    left for a hidden layer to find. Always try the simple thing first, and never read a difference
    of one or two tumors as progress.
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Two kinds of mistake

    The network gives a probability. Where do we draw the line? A missed cancer (a **miss**) and a
    benign tumor taken for cancer (a **false alarm**) are not the same harm. Move the threshold:
    """)
    return


@app.cell(hide_code=True)
def _():
    threshold = mo.ui.slider(
        0.02,
        0.98,
        0.02,
        value=0.5,
        label="call it malignant from a probability of",
        show_value=True,
    )
    threshold
    return (threshold,)


@app.cell(hide_code=True)
def _(chosen, threshold, valid_x, valid_y):
    _p = chosen.forward(valid_x)[:, 1]
    _called = _p >= threshold.value
    _missed = int(np.sum(~_called & (valid_y == 1)))
    _alarms = int(np.sum(_called & (valid_y == 0)))
    _figure, (_axes,) = canvas(
        f"{_missed} of {int(valid_y.sum())} cancers missed, "
        f"{_alarms} of {int((valid_y == 0).sum())} benign called malignant",
        "Validation tumors by the probability that your network gives them",
        width_in=8.4, height_in=3.6,
    )  # fmt: skip
    _bins = np.linspace(0, 1, 26)
    _axes.hist(
        [_p[valid_y == 0], _p[valid_y == 1]], bins=_bins, color=[BLUE, ORANGE],
        label=["benign", "malignant"],
    )  # fmt: skip
    _axes.axvline(threshold.value, color=MARK, linewidth=2.2)
    _axes.set(
        xlabel="probability of malignant", ylabel="tumors (log)", yscale="log", xlim=(0, 1),
        ylim=(0.6, None),
    )  # fmt: skip
    legend(_axes, above=True)
    _figure
    return


@app.cell(hide_code=True)
def _():
    opened = mo.ui.checkbox(value=False, label="I have chosen. Open the test set (once).")
    opened
    return (opened,)


@app.cell(hide_code=True)
def _(chosen, opened, test_x, test_y, threshold):
    def _wilson(right, count, z=1.96):
        """A 95 % interval for a share (Wilson, 1927)."""
        share = right / count
        middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
        half = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
        return middle - half, middle + half

    _called = (chosen.forward(test_x)[:, 1] >= threshold.value).astype(int)
    _right = int(np.sum(_called == test_y))
    _low, _high = _wilson(_right, len(test_y))
    mo.md(f"""
    {_right} of {len(test_y)} right: **{_right / len(test_y):.1%}**, and {len(test_y)} tumors can
    show only that the truth is between about {_low:.1%} and {_high:.1%}.
    {int(np.sum((_called == 0) & (test_y == 1)))} of {int(test_y.sum())} cancers missed,
    {int(np.sum((_called == 1) & (test_y == 0)))} false alarms. If you now go back and change
    something because of this, the test set has become a second validation set.
    """) if opened.value else mo.md("_The test set is closed._")
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## From measurements to images

    The 30 measurements were found by people who knew what to look for. Can a network start from the
    *pixels*? Each of scikit-learn's 1,797 handwritten digits is 8 by 8 pixels: 64 inputs, ten
    classes. Choose how many of them it may learn from:
    """)
    return


@app.cell
def _():
    _table = load_digits()
    learn_x, check_x, learn_y, check_y = train_test_split(
        _table.data / 16.0, _table.target, test_size=597, stratify=_table.target, random_state=42
    )
    count = mo.ui.slider(
        steps=[20, 50, 100, 200, 400, 800, 1200],
        value=400,
        label="training digits",
        show_value=True,
    )
    count
    return check_x, check_y, count, learn_x, learn_y


@app.cell(hide_code=True)
def _(check_x, check_y, count, learn_x, learn_y):
    reader = Network([64, 32, 10], activation="relu", seed=0)
    _history = reader.fit(
        learn_x[: count.value], learn_y[: count.value], epochs=60, batch_size=16, rate=0.1,
        validation=(check_x, check_y),
    )  # fmt: skip
    reader_accuracy = _history.validation_accuracy[-1]
    _figure, (_left, _right) = canvas(
        f"{count.value} digits: {_history.accuracy[-1]:.1%} of them right, "
        f"{reader_accuracy:.1%} of {len(check_y)} others",
        f"Network 64-32-10, ReLU, {sum(p.size for p in reader.parameters):,} parameters; batches of "
        "16, rate 0.1, 60 epochs",
        panels=2, width_in=9.6, height_in=4.2,
    )  # fmt: skip
    _left.plot(_history.loss, color=BLUE, linewidth=2.2, label="training")
    _left.plot(_history.validation_loss, color=ORANGE, linewidth=2.2, label="others")
    _left.set(xlabel="epoch", ylabel="loss", ylim=(0, 2.3))
    legend(_left)
    _right.plot(_history.accuracy, color=BLUE, linewidth=2.2)
    _right.plot(_history.validation_accuracy, color=ORANGE, linewidth=2.2)
    _right.set(xlabel="epoch", ylabel="accuracy", ylim=(0, 1.02))
    _figure
    return reader, reader_accuracy


@app.cell(hide_code=True)
def _(check_x, check_y, reader):
    _p = reader.forward(check_x)
    _said = _p.argmax(axis=1)
    _wrong = np.flatnonzero(_said != check_y)
    _wrong = _wrong[np.argsort(-_p[_wrong].max(axis=1))][:8]
    _figure, _axes = canvas(
        "The surest of its wrong answers",
        "Other digits than it learned from; what was said, how surely, and what it is",
        panels=8, width_in=10.4, height_in=2.3, side_in=0.2, foot_in=0.15, head_in=0.5,
    )  # fmt: skip
    for _k, _panel in enumerate(_axes):
        _panel.set_axis_off()
        if _k < len(_wrong):
            _row = _wrong[_k]
            _panel.imshow(check_x[_row].reshape(8, 8), cmap="gray_r")
            _panel.set_title(
                f"said {_said[_row]} ({_p[_row].max():.0%})\nis {check_y[_row]}", fontsize=9.5,
                color=INK,
            )  # fmt: skip
    _figure
    return


@app.cell(hide_code=True)
def _(check_x, check_y, learn_x, learn_y):
    by_count = {}
    for _count in (20, 1200):
        _net = Network([64, 32, 10], activation="relu", seed=0)
        _net.fit(learn_x[:_count], learn_y[:_count], epochs=60, batch_size=16, rate=0.1)
        by_count[_count] = (
            _net.accuracy(learn_x[:_count], learn_y[:_count]),
            _net.accuracy(check_x, check_y),
        )
    return (by_count,)


@app.cell(hide_code=True)
def _(by_count, check_x, check_y, reader, reader_accuracy):
    _images = check_x.reshape(-1, 8, 8)
    _moved = np.zeros_like(_images)
    _moved[:, :, 1:] = _images[:, :, :-1]
    moved_accuracy = reader.accuracy(_moved.reshape(-1, 64), check_y)
    mo.md(f"""
    From 20 digits it reads {by_count[20][0]:.0%} of those 20, and {by_count[20][1]:.0%} of the
    others; from 1,200 it reads {by_count[1200][0]:.1%} of its own and {by_count[1200][1]:.1%} of the
    others. The gap between the two is **overfitting**, and the best cure is more data.

    Now a small cruelty. Move each of the other digits by *one pixel* to the right. For you nothing
    has changed. The network's accuracy goes from {reader_accuracy:.1%} to **{moved_accuracy:.1%}**.
    To it, pixel 27 and pixel 28 are different measurements with different weights; it has no idea
    that they are neighbors. The next lesson gives it one.
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

    - Training, validation, test: learn, choose, and report once.
    - Know the base rate and a simple model's score before you praise a network.
    - Scale the inputs with numbers from the training part alone.
    - Two kinds of mistake, one threshold: where to draw the line is not the network's decision.
    - Fully connected networks treat neighboring pixels as strangers.

    **Next:** lesson 8 gives the network eyes that move. `eosin learn 8`
    """)
    return


if __name__ == "__main__":
    app.run()
