# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""The network that could not learn

Goal: find four faults in a training that looks successful, each by measuring something, and mend
  them.
Minutes: 15
Prerequisites: lesson 3 (loss), lesson 6 (backpropagation) and lesson 11 (the cancer data)
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(
    width="medium", app_title="12. The network that could not learn", css_file="house.css"
)

with app.setup(hide_code=True):
    import cv2
    import marimo as mo
    import numpy as np
    import torch

    from eosin.config import read_recipe
    from eosin.data.pack import pack
    from eosin.evaluation.baselines import nearest_neighbors, small_features
    from eosin.evaluation.ranking import auroc
    from eosin.figures.canvas import BLUE, GREEN, INK, ORANGE, QUIET, canvas, legend
    from eosin.guide.catalog import exercises_of
    from eosin.guide.notebook import ask, house_look, tell, workplace
    from eosin.guide.patches import lesson_store
    from eosin.models.article import ArticleNetwork, ArticleVerbatimNetwork
    from eosin.models.classifier import load_classifier
    from eosin.splitting.splits import by_case, by_patch
    from eosin.training.loop import Reporter
    from eosin.training.session import fit, start

    house_look()


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 12. The network that could not learn

    **Goal.** You find four faults in a training that looks successful, each by measuring
    something, and mend them. **You need** lessons 3 (loss), 6 (backpropagation) and 11 (the cancer
    data). About 15 minutes.

    A well-known tutorial trains a network on the breast-cancer patches. It runs without an error,
    prints a small loss, and ends with an accuracy above 70 %. You are the reviewer. The only rule
    of this lesson: believe nothing that you have not measured.

    *Research and education only, not for diagnosis. Unless you chose a store of your own, the
    patches here are drawn by a program and are not tissue.*
    """)
    return


@app.cell(hide_code=True)
def _():
    first, second, third = exercises_of(12)
    return first, second, third


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## The training, as it was written

    Twelve cases with 60 patches each; a quarter of the patches, drawn at random, is the test
    part, as in the tutorial. The recipe `article-verbatim` has its network, its loss and its
    settings: batches of 128, plain stochastic descent at a rate of 0.001. Two epochs must do here;
    you will soon see why more would not change anything.
    """)
    return


@app.cell
def _():
    folder = workplace()
    store = lesson_store(folder / "patches.store", cases=12, patches_per_case=60, seed=1)
    random_split = by_patch(store)
    recipe = read_recipe("article-verbatim", ["epochs=2", "stop_when_dead=false"])
    session, _audit = start(store, random_split, recipe, folder / "as-written")
    first_losses, warnings = [], []
    _facts = fit(
        session,
        reporter=Reporter(
            stepped=lambda epoch, step, loss: first_losses.append(loss) if step == 1 else None,
            warned=warnings.append,
        ),
    )
    return first_losses, folder, random_split, session, store, warnings


