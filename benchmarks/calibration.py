"""Calibration: how true its intervals are, how long it takes, and what it does to real cases.

    python benchmarks/calibration.py
    python benchmarks/calibration.py --trials 20 --patches 10000          # some seconds
    python benchmarks/calibration.py --logits logits.npz                  # real cases as well

Three tables. Intervals: in how many of the trials (49 made-up cases of 200 patches, each case with
a shift of its own that the model does not know) the interval of the calibration error holds the
true error, for plain percentiles and for those that ``measure_calibration`` gives. Time: all
figures of three methods, and a decision curve, with 2,000 replicates. Real cases: logits.npz holds
val_y, val_logits, val_case and, for cases that are in no part, out_y, out_logits, out_case; the
temperature and the isotonic map are fitted on random halves of the validation cases and measured
on the other halves, and fitted on all of them and measured on the cases outside.
"""

from __future__ import annotations

import argparse
import csv
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bootstrap import hardware

from eosin.records.scored import Scored
from eosin.trust.benefit import decision_curve
from eosin.trust.calibration import calibration_effect, measure_calibration
from eosin.trust.reliability import equal_mass, expected_calibration_error
from eosin.trust.temperature import fit_isotonic, fit_temperature, softmax
from eosin.trust.totals import replicate_totals

CASES, EACH, REPLICATES = 49, 200, 400
#: How far the model's slope and the cases' own shifts are from what it answers.
WORLDS = ((1.0, 0.0), (1.0, 0.7), (0.7, 0.7), (0.5, 0.7))

Sample = tuple[np.ndarray, np.ndarray, np.ndarray]


def world(cases: int, slope: float, shift: float, rng: np.random.Generator) -> Sample:
    """Truth int [N], probability float [N] and case number int [N]."""
    case = np.repeat(np.arange(cases), EACH)
    z = rng.normal(-1.2, 2.2, len(case)) + rng.normal(0, 1, cases)[case]
    true = 1 / (1 + np.exp(-(slope * z + rng.normal(0, shift, cases)[case])))
    return (rng.random(len(case)) < true).astype(int), 1 / (1 + np.exp(-z)), case


def plain_interval(scored: Scored, seed: int) -> np.ndarray:
    """The percentiles of the replicates as they are: float [2]."""
    p = scored.scores
    cells = equal_mass(p)
    values = [np.ones(len(p)), p - scored.labels]
    sums = replicate_totals(
        values, cells, int(cells.max()) + 1, scored.units, replicates=REPLICATES, seed=seed
    )
    errors = np.abs(sums[:, 1]).sum(axis=1) / sums[:, 0].sum(axis=1)
    return np.quantile(errors, [0.025, 0.975])


def coverage(trials: int) -> list[dict[str, Any]]:
    """A row a world: the true error, its estimates, and how often either interval held it."""
    rows = []
    for slope, shift in WORLDS:
        rng = np.random.default_rng(0)
        # Half a million patches stand for all there are.
        true = expected_calibration_error(Scored.of(*world(2500, slope, shift, rng)[:2]))
        held, estimates = np.zeros(2), []
        for trial in range(trials):
            y, p, case = world(CASES, slope, shift, rng)
            scored = Scored.of(y, p, case.astype(str))
            found = measure_calibration(scored, {"p": p}, replicates=REPLICATES, seed=trial)
            ece = found["p"]["ece"]
            low, high = plain_interval(scored, trial)
            held += [low <= true <= high, ece["low"] <= true <= ece["high"]]
            estimates.append(ece["value"])
        rows.append(
            {
                "table": "intervals",
                "name": f"slope {slope:g}, shift of a case {shift:g}",
                "true_ece": round(true, 4),
                "mean_ece": round(float(np.mean(estimates)), 4),
                "held_plain": round(held[0] / trials, 3),
                "held": round(held[1] / trials, 3),
            }
        )
    return rows


