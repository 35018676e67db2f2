# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""Honest evaluation

Goal: measure a classifier so that the figure stays true on new cases: leakage, threshold,
  calibration and an interval that counts cases.
Minutes: 15
Prerequisites: lesson 12 (the network that could not learn)
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="13. Honest evaluation", css_file="house.css")

with app.setup(hide_code=True):
    import marimo as mo
    import numpy as np
    import torch

    from eosin.config import read_recipe
    from eosin.evaluation.baselines import color_histogram
    from eosin.evaluation.decisions import choose_threshold
    from eosin.evaluation.intervals import bootstrap
    from eosin.evaluation.metrics import confusion, rates
    from eosin.evaluation.ranking import auroc
    from eosin.figures.canvas import BLUE, GREEN, INK, ORANGE, QUIET, canvas, legend
    from eosin.guide.catalog import exercises_of
    from eosin.guide.notebook import ask, house_look, tell, workplace
    from eosin.guide.patches import lesson_store
    from eosin.inference.assess import assess
    from eosin.models.classifier import load_classifier
    from eosin.records.scored import Scored
    from eosin.splitting.audit import audit
    from eosin.splitting.splits import by_case, by_patch
    from eosin.training.session import fit, start
    from eosin.trust.calibration import measure_calibration
    from eosin.trust.temperature import fit_temperature, softmax

    house_look()


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 13. Honest evaluation

    **Goal.** You measure a classifier so that the figure stays true on new cases: without leakage,
    with a threshold chosen in the right place, with probabilities that can be believed, and with
    an interval that counts cases. **You need** lesson 12. About 15 minutes.

    A figure is a promise about patches that nobody has labeled yet. Four questions decide what it
    is worth: *What had the network seen before? Who chose the threshold, and on what? Does 80 %
    mean 80 %? And how different might the figure have come out with other cases?*

    *Research and education only, not for diagnosis. Unless you chose a store of your own, the
    patches here are drawn by a program and are not tissue: their figures tell nothing about cancer.*
    """)
    return


@app.cell(hide_code=True)
def _():
    first, second, third = exercises_of(13)
    return first, second, third


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## What had it seen before?

    A **leak** is anything that the parts of a split share and a new case would not. eosin looks for
    it before each training. Here is what its audit finds in two splits of 20 cases:
    """)
    return


@app.cell
def _():
    folder = workplace()
    store = lesson_store(folder / "patches.store", cases=20, patches_per_case=50, seed=4)
    case_split, random_split = by_case(store), by_patch(store)
    audits = {"by patch": audit(store, random_split), "by case": audit(store, case_split)}
    return audits, case_split, folder, store


