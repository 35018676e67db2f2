# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""From patch to slide

Goal: turn the answers for patches into a heatmap of a slide, and see in how many ways it can mislead.
Minutes: 12
Prerequisites: lesson 13 (honest evaluation) and lesson 14 (a better network)
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="17. From patch to slide", css_file="house.css")

with app.setup(hide_code=True):
    import cv2
    import marimo as mo
    import numpy as np
    import torch

    from eosin.config import read_recipe
    from eosin.errors import needing
    from eosin.evaluation.ranking import auroc
    from eosin.figures.canvas import BLUE, INK, ORANGE, PURPLE, QUIET, canvas, legend
    from eosin.guide.catalog import exercises_of
    from eosin.guide.notebook import ask, house_look, tell, workplace
    from eosin.inference.assess import assess
    from eosin.inference.predictor import load
    from eosin.models.classifier import load_classifier
    from eosin.scanning.blocks import batches, plan_of
    from eosin.scanning.cells import raster
    from eosin.scanning.grid import Lens, grid_of
    from eosin.slides.find import TissueSettings, find_tissue
    from eosin.slides.opening import open_slide
    from eosin.splitting.splits import by_case
    from eosin.synthetic.archive import POSITIVE_SHARE, cut, make_store
    from eosin.synthetic.cases import make_case
    from eosin.training.session import fit, start

    with needing("slides", "lesson 17"):
        import tifffile

    house_look()
    #: On pictures of tissue, which are as bright on a dark page.
    OUTLINE = "#0b3d91"


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 17. From patch to slide

    **Goal.** You turn the answers for single patches into a heatmap of a slide, step by step, and see
    in how many ways a convincing heatmap can mislead. **You need** lessons 13 and 14. About
    12 minutes.

    So far a patch came ready: cut out, at the right scale, with a label. On a slide all of that is
    yours to decide: *how large is a patch, where are patches taken, and what does an answer say about
    the place it came from?* Every decision changes the picture, and none of the wrong ones gives
    an error.

    *Research and education only, not for diagnosis. The patches and slides here are drawn by a
    program and are not tissue: their figures tell nothing about cancer.*
    """)
    return


@app.cell(hide_code=True)
def _():
    first, second, third, fourth = exercises_of(17)
    return first, fourth, second, third


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## A slide is a pyramid

    A slide of 2 x 1.5 cm at 0.25 **micrometers a pixel** (mpp) has 80,000 x 60,000 pixels: too many
    to open as a picture. So the file has tiles, which can be read one by one, and several **levels**:
    the whole slide again, each time smaller. Level 0 is the largest.

    Here is a small one. The section is drawn at 4 micrometers a pixel; enlarged four times, with the
    grain of a camera, it becomes level 0. It is written as a real slide file and opened as one.
    """)
    return