def timings(patches: int) -> list[dict[str, Any]]:
    """Processor seconds at so many patches of 49 cases: best of three."""
    rng = np.random.default_rng(0)
    z = rng.normal(-1, 2, patches)
    y = (rng.random(patches) < 1 / (1 + np.exp(-z))).astype(int)
    logits = np.stack([np.zeros(patches), 1.3 * z], axis=1)
    p = softmax(logits)[:, 1]
    scored = Scored.of(y, p, rng.integers(0, CASES, patches).astype(str))
    methods = {"before": p, "temperature": softmax(logits, temperature=1.3), "isotonic": p**1.1}
    jobs: dict[str, Callable[[], object]] = {
        "measure_calibration, 3 methods": lambda: measure_calibration(scored, methods),
        "decision_curve": lambda: decision_curve(scored),
        "fit_temperature": lambda: fit_temperature(y, logits),
    }
    rows = []
    for name, job in jobs.items():
        seconds = []
        for _ in range(3):
            start = time.process_time()
            job()
            seconds.append(time.process_time() - start)
        rows.append({"table": "time", "name": name, "cpu_seconds": round(min(seconds), 3)})
    return rows


def fitted_and_measured(fit: Sample, measure: Sample) -> tuple[float, dict[str, Any]]:
    """The temperature, and the methods measured; samples are truth, logits [N, 2] and cases."""
    temperature, isotonic = fit_temperature(*fit[:2]), fit_isotonic(fit[0], softmax(fit[1]))
    p = softmax(measure[1])
    methods = {
        "before": p,
        "temperature": temperature.apply(measure[1]),
        "isotonic": isotonic.apply(p),
    }
    scored = Scored.of(measure[0], p, measure[2])
    return temperature.value, measure_calibration(scored, methods)


def real(path: Path, halves: int) -> list[dict[str, Any]]:
    """ECE on the other halves of the validation cases, and on the cases outside."""
    file = np.load(path)
    val, out = (
        tuple(file[f"{part}_{k}"] for k in ("y", "logits", "case")) for part in ("val", "out")
    )
    cases = np.unique(val[2])
    kept = []
    for seed in range(halves):
        first = np.random.default_rng(seed).permutation(cases)[: len(cases) // 2]
        mine = np.isin(val[2], first)
        fit, rest = (tuple(part[rows] for part in val) for rows in (mine, ~mine))
        kept.append(fitted_and_measured(fit, rest))
    heat, outside = fitted_and_measured(val, out)
    print("cases outside:", calibration_effect(outside))
    rows = []
    for name, found in (("other half, mean", kept), ("cases outside", [(heat, outside)])):
        row: dict[str, Any] = {"table": "real", "name": f"{name} of {len(found)}"}
        row["temperature"] = round(float(np.mean([t for t, _ in found])), 3)
        for method in ("before", "temperature", "isotonic"):
            errors = [methods[method]["ece"]["value"] for _, methods in found]
            row[f"ece_{method}"] = round(float(np.mean(errors)), 4)
        changes = [methods["temperature"]["brier_change"]["value"] for _, methods in found]
        row["brier_change"] = round(float(np.mean(changes)), 4)
        row["better"] = round(float(np.mean(np.array(changes) < 0)), 2)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=150)
    parser.add_argument("--patches", type=int, default=70_000)
    parser.add_argument("--halves", type=int, default=50)
    parser.add_argument("--logits", type=Path, help="npz of real logits")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    rows = coverage(args.trials) + timings(args.patches)
    rows += real(args.logits, args.halves) if args.logits else []
    for row in rows:
        print("  ".join(f"{key} {value}" for key, value in row.items()))
    columns = list(dict.fromkeys(key for row in rows for key in row))
    facts = {
        "trials": args.trials,
        "patches": args.patches,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
    args.results.mkdir(parents=True, exist_ok=True)
    path = args.results / f"calibration-{hardware()}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*columns, *facts], lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows({**row, **facts} for row in rows)
    print(f"written to {path.name}")


if __name__ == "__main__":
    main()
