# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""Stochastic descent

Goal: descend with a few examples at a time, and weigh noise against cost: batch size, epochs,
  rate and momentum.
Minutes: 12
Prerequisites: lesson 4 (gradient descent)
"""

import marimo

app = marimo.App(width="medium", app_title="5. Stochastic descent", css_file="house.css")

with app.setup(hide_code=True):
    import time

    import marimo as mo
    import numpy as np
    from sklearn.datasets import load_breast_cancer

    from eosin.figures.canvas import BLUE, GREEN, INK, MARK, ORANGE, PURPLE, QUIET, canvas, legend
    from eosin.guide.catalog import exercises_of
    from eosin.guide.notebook import ask, house_look, tell
    from eosin.scratch.descent import gradient_descent, stochastic_descent
    from eosin.scratch.line import Line, surface

    house_look()


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 5. Stochastic descent

    **Goal.** You descend with a few examples at a time, and weigh noise against cost: batch size,
    epochs, rate, momentum. **You need** lesson 4 (gradient descent). About 12 minutes.

    In lesson 4 each step looked at all 569 tumors. The breast-cancer archive that this guide leads
    to has 277,524 patches. Must one look at all of them to take one step?
    """)
    return


@app.cell
def _():
    _table = load_breast_cancer()
    _radius, perimeter = _table.data[:, 0], _table.data[:, 2]
    radius = (_radius - _radius.mean()) / _radius.std()  # centered and scaled, as in lesson 4
    best = Line(*np.polyfit(radius, perimeter, 1))
    best_loss = best.loss(radius, perimeter)
    return best, best_loss, perimeter, radius


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Ask a few instead of all

    The slope is a *mean* over the tumors, and a mean can be guessed from a sample, like an opinion
    poll. Below, the descent is at the start, $w = 4$, $b = 0$. The thick arrow is the step that
    all 569 agree on. Each thin line is the step that a random **batch** would take instead.
    (Research and education only, not for diagnosis.)
    """)
    return


@app.cell(hide_code=True)
def _():
    poll = mo.ui.slider(
        steps=[1, 2, 4, 8, 16, 32, 64, 128, 256], value=4, label="batch size", show_value=True
    )
    poll
    return (poll,)


@app.cell(hide_code=True)
def _(best, perimeter, poll, radius):
    def slopes_of_batches(at, size, count, seed=0):
        """The gradients at a line of ``count`` random batches, float64 [count, 2]."""
        _rng = np.random.default_rng(seed)
        _found = []
        for _ in range(count):
            _rows = _rng.choice(len(radius), size, replace=False)
            _found.append(at.gradient(radius[_rows], perimeter[_rows]))
        return np.array(_found)

    _start = Line(4.0, 0.0)
    _all = -0.25 * np.array(_start.gradient(radius, perimeter))
    _some = -0.25 * slopes_of_batches(_start, poll.value, 60)
    _near = Line(best.w - 1.0, best.b + 1.0)
    _all_near = -0.25 * np.array(_near.gradient(radius, perimeter))
    _some_near = -0.25 * slopes_of_batches(_near, poll.value, 60)
    _wrong = float(np.mean(_some_near @ _all_near < 0))
    _figure, (_left, _right) = canvas(
        f"60 batches of {poll.value}: {_wrong:.0%} of them lead uphill near the bottom",
        "Steps at a rate of 0.25, from the start (left) and from near the bottom (right)",
        panels=2, width_in=9.6, height_in=4.6,
    )  # fmt: skip
    for _axes, _line, _full, _parts, _span in (
        (_left, _start, _all, _some, 90.0),
        (_right, _near, _all_near, _some_near, 4.0),
    ):
        for _dw, _db in _parts:
            _axes.plot(
                [_line.w, _line.w + _dw], [_line.b, _line.b + _db], color=BLUE, linewidth=1,
                alpha=0.4,
            )  # fmt: skip
        _axes.annotate(
            "", (_line.w + _full[0], _line.b + _full[1]), (_line.w, _line.b),
            arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 2.6}, zorder=5,
        )  # fmt: skip
        _axes.plot(best.w, best.b, "X", color="white", markeredgecolor=INK, markersize=12, zorder=6)
        _axes.plot(_line.w, _line.b, "s", color=ORANGE, markersize=8, zorder=6)
        _axes.set(xlabel="weight w", ylabel="bias b")
        _axes.set(xlim=(_line.w - _span, _line.w + _span), ylim=(_line.b - _span, _line.b + _span))
    _left.set(xlim=(-50, 110), ylim=(-20, 140))
    _figure
    return (slopes_of_batches,)


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Far from the bottom, even a handful agree that the way is up, to a higher $b$. Near it they
    quarrel: the true slope is small, and the differences between tumors are as large as ever.
    Remember that; it explains everything that follows.

    ## How noisy is a batch?

    For each batch size, 1,500 batches near the bottom, and how far their slopes are from the slope
    of all:
    """)
    return


