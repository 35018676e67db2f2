# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""The MNIST network

Goal: train the tutorial's network for digits, find out why its own settings need so many images,
  and look at what it still gets wrong.
Minutes: 10
Prerequisites: lesson 5 (stochastic descent) and lesson 9 (inside a convolutional network)
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="10. The MNIST network", css_file="house.css")

with app.setup(hide_code=True):
    import os

    import cv2
    import marimo as mo
    import numpy as np
    import torch
    from sklearn.datasets import load_digits

    from eosin.config import read_recipe
    from eosin.data.store import PatchStore, StoreWriter
    from eosin.figures.canvas import BLUE, GREEN, INK, ORANGE, PAPER, canvas, legend
    from eosin.guide.catalog import exercises_of
    from eosin.guide.notebook import ask, house_look, tell, workplace
    from eosin.guide.patches import named_store
    from eosin.models.classifier import load_classifier
    from eosin.splitting.splits import by_patch
    from eosin.training.session import fit, start

    house_look()


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 10. The MNIST network

    **Goal.** You train the tutorial's network for handwritten digits, find out why its own settings
    need so many images, and look at what it still gets wrong. **You need** lessons 5 and 9. About
    10 minutes.

    From here on you work with the real thing: networks in PyTorch, trained by the same code as
    `eosin train`. Before it turns to cancer, the tutorial reads digits, and so do we: MNIST is
    60,000 images of 28 by 28 pixels to learn from and 10,000 to test on, drawn by about 500 people.

    It need not be downloaded: scikit-learn has 1,797 digits inside, of 8 by 8 pixels, which we
    enlarge to 28 by 28. (Have you packed MNIST? Then start with
    `EOSIN_STORE=mnist.store eosin learn 10`, and as many of its images are used instead.)
    """)
    return


@app.cell(hide_code=True)
def _():
    first, second, third = exercises_of(10)
    return first, second, third


@app.cell
def _():
    folder = workplace()
    _named = named_store(classes=None)
    if _named is not None and len(_named.classes) == 10 and len(_named) >= 1797:
        _rows = np.sort(np.random.default_rng(0).permutation(len(_named))[:1797])
        _labels, _raw = _named.labels[_rows], _named.patches[_rows]
        source = "Drawn from your store"
    else:
        _digits = load_digits()
        _labels = _digits.target
        _raw = (_digits.images[..., None] * 255 / 16).astype(np.uint8).repeat(3, axis=3)
        source = "Those inside scikit-learn" + (
            "" if _named is None else "; your store does not have 1,797 images of ten classes"
        )
    _images = np.stack(
        [cv2.resize(_one, (28, 28), interpolation=cv2.INTER_CUBIC) for _one in _raw]
    )  # uint8 [N, 28, 28, 3]
    with StoreWriter(
        folder / "digits.store", classes=[str(_k) for _k in range(10)], patch_size=(28, 28)
    ) as _writer:
        _writer.append(_images, [{"label": int(_label)} for _label in _labels])
    store = PatchStore.open(folder / "digits.store")
    split = by_patch(store)  # who wrote a digit is unknown here, so no better split is possible
    return folder, source, split, store


@app.cell(hide_code=True)
def _(source, store):
    _figure, (_axes,) = canvas(
        f"{len(store):,} digits", f"{source}. Five of each, as the network gets them", width_in=8.0,
        height_in=4.4, side_in=0.2, foot_in=0.2,
    )  # fmt: skip
    _grid = np.concatenate(
        [
            np.concatenate(list(store.patches[np.flatnonzero(store.labels == _k)[:5]]), axis=0)
            for _k in range(10)
        ],
        axis=1,
    )
    _axes.imshow(255 - _grid)
    _axes.axis("off")
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## The network

    Two convolutions with 5 by 5 kernels, each followed by ReLU and a maximum over 2 by 2 pixels;
    then two fully connected layers. You know every part from lessons 8 and 9. Follow the shape of
    one image through it:
    """)
    return


