# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""Inside a CNN

Goal: look at everything that a convolutional network computes, filter by filter, on a handwritten
  digit and on a patch of tissue.
Minutes: 10
Prerequisites: lesson 8 (why convolution)
"""

import marimo

app = marimo.App(width="medium", app_title="9. Inside a CNN", css_file="house.css")

with app.setup(hide_code=True):
    import marimo as mo
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    from eosin.figures.canvas import BLUE, GREEN, INK, LINE, ORANGE, QUIET, canvas, legend
    from eosin.guide.catalog import exercises_of
    from eosin.guide.notebook import ask, house_look, tell, workplace
    from eosin.guide.patches import lesson_store
    from eosin.scratch.activations import relu, softmax
    from eosin.scratch.cnn import SmallCNN
    from eosin.scratch.convolution import convolve
    from eosin.scratch.pooling import average_pool, max_pool

    house_look()


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 9. Inside a CNN

    **Goal.** You look at everything that a convolutional network (a CNN) computes, filter by
    filter, on a handwritten digit and on a patch of tissue. **You need** lesson 8 (why
    convolution). About 10 minutes.

    Our network reads 8 by 8 pixel digits, in NumPy, and is small enough to be seen whole:

    > image → **convolve** → ReLU → **pool** → **convolve** → ReLU → **pool** → weigh → **softmax**

    It is trained in the next cell, now, on this machine.
    """)
    return


@app.cell
def _():
    _table = load_digits()
    learn_x, check_x, learn_y, check_y = train_test_split(
        _table.images[:, None] / 16.0, _table.target, test_size=597, stratify=_table.target,
        random_state=42,
    )  # fmt: skip
    untrained = SmallCNN(10, seed=0)
    cnn = SmallCNN(10, seed=0)
    history = cnn.fit(
        learn_x, learn_y, epochs=10, batch_size=32, rate=0.05, momentum=0.9,
        validation=(check_x, check_y),
    )  # fmt: skip
    mo.md(
        f"{len(learn_y):,} digits, {len(history.loss)} epochs, {cnn.parameter_count:,} weights. "
        f"Of {len(check_y)} digits that it never saw, **{history.validation_accuracy[-1]:.1%}** "
        f"are read rightly (after the first epoch {history.validation_accuracy[0]:.1%})."
    )
    return check_x, check_y, cnn, learn_x, learn_y, untrained


@app.cell
def _(check_x):
    which = mo.ui.slider(0, len(check_x) - 1, 1, value=12, label="digit", show_value=True)
    stage = mo.ui.radio(
        ["after convolution", "after ReLU", "after pooling"], value="after convolution",
        label="first layer", inline=True,
    )  # fmt: skip
    mo.hstack([which, stage], justify="start", gap=3)
    return stage, which


