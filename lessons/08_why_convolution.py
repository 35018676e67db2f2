# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""Why convolution

Goal: count what a fully connected network pays for an image, and see a small kernel find a feature
  wherever it moves.
Minutes: 12
Prerequisites: lesson 7 (a feed-forward network)
"""

import marimo

app = marimo.App(width="medium", app_title="8. Why convolution", css_file="house.css")

with app.setup(hide_code=True):
    import marimo as mo
    import numpy as np

    from eosin.figures.canvas import BLUE, INK, MARK, ORANGE, QUIET, canvas, legend
    from eosin.guide.catalog import exercises_of
    from eosin.guide.notebook import ask, house_look, tell
    from eosin.scratch.activations import relu, relu_prime, softmax
    from eosin.scratch.convolution import convolve, convolve_backward, convolve_by_matrix
    from eosin.scratch.fitting import fit
    from eosin.scratch.losses import cross_entropy, cross_entropy_gradient
    from eosin.scratch.network import Network
    from eosin.scratch.pooling import max_pool, max_pool_backward

    house_look()


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 8. Why convolution

    **Goal.** You count what a fully connected network pays for an image, and see a small kernel
    find a feature wherever it moves. **You need** lesson 7 (a feed-forward network). About 12
    minutes.

    Lesson 7 ended with a small cruelty: digits moved by one pixel, and a network that could no
    longer read them well. There are two things wrong with giving every pixel its own weight. One is
    the bill. The other is that nothing learned at one place is known at another.

    ## The bill

    A patch of the breast-cancer archive is 50 by 50 pixels of 3 colors: 7,500 numbers. In a **fully
    connected** layer each neuron has a weight for each of them. In a **convolution** each neuron
    looks through one small window, 3 by 3 pixels, and the *same* few weights (a **kernel**, or
    filter) are used at every place of the image.
    """)
    return


@app.cell
def _():
    side = mo.ui.slider(
        steps=[8, 28, 50, 100, 224, 512],
        value=50,
        label="side of the image, pixels",
        show_value=True,
    )
    neurons = mo.ui.slider(
        steps=[8, 16, 32, 64, 128], value=64, label="neurons, or kernels", show_value=True
    )
    mo.hstack([side, neurons], justify="start", gap=3)
    return neurons, side


@app.cell(hide_code=True)
def _(neurons, side):
    _k = neurons.value
    _dense = (side.value**2 * 3 + 1) * _k
    _kernel = (3 * 3 * 3 + 1) * _k
    _sides = np.arange(4, 513)
    _figure, (_axes,) = canvas(
        f"{_dense:,} against {_kernel:,} numbers to learn",
        f"First layer for a color image {side.value} by {side.value}, {_k} neurons or kernels",
        width_in=8.4, height_in=4.0,
    )  # fmt: skip
    _axes.plot(
        _sides, (_sides**2 * 3 + 1.0) * _k, color=ORANGE, linewidth=2.4, label="fully connected"
    )
    _axes.plot(
        _sides, np.full(len(_sides), float(_kernel)), color=BLUE, linewidth=2.4,
        label="convolution 3x3",
    )  # fmt: skip
    _axes.plot([side.value] * 2, [_dense, _kernel], "o", color=INK, markersize=8)
    _axes.set(xlabel="side of the image, pixels", ylabel="parameters", yscale="log")
    legend(_axes)
    _figure
    return


@app.cell(hide_code=True)
def _():
    from eosin.models.article import ArticleNetwork

    _layers = {
        name: sum(p.numel() for p in layer.parameters())
        for name, layer in ArticleNetwork().named_children()
    }
    _total = sum(_layers.values())
    _convolutions = sum(count for name, count in _layers.items() if name.startswith("conv"))
    _words = {
        "conv1": "convolution, 3 to 64 channels", "conv2": "convolution, 64 to 128",
        "conv3": "convolution, 128 to 256", "fc1": "fully connected, 4,096 to 1,024",
        "fc2": "fully connected, 1,024 to 512", "fc3": "fully connected, 512 to 1",
    }  # fmt: skip
    _rows = "\n".join(
        f"    | {_words[name]} | {count:,} | {count / _total:.1%} |"
        for name, count in _layers.items()
    )
    mo.md(f"""
    A kernel does not care how large the image is. Here is a whole network, the one of the
    breast-cancer tutorial that this guide retells, counted layer by layer:

    | layer | parameters | share |
    |:--|--:|--:|
{_rows}
    | **together** | **{_total:,}** | |

    Three convolutions do all the *looking* with {_convolutions / _total:.0%} of the numbers. The
    first fully connected layer alone has {_layers["fc1"] / _total:.0%}.
    """)
    return


