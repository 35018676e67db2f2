"""Logits of a run for the validation cases, the test cases and those in no part of its split.

    python benchmarks/logits.py run idc.store logits.npz

benchmarks/calibration.py and benchmarks/referral.py read the file: PART_y, PART_logits, PART_case
and PART_row for each part (val, test, out) that has patches. The logits are those before the
temperature.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from eosin.folders import whole_file
from eosin.inference.torch_predictor import load_run
from eosin.memory import keep_freed_memory
from eosin.training.session import reopen


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("output", type=Path)
    wanted = parser.parse_args()
    session = reopen(wanted.run, str(wanted.store))
    store, parts = session.store, dict(session.parts)
    parts["out"] = np.setdiff1d(np.arange(len(store)), np.concatenate(list(parts.values())))
    del parts["train"]
    predictor = load_run(wanted.run)
    predictor.model.temperature.fill_(1.0)
    arrays: dict[str, np.ndarray] = {}
    for name, rows in parts.items():
        if len(rows):
            arrays[f"{name}_y"] = store.labels[rows]
            arrays[f"{name}_logits"] = predictor.read(store.patches, rows)[0]
            arrays[f"{name}_case"] = store.cases[rows].astype(np.str_)
            arrays[f"{name}_row"] = rows
            print(f"{name}: {len(rows):,} patches of {len(set(store.cases[rows].tolist()))} cases")
    with whole_file(wanted.output) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


if __name__ == "__main__":
    keep_freed_memory()
    main()
