# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""Transfer learning

Goal: start where another training ended, and measure when that helps more than more patches.
Minutes: 12
Prerequisites: lesson 13 (honest evaluation) and lesson 14 (a better network)
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="15. Transfer learning", css_file="house.css")

with app.setup(hide_code=True):
    import marimo as mo
    import numpy as np
    import torch

    from eosin.config import read_recipe
    from eosin.evaluation.ranking import auroc
    from eosin.figures.canvas import BLUE, GREEN, ORANGE, QUIET, canvas, legend
    from eosin.guide.catalog import exercises_of
    from eosin.guide.notebook import ask, house_look, tell, workplace
    from eosin.guide.patches import lesson_store
    from eosin.models.classifier import Classifier, load_classifier
    from eosin.training.session import fit, start

    house_look()


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 15. Transfer learning

    **Goal.** You start where another training ended, and measure when that helps more than more
    patches. **You need** lessons 13 and 14. About 12 minutes.

    You are a small laboratory. You have a handful of labeled patches of three cases. Somebody else has
    trained a network on other cases, and gives you the folder of that run. Its last layer answers
    their question; but the filters below it have learned what nuclei, glands and fibers look like.
    **Transfer learning** begins with their weights instead of random ones.

    *Research and education only, not for diagnosis. Unless you chose a store of your own, the
    patches here are drawn by a program and are not tissue.*
    """)
    return


@app.cell(hide_code=True)
def _():
    first, second, third = exercises_of(15)
    return first, second, third


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Their run

    Half of the cases are "theirs". They train the narrow compact network of lesson 14, and leave a run
    folder: weights in `model.safetensors`, everything else about the model in `model.json`.
    """)
    return


@app.cell
def _():
    folder = workplace()
    everything = lesson_store(folder / "all.store", cases=20, patches_per_case=50, seed=3)
    _names = np.unique(everything.cases)
    theirs = np.isin(everything.cases, _names[::2])  # every second case is theirs
    _table = folder / "theirs.csv"
    _words = [
        f"{_name},{('train' if _k % 10 else 'val') if _k % 2 == 0 else 'out'}"
        for _k, _name in enumerate(_names)
    ]
    _table.write_text("case,part\n" + "\n".join(_words) + "\n", "utf-8")

    from eosin.splitting.splits import by_file

    _recipe = read_recipe(
        "compact",
        [
            "epochs=6",
            "batch_size=32",
            "arguments.widths=[8,16,32,64]",
            "arguments.blocks=[0,0,1,1]",
        ],
    )
    _session, _ = start(everything, by_file(everything, _table), _recipe, folder / "their-run")
    _facts = fit(_session)
    their_run = _session.run.path
    mo.md(
        f"Trained on {_facts.train_patches} patches of their cases; the folder contains "
        + ", ".join(f"`{_p.name}`" for _p in sorted(their_run.iterdir()))
        + "."
    )
    return everything, their_run, theirs


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Your patches

    None of your cases is among theirs: otherwise the base itself would leak (lesson 13). Three of
    your cases are for training, the other seven for the test. The question: with 12 patches of your
    own, or 24, 48, 96 (as far as the three cases have them), what is the best you can do?

    - **From scratch**: random weights, all of them trained.
    - **From their run, all weights** trained on (fine-tuning), at a lower rate.
    - **From their run, the last layer only**: the filters stay as they are (frozen), and only the few
      weights of a new last layer are learned.

    Each of them makes 40 steps with batches of 12. The loop is shown in full; there is nothing
    hidden in it. For work, `eosin train STORE --from RUN` trains all weights on from a run, and
    `eosin probe STORE --encoder RUN` learns a last layer only; both refuse a split whose test cases
    the run has seen.
    """)
    return


@app.cell
def _(everything, their_run, theirs):
    _mine = np.unique(everything.cases[~theirs])
    _rng = np.random.default_rng(0)
    train_rows = _rng.permutation(np.flatnonzero(np.isin(everything.cases, _mine[[1, 4, 7]])))
    # Both classes from the first patches on: take them in turns.
    _by_class = [train_rows[everything.labels[train_rows] == _k] for _k in (0, 1)]
    _pairs = min(map(len, _by_class))
    train_rows = np.stack([_c[:_pairs] for _c in _by_class], axis=1).ravel()
    test_rows = np.flatnonzero(
        np.isin(everything.cases, _mine) & ~np.isin(everything.cases, _mine[[1, 4, 7]])
    )

    def new_model(base):
        """Their classifier, or one of the same form with random weights."""
        model, _ = load_classifier(their_run)
        if base == "scratch":
            torch.manual_seed(1)
            fresh = Classifier.build(
                model.architecture, classes=model.classes, patch_size=model.patch_size,
                arguments=model.arguments, mean=model.mean.tolist(),
                deviation=model.deviation.tolist(),
            )  # fmt: skip
            model.network.load_state_dict(fresh.network.state_dict())
        return model

    def learn(base, count, *, head_only=False, rate=0.003, steps=40):
        """AUROC on your test cases after training on the first ``count`` of your patches."""
        model = new_model(base)
        if head_only:
            torch.manual_seed(1)
            model.network.head.reset_parameters()  # a new last layer
        trained = list((model.network.head if head_only else model.network).parameters())
        optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.02)
        draw = np.random.default_rng(2)
        model.train(not head_only)  # frozen: the batch norm keeps their means, too
        for _ in range(steps):
            rows = np.sort(draw.choice(train_rows[:count], 12, replace=False))
            scores = model(torch.from_numpy(everything.patches[rows]))
            loss = torch.nn.functional.cross_entropy(
                scores, torch.from_numpy(everything.labels[rows]), label_smoothing=0.1
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return measure(model), sum(p.numel() for p in trained)

    def measure(model):
        model.eval()
        with torch.no_grad():
            p = torch.softmax(model(torch.from_numpy(everything.patches[test_rows])), dim=1)
        return auroc(everything.labels[test_rows], p[:, 1].numpy())

    return learn, measure, new_model, test_rows, train_rows


@app.cell
def _(learn, measure, new_model, train_rows):
    sizes = [_n for _n in (12, 24, 48, 96) if _n <= len(train_rows)]
    as_it_is = measure(new_model("theirs"))
    found = {
        "from scratch": [learn("scratch", _n) for _n in sizes],
        "from their run, all weights": [learn("theirs", _n, rate=0.0005) for _n in sizes],
        "from their run, last layer only": [
            learn("theirs", _n, head_only=True, rate=0.02) for _n in sizes
        ],
    }
    return as_it_is, found, sizes


@app.cell(hide_code=True)
def _(as_it_is, everything, found, sizes, test_rows):
    _figure, (_axes,) = canvas(
        f"With {sizes[0]} patches: {found['from scratch'][0][0]:.2f} from scratch, "
        f"{max(_v[0][0] for _k, _v in found.items() if 'their' in _k):.2f} from their run",
        f"AUROC on {len(test_rows)} patches of {len(np.unique(everything.cases[test_rows]))} "
        "test cases",
        width_in=8.4, height_in=4.4,
    )  # fmt: skip
    for (_name, _values), _color in zip(found.items(), (ORANGE, BLUE, GREEN), strict=True):
        _axes.plot(sizes, [_v[0] for _v in _values], "o-", color=_color, linewidth=2, label=_name)
    _axes.axhline(as_it_is, color=QUIET, linestyle="--", linewidth=1.4, label="their run as it is")
    _axes.axhline(0.5, color=QUIET, linestyle=":", linewidth=1.2)
    _axes.set(xlabel="your training patches", ylabel="AUROC", xscale="log", ylim=(0.4, 1.02))
    _axes.set_xticks(sizes, [str(_n) for _n in sizes])
    _axes.minorticks_off()
    legend(_axes)
    _figure
    return


@app.cell(hide_code=True)
def _(as_it_is, found, sizes):
    _rows = "\n".join(
        f"| {_name} | {_values[0][1]:,} | " + " | ".join(f"{_v[0]:.3f}" for _v in _values) + " |"
        for _name, _values in found.items()
    )
    _best = max(_v[0] for _values in found.values() for _v in _values)
    if _best <= as_it_is:
        _verdict = "Nothing in the table does."
    elif _best < as_it_is + 0.02:
        _verdict = f"The best of the table, {_best:.3f}, is above it by no more than luck can give."
    else:
        _verdict = f"The best of the table, {_best:.3f}, does."
    mo.md(
        f"| | weights trained | {' | '.join(f'{_n} patches' for _n in sizes)} |\n"
        f"|:--|--:|{'--:|' * len(sizes)}\n{_rows}\n\n"
        f"Their run *as it is*, without one of your patches, reaches {as_it_is:.3f}. **That line "
        "belongs into every comparison**: what you train on top must beat it, or you have only made "
        f"it worse. {_verdict} Here your question is the same as theirs, and your cases look like "
        "theirs. With "
        "another question (another organ, another stain) the last layer as it is would be of no use, "
        "while the filters below still might.\n\nWhere a line falls although it got more patches, suspect chance first: three "
        "training cases, one draw of patches, one seed. Lesson 16 is about telling such luck from "
        "progress."
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
    ## How far may it move?

    Fine-tuning can also *forget*: at too high a rate, the first steps on a few patches wash away what
    the base knew. Choose a rate, and how many of your patches it gets:
    """)
    return