@app.cell(hide_code=True)
def _(best, perimeter, radius, slopes_of_batches):
    _at = Line(best.w - 1.0, best.b + 1.0)
    _truth = np.array(_at.gradient(radius, perimeter))
    sizes = np.array([1, 2, 4, 8, 16, 32, 64])
    noise = np.array(
        [
            np.sqrt(
                np.mean(np.sum((slopes_of_batches(_at, _s, 1500, seed=1) - _truth) ** 2, axis=1))
            )
            for _s in sizes
        ]
    )
    _figure, (_axes,) = canvas(
        "Four times the batch, half the noise",
        "Typical distance of a batch's slope from the slope of all 569 tumors",
        width_in=8.0, height_in=4.2,
    )  # fmt: skip
    _axes.plot(sizes, noise, "o-", color=BLUE, linewidth=2.2, label="measured")
    _axes.plot(
        sizes, noise[0] / np.sqrt(sizes), color=ORANGE, linestyle="--", linewidth=1.8,
        label="1 / square root of the batch size",
    )  # fmt: skip
    _axes.axhline(
        np.hypot(*_truth), color=QUIET, linewidth=1.2, linestyle=":", label="the slope itself"
    )
    _axes.set(xlabel="batch size", ylabel="noise of the slope", xscale="log", yscale="log")
    _axes.set_xticks(sizes, [str(_s) for _s in sizes])
    _axes.minorticks_off()
    legend(_axes)
    _figure
    return noise, sizes


@app.cell(hide_code=True)
def _(noise, sizes):
    mo.md(f"""
    From a batch of {sizes[0]} to one of {sizes[4]}, the work grows {sizes[4]} times and the noise
    shrinks {noise[0] / noise[4]:.1f} times. Precision is bought ever more dearly: that is why
    nobody asks all.

    ## Walk with it

    Some words. A **step** uses one batch. An **epoch** is one pass in which every example is used
    once: shuffle the rows, cut them into batches, take a step with each. **Stochastic** means
    "with chance in it".

    Both walks below look at the same number of tumors: that is the fair comparison, for looking is
    what costs time. Try batch sizes 1, 16 and 569; then raise the rate with each.
    """)
    return


@app.cell(hide_code=True)
def _():
    batch = mo.ui.slider(
        steps=[1, 2, 4, 8, 16, 32, 64, 128, 569], value=16, label="batch size", show_value=True
    )
    epochs = mo.ui.slider(1, 10, 1, value=2, label="epochs", show_value=True)
    rate = mo.ui.slider(
        steps=[0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.5],
        value=0.1,
        label="rate",
        show_value=True,
    )
    momentum = mo.ui.slider(
        steps=[0.0, 0.5, 0.8, 0.9, 0.95], value=0.0, label="momentum", show_value=True
    )
    seed = mo.ui.number(0, 99, value=0, label="shuffle")
    mo.hstack(
        [mo.vstack([batch, epochs]), mo.vstack([rate, momentum]), seed], justify="start", gap=3
    )
    return batch, epochs, momentum, rate, seed


