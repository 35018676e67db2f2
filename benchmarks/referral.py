"""Does the promise of the referral band hold? Ours by case, beside a plain t-test and MAPIE's.

    python benchmarks/referral.py                                  # simulated cases, truth known
    python benchmarks/referral.py runs/compact/predictions.parquet # real cases, split 200 times

Simulation: cases of 10 to 1,500 patches whose difficulty is drawn by case; 200 calibrations each,
and the error of each band among the answers on 6,000 cases, which stand for all there are.

Predictions: a parquet file with `case`, `label` and a `p_<class>` for each class, or an npz file
with `<part>_y`, `<part>_case` and `<part>_logits`; all parts are pooled. "halves": one half of the
cases calibrates, the other tests. A test half is itself a small sample, and what is lucky for one
half is unlucky for the other, so the share held there is lower than that of the promise, which is
of the long run. "redrawn": as many cases as a half holds are drawn with replacement, and the
error is that of the pool, which is then the truth.

MAPIE's Hoeffding-Bentkus p-values and fixed sequence take patches as exchangeable, and get the same
cuts in the same order as ours. "held" counts a calibration without a band as held: it answers
nothing. "found" is the share with a band, "coverage" the mean share answered (0 without a band).

Prints a table and writes benchmarks/results/referral-<what>.csv.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from eosin.records.points import OperatingPoint
from eosin.records.scored import Scored, Units
from eosin.trust.referral import choose_band
from eosin.trust.risk_control import first_cut, last_held
from eosin.trust.selective import counts_by_unit, cuts, sureness

Row = dict[str, Any]
CASES = (15, 29, 49, 100)
POPULATION = 6000
#: The threshold that the band lies around.
EVEN = OperatingPoint("even", 0.5)


def main() -> None:
    """Run the simulation, or the splits of a predictions file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("predictions", type=Path, nargs="?")
    parser.add_argument("--level", type=float, nargs="+", default=[0.05, 0.1])
    parser.add_argument("--confidence", type=float, default=0.9)
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    if words.predictions is None:
        name, trials = "simulated", simulated(words.splits, words.seed)
    else:
        pool = Pool(*read(words.predictions))
        name, trials = words.predictions.stem, real(pool, words.splits, words.seed)
    show(name, rows(trials, words.level, words.confidence), words)


class Pool:
    """Patches by case, and the error among the answers at any cut."""

    def __init__(self, y_true: Any, y_prob: Any, case: Any) -> None:
        self.names, codes = np.unique(case, return_inverse=True)
        order = np.argsort(codes, kind="stable")
        self.y, self.p = np.asarray(y_true)[order], np.asarray(y_prob)[order]
        self.starts = np.append(0, np.cumsum(np.bincount(codes)))
        sure, called = sureness(Scored.of(self.y, self.p), EVEN)
        rank = np.argsort(-sure, kind="stable")
        self.sure, self.wrong = sure[rank], np.append(0, np.cumsum((called != self.y)[rank]))

    def __len__(self) -> int:
        return len(self.names)

    def take(self, picked: Any) -> tuple[Any, Any, Units]:
        """y_true, y_prob and units of some cases; one that is picked twice is two cases."""
        spans = [np.arange(self.starts[c], self.starts[c + 1]) for c in picked]
        codes = np.repeat(np.arange(len(picked)), [len(span) for span in spans])
        rows = np.concatenate(spans)
        return self.y[rows], self.p[rows], Units(codes, len(picked), "cases", ())

    def error(self, cut: float) -> float:
        """The share of wrong ones among all answers at a cut."""
        answered = int(np.searchsorted(-self.sure, -cut, side="right"))
        return float(self.wrong[answered] / answered)


#: A kind of trial, its number of cases, the cases that calibrate, and the error of a cut.
Trial = tuple[str, int, tuple[Any, Any, Units], Callable[[float], float]]


def simulated(splits: int, seed: int) -> Iterator[Trial]:
    """Calibrations on cases drawn from a population whose errors are known."""
    for kind in DIFFICULTY:
        pool = population(kind, seed)
        for count in CASES:
            rng = np.random.default_rng(seed)
            for _ in range(splits):
                picked = rng.integers(0, len(pool), count)
                yield kind, count, pool.take(picked), pool.error


def real(pool: Pool, splits: int, seed: int) -> Iterator[Trial]:
    """Random halves of the cases, and draws with replacement of as many."""
    rng = np.random.default_rng(seed)
    half = len(pool) // 2
    for _ in range(splits):
        order = rng.permutation(len(pool))
        y, p, units = pool.take(order[half:])
        yield "halves", half, pool.take(order[:half]), Pool(y, p, units.codes).error
    for _ in range(splits):
        yield "redrawn", half, pool.take(rng.integers(0, len(pool), half)), pool.error


#: Difficulty of a case, 0 to 1, given where its size lies between the smallest (0) and largest (1).
DIFFICULTY: dict[str, Callable[[Any, Any], Any]] = {
    "alike": lambda rng, size: rng.beta(4, 8, len(size)),
    "skewed": lambda rng, size: rng.beta(1, 4, len(size)),
    "large are hard": lambda rng, size: rng.beta(1 + 3 * size, 5),
    "1 in 20 fails": lambda rng, size: np.where(
        rng.random(len(size)) < 0.05, rng.beta(8, 2, len(size)), rng.beta(2, 12, len(size))
    ),
}