@app.cell(hide_code=True)
def _():
    def write_slide(path, picture):
        """A tiled TIFF with levels of 1, 4 and 16 micrometers a pixel from a picture of 4."""
        level = cv2.resize(picture, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
        grain = np.random.default_rng(0).normal(0, 12, (512, 512, 3))
        tall, wide = level.shape[:2]
        grain = np.tile(grain.astype(np.int16), (tall // 512 + 1, wide // 512 + 1, 1))
        level = np.clip(level + grain[:tall, :wide], 0, 255).astype(np.uint8)
        with tifffile.TiffWriter(path) as tiff:
            for factor in (1, 4, 16):
                tiff.write(
                    level, tile=(256, 256), photometric="rgb", compression="jpeg",
                    compressionargs={"level": 90}, subfiletype=int(factor > 1), metadata=None,
                    resolution=(1e4 / factor, 1e4 / factor), resolutionunit="CENTIMETER",
                )  # fmt: skip
                half = (level.shape[1] // 4, level.shape[0] // 4)
                level = cv2.resize(level, half, interpolation=cv2.INTER_AREA)
        return path

    return (write_slide,)


@app.cell
def _(write_slide):
    folder = workplace()
    section = make_case("90300", 5, width_px=1100, height_px=880, burden=0.12)
    path = write_slide(folder / "slide.tif", section.image)
    slide = open_slide(path)
    return folder, path, section, slide


@app.cell(hide_code=True)
def _(slide):
    _rows = [
        f"| {_k} | {_level.width_px:,} x {_level.height_px:,} | {slide.width_px // _level.width_px} "
        f"| {50 * slide.width_px // _level.width_px} |"
        for _k, _level in enumerate(slide.levels)
    ]
    mo.md(
        "| level | pixels | micrometers a pixel | 50 pixels show, in micrometers |\n|--:|--:|--:|--:|\n"
        + "\n".join(_rows)
        + f"\n\nThe scale is {slide.scale.x_um:g} because the file says so: *{slide.scale.source}*. "
        "Move the slider: a patch of 50 pixels is another piece of tissue at each level."
    )
    return


@app.cell
def _():
    which = mo.ui.slider(0, 2, 1, value=1, label="level", show_value=True)
    which
    return (which,)


@app.cell(hide_code=True)
def _(slide, which):
    _factor = slide.width_px // slide.levels[which.value].width_px
    _x, _y, _side = 2300, 1500, 50 * _factor  # the middle of the field, in level-0 pixels
    _left, _top = (int((_at - _side / 2) / _factor) for _at in (_x, _y))
    _patch, _ = slide.region(which.value, _left, _top, 50, 50)
    _figure, (_whole, _near) = canvas(
        f"Level {which.value}: 50 pixels show {_side} micrometers",
        "Left: the slide and the field of the patch. Right: the patch, 50 x 50 pixels",
        panels=2, width_in=9.6, height_in=4.2, side_in=0.2, foot_in=0.2,
    )  # fmt: skip
    _small, _ = slide.region(2, 0, 0, slide.levels[2].width_px, slide.levels[2].height_px)
    _whole.imshow(_small, extent=(0, slide.width_px, slide.height_px, 0), interpolation="none")
    _whole.plot(
        _x + np.array([-1, 1, 1, -1, -1]) * _side / 2, _y + np.array([-1, -1, 1, 1, -1]) * _side / 2,
        color=OUTLINE, linewidth=2,
    )  # fmt: skip
    _near.imshow(_patch, interpolation="none")
    for _axes in (_whole, _near):
        _axes.axis("off")
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    A network learned what tissue looks like at *one* scale. The patches of this guide have
    50 pixels of 4 micrometers, 200 micrometers in all. So on any slide a patch is 200 micrometers,
    however many pixels that takes:

    $$\text{pixels of level 0} = \frac{50 \times \text{mpp of the network}}{\text{mpp of the slide}}$$
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
    ## Reduce by area, do not skip pixels

    Rarely is there a level of just the right scale. Then the next *finer* one is read and reduced
    (never a coarser one enlarged: what is not there cannot be added). There are two ways to make one
    pixel of $k \times k$: take their **mean** (reduction by area), or keep one and skip the rest
    (**decimation**), which is what `picture[::4, ::4]` does. If each pixel has its own grain of
    spread $\sigma$, that of the mean is $\sigma / k$; where pixels are skipped, it stays $\sigma$.
    """)
    return


@app.cell
def _():
    factor = mo.ui.slider(steps=[2, 4, 8, 16], value=4, label="reduced by k", show_value=True)
    factor
    return (factor,)


@app.cell(hide_code=True)
def _(factor, slide):
    _k = factor.value
    _field, _ = slide.region(0, 2000, 1400, 320, 320)
    _glass, _ = slide.region(0, 0, 0, 320, 320)

    def both(picture):
        by_area = cv2.resize(picture, None, fx=1 / _k, fy=1 / _k, interpolation=cv2.INTER_AREA)
        return by_area, picture[::_k, ::_k]

    _spread = [float(_reduced.std(axis=(0, 1)).mean()) for _reduced in both(_glass)]
    _figure, _panels = canvas(
        f"Grain on glass: {_spread[0]:.1f} gray values by area, {_spread[1]:.1f} by skipping",
        f"The same field of 320 micrometers, reduced {_k} times; left by area, right by skipping",
        panels=2, width_in=8.4, height_in=4.4, side_in=0.2, foot_in=0.2,
    )  # fmt: skip
    for _axes, _reduced in zip(_panels, both(_field), strict=True):
        _axes.imshow(_reduced, interpolation="none")
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
    ## Tissue and grid

    Most of a slide is glass. A mask at low power says where tissue is, and a grid of patches is laid
    over it; a patch is asked about if enough of it is tissue. How much is enough?
    """)
    return


@app.cell
def _(slide):
    # The drawn section has no folds and no pen, so these are not looked for.
    tissue = find_tissue(slide, TissueSettings(flaws=False))
    lens = Lens(patch_px=(50, 50), mpp=4.0)  # how the network looks at a slide
    return lens, tissue


@app.cell
def _():
    least = mo.ui.slider(0.0, 0.9, 0.05, value=0.25, label="least share of tissue", show_value=True)
    least
    return (least,)


@app.cell
def _(least, lens, slide, tissue):
    chosen = grid_of(slide, tissue, lens, least=least.value)
    return (chosen,)


@app.cell(hide_code=True)
def _(chosen, least, slide, tissue):
    _area = len(chosen) * 0.2**2
    _mask = tissue.areas_mm2()["tissue"]
    _figure, (_axes,) = canvas(
        f"{len(chosen)} patches of {chosen.columns * chosen.rows}",
        f"At least {least.value:.0%} tissue: the patches cover {_area:.1f} mm2, the mask has "
        f"{_mask:.1f} mm2",
        width_in=6.4, height_in=5.0, side_in=0.2, foot_in=0.2,
    )  # fmt: skip
    _small, _ = slide.region(2, 0, 0, slide.levels[2].width_px, slide.levels[2].height_px)
    _axes.imshow(_small, extent=(0, slide.width_px, slide.height_px, 0), interpolation="none")
    _x, _y = (_at[:, None] for _at in chosen.corners())
    _side = float(chosen.field_px[0])
    _axes.plot(
        (_x + np.array([0, _side, _side, 0, 0, np.nan]) * 1.0).ravel(),
        (_y + np.array([0, 0, _side, _side, 0, np.nan]) * 1.0).ravel(),
        color=OUTLINE, linewidth=0.9,
    )  # fmt: skip
    _axes.set(xlim=(0, slide.width_px), ylim=(slide.height_px, 0))
    _axes.axis("off")
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    With a low share, patches of the border come in that are mostly glass; with a high one, the border
    of the tissue is never looked at, and the area that was scanned is smaller than the tissue. Either
    way *the share is part of the result*. eosin uses 25 %.

    ## From answers to a heatmap

    Now the network: a narrow `compact`, trained as in lesson 14 on made-up cases that are not this
    slide. Its threshold comes from its validation cases.
    """)
    return


@app.cell
def _(folder):
    store = make_store(folder / "patches.store", cases=16, patches_per_case=60, seed=3)
    _small = ["batch_size=32", "arguments.widths=[8,16,32,64]", "arguments.blocks=[0,0,1,1]"]
    session, _ = start(
        store, by_case(store), read_recipe("compact", ["epochs=6", *_small]), folder / "run"
    )
    _facts = fit(session)
    evaluation = assess(session, replicates=20, with_baselines=False).evaluation
    network = load(session.run.path)
    rule = network.facts.decision()
    threshold = rule.point.threshold
    return evaluation, network, rule, session, threshold


@app.cell
def _():
    def answers(slide, grid, network):
        """What a network says to a grid: patches, probability of tumor, distance from training."""
        patches = np.empty((len(grid), 50, 50, 3), np.uint8)
        for cells, read in batches(slide, grid, plan_of(slide, grid), 256):
            patches[cells] = read
        probabilities, distances = network.examine(patches)
        return patches, probabilities[:, 1], distances

    return (answers,)


@app.cell
def _(answers, lens, network, slide, tissue):
    grid = grid_of(slide, tissue, lens)
    patches, probability, distance = answers(slide, grid, network)
    return distance, grid, patches, probability


@app.cell(hide_code=True)
def _(section):
    #: Tumor as it was drawn, in pixels of level 2.
    drawn = cv2.resize(section.truth.astype(np.float32), (275, 220), interpolation=cv2.INTER_AREA)

    def truth_of(grid):
        """Whether each patch shows enough drawn tumor to be labeled positive: int64 [n]."""
        x, y = (at // 4 for at in grid.corners())
        side = max(1, round(float(grid.field_px[0]) / 4))
        summed = np.pad(section.truth, ((1, 0), (1, 0))).astype(np.int64).cumsum(0).cumsum(1)
        low, right = np.minimum(y + side, 880), np.minimum(x + side, 1100)
        shown = summed[low, right] - summed[y, right] - summed[low, x] + summed[y, x]
        return (shown >= POSITIVE_SHARE * side**2).astype(np.int64)

    def heat_of(grid, values):
        """The value at each pixel of level 2, NaN where there is no patch: float [220, 275]."""
        at = np.arange(275) * 16.0 + 8, np.arange(220) * 16.0 + 8
        numbers = raster(grid, np.arange(len(grid)), -1, *at)
        return np.where(numbers >= 0, np.append(values, np.nan)[numbers], np.nan)

    def show_heat(axes, heat, title="", cmap="YlOrRd"):
        """A heatmap with the outline of the drawn tumor."""
        axes.imshow(heat, cmap=cmap, vmin=0, vmax=1, interpolation="none")
        axes.contour(drawn, [0.5], colors=[OUTLINE], linewidths=1.4)
        axes.set_title(title, color=INK, fontsize=11.5)
        axes.set(xlim=(0, 275), ylim=(220, 0))
        axes.axis("off")

    return drawn, heat_of, show_heat, truth_of


@app.cell(hide_code=True)
def _(evaluation, grid, heat_of, probability, show_heat, slide, threshold, truth_of):
    _truth = truth_of(grid)
    _figure, (_left, _right) = canvas(
        f"AUROC on this slide {auroc(_truth, probability):.3f}, on test patches "
        f"{evaluation['auroc']['value']:.3f}",
        f"{len(grid)} patches of 200 micrometers; outline: tumor as drawn. {_truth.sum()} patches are "
        f"tumor, {(probability >= threshold).sum()} reach the threshold {threshold:.2f}",
        panels=2, width_in=9.6, height_in=4.3, side_in=0.2, foot_in=0.2, head_in=0.36,
    )  # fmt: skip
    _small, _ = slide.region(2, 0, 0, slide.levels[2].width_px, slide.levels[2].height_px)
    show_heat(_left, _small, "slide")
    show_heat(_right, heat_of(grid, probability), "probability of tumor, yellow 0 to red 1")
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    That is all a heatmap is: one number for each patch, drawn where the patch was. The rest of this
    lesson is about reading too much into it.

    ## The wrong scale, without a word

    The file says 1 micrometer a pixel. Many files say nothing, or something wrong: a lost unit, a
    scan at 40x taken for 20x. Tell eosin another scale for *the same file* and look.
    """)
    return


@app.cell
def _(answers, lens, network, path, truth_of):
    def as_claimed(mpp):
        """The slide as it is scanned when somebody says that it has this scale."""
        opened = open_slide(path, mpp=mpp)
        grid = grid_of(opened, find_tissue(opened, TissueSettings(flaws=False)), lens)
        return grid, *answers(opened, grid, network), truth_of(grid)

    scans = {mpp: as_claimed(mpp) for mpp in (0.25, 0.5, 0.8, 1.0, 1.25, 2.0)}
    return (scans,)


@app.cell
def _():
    claimed = mo.ui.slider(
        steps=[0.25, 0.5, 0.8, 1.0, 1.25, 2.0], value=0.5, label="micrometers a pixel, as claimed",
        show_value=True,
    )  # fmt: skip
    claimed
    return (claimed,)


@app.cell(hide_code=True)
def _(claimed, heat_of, scans, show_heat, threshold):
    _grid, _patches, _found, _, _truth = scans[claimed.value]
    _figure, (_near, _heat) = canvas(
        f"Claimed {claimed.value:g}: {(_found >= threshold).sum() * 0.2**2:.2f} mm2 called tumor",
        f"A patch shows {200 / claimed.value:.0f} micrometers of the slide; 200 would be right",
        panels=2, width_in=9.6, height_in=4.3, side_in=0.2, foot_in=0.2, head_in=0.36,
    )  # fmt: skip
    _near.imshow(_patches[np.argmax(_truth)], interpolation="none")
    _near.set_title("a patch, as the network sees it", color=INK, fontsize=11.5)
    _near.axis("off")
    show_heat(_heat, heat_of(_grid, _found), "probability of tumor")
    _figure
    return


@app.cell(hide_code=True)
def _(rule, scans, section, threshold):
    def figures(mpp):
        grid, _, found, distances, truth = scans[mpp]
        both = 0 < truth.sum() < len(truth)
        return (
            len(grid),
            f"{auroc(truth, found):.2f}" if both else "none",
            float((found >= threshold).sum() * 0.2**2),
            float((distances > rule.scope_limit).mean()),
        )

    _rows = []
    for _mpp in scans:
        _count, _auroc, _area, _far = figures(_mpp)
        _star = "**" if _mpp == 1 else ""
        _rows.append(
            f"| {_star}{_mpp:g}{_star} | {200 / _mpp:.0f} | {_count:,} | {_auroc} | {_area:.2f} "
            f"| {_far:.0%} |"
        )
    _most = max(figures(_mpp)[3] for _mpp in scans)
    _check = (
        "even the check for patches unlike the training data says next to nothing, because tissue "
        "at another scale still looks like tissue"
        if _most < 0.15
        else "the check for patches unlike the training data sees a part of it at most"
    )
    mo.md(
        "| claimed | field | patches | AUROC | tumor, mm2 | out of scope |\n"
        "|--:|--:|--:|--:|--:|--:|\n"
        + "\n".join(_rows)
        + f"""

    The drawn tumor has {section.truth.sum() * 0.004**2:.2f} mm2. *Field* is what a patch shows, in micrometers; without a patch of
    each kind there is no AUROC. Nothing warns: the program runs, each heatmap looks like one, and {_check}. The areas are wrong twice, by the answers and because an area goes
    with the *square* of the scale. So eosin guesses no scale: it names the source, and
    without one it stops and asks for `--mpp`. An objective power ("40x") is not a scale.

    ## Smooth is not exact

    Patches may overlap: with a **stride** of 50 micrometers, each place is seen by 16 patches of 200.
    The heatmap gets finer. Does it know more? Compare with a network *that was never trained*,
    whose answers are only stretched to the same range.
    """
    )
    return


@app.cell
def _(answers, lens, network, session, slide, tissue):
    blank, _ = load_classifier(session.run.path)
    torch.manual_seed(1)
    for _layer in blank.modules():
        if hasattr(_layer, "reset_parameters"):
            _layer.reset_parameters()  # random weights, as before any training

    overlapping = {}
    for _step in (200, 100, 50):
        _grid = grid_of(slide, tissue, lens._replace(stride_um=float(_step)))
        _patches, _found, _ = answers(slide, _grid, network)
        with torch.no_grad():
            _blank = blank.eval()(torch.from_numpy(_patches)).numpy()
        _order = (_blank[:, 1] - _blank[:, 0]).argsort().argsort() / max(1, len(_grid) - 1)
        overlapping[_step] = {"grid": _grid, "trained": _found, "never trained": _order}
    return (overlapping,)


@app.cell
def _():
    stride = mo.ui.slider(
        steps=[200, 100, 50], value=50, label="stride in micrometers", show_value=True
    )
    trained = mo.ui.dropdown(["trained", "never trained"], value="trained", label="network")
    mo.hstack([stride, trained], justify="start", gap=3)
    return stride, trained


@app.cell(hide_code=True)
def _(drawn, heat_of, overlapping, show_heat, stride, threshold, trained):
    def called_by(step, name):
        """Which patches are called tumor; of the untrained network, as many as of the other."""
        share = float((overlapping[step]["trained"] >= threshold).mean())
        return overlapping[step][name] >= (threshold if name == "trained" else 1 - share)

    def agreement(step, name):
        """The area that both have, divided by that which either has."""
        mine = heat_of(overlapping[step]["grid"], called_by(step, name).astype(float)) == 1
        return float((mine & (drawn > 0.5)).sum() / (mine | (drawn > 0.5)).sum())

    _grid, _found = (overlapping[stride.value][_key] for _key in ("grid", trained.value))
    _called = called_by(stride.value, trained.value)
    _figure, (_left, _right) = canvas(
        f"Overlap with the drawn tumor: {agreement(stride.value, trained.value):.2f}",
        f"{len(_grid):,} patches. Called tumor: {_called.sum() * (stride.value / 1000) ** 2:.2f} mm2; "
        f"adding up whole patches would give {_called.sum() * 0.2**2:.2f} mm2",
        panels=2, width_in=9.6, height_in=4.3, side_in=0.2, foot_in=0.2, head_in=0.36,
    )  # fmt: skip
    show_heat(_left, heat_of(_grid, _found), f"network: {trained.value}")
    show_heat(_right, heat_of(_grid, np.where(_called, 0.6, np.nan)), "called tumor")
    _figure
    return (agreement,)


@app.cell(hide_code=True)
def _(agreement, overlapping):
    _by = {_step: agreement(_step, "trained") for _step in (200, 100, 50)}
    _blank = agreement(50, "never trained")
    mo.md(f"""
    The *overlap* is the area that both have, divided by the area that either has: 1 is perfect.
    Patches: {len(overlapping[200]["grid"]):,}, {len(overlapping[100]["grid"]):,} and
    {len(overlapping[50]["grid"]):,}; overlap: {_by[200]:.2f}, {_by[100]:.2f} and {_by[50]:.2f}. So
    much more work, and {"hardly a gain" if abs(_by[50] - _by[200]) < 0.06 else "some change"}: each
    answer still comes from 200 micrometers. Neighbors share most of their pixels, so they agree
    *whether they are right or not*. The untrained network draws smooth regions as well, and its
    overlap is {_blank:.2f}. A smooth border is a border of the method, not of the disease.

    And a place must not count 16 times. eosin lets each patch stand for the **middle** of what it
    shows, as large as one step; where patches do not overlap, for all that it shows.
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
    ## An area needs a threshold

    "1.2 mm2 of tumor" sounds measured. It is a count of patches above a line that somebody drew.
    """)
    return


@app.cell
def _(threshold):
    line = mo.ui.slider(
        0.02, 0.98, 0.02, value=round(threshold / 0.02) * 0.02, label="threshold", show_value=True
    )
    line
    return (line,)


@app.cell(hide_code=True)
def _(grid, line, probability, section, threshold, truth_of):
    _truth = truth_of(grid) == 1
    _drawn = section.truth.sum() * 0.004**2
    _steps = np.linspace(0.01, 0.99, 99)

    def area(chosen):
        return chosen.sum() * 0.2**2

    _figure, (_axes,) = canvas(
        f"{area(probability >= line.value):.2f} mm2 called tumor at {line.value:.2f}, {_drawn:.2f} mm2 drawn",
        f"The same answers at every threshold; {threshold:.2f} was chosen on validation cases",
        width_in=8.0, height_in=3.9,
    )  # fmt: skip
    _axes.plot(
        _steps, [area(probability >= _t) for _t in _steps], color=ORANGE, label="called tumor"
    )
    _axes.plot(
        _steps, [area((probability >= _t) & _truth) for _t in _steps], color=BLUE,
        label="of it in patches that are tumor",
    )  # fmt: skip
    _axes.axhline(_drawn, color=QUIET, linestyle="--", linewidth=1.4, label="drawn")
    _axes.axvline(line.value, color=INK, linewidth=2)
    _axes.set(xlabel="threshold", ylabel="area in mm2", ylim=(0, None), xlim=(0, 1))
    legend(_axes)
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    You can find a threshold here at which the area is exactly right. Do not: you could only do it because
    you know the answer. Chosen on the slide itself, a threshold measures nothing any more (lesson 13).

    ## And on a slide without tumor?

    AUROC compares tumor with other tissue; a slide without tumor has nothing to compare. There,
    *all* that is called positive is wrong, and how much that is depends on the threshold and on the
    tissue. Four new sections, drawn without any tumor:
    """)
    return


@app.cell
def _(network, threshold):
    clean = {}
    for _seed in (21, 22, 23, 24):
        _drawn = make_case("90400", _seed, width_px=800, height_px=650, burden=0.0)
        _patches = [_piece.patch for _piece in cut(_drawn) if _piece.patch.shape == (50, 50, 3)]
        _called = network.predict(np.stack(_patches))[:, 1] >= threshold
        clean[f"slide {_seed - 20}"] = (float(_called.mean()), float(_called.sum() * 0.2**2))
    return (clean,)


@app.cell(hide_code=True)
def _(clean, evaluation):
    _figure, (_axes,) = canvas(
        f"{min(_s for _s, _ in clean.values()):.0%} to {max(_s for _s, _ in clean.values()):.0%} of "
        "patches are called tumor, and none is",
        f"Four slides without tumor; AUROC on test patches {evaluation['auroc']['value']:.3f}",
        width_in=8.0, height_in=2.9, side_in=1.0,
    )  # fmt: skip
    for _k, (_share, _mm2) in enumerate(clean.values()):
        _axes.barh(-_k, _share, 0.55, color=ORANGE)
        _axes.text(_share + 0.004, -_k, f"{_mm2:.2f} mm2", va="center", color=INK, fontsize=11)
    _axes.set_yticks([-_k for _k in range(len(clean))], list(clean))
    _axes.set(
        xlabel="share of the patches", xlim=(0, 1.25 * max(0.05, *(_s for _s, _ in clean.values())))
    )
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Most tissue of most slides is healthy. With sensitivity $s$, specificity $c$ and a share $t$ of tumor,
    the share of the tissue that is called positive is

    $$s \, t + (1 - c) \, (1 - t)$$

    and for small $t$ the second part is nearly all of it. A threshold of the best balanced accuracy
    weighs both errors alike: with 95 % each, a slide with one percent of tumor gets five times as
    much false alarm as tumor found. No AUROC tells you that; slides without tumor do.
    """)
    return


@app.cell(hide_code=True)
def _(fourth):
    answer_fourth = ask(fourth)
    answer_fourth
    return (answer_fourth,)


@app.cell(hide_code=True)
def _(answer_fourth, fourth):
    tell(fourth, answer_fourth.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Another stain

    Another laboratory leaves the slide longer in hematoxylin, the violet dye of the nuclei. The tissue is
    the same; restain the patches of this slide and ask again.
    """)
    return


@app.cell(hide_code=True)
def _(grid, network, patches, rule, threshold, truth_of):
    # How the two dyes absorb red, green and blue (Ruifrok & Johnston, 2001).
    _dyes = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
    _truth = truth_of(grid)

    def restained(some, more):
        density = -np.log(np.maximum(some, 1) / 245.0)
        hematoxylin = np.maximum((density @ np.linalg.pinv(_dyes))[..., :1], 0)
        density = density + more * hematoxylin * _dyes[0]
        return np.clip(245 * np.exp(-density), 0, 255).astype(np.uint8)

    def with_stain(more):
        """AUROC, share called tumor, and share out of scope."""
        probabilities, distances = network.examine(restained(patches, more))
        return (
            auroc(_truth, probabilities[:, 1]),
            float((probabilities[:, 1] >= threshold).mean()),
            float((distances > rule.scope_limit).mean()),
        )

    stains = {more: with_stain(more) for more in (-0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6, 0.8)}
    return restained, stains


@app.cell
def _():
    violet = mo.ui.slider(
        steps=[-0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6, 0.8], value=0.4,
        label="more or less hematoxylin", show_value=True,
    )  # fmt: skip
    violet
    return (violet,)


@app.cell(hide_code=True)
def _(patches, restained, stains, violet):
    _auroc, _called, _far = stains[violet.value]
    _figure, (_left, _right) = canvas(
        f"AUROC {_auroc:.2f}, called tumor {_called:.0%}, out of scope {_far:.0%}",
        f"Hematoxylin {violet.value:+.0%}; left, patches before (above) and after (below)",
        panels=2, width_in=9.6, height_in=4.3, head_in=0.6,
    )  # fmt: skip
    _some = patches[np.linspace(20, len(patches) - 20, 4).astype(int)]
    _sheet = np.vstack([np.hstack(list(_row)) for _row in (_some, restained(_some, violet.value))])
    _left.imshow(_sheet, interpolation="none")
    _left.axis("off")
    _all = np.array(list(stains.values()))
    for _k, (_name, _color) in enumerate(
        (("AUROC", BLUE), ("called tumor", ORANGE), ("out of scope", PURPLE))
    ):
        _right.plot(list(stains), _all[:, _k], "o-", color=_color, label=_name)
    _right.axvline(violet.value, color=INK, linewidth=2)
    _right.set(xlabel="more or less hematoxylin", ylabel="share or AUROC", ylim=(-0.03, 1.03))
    legend(_right, above=True)
    _figure
    return


@app.cell(hide_code=True)
def _(answers, lens, network, rule, slide, stains, threshold, tissue):
    _every = grid_of(slide, tissue, lens, least=0.0)
    _cover = tissue.cover((slide.width_px, slide.height_px), *_every.corners(), (200.0, 200.0))
    _, _found, _distances = answers(slide, _every, network)
    _groups = {
        "glass (no tissue)": _cover < 0.01,
        "border (less than half tissue)": (_cover >= 0.01) & (_cover < 0.5),
        "inside (half or more)": _cover >= 0.5,
    }
    _rows = [
        f"| {_name} | {_mine.sum()} | {(_found[_mine] >= threshold).mean():.0%} "
        f"| {(_distances[_mine] > rule.scope_limit).mean():.0%} |"
        for _name, _mine in _groups.items()
        if _mine.any()
    ]
    _as_it_is, _more = stains[0.0], stains[0.4]
    mo.md(
        f"""
    With 40 % more, AUROC goes from {_as_it_is[0]:.2f} to {_more[0]:.2f}, the share called tumor from
    {_as_it_is[1]:.0%} to {_more[1]:.0%}, and {_more[2]:.0%} are out of scope. AUROC looks at the order
    alone: a stain can move all patches past the threshold together and leave their order as it was. And a
    check that is quiet is no proof that nothing is wrong. It speaks up when patches look like nothing
    in training.

    ## Edges and glass

    The training patches were full of tissue. What does the network say where there is hardly any? All
    patches of the slide, without a mask:

    """
        "| patches | how many | called tumor | out of scope |\n|:--|--:|--:|--:|\n"
        + "\n".join(_rows)
        + "\n\nAn answer on glass is no answer, whatever it is: a network cannot be silent. The mask "
        "and the check are there to take its word away, and at the border both are needed."
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## With your slides

    `eosin scan RUN slide.svs -o OUT` does all of this: it names scale, reader and level, leaves out
    what is no tissue, writes a heatmap for QuPath, and gives areas beside the shares that were referred
    and out of scope. `eosin slide FILE` says what is in a file, `eosin tissue FILE` shows the mask.
    Look at both before you believe a heatmap.

    ## Summary

    - Count in **micrometers**. A wrong scale gives no error, only wrong answers.
    - Read the next finer **level** and reduce it **by area**.
    - A patch stands for one **box**: smooth pictures do not locate better, and overlap must not
      count twice.
    - An area is a threshold's doing. Choose it on validation cases; report what it gives on slides
      **without** disease.
    - Look at what is **out of scope**, and do not take its silence for safety.

    You have come from one perceptron to a heatmap that you can defend, or take apart.
    """)
    return


if __name__ == "__main__":
    app.run()
