"""Time of the bootstrap over cases: 2,000 replicates of 70,000 patches of 49 cases.

    python benchmarks/bootstrap.py
    python benchmarks/bootstrap.py --patches 10000 --replicates 200    # a few seconds

The plain way is a loop of scikit-learn calls on the resampled patches. It is run for few
replicates and scaled to all of them, which is said where it is printed. The data are made up:
scores of cases of uneven size and prevalence, about 30 % positive.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from harness import hardware
from sklearn import metrics as sk

from eosin.evaluation.definitions import BINARY
from eosin.evaluation.intervals import bootstrap
from eosin.evaluation.resampling import draws, replicate_figures


def simulated(patches: int, cases: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth int64 [N], probability float64 [N] and case number int64 [N]."""
    rng = np.random.default_rng(0)
    case = np.sort(rng.choice(cases, patches, p=rng.dirichlet(np.full(cases, 3.0))))
    case = np.unique(case, return_inverse=True)[1]
    y = (rng.random(patches) < rng.beta(1.2, 2.8, cases)[case]).astype(np.int64)
    z = rng.normal(0, 1.3, patches) + 2.9 * y - 2.2 + rng.normal(0, 0.8, cases)[case]
    return y, 1 / (1 + np.exp(-z)), case


def plain(y: np.ndarray, p: np.ndarray, case: np.ndarray, replicates: int) -> np.ndarray:
    """The headline figures of the first replicates by scikit-learn: float64 [replicates, 8]."""
    members = [np.flatnonzero(case == k) for k in range(case.max() + 1)]
    rows = []
    for counts in next(draws(len(members), 2000, 0))[:replicates]:
        taken = np.concatenate([np.tile(members[k], n) for k, n in enumerate(counts)])
        t, s = y[taken], p[taken]
        called = s >= 0.5
        rows.append(
            [
                sk.roc_auc_score(t, s),
                sk.average_precision_score(t, s),
                sk.balanced_accuracy_score(t, called),
                sk.f1_score(t, called),
                sk.recall_score(t, called),
                sk.recall_score(t, called, pos_label=0),
                sk.accuracy_score(t, called),
                sk.brier_score_loss(t, s),
            ]
        )
    return np.array(rows)


def timed(function: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of each run, sorted."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=70_000)
    parser.add_argument("--cases", type=int, default=49)
    parser.add_argument("--replicates", type=int, default=2000)
    parser.add_argument("--loop", type=int, default=10, help="replicates of the plain loop")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()

    y, p, case = simulated(args.patches, args.cases)
    names = case.astype(str)
    fast = timed(lambda: bootstrap(y, p, names, replicates=args.replicates, seed=0), args.repeats)
    alone = timed(lambda: bootstrap(y, p, None, replicates=args.replicates, seed=0), 1)
    slow = timed(lambda: plain(y, p, case, args.loop), 1)[0] / args.loop * args.replicates
    found = replicate_figures(y, p, case, replicates=2000, seed=0)
    expected = plain(y, p, case, args.loop)
    apart = max(
        float(np.abs(found[name][: args.loop] - expected[:, column]).max())
        for column, name in enumerate(BINARY[:8])
    )
    middle = fast[len(fast) // 2]
    print(f"{args.replicates} replicates, {len(y)} patches, {args.cases} cases, 8 figures")
    spread = f"median of {args.repeats} ({fast[0]:.2f} to {fast[-1]:.2f})"
    print(f"  eosin, over cases    {middle:8.2f} s   {spread}")
    print(f"  eosin, over patches  {alone[0]:8.2f} s   once (cases unknown)")
    print(f"  scikit-learn loop    {slow:8.1f} s   scaled from {args.loop} replicates")
    print(f"  ratio                {slow / middle:8.0f}")
    print(f"  largest difference of a figure in one replicate: {apart:.1e}")

    row = {
        "patches": len(y),
        "cases": args.cases,
        "replicates": args.replicates,
        "seconds_median": round(middle, 3),
        "seconds_min": round(fast[0], 3),
        "seconds_max": round(fast[-1], 3),
        "seconds_over_patches": round(alone[0], 3),
        "loop_seconds_scaled": round(slow, 1),
        "loop_replicates": args.loop,
        "ratio": round(slow / middle, 1),
        "largest_difference": f"{apart:.1e}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scikit_learn": importlib.metadata.version("scikit-learn"),
        "date": time.strftime("%Y-%m-%d"),
    }
    args.results.mkdir(parents=True, exist_ok=True)
    path = args.results / f"bootstrap-{hardware()}.csv"
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerow(row)
    print(f"  added to {path.name}")


if __name__ == "__main__":
    main()