def population(kind: str, seed: int) -> Pool:
    """Cases of unequal size, prevalence and difficulty; hard ones are near chance, and shifted."""
    rng = np.random.default_rng([seed, 1])
    size = rng.uniform(0, 1, POPULATION)
    patches = (10 * 150**size).astype(np.int64)
    case = np.repeat(np.arange(POPULATION), patches)
    hard = DIFFICULTY[kind](rng, size)
    y = (rng.random(len(case)) < rng.beta(0.8, 1.6, POPULATION)[case]).astype(np.int64)
    apart = 2.7 * (1 - hard)[case] * np.where(y == 1, 1, -1)
    shift = (rng.normal(0, 2, POPULATION) * hard)[case]
    z = 1.6 * (apart + shift + 1.6 * rng.standard_normal(len(case)))
    return Pool(y, 1 / (1 + np.exp(-z)), case)


def rows(trials: Iterator[Trial], levels: list[float], confidence: float) -> list[Row]:
    """A row for each kind, number of cases, level and method."""
    held: dict[tuple[Any, ...], list[tuple[bool, float, float]]] = {}
    for kind, count, (y, p, units), error in trials:
        scored = Scored.of(y, p, units.codes.astype(str))
        sure, called = sureness(scored, EVEN)
        steps = cuts(sure, 100, lowest=0.5)
        wrong, answered = counts_by_unit(sure, called != y, units, steps)
        first = first_cut(answered)
        for level in levels:
            band = choose_band(scored, EVEN, level=level, confidence=confidence)
            found = {"ours, by case": band.high}
            for name, test in OTHERS.items():
                last = test(wrong, answered, level, first, confidence)
                found[name] = None if last is None else float(steps[last])
            for name, cut in found.items():
                seen = 0.0 if cut is None else error(cut)
                share = 0.0 if cut is None else float(np.mean(sure >= cut))
                key = (kind, count, level, name)
                held.setdefault(key, []).append((seen <= level, share, seen))
    return [summary(key, np.array(values)) for key, values in held.items()]


def plain(wrong: Any, answered: Any, level: float, first: int, confidence: float) -> int | None:
    """The t-test over cases as it stands."""
    z = wrong - level * answered
    spread = z.std(axis=0, ddof=1) / np.sqrt(len(z))
    t = np.divide(z.mean(axis=0), spread, out=np.full(len(spread), -np.inf), where=spread > 0)
    return last_held(stats.t.cdf(t, len(z) - 1), first, confidence)


def by_patch(wrong: Any, answered: Any, level: float, first: int, confidence: float) -> int | None:
    """MAPIE's p-values and fixed sequence, over patches."""
    from mapie.risk_control.fwer_control import control_fwer
    from mapie.risk_control.methods import compute_hoeffding_bentkus_p_value

    number = answered.sum(axis=0)
    p = compute_hoeffding_bentkus_p_value(
        (wrong.sum(axis=0) / number)[first:], number[first:], level, binary=True
    )
    held = control_fwer(p[:, 0], 1 - confidence, "fixed_sequence")
    return first + int(max(held)) if len(held) else None


OTHERS = {"plain t-test, by case": plain, "MAPIE, by patch": by_patch}


def summary(key: tuple[Any, ...], values: Any) -> Row:
    """One row of the table."""
    kind, count, level, method = key
    held, coverage, seen = values.T
    found = coverage > 0
    return {
        "kind": kind,
        "cases": count,
        "level": level,
        "method": method,
        "held": round(float(held.mean()), 3),
        "found": round(float(found.mean()), 3),
        "coverage": round(float(coverage.mean()), 3),
        "mean_error": round(float(seen[found].mean()), 4) if found.any() else "",
        "worst_error": round(float(seen.max()), 4),
        "calibrations": len(values),
    }


def read(path: Path) -> tuple[Any, Any, Any]:
    """y_true, the probability of the positive class and case of every patch of a file."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            parts = [name.removesuffix("_y") for name in arrays.files if name.endswith("_y")]
            y, case, z = (
                np.concatenate([arrays[f"{part}_{what}"] for part in parts])
                for what in ("y", "case", "logits")
            )
        return y, 1 / (1 + np.exp(z[:, 0] - z[:, 1])), case
    import polars as pl

    table = pl.read_parquet(path)
    named = [column for column in table.columns if column.startswith("p_")]
    if len(named) != 2:
        raise SystemExit(f"{path}: two columns p_<class> are needed, and there are {named}")
    y = (table["label"].cast(pl.String) == named[1].removeprefix("p_")).to_numpy()
    return y.astype(np.int64), table[named[1]].to_numpy(), table["case"].to_numpy()


def show(name: str, found: list[Row], words: argparse.Namespace) -> None:
    """Print the table and write the CSV."""
    import scipy

    path = Path(__file__).parent / "results" / f"referral-{name}.csv"
    path.parent.mkdir(exist_ok=True)
    extra = {"confidence": words.confidence, "seed": words.seed}
    extra |= {"numpy": np.__version__, "scipy": scipy.__version__}
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*found[0], *extra])
        writer.writeheader()
        writer.writerows([row | extra for row in found])
    widths = {key: max(len(key), *(len(str(row[key])) for row in found)) for key in found[0]}
    print("  ".join(key.ljust(width) for key, width in widths.items()))
    for row in found:
        print("  ".join(str(row[key]).ljust(width) for key, width in widths.items()))
    print(f"written to {path}")


if __name__ == "__main__":
    main()
