# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""Gradient descent

Goal: walk a line down its loss, step by step, and see what the learning rate does to the walk.
Minutes: 12
Prerequisites: lesson 3 (a loss measures how wrong the answers are)
"""

import marimo

app = marimo.App(width="medium", app_title="4. Gradient descent", css_file="house.css")

with app.setup(hide_code=True):
    import marimo as mo
    import numpy as np
    from sklearn.datasets import load_breast_cancer

    from eosin.figures.canvas import BLUE, GREEN, INK, MARK, ORANGE, QUIET, canvas, legend
    from eosin.guide.catalog import exercises_of
    from eosin.guide.notebook import ask, house_look, tell
    from eosin.scratch.descent import gradient_descent
    from eosin.scratch.line import Line, highest_stable_rate, surface

    house_look()


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 4. Gradient descent

    **Goal.** You walk a line down its loss, step by step, and see what the learning rate does.
    **You need** lesson 3: a loss is one number that measures how wrong the answers are.
    About 12 minutes.

    A network learns by making its loss smaller. It has thousands or millions of numbers to change,
    and nobody can try all combinations. There is one method, and it fits on one line:

    > Feel which way is downhill. Take a small step that way. Repeat.

    To *see* it, we take the smallest model that has something to learn: a line, with two numbers.
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## A question with a known answer

    scikit-learn contains real measurements of 569 breast tumors: cells were drawn out with a fine
    needle, photographed, and the nucleus of each cell was outlined. We take two of the
    measurements, each a mean over the nuclei of one tumor: the **radius** $x$ and the
    **perimeter** $y$. Were nuclei circles, the perimeter would be $2 \pi$ times the radius.
    A line says

    $$\text{perimeter} \approx w \cdot \text{radius} + b .$$

    The two numbers to learn are the **weight** $w$ and the **bias** $b$. Set $w$ by hand first:
    where is the loss lowest? (Research and education only, not for diagnosis.)
    """)
    return


@app.cell
def _():
    _table = load_breast_cancer()
    radius = _table.data[:, 0]  # float64 [569], in the unit of the measurements
    perimeter = _table.data[:, 2]
    return perimeter, radius


@app.cell(hide_code=True)
def _():
    by_hand = mo.ui.slider(2.0, 10.0, 0.1, value=4.0, label="weight w", show_value=True)
    by_hand
    return (by_hand,)


