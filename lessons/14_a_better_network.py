# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""A better network in two minutes

Goal: replace the tutorial's network by a smaller and better one, and measure what each of its parts
  is worth.
Minutes: 12
Prerequisites: lesson 12 (the network that could not learn) and lesson 13 (honest evaluation)
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(
    width="medium", app_title="14. A better network in two minutes", css_file="house.css"
)

with app.setup(hide_code=True):
    import marimo as mo
    import numpy as np
    import torch

    from eosin.config import read_recipe
    from eosin.evaluation.ranking import auroc
    from eosin.figures.canvas import BLUE, INK, ORANGE, PURPLE, QUIET, canvas, legend
    from eosin.guide.catalog import exercises_of
    from eosin.guide.notebook import ask, house_look, tell, workplace
    from eosin.guide.patches import lesson_store
    from eosin.models.classifier import load_classifier
    from eosin.splitting.splits import by_case
    from eosin.training.augment import augment
    from eosin.training.draws import of_step
    from eosin.training.session import fit, start

    house_look()


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 14. A better network in two minutes

    **Goal.** You replace the tutorial's network by a smaller and better one, and measure what each
    of its parts is worth. **You need** lessons 12 and 13. About 12 minutes.

    The recipe `compact` is the house's own answer to the question: *what is the best network that
    two processor cores can train in minutes?* Here is a narrow version of it, on a few cases, so
    that each training in this lesson takes seconds.

    *Research and education only, not for diagnosis. Unless you chose a store of your own, the
    patches are drawn by a program: which part helps, and by how much, may differ on tissue.*
    """)
    return


@app.cell(hide_code=True)
def _():
    first, second, third = exercises_of(14)
    return first, second, third


@app.cell
def _():
    folder = workplace()
    store = lesson_store(folder / "patches.store", cases=14, patches_per_case=50, seed=6)
    split = by_case(store)
    parts = split.parts(store)

    small = ["batch_size=32", "arguments.widths=[8,16,32,64]", "arguments.blocks=[0,0,1,1]"]

    def train(name, recipe, settings):
        """Train on the training cases; what the run recorded, for the table."""
        session, _ = start(store, split, read_recipe(recipe, settings), folder / name)
        facts = fit(session)
        rows = session.run.metrics()
        model, _ = load_classifier(session.run.path)
        return {
            "name": name,
            "path": session.run.path,
            "weights": sum(p.numel() for p in model.parameters()),
            "seconds": facts.train_seconds,
            "auroc": [row["val_auroc"] for row in rows],
        }

    return parts, small, store, train


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## The two, side by side

    First the tutorial's network, corrected as in lesson 12, a quarter as wide, with a rate and
    momentum that let it learn here; twelve epochs. Then the compact one; six.
    """)
    return


@app.cell
def _(small, train):
    article = train(
        "article", "article",
        ["epochs=12", "arguments.width=16", "batch_size=32", "learning_rate=0.02", "momentum=0.9"],
    )  # fmt: skip
    compact = train("compact", "compact", ["epochs=6", *small])
    return article, compact


@app.cell(hide_code=True)
def _(article, compact):
    _figure, (_axes,) = canvas(
        f"Validation AUROC {article['auroc'][-1]:.2f} and {compact['auroc'][-1]:.2f}",
        f"{article['weights']:,} weights (article) and {compact['weights']:,} (compact)",
        width_in=8.0, height_in=4.0,
    )  # fmt: skip
    for _run, _color in ((article, ORANGE), (compact, BLUE)):
        _axes.plot(
            range(1, len(_run["auroc"]) + 1), _run["auroc"], "o-", color=_color, label=_run["name"]
        )
    _axes.axhline(0.5, color=QUIET, linestyle=":", linewidth=1.4)
    _axes.set(xlabel="epoch", ylabel="AUROC on validation cases", ylim=(0.4, 1.02))
    legend(_axes)
    _figure
    return