@app.cell(hide_code=True)
def _():
    first, second, third = exercises_of(8)
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
    ## A sliding dot product

    Now how it works. Below left is an image with a diagonal stroke in it, and a window (red). The
    kernel is a table of 3 by 3 weights. Lay it on the window, multiply number by number, add up:
    one **dot product**, one answer. Do so at every place, and the answers form a new image, the
    **feature map**. Slide the window. Then move the stroke.
    """)
    return


@app.cell
def _():
    window_x = mo.ui.slider(0, 9, 1, value=1, label="window x", show_value=True)
    window_y = mo.ui.slider(0, 9, 1, value=2, label="window y", show_value=True)
    stroke_x = mo.ui.slider(0, 9, 1, value=6, label="stroke x", show_value=True)
    stroke_y = mo.ui.slider(0, 9, 1, value=5, label="stroke y", show_value=True)
    looks_for = mo.ui.dropdown(
        {
            "falling stroke": [[2, -1, -1], [-1, 2, -1], [-1, -1, 2]],
            "rising stroke": [[-1, -1, 2], [-1, 2, -1], [2, -1, -1]],
            "upright edge": [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]],
            "mean of all nine": [[1 / 9] * 3] * 3,
        },
        value="falling stroke", label="kernel",
    )  # fmt: skip
    mo.hstack(
        [mo.vstack([window_x, window_y]), mo.vstack([stroke_x, stroke_y]), looks_for],
        justify="start", gap=3,
    )  # fmt: skip
    return looks_for, stroke_x, stroke_y, window_x, window_y


@app.cell(hide_code=True)
def _(looks_for, stroke_x, stroke_y, window_x, window_y):
    _image = np.random.default_rng(0).uniform(0.0, 0.25, (12, 12))
    for _k in range(3):
        _image[stroke_y.value + _k, stroke_x.value + _k] = 1.0
    _kernel = np.array(looks_for.value, dtype=np.float64)
    _map = convolve(_image[None, None], _kernel[None, None])[0, 0]
    _x, _y = window_x.value, window_y.value
    _window = _image[_y : _y + 3, _x : _x + 3]
    _answer = float((_window * _kernel).sum())
    _figure, _axes = canvas(
        f"The answer at this place: {_answer:.2f}",
        "Image 12 by 12; window times kernel, number by number; map 10 by 10",
        panels=4, width_in=10.4, height_in=3.5, side_in=0.25, foot_in=0.15, head_in=0.45,
    )  # fmt: skip
    for _panel, _values, _name, _top in (
        (_axes[0], _image, "image", 1.0),
        (_axes[1], _kernel, "kernel", 2.0),
        (_axes[2], _window * _kernel, "window times kernel", 2.0),
        (_axes[3], _map, "feature map", 6.0),
    ):
        _low = 0.0 if _name == "image" else -_top
        _panel.imshow(_values, cmap="gray_r" if _name == "image" else "RdBu", vmin=_low, vmax=_top)
        _panel.set_title(_name, fontsize=11, color=INK)
        _panel.set(xticks=[], yticks=[])
        _panel.grid(False)
        if _values.shape == (3, 3):
            for (_i, _j), _value in np.ndenumerate(_values):
                _panel.text(
                    _j, _i, f"{_value:.2f}", ha="center", va="center", fontsize=10,
                    # Not the page's ink: these tiles stay as they are on a dark page.
                    color="#fdfdfd" if abs(_value) > 1.2 else "#15181d",
                )  # fmt: skip

    def _box(panel, x_, y_, wide):
        panel.plot(
            np.array([0, wide, wide, 0, 0]) + x_ - 0.5, np.array([0, 0, wide, wide, 0]) + y_ - 0.5,
            color=MARK, linewidth=2.2,
        )  # fmt: skip

    _box(_axes[0], _x, _y, 3)
    _box(_axes[3], _x, _y, 1)
    _at = np.unravel_index(int(_map.argmax()), _map.shape)
    strongest = (int(_at[1]), int(_at[0]), float(_map.max()))
    _figure
    return (strongest,)


@app.cell(hide_code=True)
def _(strongest, stroke_x, stroke_y):
    mo.md(f"""
    The map is strongest, {strongest[2]:.2f}, at column {strongest[0]}, row {strongest[1]}; the
    stroke begins at column {stroke_x.value}, row {stroke_y.value}. Move the stroke, and the bright
    spot of the map moves along (for the two strokes; the other kernels look for something else).
    Let us not trust the eye:
    """)
    return


@app.cell
def _():
    _rng = np.random.default_rng(1)
    _image = np.zeros((1, 1, 24, 24))
    _image[:, :, 4:14, 4:14] = _rng.normal(size=(10, 10))
    _kernels = _rng.normal(size=(5, 1, 3, 3))
    _moved = np.roll(_image, (3, 7), axis=(2, 3))  # 3 down, 7 to the right; nothing falls off
    _map_of_moved = convolve(_moved, _kernels)
    _moved_map = np.roll(convolve(_image, _kernels), (3, 7), axis=(2, 3))
    apart = float(abs(_map_of_moved - _moved_map).max())
    mo.md(
        "An image of noise, five random kernels. Move the image and then convolve; convolve and "
        f"then move the maps. Largest difference: **{apart:g}**. Move the input and the map moves "
        "with it: this is called **equivariance**, and it needs no training."
    )
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
    ## An experiment: learn on the left, be asked on the right

    Images of 12 by 12 noisy pixels, each with one stroke of three: class 0 falls (`\`), class 1
    rises (`/`). Both have the same amount of ink, so brightness gives nothing away. In
    **training** the stroke is always in the left half, in the **test** always in the right half.

    Two networks. One fully connected. The other has four kernels of 3 by 3, takes of each map only
    the strongest answer (wherever it is), and weighs the four answers. All of it fits into one
    cell, slopes by the four equations included:
    """)
    return