@app.cell
def _(store):
    from eosin.models.digits import DigitsNetwork

    _network = DigitsNetwork()
    _maps = _network.early(
        torch.from_numpy(np.array(store.patches[:1])).permute(0, 3, 1, 2).float() / 255
    )
    _pooled = torch.nn.functional.max_pool2d(_maps, 2)
    _second = torch.relu(_network.conv2(_pooled))
    _flat = torch.nn.functional.max_pool2d(_second, 2).flatten(1)
    _count = {
        _name: sum(_p.numel() for _p in _layer.parameters())
        for _name, _layer in _network.named_children()
    }
    _size = {
        "image": "1 x 28 x 28",
        "conv1, ReLU": " x ".join(map(str, _maps.shape[1:])),
        "pooling": " x ".join(map(str, _pooled.shape[1:])),
        "conv2, ReLU": " x ".join(map(str, _second.shape[1:])),
        "pooling, flattened": str(_flat.shape[1]),
        "fc1, ReLU": "120",
        "fc2: ten scores": "10",
    }
    mo.md(
        "| after | shape | weights and biases |\n|:--|:--|--:|\n"
        + "\n".join(
            f"| {_k} | {_v} | {_count[_part]:,} |" if _part in _count else f"| {_k} | {_v} |  |"
            for _k, _v in _size.items()
            for _part in [_k.split(",")[0].split(":")[0]]
        )
        + f"\n\nIn all **{sum(_count.values()):,}**. The first fully connected layer has "
        f"{_count['fc1'] / sum(_count.values()):.0%} of them."
    )
    return


@app.cell(hide_code=True)
def _(first):
    answer_first = ask(first)
    answer_first
    return (answer_first,)


@app.cell(hide_code=True)
def _(answer_first, first):
    tell(first, answer_first.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Train it as the tutorial does

    Ten epochs of plain stochastic descent at a rate of 0.001, batches of 64. On the full MNIST
    these settings end at 93 % of the test digits, measured with this very code. Here?
    """)
    return


@app.cell
def _(folder, split, store):
    def train(name, recipe, settings=()):
        """Train on the digits; the run's lines of metrics, and its folder."""
        session, _ = start(store, split, read_recipe(recipe, settings), folder / name)
        _facts = fit(session)
        return session.run.metrics(), session.run.path

    tutorial, _path = train("tutorial", "digits-tutorial")
    mo.md(
        f"After {tutorial[-1]['step']:,} steps: loss {tutorial[0]['loss']:.3f} at the start and "
        f"{tutorial[-1]['loss']:.3f} at the end, validation accuracy "
        f"**{tutorial[-1]['val_accuracy']:.1%}**. Guessing gets 10 %."
    )
    return train, tutorial


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Nothing is broken this time: the loss does fall. It is the arithmetic of lesson 5. The full MNIST
    makes 938 steps in each epoch, these digits make fewer than 20, and each step is tiny. The
    network has hardly moved.

    What would you change? Try it: this trains for ten epochs with *your* rate and momentum.
    (Each change trains again, for a second or two.)
    """)
    return


@app.cell
def _():
    rate = mo.ui.slider(
        steps=[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0], value=0.03, label="rate", show_value=True
    )
    momentum = mo.ui.slider(steps=[0.0, 0.5, 0.9], value=0.9, label="momentum", show_value=True)
    mo.hstack([rate, momentum], justify="start", gap=3)
    return momentum, rate


@app.cell
def _(momentum, rate, train):
    from eosin.errors import TrainingError

    try:
        yours, _path = train(
            f"yours-{rate.value}-{momentum.value}-{os.urandom(3).hex()}",
            "digits-tutorial",
            [f"learning_rate={rate.value}", f"momentum={momentum.value}"],
        )
        _said = f"Your settings: **{yours[-1]['val_accuracy']:.1%}** of the validation digits."
    except TrainingError as _error:
        yours, _said = [], f"Your settings: {_error}"
    mo.md(_said)
    return (yours,)


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    And the recipe `digits`: the *same network* with AdamW (a descent that gives each weight its own
    rate), a rate that rises and falls, an average over the last steps, and images shifted by up to
    two pixels, at random, each time they are shown:
    """)
    return


@app.cell
def _(train):
    tuned, tuned_path = train("tuned", "digits", ["epochs=10", "batch_size=32"])
    return tuned, tuned_path