@app.cell(hide_code=True)
def _(audits):
    mo.md(
        "| split | severity | what the audit found |\n|:--|:--|:--|\n"
        + "\n".join(
            f"| {_name} | **{_f.severity}** | {_f.sentence} |"
            for _name, _audit in audits.items()
            for _f in _audit.findings
        )
        + "\n\nA *leak* makes figures too good; a *hint* is only something to think about."
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    What does the leak do to a figure? Take the simplest method that could profit from it, one that
    knows *only the colors* of a patch, and measure it five times, each time with other cases or
    other patches in the test part.
    """)
    return


@app.cell
def _(store):
    def color_alone(split):
        """AUROC on the test part of a classifier that sees only the histogram of colors."""
        train, val, test = (split.parts(store)[part] for part in ("train", "val", "test"))
        found = color_histogram(
            store.patches[train], store.labels[train],
            store.patches[val], store.labels[val], store.patches[test],
        )  # fmt: skip
        return auroc(store.labels[test], found.y_prob)

    leaking = [color_alone(by_patch(store, seed=_seed)) for _seed in range(5)]
    honest = [color_alone(by_case(store, seed=_seed)) for _seed in range(5)]
    return honest, leaking


@app.cell(hide_code=True)
def _(honest, leaking):
    _figure, (_axes,) = canvas(
        f"Color alone: {np.mean(leaking):.2f} with leak, {np.mean(honest):.2f} without",
        "AUROC of five splits of each kind; the bar is their mean",
        width_in=8.0, height_in=3.0, side_in=1.5,
    )  # fmt: skip
    for _y, _values, _color in ((1, leaking, ORANGE), (0, honest, BLUE)):
        _axes.plot(_values, [_y] * 5, "o", color=_color, markersize=9, alpha=0.75)
        _axes.plot([np.mean(_values)] * 2, [_y - 0.22, _y + 0.22], color=INK, linewidth=2.4)
    _axes.set_yticks([0, 1], ["by case", "by patch"])
    _axes.set(xlabel="AUROC", ylim=(-0.6, 1.6), xlim=(0.45, 1.0))
    _figure
    return


@app.cell(hide_code=True)
def _(honest, leaking):
    _hides = (
        "The leaking split also *hides how much cases differ*."
        if np.ptp(leaking) < np.ptp(honest)
        else "Five splits are few; usually those by case differ more, because cases differ."
    )
    mo.md(f"""
    The method is the same and the patches are the same; only the split differs. The leak is worth
    **{np.mean(leaking) - np.mean(honest):+.2f}**. And there is a second thing to see: by case, the
    five figures reach from {min(honest):.2f} to {max(honest):.2f}, by patch from
    {min(leaking):.2f} to {max(leaking):.2f}. {_hides} Keep that for the last section.
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
    ## Who chose the threshold?

    Now a small network (the recipe `compact`, made narrower), trained on the training cases. It
    answers each patch with a probability. To *decide*, somebody must draw a line: positive from here
    on. Move it, and watch the two shares that matter on the **validation** cases:

    - **sensitivity**: of the positive patches, how many are found;
    - **specificity**: of the negative patches, how many are left in peace.

    Their mean is the **balanced accuracy**; a constant answer gets 0.5 of it, whatever the base rate.
    """)
    return


@app.cell
def _(case_split, folder, store):
    recipe = read_recipe(
        "compact",
        [
            "epochs=5",
            "batch_size=32",
            "arguments.widths=[8,16,32,64]",
            "arguments.blocks=[0,0,1,1]",
        ],
    )
    session, _ = start(store, case_split, recipe, folder / "run")
    _facts = fit(session)

    model, _ = load_classifier(session.run.path)
    logits, truth, cases = {}, {}, {}
    for _part in ("val", "test"):
        _rows = session.parts[_part]
        with torch.no_grad():
            logits[_part] = model(torch.from_numpy(store.patches[_rows])).numpy()
        truth[_part], cases[_part] = store.labels[_rows], store.cases[_rows]
    y_prob = {part: softmax(logits[part])[:, 1] for part in logits}
    return cases, logits, session, truth, y_prob


@app.cell
def _():
    line = mo.ui.slider(0.02, 0.98, 0.02, value=0.5, label="threshold", show_value=True)
    line
    return (line,)


@app.cell(hide_code=True)
def _(line, truth, y_prob):
    _found = rates(confusion(truth["val"], y_prob["val"], threshold=line.value))
    _figure, (_left, _right) = canvas(
        f"Sensitivity {float(_found['sensitivity']):.0%}, specificity "
        f"{float(_found['specificity']):.0%}, balanced accuracy "
        f"{float(_found['balanced_accuracy']):.3f}",
        f"{len(truth['val'])} validation patches, threshold {line.value:.2f}",
        panels=2, width_in=9.6, height_in=3.9,
    )  # fmt: skip
    _edges = np.linspace(0, 1, 21)
    for _label, _color, _name in ((0, BLUE, "negative"), (1, ORANGE, "positive")):
        _left.hist(
            y_prob["val"][truth["val"] == _label], _edges, color=_color, alpha=0.6, label=_name
        )
    _left.axvline(line.value, color=INK, linewidth=2)
    _left.set(xlabel="probability of positive", ylabel="patches")
    legend(_left)
    _steps = np.linspace(0.01, 0.99, 99)
    _all = [rates(confusion(truth["val"], y_prob["val"], threshold=_t)) for _t in _steps]
    for _key, _color in (
        ("sensitivity", ORANGE),
        ("specificity", BLUE),
        ("balanced_accuracy", GREEN),
    ):
        _right.plot(
            _steps, [float(_r[_key]) for _r in _all], color=_color, label=_key.replace("_", " ")
        )
    _right.axvline(line.value, color=INK, linewidth=2)
    _right.set(xlabel="threshold", ylabel="share", ylim=(0, 1.02))
    legend(_right)
    _figure
    return


@app.cell
def _(truth, y_prob):
    chosen = choose_threshold(truth["val"], y_prob["val"]).threshold
    peeked = choose_threshold(truth["test"], y_prob["test"]).threshold  # never do this
    outcome = {
        name: float(
            rates(confusion(truth["test"], y_prob["test"], threshold=t))["balanced_accuracy"]
        )
        for name, t in (("chosen on validation", chosen), ("chosen on test", peeked), ("0.5", 0.5))
    }
    return chosen, outcome, peeked


@app.cell(hide_code=True)
def _(chosen, outcome, peeked):
    mo.md(f"""
    | threshold | value | balanced accuracy on test |
    |:--|--:|--:|
    | chosen on validation | {chosen:.2f} | {outcome["chosen on validation"]:.3f} |
    | one half, because it is round | 0.50 | {outcome["0.5"]:.3f} |
    | chosen on test itself | {peeked:.2f} | {outcome["chosen on test"]:.3f} |

    {"Here the round number does better than the chosen one: with so few validation cases, a choice can miss." if outcome["0.5"] > outcome["chosen on validation"] else ""}
    The last row can never be the worst: it was picked because it is the best *on these very patches*.
    On new cases there is nothing to pick from. So the threshold is chosen on validation, kept with
    the model, and used on test as it is. The same is true for everything that is chosen: the network,
    the epoch, the temperature of the next section.
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
    ## Does 80 % mean 80 %?

    A probability is **calibrated** if, of all patches that get 0.8, about 80 % are positive. A
    network can rank patches well and still be far too sure, or too modest: AUROC cannot tell, since
    it looks only at the order. So sort the patches by probability, put neighbors together in bins,
    and compare what was predicted with what came.

    One number often mends it: divide all logits by a **temperature** $T$ before the softmax. $T > 1$
    makes answers more modest, $T < 1$ more sure. The order stays; no decision at the same place of
    the order changes. Try to find the best one by hand (the curve is the log loss on validation: how
    surprised one is, on average, by the truth):
    """)
    return


@app.cell
def _():
    heat = mo.ui.slider(
        steps=[0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0],
        value=1.0, label="temperature T", show_value=True,
    )  # fmt: skip
    heat
    return (heat,)


@app.cell(hide_code=True)
def _(cases, heat, logits, truth):
    def surprise(temperature):
        p = softmax(logits["val"], temperature=temperature)
        return float(-np.log(p[np.arange(len(p)), truth["val"]].clip(1e-12)).mean())

    _prob = softmax(logits["val"], temperature=heat.value)[:, 1]
    _measured = measure_calibration(
        Scored.of(truth["val"], _prob, cases["val"]), {"before": _prob}, bins=8, replicates=20,
    )["before"]  # fmt: skip
    _figure, (_left, _right) = canvas(
        f"T = {heat.value:g}: log loss {surprise(heat.value):.3f}, calibration error "
        f"{_measured['ece']['value']:.3f}",
        "Validation cases; each point is the same number of patches",
        panels=2, width_in=9.6, height_in=4.2,
    )  # fmt: skip
    _left.plot([0, 1], [0, 1], color=QUIET, linestyle="--", linewidth=1.4, label="calibrated")
    _left.plot(
        [_b["predicted"] for _b in _measured["bins"]],
        [_b["observed"] for _b in _measured["bins"]],
        "o-", color=BLUE, markersize=7, label="this network",
    )  # fmt: skip
    _left.set(xlabel="predicted probability", ylabel="share that is positive")
    legend(_left)
    _grid = np.geomspace(0.2, 3, 60)
    _right.plot(_grid, [surprise(_t) for _t in _grid], color=BLUE, linewidth=2)
    _right.plot(heat.value, surprise(heat.value), "o", color=ORANGE, markersize=10)
    _right.set(xlabel="temperature T", ylabel="log loss", xscale="log")
    _right.set_xticks([0.2, 0.5, 1, 2, 3], ["0.2", "0.5", "1", "2", "3"])
    _right.minorticks_off()
    _figure
    return (surprise,)


@app.cell(hide_code=True)
def _(cases, logits, surprise, truth):
    best_heat = float(fit_temperature(truth["val"], logits["val"]))
    _on_test = measure_calibration(
        Scored.of(truth["test"], softmax(logits["test"]), cases["test"]),
        {
            "before": softmax(logits["test"])[:, 1],
            "temperature": softmax(logits["test"], temperature=best_heat)[:, 1],
        },
        bins=8, replicates=20,
    )  # fmt: skip
    mo.md(f"""
    The lowest point is at $T = {best_heat:.2f}$: log loss {surprise(best_heat):.3f} instead of
    {surprise(1.0):.3f}. This network is **{"too modest" if best_heat < 1 else "too sure"}**.
    On the *test* cases, which the temperature has not seen, the error between predicted and observed
    goes from {_on_test["before"]["ece"]["value"]:.3f} to
    {_on_test["temperature"]["ece"]["value"]:.3f}, and the Brier score (the mean squared error of the
    probability, smaller is better) from {_on_test["before"]["brier"]["value"]:.3f} to
    {_on_test["temperature"]["brier"]["value"]:.3f}. Whether it helps on other cases is a question to
    measure, not to assume.

    ## How different might it have come out?

    The test part has {len(truth["test"])} patches, but only {len(set(cases["test"]))} cases. Which of the two
    numbers shows how sure a figure is? The **bootstrap** answers by pretending: draw as many again
    from what is there, with repetition, measure, and repeat. The middle 95 % of the results are the
    interval. Draw *patches*, or draw *whole cases*:
    """)
    return (best_heat,)


@app.cell
def _(cases, truth, y_prob):
    over = {
        "patches": bootstrap(truth["test"], y_prob["test"], None, replicates=1000)["auroc"],
        "cases": bootstrap(truth["test"], y_prob["test"], cases["test"], replicates=1000)["auroc"],
    }
    one_case = {
        str(name): auroc(truth["test"][mine], y_prob["test"][mine])
        for name in np.unique(cases["test"])
        for mine in [cases["test"] == name]
    }
    return one_case, over


@app.cell(hide_code=True)
def _(one_case, over):
    _figure, (_axes,) = canvas(
        f"AUROC {over['cases'].value:.3f}, and how sure that is",
        "95 % intervals of 1,000 draws each; below, the AUROC within each test case",
        width_in=8.4, height_in=3.6, side_in=1.6,
    )  # fmt: skip
    for _y, (_name, _color) in enumerate((("cases", BLUE), ("patches", ORANGE)), start=1):
        _i = over[_name]
        _axes.plot([_i.low, _i.high], [_y, _y], color=_color, linewidth=5, solid_capstyle="round")
        _axes.plot(_i.value, _y, "o", color=INK, markersize=9, zorder=4)
    _axes.plot(list(one_case.values()), [0] * len(one_case), "d", color=QUIET, markersize=9)
    _axes.set_yticks([0, 1, 2], ["single cases", "drawing cases", "drawing patches"])
    _axes.set(xlabel="AUROC", ylim=(-0.6, 2.6))
    _figure
    return


@app.cell(hide_code=True)
def _(over):
    _wide = [_i.high - _i.low for _i in (over["cases"], over["patches"])]
    _few = (
        ""
        if _wide[0] > _wide[1]
        else "Narrower, for once: these few test cases happen to be alike, and drawing from a "
        "handful of cases shows too little of how cases differ. Do not take comfort in it."
    )
    mo.md(f"""
    Over cases the interval is {_wide[0]:.3f} wide, over patches {_wide[1]:.3f}:
    {_wide[0] / _wide[1]:.1f} times as wide. {_few}
    The patches of one case have one stain, one scanner and one disease in common; fifty of them are
    not fifty independent witnesses. A new patient brings a new *case*, so cases are drawn. And with
    so few of them, even that interval is only a rough guide: eosin warns of it beside every figure.
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
    ## All of it at once

    `eosin evaluate RUN` does what you did: threshold and temperature from validation, figures on
    test, intervals over cases, baselines beside them, and every doubt in words. In Python:
    """)
    return


@app.cell
def _(session):
    evaluation = assess(session, replicates=300).evaluation
    return (evaluation,)


@app.cell(hide_code=True)
def _(evaluation):
    def _row(name, found):
        _low = "" if found["low"] is None else f"{found['low']:.3f} to {found['high']:.3f}"
        return f"| {name} | {found['value']:.3f} | {_low} |"

    _rows = [
        _row("AUROC", evaluation["auroc"]),
        _row("balanced accuracy", evaluation["balanced_accuracy"]),
        _row("sensitivity", evaluation["sensitivity"]),
        _row("specificity", evaluation["specificity"]),
        _row("AUROC of color alone", evaluation["baselines"]["color_histogram"]["auroc"]),
    ]
    mo.md(
        "| figure | value | 95 % interval over cases |\n|:--|--:|--:|\n"
        + "\n".join(_rows)
        + "\n\nAnd it warns:\n\n"
        + "\n".join(f"- {_w}" for _w in [*evaluation["marks"], *evaluation["warnings"]])
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Summary

    - Split by **case**; let the audit look for what the parts share.
    - Choose everything (network, epoch, threshold, temperature) on **validation**; look at test once.
    - A good order (AUROC) does not make good probabilities: look at the **reliability** curve, and
      fit a temperature.
    - Intervals draw **cases**, not patches. Few cases, wide interval; report it.
    - Put a baseline beside each figure: the base rate, color alone.

    **Next:** lesson 14, a better network in two minutes. `eosin learn 14`
    """)
    return


if __name__ == "__main__":
    app.run()