@app.cell(hide_code=True)
def _(first_losses, session, store):
    _rows = session.run.metrics()
    _patches = store.patches[session.parts["test"]]
    _truth = store.labels[session.parts["test"]]
    network_as_written, _ = load_classifier(session.run.path)
    with torch.no_grad():
        _outputs = network_as_written.network(
            network_as_written.prepare(torch.from_numpy(_patches))
        )
    called = _outputs.argmax(1).numpy()
    seeming = float((called == _truth).mean())
    mo.md(
        "The tutorial prints `running_loss / 10000` at the first step of each epoch, and the "
        "accuracy at the end:\n\n```text\n"
        + "\n".join(
            f"epoch {_row['epoch']}   loss {_first / 10000:.4f}"
            for _row, _first in zip(_rows, first_losses, strict=True)
        )
        + f"\naccuracy on {len(_truth)} test patches: {seeming:.1%}\n```\n\n"
        "A small loss, and "
        + ("clearly more than half of" if seeming > 0.55 else f"{seeming:.0%} of")
        + " the patches right. Would you publish it?"
    )
    return called, seeming


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## First clue: ask the weights

    Lesson 6 gave the test for learning: **every weight moves against its gradient**. So take one
    batch, compute the loss as the tutorial does, walk backward, and look at the largest gradient in
    each layer. Next to it is the same network with the same weights, whose output goes into a
    proper loss.
    """)
    return


@app.cell
def _(session, store):
    _rows = session.parts["train"][:64]
    images = torch.from_numpy(store.patches[_rows]).permute(0, 3, 1, 2).float() / 255
    labels = torch.from_numpy(store.labels[_rows]).float()[:, None]

    torch.manual_seed(0)
    written, mended = ArticleVerbatimNetwork(), ArticleNetwork()
    mended.load_state_dict(written.state_dict())

    loss_as_written = torch.nn.functional.binary_cross_entropy(written(images), labels)
    loss_as_written.backward()
    loss_mended = torch.nn.functional.binary_cross_entropy_with_logits(mended(images), labels)
    loss_mended.backward()
    return images, labels, loss_as_written, mended, written


@app.cell(hide_code=True)
def _(mended, written):
    _theirs, _ours = dict(written.named_parameters()), dict(mended.named_parameters())
    _rows = [
        f"| `{_name}` | {_value.numel():,} | {float(_value.grad.abs().max()):g} "
        f"| {float(_ours[_name].grad.abs().max()):.2g} |"
        for _name, _value in _theirs.items()
        if _name.endswith("weight")
    ]
    mo.md(
        "| layer | weights | largest gradient, as written | largest gradient, mended |\n"
        "|:--|--:|--:|--:|\n" + "\n".join(_rows)
    )
    return


@app.cell(hide_code=True)
def _(images, labels, loss_as_written, written):
    with torch.no_grad():
        _outputs = written(images)
    mo.md(
        "Not small: **exactly zero**, in all five million weights. No step, however many, can "
        "change anything.\n\nSo look at what the network answers. Its outputs for the 64 patches reach "
        f"from {float(_outputs.min()):g} to {float(_outputs.max()):g}: one number for all. And the "
        f"loss is {loss_as_written.item():.4f}, while {labels.mean().item():.6f} of the batch is "
        "positive. Compare the two numbers digit by digit.\n\n"
        "### Why\n\nThe last lines of the network are one output $z$ and then `log_softmax`. "
        "Softmax turns $K$ scores into shares that sum to 1 (lesson 2):\n\n"
        r"$$\text{softmax}(z)_k = \frac{e^{z_k}}{e^{z_1} + \dots + e^{z_K}}$$"
        "\n\nAnd with $K = 1$? Move the score, and watch two functions of it."
    )
    return


@app.cell
def _():
    score = mo.ui.slider(-6.0, 6.0, 0.5, value=1.5, label="the score z", show_value=True)
    score
    return (score,)


@app.cell(hide_code=True)
def _(score):
    _z = np.linspace(-6, 6, 121)
    _one = torch.log_softmax(torch.tensor(_z)[:, None], dim=1)[:, 0].numpy()
    _two = torch.nn.functional.logsigmoid(torch.tensor(_z)).numpy()
    _at = float(score.value)
    _slope = 1 - 1 / (1 + np.exp(-_at))
    _figure, (_axes,) = canvas(
        f"At z = {_at:g}: slope 0 as written, {_slope:.3f} as it should be",
        "What the loss sees of one score",
        width_in=8.0, height_in=4.0,
    )  # fmt: skip
    _axes.plot(_z, _one, color=ORANGE, linewidth=2.4, label="log_softmax of one score")
    _axes.plot(_z, _two, color=BLUE, linewidth=2.4, label="log of the sigmoid")
    _axes.plot([_at, _at], [0, np.log(1 / (1 + np.exp(-_at)))], "o", color=INK, markersize=7)
    _axes.set(xlabel="score z", ylabel="log of the probability", ylim=(-6.4, 0.6))
    legend(_axes)
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    The softmax of a single number is $e^z / e^z = 1$, whatever the weights did to $z$, and
    $\log 1 = 0$. The output is constant, a constant has slope 0, and BP1 (lesson 6) starts the walk
    backward with 0. Binary cross-entropy then meets "probability 0" for each patch; PyTorch cuts
    $\log 0$ off at $-100$, so each positive costs 100 and each negative 0: **the loss is 100 times
    the share of positives**. The tutorial did not see it, because it divided by 10,000.

    *Mended:* hand the score $z$ itself to a loss that expects it (`BCEWithLogits`).
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
    ## Second clue: which patches are right?

    One number for all patches is hard to believe beside an accuracy like that. An accuracy adds up
    two kinds of right answers, so take it apart: count the patches by what they are and what they
    were called. That table is the **confusion matrix**.
    """)
    return