@app.cell(hide_code=True)
def _(tuned, tutorial, yours):
    _figure, (_axes,) = canvas(
        f"The same network: {tutorial[-1]['val_accuracy']:.0%} and {tuned[-1]['val_accuracy']:.1%}",
        "Accuracy on the validation digits; ten epochs each",
        width_in=8.0, height_in=4.0,
    )  # fmt: skip
    for _rows, _color, _name in (
        (tuned, BLUE, "recipe digits"),
        (yours, GREEN, "yours"),
        (tutorial, ORANGE, "as in the tutorial"),
    ):
        if _rows:
            _axes.plot(
                [_r["epoch"] for _r in _rows], [_r["val_accuracy"] for _r in _rows], "o-",
                color=_color, label=_name,
            )  # fmt: skip
    _axes.set(xlabel="epoch", ylabel="share read rightly", ylim=(0, 1.02))
    legend(_axes)
    _figure
    return


@app.cell(hide_code=True)
def _(second):
    answer_second = ask(second)
    answer_second
    return (answer_second,)


@app.cell(hide_code=True)
def _(answer_second, second):
    tell(second, answer_second.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## What it still gets wrong

    Now, and only now, the test digits. A percentage hides *which* mistakes are made, so look at them.
    The slider moves the digits sideways before the network sees them: did it learn digits, or digits
    in the middle?
    """)
    return


@app.cell
def _():
    shift = mo.ui.slider(-8, 8, 1, value=0, label="shift, pixels", show_value=True)
    shift
    return (shift,)


@app.cell(hide_code=True)
def _(shift, split, store, tuned_path):
    _model, _ = load_classifier(tuned_path)
    _rows = split.parts(store)["test"]
    _truth = store.labels[_rows]

    def _read(pixels):
        """The digits moved sideways with empty pixels behind them, and the network's answers."""
        moved = np.roll(store.patches[_rows], pixels, axis=2)
        moved[:, :, slice(0, pixels) if pixels > 0 else slice(28 + pixels, 28)] = 0
        with torch.no_grad():
            return moved, torch.softmax(_model(torch.from_numpy(moved)), dim=1).numpy()

    right_at = {_s: float((_read(_s)[1].argmax(axis=1) == _truth).mean()) for _s in (0, 2, 6)}
    _moved, _prob = _read(shift.value)
    _called = _prob.argmax(axis=1)
    _wrong = np.flatnonzero(_called != _truth)
    _wrong = _wrong[np.argsort(-_prob.max(axis=1)[_wrong])]
    _figure, (_axes,) = canvas(
        f"{1 - len(_wrong) / len(_rows):.1%} of {len(_rows)} test digits are read rightly",
        "The mistakes that it is most sure of (at most 10): truth, then what was read"
        if len(_wrong)
        else "No mistake among them; move the slider, and there will be",
        width_in=8.4, height_in=1.7, side_in=0.2, foot_in=0.15,
    )  # fmt: skip
    _axes.axis("off")
    if len(_wrong):
        _shown = np.full((28, 32 * 10, 3), 255, np.uint8)
        for _k, _row in enumerate(_wrong[:10]):
            _shown[:, 32 * _k : 32 * _k + 28] = 255 - _moved[_row]
            _axes.text(
                32 * _k + 14, 35, f"{_truth[_row]} as {_called[_row]}", ha="center", fontsize=10,
                color=INK,
            )  # fmt: skip
        _axes.imshow(_shown)
        _axes.set(ylim=(38, -1), facecolor=PAPER)
    _figure
    return (right_at,)


@app.cell(hide_code=True)
def _(right_at):
    mo.md(f"""
    It was shown shifts of up to two pixels: in the middle it reads {right_at[0]:.1%} rightly, two
    pixels to the right {right_at[2]:.1%}, six pixels to the right {right_at[6]:.0%}. Convolution
    carries a feature along, but the fully connected layers behind it have learned *where* features
    are. What a network should not mind, you have to show it. (That a digit keeps its name when it
    is shifted is knowledge; that a patch of tissue keeps its label when it is turned or mirrored is
    knowledge as well. Lesson 14 uses it.)
    """)
    return


@app.cell(hide_code=True)
def _(third):
    answer_third = ask(third)
    answer_third
    return (answer_third,)


@app.cell(hide_code=True)
def _(answer_third, third):
    tell(third, answer_third.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Summary

    - The tutorial's network has 76,018 numbers and is good enough; its *schedule* fits 60,000 images
      and not 1,000. What counts is steps times rate.
    - The same network with a better schedule reads almost all digits.
    - Look at mistakes, and test what the data did not show: shifted digits.
    - The digits of one writer may be on both sides of this split. With digits we shrug; with
      patients we must not.

    **Next:** lesson 11, the cancer data. `eosin learn 11`
    """)
    return


if __name__ == "__main__":
    app.run()