@app.cell(hide_code=True)
def _(by_hand, perimeter, radius):
    _line = Line(by_hand.value, 0.0)
    _figure, (_left, _right) = canvas(
        f"w = {_line.w:.1f}: the loss is {_line.loss(radius, perimeter):.1f}",
        "Each point is a tumor; the loss is the mean squared distance from the line",
        panels=2, width_in=9.6, height_in=4.4,
    )  # fmt: skip
    _left.plot(radius, perimeter, ".", color=QUIET, markersize=4, alpha=0.5)
    _ends = np.array([0.0, 30.0])
    _left.plot(_ends, _line.predict(_ends), color=BLUE, linewidth=2.5)
    _left.set(xlabel="radius x", ylabel="perimeter y", xlim=(0, 30), ylim=(0, 200))
    _weights = np.linspace(2, 10, 81)
    _losses = surface(radius, perimeter, w=_weights, b=[0.0])[0]
    _slope = _line.gradient(radius, perimeter)[0]
    _here = _line.loss(radius, perimeter)
    _right.plot(_weights, _losses, color=INK, linewidth=1.8)
    _reach = np.array([-0.9, 0.9])
    _right.plot(_line.w + _reach, _here + _slope * _reach, color=ORANGE, linewidth=2.5)
    _right.plot(_line.w, _here, "o", color=BLUE, markersize=10)
    _right.set(xlabel="weight w (with b = 0)", ylabel="loss", ylim=(-300, 4600))
    _right.text(
        0.5, 0.93, f"slope {_slope:+.0f}", transform=_right.transAxes,
        ha="center", color="#a8481a", fontsize=12,
    )  # fmt: skip
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    On the right is the loss for *every* $w$. A person sees the bottom at once; a program standing
    at one $w$ sees only what is under its feet: how steep the ground is. That is the orange line,
    the **slope**, which is the derivative of the loss.

    - Slope negative: the loss falls to the right, so $w$ should grow.
    - Slope positive: the loss falls to the left, so $w$ should shrink.
    - Near the bottom the slope is near 0, so there is little left to do.

    ## The slope, by formula and by nudging

    The loss is the mean over the points of $(w x + b - y)^2$. The chain rule gives one slope for
    each number to learn; the two together are the **gradient**:

    $$\frac{\partial L}{\partial w} = \text{mean of } 2\,(w x + b - y)\,x
    \qquad
    \frac{\partial L}{\partial b} = \text{mean of } 2\,(w x + b - y)$$

    Do not believe a formula that can be checked. Nudge $w$ a little to both sides, see how much the
    loss changes, and divide by the size of the nudge:
    """)
    return


@app.cell(hide_code=True)
def _(by_hand, perimeter, radius):
    _w, _h = by_hand.value, 1e-5
    _formula = Line(_w, 0.0).gradient(radius, perimeter)

    def _loss(w, b):
        return Line(w, b).loss(radius, perimeter)

    _nudged = (
        (_loss(_w + _h, 0.0) - _loss(_w - _h, 0.0)) / (2 * _h),
        (_loss(_w, _h) - _loss(_w, -_h)) / (2 * _h),
    )
    mo.md(f"""
    | at w = {_w:.1f}, b = 0 | by the formula | by nudging |
    |:--|--:|--:|
    | slope in $w$ | {_formula[0]:.4f} | {_nudged[0]:.4f} |
    | slope in $b$ | {_formula[1]:.4f} | {_nudged[1]:.4f} |

    Nudging needs two losses for *each* number to learn. For a network of 5 million numbers that
    is 10 million losses for one step; the formula gives all slopes at once. Lesson 6 finds that
    formula for any network.
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## The step

    $$w \leftarrow w - \text{rate} \cdot \frac{\partial L}{\partial w}
    \qquad
    b \leftarrow b - \text{rate} \cdot \frac{\partial L}{\partial b}$$

    The minus turns uphill into downhill. The **learning rate** sets how large a share of the slope
    becomes a step. Nobody tells us a good one; it is a number that *you* choose.

    Below is the loss seen from above, like a map of a valley: each gray curve joins lines with the
    same loss, and the white cross is the lowest point. Start where you like. Then try, in this
    order:

    1. The rate 0.0001 and 20 steps. Then 200 steps.
    2. The rate 0.003. What does the path do in its first steps?
    3. Raise the rate further, one notch at a time. Somewhere, something breaks.
    4. With a rate that works: start at $b = 40$. Where does the path stop making progress?
    """)
    return


@app.cell(hide_code=True)
def _():
    rate = mo.ui.slider(
        steps=[1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 2e-3, 3e-3, 4e-3, 4.5e-3, 4.6e-3, 4.8e-3, 5e-3, 6e-3],
        value=1e-4, label="learning rate", show_value=True,
    )  # fmt: skip
    steps = mo.ui.slider(1, 200, 1, value=20, label="steps", show_value=True)
    start_w = mo.ui.slider(-2.0, 14.0, 0.5, value=4.0, label="start w", show_value=True)
    start_b = mo.ui.slider(-60.0, 60.0, 5.0, value=0.0, label="start b", show_value=True)
    mo.hstack([mo.vstack([rate, steps]), mo.vstack([start_w, start_b])], justify="start", gap=3)
    return rate, start_b, start_w, steps


@app.cell(hide_code=True)
def _(perimeter, radius):
    # The best line by algebra (least squares): what descent should come to in the end.
    best = Line(*np.polyfit(radius, perimeter, 1))
    best_loss = best.loss(radius, perimeter)
    edge = highest_stable_rate(radius)
    map_w, map_b = np.linspace(-6.0, 18.0, 97), np.linspace(-80.0, 80.0, 81)
    map_loss = surface(radius, perimeter, w=map_w, b=map_b)
    return best, best_loss, edge, map_b, map_loss, map_w


@app.cell(hide_code=True)
def _(best, best_loss, map_b, map_loss, map_w, perimeter, radius, rate, start_b, start_w, steps):
    path = gradient_descent(
        radius, perimeter, w=start_w.value, b=start_b.value, rate=rate.value, steps=steps.value
    )
    _seen = (abs(path.w) < 1e6) & (abs(path.b) < 1e6)
    _color = MARK if path.diverged else BLUE
    _figure, (_left, _right) = canvas(
        f"After {len(path.w) - 1} steps: w = {path.line.w:.4g}, b = {path.line.b:.4g}, "
        f"loss {path.loss[-1]:.4g}",
        f"Start w = {path.w[0]:g}, b = {path.b[0]:g}; rate {rate.value:g}",
        panels=2, width_in=9.6, height_in=4.8,
    )  # fmt: skip
    _left.grid(False)
    _left.contourf(
        map_w, map_b, np.log10(map_loss), levels=24, cmap="Blues_r", alpha=0.55, zorder=0
    )
    _left.contour(
        map_w, map_b, map_loss, levels=[10, 100, 500, 2000, 6000, 15000, 30000],
        colors=QUIET, linewidths=0.7, zorder=1,
    )  # fmt: skip
    _left.plot(best.w, best.b, "X", color="white", markeredgecolor=INK, markersize=11, zorder=2)
    _left.plot(
        path.w[_seen], path.b[_seen], "o-", color=_color, markersize=4, linewidth=1.4, zorder=3
    )
    _left.plot(path.w[0], path.b[0], "s", color=ORANGE, markersize=9, zorder=4)
    _left.set(
        xlabel="weight w", ylabel="bias b", xlim=(map_w[0], map_w[-1]), ylim=(map_b[0], map_b[-1])
    )
    _finite = np.isfinite(path.loss)
    _right.plot(np.flatnonzero(_finite), path.loss[_finite], color=_color, linewidth=2.2)
    _right.axhline(best_loss, color=GREEN, linewidth=1.5, linestyle="--")
    _right.text(0, best_loss * 1.15, "lowest loss there is", color=GREEN, fontsize=10.5)
    _right.set(xlabel="step", ylabel="loss (each mark is 10 times)", yscale="log")
    _figure
    return (path,)


@app.cell(hide_code=True)
def _(best_loss, path, rate):
    _turns = int(np.sum(np.diff(path.w[:-1]) * np.diff(path.w[1:]) < 0)) if len(path.w) > 2 else 0
    if path.diverged:
        _said = (
            f"**It diverged.** Each step jumps over the valley and lands higher on the other side, "
            f"so the next slope is steeper and the next jump longer. The loss went from "
            f"{path.loss[0]:.4g} to {path.loss[-1]:.4g}."
        )
        _kind = "danger"
    elif _turns > 2:
        _said = (
            f"**It zigzags**: {_turns} of its steps turned back over the bottom of the valley. It "
            f"comes down all the same, to {path.loss[-1]:.4g}: each jump ends lower than it began."
        )
        _kind = "warn"
    elif path.loss[-1] > 2 * best_loss:
        _said = (
            f"**It is on its way**: the loss fell from {path.loss[0]:.4g} to {path.loss[-1]:.4g}; "
            f"the lowest is {best_loss:.4g}. More steps, or a higher rate than {rate.value:g}?"
        )
        _kind = "info"
    else:
        _said = f"**It is near the bottom**: {path.loss[-1]:.4g}; the lowest is {best_loss:.4g}."
        _kind = "success"
    mo.callout(mo.md(_said), kind=_kind)
    return


@app.cell(hide_code=True)
def _():
    first, second, third = exercises_of(4)
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
    ## Which rate?

    The same start ($w = 4$, $b = 0$), 50 steps, and a hundred rates. What is the loss at the end?
    """)
    return