@app.cell(hide_code=True)
def _(called, seeming, session, store):
    _truth = store.labels[session.parts["test"]]
    _n, _p = int((_truth == 0).sum()), int((_truth == 1).sum())
    _right = [int(((_truth == _k) & (called == _k)).sum()) for _k in (0, 1)]
    mo.md(f"""
    |  | called negative | called positive |
    |:--|--:|--:|
    | **{_n} negative** patches | {_right[0]} | {_n - _right[0]} |
    | **{_p} positive** patches | {_p - _right[1]} | {_right[1]} |

    Not one patch is called positive. Of the positive patches it finds {_right[1]} of {_p}: that
    share is the **sensitivity** (or recall), and it is {_right[1] / _p:.0%}. The accuracy of
    {seeming:.1%} is nothing but the share of negatives, {_n} / {_n + _p}: the **base rate**. A
    printed sheet of paper that says "negative" reaches it as well.
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Is that only because nothing was learned? Here is the line that decides, given the outputs of a
    *perfect* network: high scores for the positives, low ones for the negatives.
    """)
    return


@app.cell
def _():
    truth_of_five = torch.tensor([0, 0, 1, 0, 1])
    perfect_scores = torch.tensor([[-7.0], [-9.0], [8.0], [-6.0], [9.0]])
    decided = perfect_scores.argmax(dim=1)  # the tutorial's torch.max(outputs, 1)
    mo.md(f"Truth: `{truth_of_five.tolist()}`. Decided: `{decided.tolist()}`.")
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    This is a separate fault. `argmax` answers *in which column is the largest score?* There is one
    column, number 0, so the answer is 0. **Mending the loss alone would train a network and still
    report the base rate.**

    *Mended:* two columns, or a threshold on the score. And always print the base rate beside an
    accuracy.
    """)
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
    ## Third clue: who sits on both sides?

    Suppose both faults are mended. Would you then believe the test figure? Look at where the patches
    of each case went, in the tutorial's split and in one that keeps each case whole:
    """)
    return