@app.cell(hide_code=True)
def _(batch, best, best_loss, epochs, momentum, perimeter, radius, rate, seed):
    walk = stochastic_descent(
        radius, perimeter, batch_size=batch.value, epochs=epochs.value, rate=rate.value,
        momentum=momentum.value, seed=int(seed.value or 0),
    )  # fmt: skip
    _full = gradient_descent(radius, perimeter, rate=0.4, steps=epochs.value)
    _w, _b = np.linspace(-20.0, 70.0, 73), np.linspace(-20.0, 180.0, 81)
    _loss = surface(radius, perimeter, w=_w, b=_b)
    _figure, (_left, _right) = canvas(
        f"{len(walk.w) - 1:,} steps, {epochs.value} epochs: loss {walk.loss[-1]:.4g}",
        f"The lowest loss is {best_loss:.3f}; all tumors a step at a rate of 0.4 reach "
        f"{_full.loss[-1]:.4g}",
        panels=2, width_in=9.6, height_in=4.8,
    )  # fmt: skip
    _left.grid(False)
    _left.contourf(_w, _b, np.log10(_loss), levels=24, cmap="Blues_r", alpha=0.5, zorder=0)
    _color = MARK if walk.diverged else BLUE
    _seen = (abs(walk.w) < 1e4) & (abs(walk.b) < 1e4)
    _left.plot(_full.w, _full.b, "o-", color=GREEN, markersize=4, linewidth=1.4)
    _left.plot(walk.w[_seen], walk.b[_seen], ".-", color=_color, markersize=3, linewidth=0.9)
    _left.plot(best.w, best.b, "X", color="white", markeredgecolor=INK, markersize=11, zorder=4)
    _left.set(xlabel="weight w", ylabel="bias b", xlim=(_w[0], _w[-1]), ylim=(_b[0], _b[-1]))
    _finite = np.isfinite(walk.loss)
    _looked = np.arange(len(walk.loss)) / walk.steps_per_epoch
    _right.plot(
        _looked[_finite], walk.loss[_finite], color=_color, linewidth=1.4,
        label=f"batches of {batch.value}",
    )  # fmt: skip
    _right.plot(
        np.arange(len(_full.loss)), _full.loss, "o-", color=GREEN, markersize=4,
        label="all, rate 0.4",
    )  # fmt: skip
    _right.axhline(best_loss, color=QUIET, linestyle="--", linewidth=1.2)
    _right.set(xlabel="epochs (work done)", ylabel="loss over all tumors", yscale="log")
    legend(_right)
    _figure
    return (walk,)