@app.cell
def _():
    class Finder:
        """Convolve, keep each map's strongest answer, weigh: to be fitted like any network."""

        def __init__(self, kernels=4, seed=0):
            rng = np.random.default_rng(seed)
            self.kernels = rng.normal(0, 0.5, (kernels, 1, 3, 3))
            self.bias = np.zeros(kernels)
            self.weights = rng.normal(0, 0.5, (2, kernels))
            self.biases = np.zeros(2)
            self.parameters = [self.kernels, self.bias, self.weights, self.biases]

        def forward(self, x):
            sums = convolve_by_matrix(x.reshape(-1, 1, 12, 12), self.kernels, self.bias)
            strongest = max_pool(relu(sums), size=10)[:, :, 0, 0]
            return sums, strongest, strongest @ self.weights.T + self.biases

        def gradients(self, x, y):
            sums, strongest, logits = self.forward(x)
            error = cross_entropy_gradient(y, logits)  # BP1
            back = (error @ self.weights)[:, :, None, None]  # BP2, through the weights
            back = max_pool_backward(back, relu(sums), size=10) * relu_prime(sums)  # and the pool
            images = x.reshape(-1, 1, 12, 12)
            _, to_kernels, to_bias = convolve_backward(back, images, self.kernels)
            return [to_kernels, to_bias, error.T @ strongest, error.sum(axis=0)]  # BP4, BP3

        def loss(self, x, y):
            return cross_entropy(y, self.forward(x)[2])

        def accuracy(self, x, y):
            return float(np.mean(self.forward(x)[2].argmax(axis=1) == y))

    def strokes(count, columns, seed):
        """Images float64 [count, 144] and classes; the stroke's window begins in ``columns``."""
        rng = np.random.default_rng(seed)
        images = rng.uniform(0.0, 0.35, (count, 12, 12))
        classes = rng.integers(0, 2, count)
        left, top = rng.choice(columns, count), rng.integers(0, 10, count)
        for k in range(3):
            across = np.where(classes == 0, left + k, left + 2 - k)
            images[np.arange(count), top + k, across] += 0.65
        return images.reshape(count, 144), classes

    return Finder, strokes