@app.cell(hide_code=True)
def _(article, compact, parts, store):
    _gap = compact["auroc"][-1] - article["auroc"][-1]
    _cases = len(np.unique(store.cases[parts["val"]]))
    mo.md(f"""
    With {compact["weights"] / article["weights"]:.0%} of the weights and half of the epochs, compact
    ends {abs(_gap):.2f} {"above" if _gap > 0 else "below"} the article's network, on {_cases}
    validation cases: too few to be sure of a winner. On real patches at full width, with 82
    training and 29 validation cases, compact reached 0.963 in 305 seconds, and the article's
    network with its own plain descent 0.853 in 408, on two cores with bf16 (docs/results.md).
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## What is different

    1. **No large fully connected layers.** The article's first one alone has most of its weights.
       The compact network ends with the *mean* of each feature map, then one small layer: where a
       nest of cells is in the patch does not matter.
    2. **Batch norm.** After each convolution, each map is shifted and scaled to mean 0 and spread 1
       over the batch. Neurons then stay where their slope is large (lesson 6 showed what saturated
       ones do).
    3. **Residual blocks.** $y = x + f(x)$: a block adds a correction to what it was given. The slope
       of $y$ by $x$ is $1 + f'(x)$, so the error walks backward past the block undiminished.
    4. **Muon**, a descent that evens out a step: all directions of a weight matrix move equally far,
       not only the loud ones.
    5. **Averaged weights**: what is kept is a running mean over the last steps, which lands where
       lesson 5 hovered.
    6. **Augmentation**: each patch is turned, mirrored, shifted, and stained a little differently each
       time it is shown.
    """)
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
    ## One patch, many views

    Tissue has no up and down. Of each patch there are eight views, four turns and their mirror
    images, and all have the same label. And laboratories stain differently, so the strength of the
    two dyes may vary. How strong may it get before the patch no longer looks like tissue?
    """)
    return


@app.cell
def _():
    stain = mo.ui.slider(0.0, 0.8, 0.1, value=0.1, label="stain", show_value=True)
    brightness = mo.ui.slider(0.0, 0.5, 0.1, value=0.1, label="brightness", show_value=True)
    another = mo.ui.slider(0, 30, 1, value=0, label="another patch", show_value=True)
    mo.hstack([stain, brightness, another], justify="start", gap=3)
    return another, brightness, stain


@app.cell(hide_code=True)
def _(another, brightness, parts, stain, store):
    _patch = np.array(store.patches[parts["train"][another.value * 7 % len(parts["train"])]])
    _recipe = read_recipe("compact", [f"stain={stain.value}", f"brightness={brightness.value}"])
    _numbers = of_step(_recipe, 11, _patch.shape[:2], epoch=1, step=2)
    _views = augment(torch.from_numpy(np.stack([_patch] * 11)), _numbers).numpy()
    _tiles = [_patch, *_views]
    _side = _patch.shape[0]
    _sheet = np.full((2 * (_side + 3), 6 * (_side + 3), 3), 255, np.uint8)
    for _k, _tile in enumerate(_tiles):
        _y, _x = _k // 6 * (_side + 3), _k % 6 * (_side + 3)
        _sheet[_y : _y + _side, _x : _x + _side] = _tile
    _figure, (_axes,) = canvas(
        "The patch (top left) and eleven views of it", "As training would show them", width_in=7.6,
        height_in=2.9, side_in=0.2, foot_in=0.2,
    )  # fmt: skip
    _axes.imshow(_sheet, interpolation="nearest")
    _axes.axis("off")
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
    ## Take one part away

    Reasons are cheap; take parts away and look. This is an **ablation**: the same recipe, without
    one thing at a time, trained as long.
    """)
    return


