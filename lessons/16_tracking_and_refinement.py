# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""Tracking and refinement

Goal: keep what each training did, compare runs on the same patches, and decide what to change next.
Minutes: 12
Prerequisites: lesson 13 (honest evaluation) and lesson 14 (a better network)
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="16. Tracking and refinement", css_file="house.css")

with app.setup(hide_code=True):
    import json

    import marimo as mo

    from eosin.config import read_recipe
    from eosin.figures.canvas import BLUE, GREEN, INK, ORANGE, QUIET, canvas, legend
    from eosin.guide.catalog import exercises_of
    from eosin.guide.notebook import ask, house_look, tell, workplace
    from eosin.guide.patches import lesson_store
    from eosin.inference.assess import assess
    from eosin.splitting.splits import by_case
    from eosin.studies.compare import compare
    from eosin.training.session import fit, start

    house_look()


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 16. Tracking and refinement

    **Goal.** You keep what each training did, compare runs on the same patches, and decide what to
    change next. **You need** lessons 13 and 14. About 12 minutes.

    After a week of training you have thirty runs and one question: *which of them, and why?* Memory
    will not tell you. A run must record what it was made from, how it went and how good it
    is.

    *Research and education only, not for diagnosis. Unless you chose a store of your own, the
    patches here are drawn by a program and are not tissue.*
    """)
    return


@app.cell(hide_code=True)
def _():
    first, second, third = exercises_of(16)
    return first, second, third


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Three runs

    One store, one split by case, and a small recipe that is trained three times: as it is, with a
    much lower rate, and with twice the epochs. **One change at a time**: of two changes at once, you
    would not know which one did it.
    """)
    return


@app.cell
def _():
    folder = workplace()
    store = lesson_store(folder / "patches.store", cases=16, patches_per_case=40, seed=8)
    split = by_case(store)
    _small = ["batch_size=32", "arguments.widths=[8,16,32,48]", "arguments.blocks=[0,0,0,1]"]
    plans = {
        "as it is": ["epochs=4"],
        "low rate": ["epochs=4", "muon_learning_rate=0.0005", "learning_rate=0.00005"],
        "longer": ["epochs=8"],
    }
    sessions = {}
    for _name, _changes in plans.items():
        _recipe = read_recipe("compact", [*_small, *_changes])
        sessions[_name], _ = start(store, split, _recipe, folder / _name.replace(" ", "-"))
        _facts = fit(sessions[_name])
    return plans, sessions


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## What a run leaves behind

    Each training writes a **run folder**. Nothing needs a server: these are files, and they are
    enough to repeat the run.
    """)
    return


@app.cell(hide_code=True)
def _(sessions):
    _what = {
        "recipe.toml": "every setting, complete",
        "split.csv": "which patches were training, validation, test",
        "seen.parquet": "what it has learned from, by case and by pixels",
        "metrics.jsonl": "one line an epoch",
        "environment.json": "versions, machine, store, command",
        "model.json": "the form of the model, its classes and marks",
        "model.safetensors": "its weights",
        "fitted.json": "temperature, operating points and refer bands, from validation",
        "resume.pt": "the state to resume from after an interruption",
    }
    _path = sessions["as it is"].run.path
    _lines = (_path / "metrics.jsonl").read_text("utf-8").splitlines()
    mo.md(
        "| file | what it contains |\n|:--|:--|\n"
        + "\n".join(f"| `{_f}` | {_w} |" for _f, _w in _what.items() if (_path / _f).exists())
        + "\n\n`metrics.jsonl` grows while the training runs. Each line is a small dictionary (JSON), "
        "so a crash costs at most the last line. This is one:\n\n```json\n"
        + json.dumps(json.loads(_lines[-1]), indent=1)
        + "\n```"
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
    ## Read the curves

    Two curves tell most of a story: the loss on *training* patches and the figure on *validation*
    cases. The slider smooths them (a running mean, as in lesson 14); too much of it hides what
    happened.
    """)
    return


@app.cell
def _():
    smooth = mo.ui.slider(0.0, 0.9, 0.1, value=0.0, label="smoothing", show_value=True)
    smooth
    return (smooth,)