@app.cell(hide_code=True)
def _(Finder, strokes):
    _left, _right = [0, 1, 2, 3], [6, 7, 8, 9]
    _train_x, _train_y = strokes(600, _left, 0)
    half_x, half_y = strokes(600, _left, 1)
    other_x, other_y = strokes(600, _right, 2)
    dense = Network([144, 32, 2], activation="relu", seed=0)
    dense.fit(_train_x, _train_y, epochs=30, batch_size=16, rate=0.1)
    finder = Finder(seed=0)
    fit(finder, _train_x, _train_y, epochs=30, batch_size=16, rate=0.1)
    _count = [sum(p.size for p in net.parameters) for net in (dense, finder)]
    _half = [net.accuracy(half_x, half_y) for net in (dense, finder)]
    _other = [net.accuracy(other_x, other_y) for net in (dense, finder)]
    mo.md(f"""
    | | parameters | new images, left half | images, **right** half |
    |:--|--:|--:|--:|
    | fully connected | {_count[0]:,} | {_half[0]:.1%} | **{_other[0]:.1%}** |
    | convolution, strongest answer | {_count[1]:,} | {_half[1]:.1%} | **{_other[1]:.1%}** |

    A coin would be right in half. What the fully connected network learned on the left is worth
    nothing on the right: other pixels, other weights, which never had a stroke in their input (BP4
    of lesson 6: no input, no learning). The kernels never knew where they were. Watch the answers
    of both as a stroke moves across:
    """)
    return dense, finder, other_x, other_y


@app.cell
def _():
    column = mo.ui.slider(0, 9, 1, value=2, label="column of the stroke", show_value=True)
    falls = mo.ui.radio(["falls", "rises"], value="rises", inline=True, label="it")
    mo.hstack([column, falls], justify="start", gap=3)
    return column, falls


@app.cell(hide_code=True)
def _(column, dense, falls, finder):
    _rises = int(falls.value == "rises")
    _all = np.tile(np.random.default_rng(5).uniform(0.0, 0.35, (12, 12)), (10, 1, 1))
    for _c in range(10):
        for _k in range(3):
            _all[_c, 5 + _k, _c + 2 - _k if _rises else _c + _k] += 0.65
    _flat = _all.reshape(10, 144)
    _right = [dense.forward(_flat)[:, _rises], softmax(finder.forward(_flat)[2])[:, _rises]]
    _figure, (_left_panel, _right_panel) = canvas(
        f"At column {column.value}: fully connected {_right[0][column.value]:.0%}, "
        f"convolution {_right[1][column.value]:.0%}",
        f'Probability that each network gives to "{falls.value}", which is right',
        panels=2, width_in=9.6, height_in=3.8,
    )  # fmt: skip
    _left_panel.imshow(_all[column.value], cmap="gray_r", vmin=0, vmax=1)
    _left_panel.axvline(5.5, color=QUIET, linestyle=":", linewidth=1.5)
    _left_panel.set(xticks=[], yticks=[], xlabel="trained here        |        never trained here")
    _left_panel.grid(False)
    _right_panel.plot(_right[0], "o-", color=ORANGE, linewidth=2, label="fully connected")
    _right_panel.plot(_right[1], "o-", color=BLUE, linewidth=2, label="convolution")
    _right_panel.axvline(column.value, color=MARK, linewidth=1.6)
    _right_panel.axvspan(-0.3, 3.3, color=QUIET, alpha=0.12, linewidth=0)
    _right_panel.set(xlabel="column of the stroke (gray: trained)", ylim=(-0.03, 1.03))
    legend(_right_panel)
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## What did it learn?

    The four kernels started as noise. Nobody showed them what a stroke is, and two classes can be told
    apart with one good kernel:
    """)
    return


@app.cell(hide_code=True)
def _(finder):
    _strokes = {"falling": np.eye(3) - 1 / 3, "rising": np.eye(3)[::-1] - 1 / 3}
    _, _name, _best = max(
        (float((finder.kernels[_k, 0] * _ideal).sum()), _name, _k)
        for _k in range(4)
        for _name, _ideal in _strokes.items()
    )
    _figure, _axes = canvas(
        f"Kernel {_best + 1} has become a {_name} stroke",
        "Blue adds, red subtracts; below each, what its strongest answer is worth for the classes",
        panels=4, width_in=9.6, height_in=3.2, side_in=0.3, foot_in=0.75, head_in=0.2,
    )  # fmt: skip
    for _k, _panel in enumerate(_axes):
        _kernel = finder.kernels[_k, 0]
        _most = abs(finder.kernels).max()
        _panel.imshow(_kernel, cmap="RdBu", vmin=-_most, vmax=_most)
        _panel.set(xticks=[], yticks=[])
        _panel.grid(False)
        _panel.set_xlabel(
            f"falls {finder.weights[0, _k]:+.1f}, rises {finder.weights[1, _k]:+.1f}", fontsize=10
        )
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## How many examples does it save?

    You could show the fully connected network strokes everywhere. Is that enough? Here both
    learn from strokes *anywhere*, from few images or many:
    """)
    return