@app.cell(hide_code=True)
def _(best_loss, edge, perimeter, radius):
    _rates = np.geomspace(1e-6, 6e-3, 100)
    _ends = np.array(
        [gradient_descent(radius, perimeter, rate=_r, steps=50).loss[-1] for _r in _rates]
    )
    _figure, (_axes,) = canvas(
        "Too low: slow. Too high: off the map.",
        "Loss after 50 steps, for each learning rate",
        width_in=8.4, height_in=4.4,
    )  # fmt: skip
    _axes.plot(_rates, _ends, color=BLUE, linewidth=2.2, label="loss after 50 steps")
    _axes.axvline(edge, color=MARK, linewidth=1.6, label=f"edge: {edge:.5f}")
    _axes.axvline(1e-4, color=ORANGE, linewidth=1.6, linestyle=":", label="rate 0.0001")
    _axes.axhline(best_loss, color=GREEN, linewidth=1.5, linestyle="--", label="lowest there is")
    _axes.set(xlabel="learning rate", ylabel="loss", xscale="log", yscale="log", ylim=(1, 1e6))
    legend(_axes)
    _best_rate = _rates[_ends.argmin()]
    rates_seen = (float(_best_rate), float(_ends.min()))
    _figure
    return (rates_seen,)


@app.cell(hide_code=True)
def _(edge, rates_seen):
    mo.md(f"""
    The best of these rates is {rates_seen[0]:.2g} (loss {rates_seen[1]:.2f}). A little further
    is a wall. Its place can be computed: it is 2 divided by the largest **curvature** of
    the loss, which is how fast the slope itself changes. Here that is **{edge:.5f}**. Just below
    it every step ends a little lower than it began; just above it, a little higher, and a little
    higher fifty times over is very high.

    For a network nobody knows the curvature. So people look at the loss: if it falls smoothly, they
    try three times the rate; if it jumps or grows, a third.
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
def _(best, best_loss, perimeter, radius):
    _early = gradient_descent(radius, perimeter, rate=4e-3, steps=50)
    _late = gradient_descent(radius, perimeter, rate=4e-3, steps=5000)
    mo.md(f"""
    ## The long valley

    Did you see it in the fourth try? The path fell to the floor of the valley, and then nearly
    stopped, far from the cross. At a rate of 0.004:

    | | w | b | loss |
    |:--|--:|--:|--:|
    | after 50 steps | {_early.line.w:.3f} | {_early.line.b:.3f} | {_early.loss[-1]:.3f} |
    | after 5,000 steps | {_late.line.w:.3f} | {_late.line.b:.3f} | {_late.loss[-1]:.3f} |
    | the lowest point | {best.w:.3f} | {best.b:.3f} | {best_loss:.3f} |

    Across the valley the ground is steep, along it nearly flat. The steep direction forbids a
    higher rate; the flat one would need it. All radii are far from 0 (7 to 28), so turning the
    line ($w$) and lifting it ($b$) do almost the same thing: that is what makes the valley long.
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    The cure is not a cleverer walk but better ground: **center and scale** the input before
    learning. Subtract the mean radius, then divide by the standard deviation (how far values
    typically are from the mean):
    """)
    return


@app.cell
def _(radius):
    scaled = (radius - radius.mean()) / radius.std()
    return (scaled,)


@app.cell(hide_code=True)
def _(best_loss, perimeter, radius, scaled):
    _best = Line(*np.polyfit(scaled, perimeter, 1))
    _w, _b = np.linspace(-75.0, 125.0, 81), np.linspace(-20.0, 180.0, 81)
    _loss = surface(scaled, perimeter, w=_w, b=_b)
    _figure, (_left, _right) = canvas(
        "On scaled inputs the valley is a bowl",
        "The same tumors, the same kind of line, radius centered and scaled",
        panels=2, width_in=9.6, height_in=4.6,
    )  # fmt: skip
    _left.grid(False)
    _left.contourf(_w, _b, np.log10(_loss), levels=24, cmap="Blues_r", alpha=0.55, zorder=0)
    _left.contour(_w, _b, _loss, levels=[30, 300, 1000, 3000, 7000], colors=QUIET, linewidths=0.7)
    _left.plot(_best.w, _best.b, "X", color="white", markeredgecolor=INK, markersize=11, zorder=2)
    for _rate, _color in ((0.9, GREEN), (0.2, BLUE), (0.02, ORANGE)):
        _path = gradient_descent(scaled, perimeter, rate=_rate, steps=30)
        _left.plot(_path.w, _path.b, "o-", color=_color, markersize=3.5, linewidth=1.3)
        _right.plot(_path.loss, color=_color, linewidth=2, label=f"scaled, rate {_rate:g}")
    _right.plot(
        gradient_descent(radius, perimeter, rate=4e-3, steps=30).loss,
        color=INK, linewidth=1.6, linestyle=":", label="not scaled, rate 0.004",
    )  # fmt: skip
    _right.axhline(best_loss, color=QUIET, linewidth=1.2, linestyle="--")
    _left.set(xlabel="weight w", ylabel="bias b", xlim=(_w[0], _w[-1]), ylim=(_b[0], _b[-1]))
    _right.set(xlabel="step", ylabel="loss", yscale="log")
    legend(_right)
    _figure
    return


@app.cell(hide_code=True)
def _(best_loss, edge, perimeter, radius, scaled):
    _columns = np.stack([radius, np.ones_like(radius)], axis=1)
    _flat, _steep = np.linalg.eigvalsh(2 * _columns.T @ _columns / len(radius))
    _end = gradient_descent(scaled, perimeter, rate=0.2, steps=30).loss[-1]
    mo.md(f"""
    Before scaling, the steepest direction was **{_steep / _flat:,.0f} times** as steep as the
    flattest; after it, both are alike, and the highest stable rate went from {edge:.4f} to
    {highest_stable_rate(scaled):.1f}. Thirty steps at 0.2 now reach {_end:.4f} (the lowest is
    {best_loss:.4f}), which 5,000 steps did not before. This is why eosin's own recipes center and
    scale the colors of their patches first.

    And the nuclei? In these tumors the perimeter is on average
    {np.mean(perimeter / radius):.2f} times the radius, above $2 \\pi = 6.28$: an outline that is
    bumpy or stretched has more edge than a circle.
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Summary

    - The **gradient** has one slope for each number to learn; a step goes against it.
    - The **learning rate** sets how large a share of the slope becomes a step. Too low is slow;
      above 2 divided by the largest curvature, the walk diverges.
    - Where the ground is much steeper one way than another, no rate suits both. **Center and scale
      the inputs** first.
    - A slope can be checked by nudging. Nudging is too slow to learn by.

    **Next:** lesson 5 walks with a few examples at a time, as every large network does.
    `eosin learn 5`
    """)
    return


if __name__ == "__main__":
    app.run()