@app.cell
def _(compact, small, train):
    runs = [
        compact,
        train(
            "without augmentation", "compact",
            ["epochs=6", *small, "dihedral=false", "shift_px=0", "stain=0", "brightness=0"],
        ),
        train(
            "plain SGD instead of Muon", "compact",
            ["epochs=6", *small, "optimizer=sgd", "learning_rate=0.02", "momentum=0.9"],
        ),
        train("without averaged weights", "compact", ["epochs=6", *small, "average_decay=0"]),
    ]  # fmt: skip
    return (runs,)


@app.cell(hide_code=True)
def _(parts, runs, store):
    _rows = []
    for _run in runs:
        _last = _run["auroc"][-1]
        _rows.append(
            f"| {_run['name']} | {_last:.3f} | {_last - runs[0]['auroc'][-1]:+.3f} "
            f"| {np.mean(_run['auroc'][:3]):.3f} | {_run['seconds']:.1f} |"
        )
    _cases = len(np.unique(store.cases[parts["val"]]))
    mo.md(
        "| recipe | AUROC, last epoch | difference | mean of the first three epochs | seconds |\n"
        "|:--|--:|--:|--:|--:|\n" + "\n".join(_rows) + f"\n\nRead such a table with lesson 13 in "
        f"mind: these are **{_cases} validation cases** and one seed. Differences of a few hundredths "
        "are noise, and a part that helps over twelve epochs of the whole archive may cost in six of "
        "these. What the table teaches is the method. On "
        "real patches (29 validation cases, one seed; docs/log.md) Muon was the one clear gain, from "
        "an AUROC of 0.954 to 0.960, and stronger color augmentation neither helped nor hurt."
    )
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
    ## Look once at test

    All choices were made on validation. Now the test cases, once, for the two networks of the start.
    One more trick costs no training: show the trained network all eight views of a patch and take the
    mean of its answers.
    """)
    return


@app.cell
def _(article, compact, parts, store):
    def answer(run, patches):
        model, _ = load_classifier(run["path"])
        with torch.no_grad():
            return torch.softmax(model(torch.from_numpy(patches)), dim=1)[:, 1].numpy()

    _patches, _truth = np.array(store.patches[parts["test"]]), store.labels[parts["test"]]
    _views = [
        np.ascontiguousarray(np.rot90(_mirrored, _turn, axes=(1, 2)))
        for _mirrored in (_patches, _patches[:, :, ::-1])
        for _turn in range(4)
    ]
    on_test = {
        "article": auroc(_truth, answer(article, _patches)),
        "compact": auroc(_truth, answer(compact, _patches)),
        "compact, mean of eight views": auroc(
            _truth, np.mean([answer(compact, _view) for _view in _views], axis=0)
        ),
    }
    return (on_test,)


@app.cell(hide_code=True)
def _(on_test, parts, store):
    _figure, (_axes,) = canvas(
        f"On {len(np.unique(store.cases[parts['test']]))} cases never looked at before",
        "AUROC on the test part",
        width_in=8.0, height_in=2.7, side_in=2.4,
    )  # fmt: skip
    for _k, (_color, (_name, _value)) in enumerate(
        zip((ORANGE, BLUE, PURPLE), on_test.items(), strict=True)
    ):
        _axes.barh(-_k, _value, 0.55, color=_color)
        _axes.text(_value + 0.006, -_k, f"{_value:.3f}", va="center", color=INK, fontsize=11)
    _axes.set_yticks([0, -1, -2], list(on_test))
    _axes.set(xlabel="AUROC (0.5 is guessing)", xlim=(0.5, 1.05))
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Summary

    - Fewer weights, better placed: convolutions all the way, then a mean.
    - Batch norm and residual blocks keep the error alive on its way back; Muon and averaging make
      good use of few steps; augmentation shows what should not matter.
    - Take parts away and **measure**. Believe differences only if they are larger than what cases
      and seeds do.

    At full width, on the archive: `eosin train STORE --recipe compact -o RUN`.

    **Next:** lesson 15, transfer learning, for when there are only a few cases. `eosin learn 15`
    """)
    return


if __name__ == "__main__":
    app.run()