@app.cell(hide_code=True)
def _(Finder, strokes):
    _x, _y = strokes(800, range(10), 10)
    _test_x, _test_y = strokes(1000, range(10), 11)
    numbers_of_images = [25, 50, 100, 200, 400, 800]
    by_count = {"fully connected": [], "convolution": []}
    for _n in numbers_of_images:
        _epochs = max(15, 6400 // _n)  # a like number of steps for each, so none is cut short
        _dense = Network([144, 32, 2], activation="relu", seed=0)
        _dense.fit(_x[:_n], _y[:_n], epochs=min(_epochs, 100), batch_size=16, rate=0.1)
        by_count["fully connected"].append(_dense.accuracy(_test_x, _test_y))
        _finder = Finder(seed=0)
        fit(_finder, _x[:_n], _y[:_n], epochs=min(_epochs, 100), batch_size=16, rate=0.1)
        by_count["convolution"].append(_finder.accuracy(_test_x, _test_y))
    _figure, (_axes,) = canvas(
        "One kernel learns from every place at once",
        "Accuracy on 1,000 new images with strokes anywhere",
        width_in=8.0, height_in=4.0,
    )  # fmt: skip
    for (_name, _values), _color in zip(by_count.items(), (ORANGE, BLUE), strict=True):
        _axes.plot(numbers_of_images, _values, "o-", color=_color, linewidth=2.2, label=_name)
    _axes.axhline(0.5, color=QUIET, linestyle="--", linewidth=1.2)
    _axes.set(xlabel="training images", ylabel="accuracy", xscale="log", ylim=(0.4, 1.02))
    _axes.set_xticks(numbers_of_images, [str(_n) for _n in numbers_of_images])
    _axes.minorticks_off()
    legend(_axes)
    _figure
    return (by_count,)


@app.cell(hide_code=True)
def _(by_count, finder, other_x, other_y):
    _turned = np.rot90(other_x.reshape(-1, 12, 12), axes=(1, 2)).reshape(-1, 144)
    mo.md(f"""
    With 100 images the convolution is right in {by_count["convolution"][2]:.0%} and the fully
    connected network in {by_count["fully connected"][2]:.0%}; with 800 it is
    {by_count["convolution"][5]:.0%} and {by_count["fully connected"][5]:.0%}.
    What a kernel learns once, the other must learn again
    for every place.

    ## What it does not give

    Same weights everywhere: that makes *moved* features free, and only these. Turn the images by 90
    degrees and a falling stroke is a rising one. The network, asked for the stroke that was there
    before turning, is right in {finder.accuracy(_turned, other_y):.1%}: it sees what is there now,
    rightly so. But tissue has no up and no down, and a nucleus turned is the same nucleus. A
    convolution does not know that. It has to be shown: eosin's recipe
    `compact` turns and flips its training patches at random.
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

    - A kernel is a small table of weights that slides over the image; its answers form a **feature
      map**. Its cost does not depend on the size of the image.
    - Move the input and the map moves along: **equivariance**. What is learned at one place is
      known at every place, so fewer examples suffice.
    - Turned or enlarged features are not free. They have to be shown.

    **Next:** lesson 9 looks inside a convolutional network, on a digit and on a patch.
    `eosin learn 9`
    """)
    return


if __name__ == "__main__":
    app.run()