@app.cell(hide_code=True)
def _(random_split, store):
    case_split = by_case(store)
    _names = np.unique(store.cases)
    _figure, _panels = canvas(
        "Left, each case is on both sides; right, on one",
        f"Patches of {len(_names)} cases by part",
        panels=2, width_in=9.6, height_in=4.2,
    )  # fmt: skip
    for _axes, _split, _title in zip(
        _panels, (random_split, case_split), ("by patch, at random", "by case"), strict=True
    ):
        _left = np.zeros(len(_names))
        for _part, _color in (("train", BLUE), ("val", GREEN), ("test", ORANGE)):
            _cases = store.cases[_split.parts(store)[_part]]
            _counts = np.array([(_cases == _name).sum() for _name in _names])
            _axes.barh(np.arange(len(_names)), _counts, left=_left, color=_color, label=_part)
            _left += _counts
        _axes.set(xlabel=f"patches ({_title})")
        _axes.set_yticks(np.arange(len(_names)), list(_names), fontsize=8)
        _axes.grid(False)
    _panels[1].legend(
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=3,
        frameon=False,
        labelcolor=INK,
        fontsize=10,
    )
    _figure
    return (case_split,)


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Does that matter? Test it with a method without any knowledge of cancer: **nearest neighbors**
    shrinks each patch to 7 by 7 pixels, finds the training patches that look most alike, and
    answers with their labels. Its figure here is the **AUROC**: how often a positive patch gets a
    higher score than a negative one; 0.5 is guessing. One split may be lucky, so take five of each
    kind and their mean.
    """)
    return


@app.cell
def _(store):
    neighbors = {}
    for _name, _divide in (("by patch, at random", by_patch), ("by case", by_case)):
        _scores, _same = [], []
        for _seed in range(5):
            _parts = _divide(store, seed=_seed).parts(store)
            _train, _val, _test = (_parts[_part] for _part in ("train", "val", "test"))
            _found = nearest_neighbors(
                store.patches[_train], store.labels[_train],
                store.patches[_val], store.labels[_val], store.patches[_test],
            )  # fmt: skip
            _scores.append(auroc(store.labels[_test], _found.y_prob))
            _near = small_features(store.patches[_train])
            _far = small_features(store.patches[_test])
            _nearest = [np.square(_near - _one).sum(axis=1).argmin() for _one in _far]
            _same.append((store.cases[_train][_nearest] == store.cases[_test]).mean())
        neighbors[_name] = {"AUROC": float(np.mean(_scores)), "same": float(np.mean(_same))}
    return (neighbors,)


@app.cell(hide_code=True)
def _(neighbors, store):
    _one, _other = neighbors["by patch, at random"], neighbors["by case"]
    _gap = _one["AUROC"] - _other["AUROC"]
    _worth = (
        f"Here that is worth {_gap:.3f}, although the method has learned nothing of the disease."
        if _gap > 0.005
        else "In the AUROC it does not show here: with so few cases, which of them are in the test "
        "part counts for more. Lesson 13 measures it again."
    )
    mo.md(f"""
    | split | test patches whose most similar training patch is of the same case | AUROC |
    |:--|--:|--:|
    | by patch, at random | {_one["same"]:.0%} | {_one["AUROC"]:.3f} |
    | by case | {_other["same"]:.0%} | {_other["AUROC"]:.3f} |

    With {len(np.unique(store.cases))} cases, chance alone would find the same case in
    {1 / len(np.unique(store.cases)):.0%}. Each case has its own stain, focus and tissue; who
    recognizes the case, has much of the answer. {_worth} The tutorial's split measures
    *recognition of cases it has seen*. A new case is what a classifier would meet.

    **And one part is missing.** The tutorial has train and test and nothing else, so every choice
    (when to stop, which network, which threshold) can only be made on the test patches. What that
    does is easily measured: 100 "networks" that guess at random, of which we keep the best.
    """)
    return


@app.cell(hide_code=True)
def _():
    _rng = np.random.default_rng(0)
    _truth, _new = _rng.integers(0, 2, 180), _rng.integers(0, 2, 180)
    _guesses = _rng.integers(0, 2, (100, 180)), _rng.integers(0, 2, (100, 180))
    _chosen_on = (_guesses[0] == _truth).mean(axis=1)
    _best = int(_chosen_on.argmax())
    _fresh = float((_guesses[1][_best] == _new).mean())
    _figure, (_axes,) = canvas(
        f"The best of 100 guessers: {_chosen_on[_best]:.1%}; on new patches {_fresh:.1%}",
        "Accuracy of each on the 180 patches that it was chosen on",
        width_in=8.0, height_in=3.6,
    )  # fmt: skip
    _axes.hist(_chosen_on, bins=np.arange(0.39, 0.63, 0.01), color=BLUE, alpha=0.85)
    _axes.axvline(_chosen_on[_best], color=ORANGE, linewidth=2.4, label="chosen")
    _axes.axvline(_fresh, color=INK, linewidth=2, linestyle="--", label="the same one, new patches")
    _axes.set(xlabel="accuracy", ylabel="guessers")
    legend(_axes)
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    *Mended:* split by case, into **three** parts. Choose on validation; look at test once.

    ## Fourth clue: count the files

    The downloaded archive contains each patch twice: once under its case, once more in a nested folder
    `IDC_regular_ps50_idx5`. And some readers meet broken files. Here is a tiny archive of that shape,
    on disk, and the way many tutorials read such a thing.
    """)
    return


@app.cell
def _(folder, store):
    archive = folder / "archive"
    for _case in np.unique(store.cases)[:2]:
        for _row in np.flatnonzero(store.cases == _case)[:20]:
            _label, _k = int(store.labels[_row]), int(_row)
            _name = f"{_case}_idx5_x{1 + 50 * _k}_y1_class{_label}.png"
            for _place in (archive, archive / "IDC_regular_ps50_idx5"):
                _target = _place / _case / str(_label) / _name
                _target.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(_target), store.patches[_row][..., ::-1])
    for _folder in (archive / "extra", archive / str(_case) / "notes"):
        _folder.mkdir()
    _written = (archive / str(_case) / "0" / f"{_case}_idx5_x9001_y1_class0.png").write_bytes(
        b"cut off"
    )
    return (archive,)


@app.cell
def _(archive):
    found, complaints = [], []
    for _class in sorted(archive.iterdir()):  # "one folder a class", says the tutorial
        for _file in sorted(_class.rglob("*.png")):
            try:
                found.append((cv2.imread(str(_file)).shape, _class.name))
            except Exception as error:
                complaints.append(f"skipped: {type(error).__name__}")
    classes = sorted({_name for _, _name in found})
    return classes, complaints, found