@app.cell
def _(sizes):
    rate = mo.ui.slider(
        steps=[0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1], value=0.01, label="rate",
        show_value=True,
    )  # fmt: skip
    count = mo.ui.slider(steps=sizes, value=sizes[1], label="your patches", show_value=True)
    mo.hstack([rate, count], justify="start", gap=3)
    return count, rate


@app.cell(hide_code=True)
def _(as_it_is, count, learn, rate):
    _after, _ = learn("theirs", count.value, rate=rate.value)
    mo.callout(
        mo.md(
            f"After 40 steps at a rate of {rate.value:g} on {count.value} patches: AUROC "
            f"**{_after:.3f}**; before, {as_it_is:.3f}."
        ),
        kind="success" if _after >= as_it_is - 0.005 else "warn",
    )
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
    ## Larger bases

    Networks of hundreds of millions of weights have been trained on hundreds of thousands of slides
    without any labels, and given away; so have networks trained on photographs, as the tutorial used.
    They are used as here: keep the filters, learn a last layer. `eosin encoders` lists them with
    their licenses; `eosin probe` learns a last layer on one, and `eosin train --recipe finetune`
    trains all its weights on. Their weights are a download, so this lesson does without. Two
    questions remain the same: *is any of your test cases in the base?* and *does it beat a small
    network from scratch?*

    ## Summary

    - With few patches, where you begin can count for more than how you train: measure it.
    - Last layer only: few weights, hard to spoil. All weights: they can adapt to another question,
      and can forget; a low rate.
    - Each figure has the base as it is, and training from scratch, beside it.
    - Cases that the base has seen may not be tested on.

    **Next:** lesson 16, tracking and refinement. `eosin learn 16`
    """)
    return


if __name__ == "__main__":
    app.run()