@app.cell(hide_code=True)
def _(sessions, smooth):
    def smoothed(values):
        means = values[:1]
        for value in values[1:]:
            means.append(smooth.value * means[-1] + (1 - smooth.value) * value)
        return means

    _ends = {_n: _s.run.metrics()[-1]["val_auroc"] for _n, _s in sessions.items()}
    _figure, (_left, _right) = canvas(
        "Last AUROC: " + ", ".join(f"{_n} {_e:.2f}" for _n, _e in _ends.items()),
        "Left: loss on the training patches. Right: AUROC on the validation cases",
        panels=2, width_in=9.6, height_in=4.0,
    )  # fmt: skip
    for (_name, _session), _color in zip(sessions.items(), (BLUE, ORANGE, GREEN), strict=True):
        _rows = _session.run.metrics()
        _epochs = [_r["epoch"] for _r in _rows]
        _left.plot(_epochs, smoothed([_r["loss"] for _r in _rows]), "o-", color=_color, label=_name)
        _right.plot(_epochs, smoothed([_r["val_auroc"] for _r in _rows]), "o-", color=_color)
    _left.set(xlabel="epoch", ylabel="training loss")
    _right.set(xlabel="epoch", ylabel="AUROC", ylim=(0.25, 1.02))
    _right.axhline(0.5, color=QUIET, linestyle=":", linewidth=1.2)
    legend(_left)
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    | you see | it may mean | try |
    |:--|:--|:--|
    | the loss does not move | zero gradient, or far too low a rate | lesson 12; a higher rate |
    | it falls slowly and still falls at the end | too few steps | more epochs, a higher rate |
    | it jumps or becomes NaN | too high a rate | a lower one, a warm-up |
    | training falls, validation gets worse | it learns the training cases by heart | more cases, augmentation, stop earlier |
    | both are good, the test is bad | a leak, or the choice was made too often on validation | lesson 13 |
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
    ## Is it better, or was it luck?

    Two figures with two intervals that overlap do not answer this. Both runs met the **same** cases,
    hard ones and easy ones; so draw the same cases for both, and look at the *difference* each time.
    That is a **paired** comparison, and `eosin compare RUN RUN` makes it. It
    looks at the *test* cases, so it is for the end, with the few runs that are left: while you are
    still choosing, go by validation, as in the curves above.
    """)
    return


@app.cell
def _(plans, sessions):
    _evaluated = {
        _n: assess(_s, replicates=200, with_baselines=False) for _n, _s in sessions.items()
    }
    compared = compare([sessions[_n].run.path for _n in plans], replicates=500)
    mo.md("\n\n".join(f"> {_said}" for _said in compared["sentences"]))
    return (compared,)


@app.cell(hide_code=True)
def _(compared):
    _figure, (_axes,) = canvas(
        "AUROC less that of the run as it is",
        f"95 % intervals over the same draws of {compared['common']['cases']} cases",
        width_in=8.0, height_in=2.8, side_in=1.5,
    )  # fmt: skip
    _names = list(compared["differences"])
    for _k, _name in enumerate(_names):
        _d = compared["differences"][_name]["auroc"]
        if _d["low"] is not None:
            _axes.plot([_d["low"], _d["high"]], [-_k, -_k], color=BLUE, linewidth=5)
        _axes.plot(_d["value"], -_k, "o", color=INK, markersize=9)
    _axes.axvline(0, color=ORANGE, linewidth=1.6)
    _axes.set_yticks([-_k for _k in range(len(_names))], _names)
    _axes.set(xlabel="difference in AUROC", ylim=(-len(_names) + 0.4, 0.6))
    _figure
    return


@app.cell(hide_code=True)
def _(compared):
    mo.md(
        "Where the interval contains 0, the runs may be equal *on such cases*. And it warns of "
        "what it cannot know:\n\n" + "\n".join(f"- {_w}" for _w in compared["warnings"])
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
    ## What to change next

    1. **Look at the errors first.** The galleries of `report.html` show the most certain mistakes:
       a wrong label, a fold, a blurred patch, or something that the network has never seen?
    2. **The largest lever first**: more *cases*, then the rate and the number of steps, then
       augmentation, then the network. The names of optimizers come last.
    3. **One change, written down** with what you expect. A surprise is worth more than a success.
    4. **Repeat with another seed** before you believe a small difference.
    5. **Keep the test part closed** until you have chosen. Then open it once.

    Three commands for the thirty runs of the beginning. `eosin runs` lists the run folders below a
    folder with their settings and figures, and `--diff RUN RUN` shows what differs between two.
    `eosin search STORE` tries settings: it judges them by validation, ends poor trials
    early, and leaves the test patches out before it starts. And `eosin train STORE --track mlflow`
    (or `tensorboard`, `wandb`, `trackio`) sends the run to a tracker as well, which draws these curves
    for many runs and many people. Trackers record; they do not judge. The files of the run folder are always
    written.

    ## Summary

    - A run folder shows what it was made from, how it went, and what it has seen.
    - One change at a time; compare **paired**, on the same cases; report the difference with its
      interval.
    - Choose on validation. Test once.

    You have come from one perceptron to a classifier whose figures you can defend.

    **Next:** lesson 17, from patch to slide. `eosin learn 17`
    """)
    return


if __name__ == "__main__":
    app.run()
