# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""The cancer data

Goal: know a patch archive before you train on it: cases, classes, positions, copies, broken files,
  and what its colors give away.
Minutes: 12
Prerequisites: lesson 9 (inside a convolutional network) and lesson 10 (the MNIST network)
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="11. The cancer data", css_file="house.css")

with app.setup(hide_code=True):
    import zipfile
    from collections import Counter

    import marimo as mo
    import numpy as np

    from eosin.data.mosaic import mosaic_image
    from eosin.data.pack import pack
    from eosin.data.positive import positive_sentence
    from eosin.figures.canvas import BLUE, ORANGE, canvas, legend
    from eosin.guide.catalog import exercises_of
    from eosin.guide.notebook import ask, house_look, tell, workplace
    from eosin.guide.patches import named_store
    from eosin.synthetic.archive import write_archive

    house_look()


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 11. The cancer data

    **Goal.** You get to know a patch archive *before* you train on it. **You need** lessons 9
    and 10. About 12 minutes.

    The archive that the next lessons are about is *breast-histopathology-images* on Kaggle: 277,524
    patches of 50 by 50 pixels, cut from breast tissue of 279 **cases** (one case is one specimen,
    one folder). 78,786 patches are **positive**: in them a pathologist marked invasive ductal
    carcinoma, IDC. The other 198,738 are **negative**. A pixel is about 4 micrometers wide, so a
    patch is a square of 0.2 millimeters.

    You need not have it. A program draws four cases in the same layout, with the same oddities.
    *They are not tissue, and no result on them tells anything about a disease. Research and
    education only, not for diagnosis.* If you have packed the real one, name it when you start:
    `EOSIN_STORE=idc.store eosin learn 11`.
    """)
    return


@app.cell(hide_code=True)
def _():
    first, second, third = exercises_of(11)
    return first, second, third


@app.cell
def _():
    folder = workplace()
    write_archive(folder / "archive.zip", cases=4, seed=1)
    with zipfile.ZipFile(folder / "archive.zip") as _archive:
        members = [_m for _m in _archive.namelist() if _m.endswith(".png")]
    mo.md("```text\n" + "\n".join([*members[:3], "...", *members[-2:]]) + "\n```")
    return folder, members


@app.cell(hide_code=True)
def _(members):
    _nested = sum(_m.startswith("IDC_regular") for _m in members)
    mo.md(f"""
    ## A name is a record

    The zip contains {len(members):,} pictures. Look at one path: case, class, and then
    `<case>_idx5_x<X>_y<Y>_class<C>.png`. Everything we know about a patch is in its name: which
    case, where on the slide (x is the column, y the row, in pixels), and the label. (`idx5` is
    the same everywhere and means nothing.)

    And look at the last paths: **{_nested:,} of {len(members):,}** are in a nested folder with the
    same names again. Who collects "all PNG files" trains on each patch twice.
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
    ## Pack it once

    Many small files are slow to read and easy to misread. `eosin pack` decodes them once, in
    parallel, into one array, beside a table with a row for each patch. What it cannot use it
    **rejects by name**, with the cause:
    """)
    return


@app.cell
def _(folder):
    packed = pack(folder / "archive.zip", folder / "packed.store", mpp=4.0)
    mo.md(
        "| rejected | cause |\n|:--|:--|\n"
        + "\n".join(f"| `{_r['source']}` | {_r['reason']} |" for _r in packed.info["rejects"])
    )
    return (packed,)


@app.cell(hide_code=True)
def _(members, packed):
    _named = named_store(cases=2, patches_per_case=10)
    store = _named or packed
    _edge = int(
        (
            (packed.index["width"] < packed.patch_size[1])
            | (packed.index["height"] < packed.patch_size[0])
        ).sum()
    )
    mo.md(f"""
    {len(members):,} pictures became **{len(packed):,} patches**: the copies are counted and left
    out, {len(packed.info["rejects"])} are broken. {_edge} patches
    ({_edge / len(packed):.1%}) are smaller than 50 by 50, cut off at the border of the slide; they
    are padded with white, and the table keeps their true size.

    From here on, {"your store" if _named else "the drawn cases"}: {len(store):,} patches of
    {len(np.unique(store.cases))} cases, {store.labels.mean():.1%} positive.

    Two things are worth a look in what `eosin pack` prints, with any data. **The positive class**:
    here *{positive_sentence(packed.classes, packed.positive_by)}*. Sensitivity is the share of
    this class that is found; for the other one it would be another number. `--positive CLASS`
    chooses it. **The case**: here it is in the names. Where a folder for each case is missing, but
    file names begin with it, `--case-pattern '^(P[0-9]+)_'` tells how to read it; without cases no
    split can be trusted, as lesson 13 shows.

    ## Look at it
    """)
    return (store,)


@app.cell
def _(store):
    _names, _counts = np.unique(store.cases, return_counts=True)
    _largest = [str(_n) for _n in _names[np.argsort(-_counts)][:12]]
    _half = min(_largest, key=lambda name: abs(store.labels[store.cases == name].mean() - 0.5))
    case = mo.ui.dropdown(sorted(_largest), value=_half, label="case")
    truth = mo.ui.slider(0.0, 1.0, 0.25, value=0.5, label="show the labels", show_value=True)
    mo.hstack([case, truth], justify="start", gap=3)
    return case, truth


@app.cell(hide_code=True)
def _(case, store, truth):
    _rows = np.flatnonzero(store.cases == case.value)
    _mosaic = mosaic_image(store, _rows, max_px=1_500_000)
    _high, _wide = _mosaic.image.shape[:2]
    _figure, (_axes,) = canvas(
        f"Case {case.value}: {len(_rows):,} patches, {store.labels[_rows].mean():.0%} positive",
        "Each patch drawn where its name places it; orange: labeled positive",
        width_in=8.0, height_in=8.0 * _high / _wide, side_in=0.2, foot_in=0.2,
    )  # fmt: skip
    _shown = _mosaic.image.astype(float)
    for (_x0, _y0, _x1, _y1), _row in zip(_mosaic.boxes, _mosaic.rows, strict=True):
        if store.labels[_row] == 1:
            _piece = _shown[_y0:_y1, _x0:_x1]
            _mix = 0.55 * truth.value
            _shown[_y0:_y1, _x0:_x1] = (1 - _mix) * _piece + _mix * np.array([209, 96, 42])
    _axes.imshow(_shown.astype(np.uint8))
    _axes.axis("off")
    _figure
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    From names alone, a slide has come back. Take your time with it:

    - Positive patches are **close together**. A patch and its neighbor show almost the same, so they are
      not independent of each other.
    - Labels follow a drawn outline. Patches at its border contain some of both; no network will agree
      with every one of them.
    - Much is missing: only patches with tissue were kept.

    ## Cases differ
    """)
    return