@app.cell(hide_code=True)
def _(best_loss, walk):
    _tail = walk.loss[-max(2, walk.steps_per_epoch // 2) :]
    if walk.diverged:
        _said, _kind = (
            "**It diverged.** A single batch may be steeper than the mean of all; and momentum "
            "multiplies the step by up to 1 / (1 - momentum).",
            "danger",
        )
    elif np.mean(_tail) > 1.5 * best_loss and np.ptp(_tail) < 0.5 * np.mean(_tail):
        _said, _kind = (
            f"**Still coming down**: {walk.loss[-1]:.4g}, and the lowest is {best_loss:.3f}. "
            "More epochs, a higher rate, smaller batches or momentum?",
            "info",
        )
    elif np.mean(_tail) > 1.05 * best_loss:
        _said, _kind = (
            f"**It hovers**: over its last half epoch the loss lay between {_tail.min():.3f} and "
            f"{_tail.max():.3f}; the lowest is {best_loss:.3f}. The rate is too high to land.",
            "warn",
        )
    else:
        _said, _kind = (
            f"**It has landed**: {np.mean(_tail):.4f} on average at the end; the lowest is "
            f"{best_loss:.4f}.",
            "success",
        )
    mo.callout(mo.md(_said), kind=_kind)
    return


@app.cell(hide_code=True)
def _():
    first, second, third = exercises_of(5)
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
    ## The same work, shared out differently

    Did you try a batch of 569 at a rate of 0.5? One step, and it is there: our inputs are scaled so
    well that the bowl is perfectly round, and all slopes point at its middle. Real problems are
    never so kind. So for a fair race we center the radius only halfway; the bowl becomes a valley.

    One epoch each, so each run looks at 569 tumors. For each batch size we allow the best of ten
    rates, and measure the mean loss over its last tenth of steps, on average over five shuffles:
    """)
    return


@app.cell
def _(best_loss, perimeter, radius):
    valley = radius + 1.5  # centered only halfway
    valley_best = Line(*np.polyfit(valley, perimeter, 1))
    assert abs(valley_best.loss(valley, perimeter) - best_loss) < 1e-9  # as good a line is there
    return valley, valley_best


@app.cell(hide_code=True)
def _(best_loss, perimeter, valley):
    _sizes = [1, 4, 16, 64, 256, 569]
    _rates = np.geomspace(0.001, 0.9, 10)
    after_one = []
    for _size in _sizes:
        _ends = []
        for _rate in _rates:
            _losses = [
                stochastic_descent(
                    valley, perimeter, batch_size=_size, epochs=1, rate=_rate, seed=_s
                ).loss
                for _s in range(5)
            ]
            _ends.append(np.mean([np.mean(_l[-max(1, len(_l) // 10) :]) for _l in _losses]))
        _k = int(np.nanargmin(_ends))
        after_one.append(
            {
                "batch size": _size,
                "steps": -(-569 // _size),
                "best of ten rates": f"{_rates[_k]:.3f}",
                "loss above the lowest": f"{_ends[_k] - best_loss:.3g}",
            }
        )
    mo.ui.table(after_one, selection=None)
    return (after_one,)


@app.cell(hide_code=True)
def _(after_one, perimeter, valley):
    def _seconds(size):
        _begin = time.perf_counter()
        for _ in range(300):
            Line(4.0, 0.0).gradient(valley[:size], perimeter[:size])
        return (time.perf_counter() - _begin) / 300

    _seconds(1)  # the first calls of a function are slower
    _ratio = _seconds(32) / _seconds(1)
    _best = min(after_one, key=lambda row: float(row["loss above the lowest"]))
    mo.md(f"""
    For the same work, many rough steps beat a few exact ones: a batch of
    **{_best["batch size"]}** gets lowest here, and all at once, a single step, is last or nearly
    so. Why, then, not always one at a time? Because work is not time. Just now, on this machine, a
    slope over 32 tumors took **{_ratio:.1f} times** as long as over one, not 32 times: a processor
    works on many rows together. So people take batches that fill the processor, usually 16 to 256,
    and no more.

    ## Hovering, and how to land

    At a fixed rate the walk never stops: near the bottom each batch kicks it out again. The lower
    the rate, the lower it hovers, and the longer it takes to get there. So use both: begin high,
    and lower the rate on the way.
    """)
    return


@app.cell(hide_code=True)
def _(best_loss, perimeter, radius):
    def _decaying(first, last, epochs_, size=8):
        _line, _found = Line(4.0, 0.0), []
        for _epoch, _rate in enumerate(np.geomspace(first, last, epochs_)):
            _path = stochastic_descent(
                radius, perimeter, batch_size=size, epochs=1, rate=_rate, seed=_epoch,
                w=_line.w, b=_line.b,
            )  # fmt: skip
            _line = _path.line
            _found.extend(_path.loss[:-1])
        return np.array(_found)

    _figure, (_axes,) = canvas(
        "A high rate to travel, a low one to land",
        "Batches of 8, 15 epochs; the mean over each 20 steps",
        width_in=8.4, height_in=4.4,
    )  # fmt: skip
    hover = {}
    for _name, _first, _last, _color in (
        ("0.3 throughout", 0.3, 0.3, ORANGE),
        ("0.003 throughout", 0.003, 0.003, PURPLE),
        ("from 0.3 down to 0.003", 0.3, 0.003, BLUE),
    ):
        _loss = _decaying(_first, _last, 15) - best_loss
        hover[_name] = float(_loss[-72:].mean())
        _cut = len(_loss) // 20 * 20
        _axes.plot(
            np.arange(_cut // 20) * 20 / 72, _loss[:_cut].reshape(-1, 20).mean(axis=1),
            color=_color, linewidth=2, label=_name,
        )  # fmt: skip
    _axes.set(xlabel="epoch", ylabel="loss above the lowest", yscale="log")
    legend(_axes)
    _figure
    return (hover,)


@app.cell(hide_code=True)
def _(hover):
    _rows = "\n".join(f"    | {name} | {value:.3g} |" for name, value in hover.items())
    mo.md(f"""
    | rate | loss above the lowest, mean of the last epoch |
    |:--|--:|
{_rows}

    eosin's own recipes (`compact`, `digits`) raise the rate in the first steps, and then lower it
    along a straight line to the end. The tutorial's keeps 0.001 throughout.

    ## Momentum

    Plain descent forgets: each step goes by the present slope alone. With **momentum** the walk has
    speed, as a ball has, and each slope only changes the speed:

    $$v \\leftarrow m\\,v - \\text{{rate}} \\cdot \\text{{slope}} \\qquad w \\leftarrow w + v$$

    Where slopes agree, speed adds up, to $1 / (1 - m)$ times the plain step: 10 times for
    $m = 0.9$. Where they alternate, they cancel. That helps most in a valley: the radius centered
    halfway, and all tumors in each step.
    """)
    return


@app.cell(hide_code=True)
def _(best_loss, perimeter, valley, valley_best):
    _w, _b = np.linspace(-10.0, 70.0, 73), np.linspace(-10.0, 110.0, 81)
    _loss = surface(valley, perimeter, w=_w, b=_b)
    _figure, (_left, _right) = canvas(
        "Momentum runs along the valley",
        "40 steps at a rate of 0.05, from the same start",
        panels=2, width_in=9.6, height_in=4.6,
    )  # fmt: skip
    _left.grid(False)
    _left.contourf(_w, _b, np.log10(_loss), levels=24, cmap="Blues_r", alpha=0.5, zorder=0)
    momentum_ends = {}
    for _momentum, _color in ((0.0, ORANGE), (0.8, BLUE), (0.95, PURPLE)):
        _path = stochastic_descent(
            valley, perimeter, batch_size=569, epochs=40, rate=0.05, momentum=_momentum
        )
        momentum_ends[_momentum] = float(_path.loss[-1] - best_loss)
        _left.plot(_path.w, _path.b, "o-", color=_color, markersize=3, linewidth=1.2)
        _right.plot(
            _path.loss - best_loss, color=_color, linewidth=2, label=f"momentum {_momentum:g}"
        )
    _left.plot(valley_best.w, valley_best.b, "X", color="white", markeredgecolor=INK, markersize=11)
    _left.set(xlabel="weight w", ylabel="bias b", xlim=(_w[0], _w[-1]), ylim=(_b[0], _b[-1]))
    _right.set(xlabel="step", ylabel="loss above the lowest", yscale="log")
    legend(_right)
    _figure
    return (momentum_ends,)


@app.cell(hide_code=True)
def _(momentum_ends):
    mo.md(f"""
    After 40 steps, above the lowest: {momentum_ends[0.0]:.3g} without momentum,
    {momentum_ends[0.8]:.3g} with 0.8, {momentum_ends[0.95]:.3g} with 0.95, which shoots past and
    swings back. Momentum is a rate in disguise: raise it and the rate may have to come down.
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

    - A **batch** guesses the slope; four times the batch halves the noise. A **step** uses one
      batch, an **epoch** uses every example once.
    - Compare runs by the work they did, not by their steps.
    - Noise does little harm far from the bottom and rules near it: a high rate to travel, a low one
      to land.
    - **Momentum** adds up what slopes agree on; it helps along valleys, and acts as a higher rate.

    **Next:** lesson 6 finds the slopes of every weight in a network. `eosin learn 6`
    """)
    return


if __name__ == "__main__":
    app.run()