@app.cell(hide_code=True)
def _(archive, classes, complaints, folder, found):
    packed = pack(archive, folder / "packed.store", max_rejects=5)
    _distinct = len(packed)
    mo.md(f"""
    | asked | tutorial's reader | `eosin pack` |
    |:--|:--|:--|
    | patches | {len(found)} | {len(packed)} |
    | classes | {", ".join(f"`{_c}`" for _c in classes)} | {", ".join(packed.classes)} |
    | unreadable | {len(complaints)} line on the screen: `{complaints[0]}` | {len(packed.info["rejects"])}, with path and cause |

    Two things went wrong without stopping anything. The **nested copy doubled every patch**: split at
    random, a patch can train and its copy can test. And because the reader takes the first folder
    for the class, the *case numbers became classes*. `except: print` turned a broken file into a
    line that scrolls away. The rejects of the store show:
    """)
    return (packed,)


@app.cell(hide_code=True)
def _(packed):
    mo.md("\n".join(f"- `{_r['source']}`: {_r['reason']}" for _r in packed.info["rejects"]))
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
def _(warnings):
    mo.md(
        "## All four mended\n\nThe recipe `article` is the same network with a proper loss and "
        "scaled input; the split is by case. So that it learns within this lesson it has a sixteenth "
        "of the width's weights, smaller batches, a higher rate and momentum (lesson 5).\n\n"
        "By the way, you would not have had to find the first fault: what eosin said of the training "
        "as written, after its first epoch, was\n\n> " + "\n>\n> ".join(warnings)
    )
    return


@app.cell
def _(case_split, folder, store):
    _recipe = read_recipe(
        "article",
        ["epochs=12", "arguments.width=16", "batch_size=32", "learning_rate=0.02", "momentum=0.9"],
    )
    mended_session, _ = start(store, case_split, _recipe, folder / "mended")
    _facts = fit(mended_session)
    return (mended_session,)


@app.cell(hide_code=True)
def _(mended_session, session):
    _ours, _theirs = mended_session.run.metrics(), session.run.metrics()
    _figure, (_left, _right) = canvas(
        f"Mended, it learns: validation AUROC {_ours[-1]['val_auroc']:.2f} on cases never seen",
        f"As written: loss {_theirs[-1]['loss']:.1f} (100 times the positives), AUROC "
        f"{_theirs[-1]['val_auroc']:.2f}",
        panels=2, width_in=9.6, height_in=3.8,
    )  # fmt: skip
    _left.plot([_r["epoch"] for _r in _ours], [_r["loss"] for _r in _ours], "o-", color=BLUE)
    _left.set(xlabel="epoch", ylabel="training loss")
    _right.plot(
        [_r["epoch"] for _r in _ours], [_r["val_auroc"] for _r in _ours], "o-", color=BLUE,
        label="mended",
    )  # fmt: skip
    _right.axhline(0.5, color=QUIET, linestyle=":", linewidth=1.4)
    _right.plot(
        [_r["epoch"] for _r in _theirs], [_r["val_auroc"] for _r in _theirs], "s-", color=ORANGE,
        label="as written",
    )  # fmt: skip
    _right.set(xlabel="epoch", ylabel="AUROC on validation cases", ylim=(0.4, 1.0))
    legend(_right)
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Summary

    | fault | what gave it away | mended by |
    |:--|:--|:--|
    | `log_softmax` over one score | every gradient is exactly 0; the loss is 100 x the positives | a loss on the score itself |
    | `argmax` over one column | nobody is called positive; accuracy = base rate | two columns or a threshold; sensitivity beside accuracy |
    | patches split at random, no validation part | neighbors of the same case; the best of 100 guessers | split by case, in three parts |
    | copies, and errors printed and forgotten | counting patches, classes and rejects | a packed store that names each reject |

    Not one of them stopped the program. Each was found by one small measurement: *is the gradient
    zero? what does a constant answer score? what does a method score that cannot know? how many are
    there?* Ask these four of every training, also of your own.

    **Next:** lesson 13, honest evaluation. `eosin learn 13`
    """)
    return


if __name__ == "__main__":
    app.run()