@app.cell(hide_code=True)
def _(store):
    _names, _inverse = np.unique(store.cases, return_inverse=True)
    _share = np.bincount(_inverse, store.labels) / np.bincount(_inverse)
    # Light that the dyes absorb, by channel; as shares, so that dark and pale patches compare.
    _drawn = np.sort(np.random.default_rng(0).permutation(len(store))[:20_000])
    _labels, _cases, _inverse = store.labels[_drawn], store.cases[_drawn], _inverse[_drawn]
    _light = store.patches[_drawn, ::5, ::5].reshape(len(_drawn), -1, 3).astype(np.float32)
    _mean = -np.log((_light + 1) / 256).mean(axis=1)  # float [N, 3]
    _mean /= np.maximum(_mean.sum(axis=1, keepdims=True), 1e-6)
    _some = np.random.default_rng(0).permutation(len(_drawn))[:1500]
    _figure, (_left, _right) = canvas(
        "The same patches, colored by class and by case",
        "Hue of each patch: shares of the absorbed light that are red and blue (at most 1,500)",
        panels=2, width_in=9.6, height_in=4.4,
    )  # fmt: skip
    for _k, _color, _name in ((0, BLUE, "negative"), (1, ORANGE, "positive")):
        _mine = _some[_labels[_some] == _k]
        _left.plot(_mean[_mine, 0], _mean[_mine, 2], ".", color=_color, alpha=0.5, label=_name)
    legend(_left)
    from matplotlib import colormaps

    _hues = colormaps["tab10"]
    for _k in range(min(10, len(_names))):
        _mine = _some[_inverse[_some] == _k]
        _right.plot(
            _mean[_mine, 0], _mean[_mine, 2], ".", color=_hues(_k), alpha=0.6, label=str(_names[_k])
        )
    if len(_names) <= 6:
        legend(_right)
    _left.set(xlabel="share of red", ylabel="share of blue")
    _right.set(xlabel="share of red")

    def explained(groups):
        """The share of the spread of the hue that is between the groups, 0 to 1."""
        total = ((_mean - _mean.mean(axis=0)) ** 2).sum()
        between = 0.0
        for group in np.unique(groups):
            mine = groups == group
            between += mine.sum() * ((_mean[mine].mean(axis=0) - _mean.mean(axis=0)) ** 2).sum()
        return float(between / total)

    by_class, by_name = explained(_labels), explained(_cases)
    shares = (float(_share.min()), float(_share.max()))
    _figure
    return by_class, by_name, shares


@app.cell(hide_code=True)
def _(by_class, by_name, shares):
    mo.md(f"""
    How much of all differences in hue is between groups? Between the two *classes*:
    **{by_class:.0%}**. Between the *cases*: **{by_name:.0%}**
    ({"more than between the classes" if by_name > by_class else "less than between the classes"}).
    Each laboratory stains a little
    differently, each scanner has its own light. A network that has seen patches of a case can
    recognize the case. And cases differ in what there is to find: the share of positives reaches
    from {shares[0]:.0%} to {shares[1]:.0%}.

    Put together, that is the trap of this archive: *recognize the case, and you know half the
    answer*. Lesson 12 measures what it does to a figure. The cure is simple: a case goes to training
    or to test as a whole.
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
def _(third):
    answer_third = ask(third)
    answer_third
    return (answer_third,)


@app.cell(hide_code=True)
def _(answer_third, third):
    tell(third, answer_third.value)
    return


@app.cell(hide_code=True)
def _(members):
    _kinds = Counter("nested" if _m.startswith("IDC_regular") else "case" for _m in members)
    mo.md(f"""
    ## Summary

    | trap | how you see it | what eosin does |
    |:--|:--|:--|
    | everything is there twice | {_kinds["nested"]:,} of {len(members):,} paths are nested | leaves copies out and counts them |
    | broken files | decoding fails | rejects by name and cause; stops if there are many |
    | small patches at the border | sizes in the table | pads, keeps the true size |
    | neighbors look alike, cases have their own color | mosaic; spread between cases | splits by case, audits each split |
    | a case is not a patient | nothing in the archive connects it to one | reports *cases*, and never more |

    **Next:** lesson 12, a network that was trained on this archive and could not learn.
    `eosin learn 12`
    """)
    return


if __name__ == "__main__":
    app.run()