@app.cell(hide_code=True)
def _():
    def tiles(figure_axes, pictures, *, cmap, low, high, titles=None):
        """Show pictures [K, h, w] side by side, without ticks."""
        for k, panel in enumerate(figure_axes):
            panel.grid(False)
            panel.set(xticks=[], yticks=[])
            for spine in panel.spines.values():
                spine.set_color(LINE)
                spine.set_visible(True)
            if k < len(pictures):
                panel.imshow(pictures[k], cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
                if titles is not None:
                    panel.set_title(titles[k], fontsize=9.5, color=INK)
            else:
                panel.set_axis_off()

    return (tiles,)


@app.cell(hide_code=True)
def _(check_x, check_y, cnn, stage, tiles, which):
    seen = cnn.layers(check_x[which.value : which.value + 1])
    _first = {
        "after convolution": seen.sums_1, "after ReLU": seen.active_1,
        "after pooling": seen.pooled_1,
    }[stage.value][0]  # fmt: skip
    _filters, _axes = canvas(
        f"The digit is a {check_y[which.value]}; the eight filters of the first layer",
        "Each filter is a 3 by 3 kernel that was learned; blue adds, red subtracts",
        panels=9, width_in=10.4, height_in=2.0, side_in=0.15, foot_in=0.1, head_in=0.4,
    )  # fmt: skip
    _most = abs(cnn.kernels_1).max()
    tiles(_axes[:1], check_x[which.value], cmap="gray_r", low=0, high=1, titles=["image"])
    tiles(
        _axes[1:], cnn.kernels_1[:, 0], cmap="RdBu", low=-_most, high=_most,
        titles=[f"filter {k + 1}" for k in range(8)],
    )  # fmt: skip
    _maps, _axes = canvas(
        f"What the filters find: maps {stage.value}, {_first.shape[1]} by {_first.shape[2]}",
        f"Values from {_first.min():.2f} to {_first.max():.2f}; white is 0, blue above, red below",
        panels=9, width_in=10.4, height_in=2.0, side_in=0.15, foot_in=0.1, head_in=0.4,
    )  # fmt: skip
    _axes[0].set_axis_off()
    _top = abs(seen.sums_1).max()
    tiles(
        _axes[1:], _first, cmap="RdBu", low=-_top, high=_top,
        titles=[f"filter {k + 1}" for k in range(8)],
    )  # fmt: skip
    mo.vstack([_filters, _maps])
    return (seen,)


@app.cell(hide_code=True)
def _(seen):
    mo.md(f"""
    Step through the three stages with the buttons.

    - **Convolution**: each filter slides over the digit. Where the image under it resembles its
      blue part, the map is blue.
    - **ReLU**: what is below 0 becomes 0. "Not here" is all one and the same;
      {np.mean(seen.active_1 == 0):.0%} of the numbers of this digit are 0 now.
    - **Pooling**: of each 2 by 2 window the largest is passed on. From {seen.active_1.size} numbers to
      {seen.pooled_1.size}.

    ## A second look at the first look

    The second layer does not see the digit. It sees the eight pooled maps, all at once: each of
    its 16 filters is 3 by 3 by **8** numbers. So it can look for combinations: "an edge like this
    above a corner like that". Its window of 3 by 3 pooled pixels covers 8 by 8 pixels of the
    image, because each pooled pixel covers 2 by 2 places and each place 3 by 3 pixels.
    """)
    return


@app.cell(hide_code=True)
def _(seen, tiles):
    _rows = []
    for _first, _heading, _subtitle in (
        (0, "Second layer: 16 maps after ReLU, 4 by 4",
         "Then pooling makes each of them 2 by 2: 64 numbers for the last layer to weigh"),
        (8, "Maps 9 to 16", ""),
    ):  # fmt: skip
        _figure, _axes = canvas(
            _heading, _subtitle, panels=8, width_in=10.4, height_in=1.8 + 0.2 * bool(_subtitle),
            side_in=0.15, foot_in=0.1, head_in=0.3,
        )  # fmt: skip
        tiles(
            _axes, seen.active_2[0, _first : _first + 8], cmap="Blues", low=0,
            high=max(float(seen.active_2.max()), 1e-9),
            titles=[str(_first + k + 1) for k in range(8)],
        )  # fmt: skip
        _rows.append(_figure)
    mo.vstack(_rows)
    return


@app.cell(hide_code=True)
def _():
    first, second, third = exercises_of(9)
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
def _():
    mo.md(r"""
    ## From numbers to a decision

    The last layer weighs the 64 numbers once for each class: ten sums, the **logits**. They are
    anything from very negative to very positive. **Softmax** makes probabilities of them,

    $$p_k = \frac{e^{z_k}}{\sum_j e^{z_j}},$$

    all above 0, adding up to 1. Two things to try. Add the same number to all ten logits. Then
    multiply all of them: a factor above 1 makes the network sound surer, a factor below 1 less
    sure, and the order never changes. (The inverse of that factor is called the **temperature**.)
    """)
    return


@app.cell
def _():
    plus = mo.ui.slider(-20, 20, 1, value=0, label="add to all logits", show_value=True)
    times = mo.ui.slider(
        steps=[0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0], value=1.0, label="multiply all by",
        show_value=True,
    )  # fmt: skip
    mo.hstack([plus, times], justify="start", gap=3)
    return plus, times


@app.cell(hide_code=True)
def _(check_y, plus, seen, times, which):
    _z = seen.logits[0] * times.value + plus.value
    _p = softmax(_z)
    _colors = [GREEN if k == check_y[which.value] else BLUE for k in range(10)]
    _figure, (_left, _right) = canvas(
        f"It says {int(_p.argmax())} with a probability of {_p.max():.1%}; it is a "
        f"{check_y[which.value]}",
        "The right class is green",
        panels=2, width_in=9.6, height_in=3.6,
    )  # fmt: skip
    _left.bar(range(10), _z, color=_colors)
    _left.axhline(0, color=INK, linewidth=0.8)
    _left.set(xlabel="class", ylabel="logit", xticks=range(10))
    _right.bar(range(10), _p, color=_colors)
    _right.set(xlabel="class", ylabel="probability", xticks=range(10), ylim=(0, 1.02))
    _figure
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
def _(cnn):
    _blank = cnn.forward(np.zeros((1, 1, 8, 8)))[0]
    _noise = cnn.forward(np.random.default_rng(0).uniform(0, 1, (1000, 1, 8, 8)))
    mo.md(f"""
    Softmax must choose, whatever it is shown. An empty image: "{int(_blank.argmax())}", with
    {_blank.max():.0%}. A thousand images of pure noise: the median of its surest class is
    **{np.median(_noise.max(axis=1)):.0%}**. A probability says which of the *known* classes is
    likeliest, not whether the image is one of them at all.

    ## Which filter matters?

    A picture of a filter tempts one to tell stories. Better to measure: switch a filter off (set
    its map to 0) and count what is then read rightly.
    """)
    return


@app.cell(hide_code=True)
def _(check_x, check_y, cnn, tiles):
    import copy

    def _without(k):
        _cut = copy.deepcopy(cnn)
        _cut.kernels_1[k] = 0.0
        _cut.bias_1[k] = 0.0
        return _cut.accuracy(check_x, check_y)

    whole_accuracy = cnn.accuracy(check_x, check_y)
    loss_of = np.array([whole_accuracy - _without(k) for k in range(8)])
    _figure, _axes = canvas(
        f"Without it, how many of the {len(check_y)} digits are lost?",
        "The accuracy in percentage points that is lost when one filter of the first layer is off",
        panels=8, width_in=10.4, height_in=2.1, side_in=0.2, foot_in=0.1, head_in=0.5,
    )  # fmt: skip
    _most = abs(cnn.kernels_1).max()
    tiles(
        _axes, cnn.kernels_1[:, 0], cmap="RdBu", low=-_most, high=_most,
        titles=[f"{round(-100 * float(v), 1) + 0.0:+.1f}" for v in loss_of],
    )  # fmt: skip
    _figure
    return loss_of, whole_accuracy


@app.cell(hide_code=True)
def _(check_x, loss_of, untrained, whole_accuracy):
    _moved = np.zeros_like(check_x)
    _moved[..., 1:] = check_x[..., :-1]
    _kept = untrained.layers(check_x[:200])
    _there = untrained.layers(_moved[:200])

    def _change(before, after):
        return float(np.linalg.norm(after - before) / np.linalg.norm(before))

    _pixels, _maps = _change(check_x, _moved), _change(_kept.pooled_2, _there.pooled_2)
    mo.md(f"""
    The most needed is filter {int(loss_of.argmax()) + 1} ({100 * loss_of.max():.1f} points of
    {100 * whole_accuracy:.1f}), the least needed filter {int(loss_of.argmin()) + 1}
    ({100 * loss_of.min():.1f}). Networks often carry filters that they could do without.

    And pooling? It forgets a little of *where*. Move all digits one pixel to the right: the pixels
    change by {_pixels:.0%} of their size, the last pooled maps of an *untrained* CNN by only
    {_maps:.0%}. Not by 0: each of the 2 by 2 places that are left has its own weights in the last
    layer. Lesson 8's network, which kept only the strongest answer of each whole map, forgot *all*
    of where.
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Now a patch

    The same steps on color. A patch has three **channels**, red, green and blue, so a filter of the
    first layer is 3 by 3 by 3 numbers. Unless you chose a store of your own (the variable
    `EOSIN_STORE`), the patches here are drawn by a program and are **not tissue**: pink for fibers
    and cell bodies, violet for nuclei, as the stains hematoxylin and eosin make them. *Research and
    education only, not for diagnosis.*
    """)
    return


@app.cell
def _():
    folder = workplace()
    _store = lesson_store(folder / "patches.store", cases=12, patches_per_case=40, seed=3)
    made_up = _store.made_up
    pictures = np.array(_store.patches)  # uint8 [480, 50, 50, 3]
    positive = np.array(_store.labels)
    cases = np.array(_store.cases)
    return cases, made_up, pictures, positive


@app.cell
def _(cases, pictures):
    # 48 by 48 of the pixels, averaged two by two, channels first, 0 to 1, centered.
    _images = pictures[:, 1:49, 1:49].transpose(0, 3, 1, 2) / 255.0
    small = average_pool(_images, size=2)  # [N, 3, 24, 24]
    held_out = np.isin(cases, np.unique(cases)[-3:])  # three whole cases are kept for the end
    small = small - small[~held_out].mean(axis=(0, 2, 3), keepdims=True)
    return held_out, small


@app.cell
def _(pictures):
    patch = mo.ui.slider(0, len(pictures) - 1, 1, value=7, label="patch", show_value=True)
    by_hand = mo.ui.dropdown(
        {
            "violet (nuclei)": "violet",
            "edge, light to dark from left to right": "edge",
            "dark spot on light": "spot",
            "mean of the window": "mean",
        },
        value="violet (nuclei)", label="a filter by hand",
    )  # fmt: skip
    mo.hstack([patch, by_hand], justify="start", gap=3)
    return by_hand, patch


@app.cell(hide_code=True)
def _(by_hand, made_up, patch, pictures, positive, tiles):
    _gray = np.ones((3, 1, 1)) / 3.0
    _kernel = {
        # Hematoxylin takes away red light more than blue: little red and much blue is a nucleus.
        "violet": np.array([-1.0, 0.0, 1.0])[:, None, None] * np.ones((1, 3, 3)) / 9.0,
        "edge": _gray * np.array([[1.0, 0, -1], [1, 0, -1], [1, 0, -1]]) / 3.0,
        "spot": _gray * (np.ones((7, 7)) / 49.0 - np.pad(np.ones((3, 3)) / 9.0, 2)),
        "mean": _gray * np.ones((1, 3, 3)) / 9.0,
    }[by_hand.value]
    _image = pictures[patch.value].transpose(2, 0, 1)[None] / 255.0
    _side = _kernel.shape[-1]
    _map = convolve(_image, _kernel[None], padding=_side // 2)[0, 0]
    _figure, _axes = canvas(
        f"Patch {patch.value}, {'positive' if positive[patch.value] else 'negative'}",
        f"The filter is {_side} by {_side} by 3 numbers; map values {_map.min():.2f} to "
        f"{_map.max():.2f}",
        marks=["made-up patches, not tissue"] if made_up else [],
        panels=4, width_in=10.4, height_in=3.4, side_in=0.2, foot_in=0.15, head_in=0.4,
    )  # fmt: skip
    _stages = (
        ("patch", pictures[patch.value], None),
        ("map", _map, "RdBu"),
        ("after ReLU", relu(_map), "Blues"),
        ("after 5 by 5 max pooling", max_pool(relu(_map)[None, None], size=5)[0, 0], "Blues"),
    )
    _most = float(abs(_map[4:-4, 4:-4]).max())
    for _panel, (_name, _values, _cmap) in zip(_axes, _stages, strict=True):
        _low = -_most if _cmap == "RdBu" else 0.0
        tiles([_panel], [_values], cmap=_cmap, low=_low, high=_most, titles=[_name])
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    A person who knows stains can write a filter for nuclei. A network learns only from "positive" or
    "negative" for each patch, and has to find its own. The same small CNN, now with three input
    channels and two classes. Three whole **cases** (all patches of one specimen) are kept away from
    it, for patches of one case resemble each other, and a network must answer for new cases:
    """)
    return


@app.cell
def _(held_out, positive, small):
    tissue = SmallCNN(2, side=24, channels=3, filters=(8, 12), seed=0)
    tissue_history = tissue.fit(
        small[~held_out], positive[~held_out], epochs=8, batch_size=16, rate=0.02, momentum=0.9,
        validation=(small[held_out], positive[held_out]),
    )  # fmt: skip
    return tissue, tissue_history


@app.cell(hide_code=True)
def _(held_out, positive, tissue, tissue_history):
    _truth = positive[held_out]
    _base = max(_truth.mean(), 1 - _truth.mean())
    _figure, (_axes,) = canvas(
        f"Right in {tissue_history.accuracy[-1]:.0%} on its own cases, in "
        f"{tissue_history.validation_accuracy[-1]:.0%} on others",
        f"{int((~held_out).sum())} training patches; dashed: always the more frequent class, "
        f"{_base:.0%}",
        width_in=8.0, height_in=3.4,
    )  # fmt: skip
    _epochs = np.arange(1, len(tissue_history.loss) + 1)
    _axes.plot(
        _epochs, tissue_history.accuracy, color=BLUE, linewidth=2.2, label="cases it learned from"
    )
    _axes.plot(
        _epochs, tissue_history.validation_accuracy, color=ORANGE, linewidth=2.2,
        label="other cases",
    )  # fmt: skip
    _axes.axhline(_base, color=QUIET, linestyle="--", linewidth=1.3)
    _axes.set(xlabel="epoch", ylabel="accuracy", ylim=(0.4, 1.02))
    legend(_axes)
    _figure
    return


@app.cell(hide_code=True)
def _(made_up, patch, pictures, positive, small, tiles, tissue):
    _maps = tissue.layers(small[patch.value : patch.value + 1])
    _p = softmax(_maps.logits)[0, 1]
    _row_1, _axes = canvas(
        f"Positive with {_p:.0%}; it is {'positive' if positive[patch.value] else 'negative'}",
        "The learned filters of the first layer as colors; below, what they find (after ReLU)",
        marks=["made-up patches, not tissue"] if made_up else [],
        panels=9, width_in=10.4, height_in=2.2, side_in=0.15, foot_in=0.1, head_in=0.35,
    )  # fmt: skip
    tiles(_axes[:1], [pictures[patch.value]], cmap=None, low=0, high=1, titles=["patch"])
    _most = abs(tissue.kernels_1).max()
    _colors = 0.5 + 0.5 * tissue.kernels_1.transpose(0, 2, 3, 1) / _most
    tiles(
        _axes[1:], _colors, cmap=None, low=0, high=1, titles=[f"filter {k + 1}" for k in range(8)]
    )
    _row_2, _axes = canvas(
        "First layer, 24 by 24, each on its own scale",
        panels=9, width_in=10.4, height_in=1.6, side_in=0.15, foot_in=0.1, head_in=0.15,
    )  # fmt: skip
    _axes[0].set_axis_off()
    _own = _maps.active_1[0] / np.maximum(_maps.active_1[0].max(axis=(1, 2), keepdims=True), 1e-9)
    tiles(_axes[1:], _own, cmap="Blues", low=0, high=1)
    _row_3, _axes = canvas(
        "Second layer, 12 by 12",
        panels=12, width_in=10.4, height_in=1.4, side_in=0.15, foot_in=0.1, head_in=0.15,
    )  # fmt: skip
    _own = _maps.active_2[0] / np.maximum(_maps.active_2[0].max(axis=(1, 2), keepdims=True), 1e-9)
    tiles(_axes, _own, cmap="Blues", low=0, high=1)
    mo.vstack([_row_1, _row_2, _row_3])
    return


@app.cell(hide_code=True)
def _(held_out, positive, tissue, tissue_history):
    _truth = positive[held_out]
    _own, _other = tissue_history.accuracy[-1], tissue_history.validation_accuracy[-1]
    mo.md(f"""
    Move the patch slider and watch which maps light up on violet, which on pink.

    Now read the curve above again. On patches of cases that it learned from, the network is right
    in {_own:.0%}; on the {len(_truth)} patches of three other cases in {_other:.0%}, where always
    naming the more frequent class gives {max(_truth.mean(), 1 - _truth.mean()):.0%}. Maps that
    light up look convincing either way: **a picture of the inside does not prove that a network has
    understood anything**. {tissue.parameter_count:,} numbers, {int((~held_out).sum())} patches and
    a few seconds of NumPy are little, and every case is stained a little differently. What makes a
    network answer for new cases is the matter of lessons 11 to 15; how to measure it, of lesson
    13.
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Summary

    - Convolution finds, ReLU keeps what was found, pooling forgets where exactly; twice over. Then
      one layer weighs, and softmax makes probabilities.
    - What a filter is for is not in its picture but in what happens without it: switch it off and
      measure.
    - Softmax looks at differences only. It names *some* class, whatever the image is.
    - Every array in a network can be looked at. Look.

    **Next:** lesson 10 builds the tutorial's network for handwritten digits. `eosin learn 10`
    """)
    return


if __name__ == "__main__":
    app.run()
