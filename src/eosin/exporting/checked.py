"""A file is written, asked, compared with torch, and written again with what was found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eosin.errors import FailureError, UserError
from eosin.exporting.parity import TOLERANCE, Sample, compare, exact, read, why_not
from eosin.inference.predictor import load_file
from eosin.inference.subject import facts_of
from eosin.inference.torch_predictor import TorchPredictor

#: (path, metadata) -> None: writes a file of an export.
Writer = Callable[[Path, Mapping[str, Any]], None]


class Refused(Exception):
    """An int8 file that did not pass; never leaves this room."""

    def __init__(self, why: str, parity: Mapping[str, Any]) -> None:
        super().__init__(why)
        self.parity = parity


class Checker:
    """Torch's answers for a sample, with which those of every file are compared.

    Raises FailureError where torch itself gives no finite probabilities.
    """

    def __init__(self, predictor: TorchPredictor, sample: Sample) -> None:
        self.sample = sample
        self.decision = facts_of(predictor).decision()
        self.reference = read(predictor, sample)
        self.work = Path()
        self.said: Callable[[str], None] = lambda text: None
        if not np.isfinite(self.reference.probabilities).all():
            raise FailureError(
                "the run's network gives no finite probabilities for "
                f"{sample.words()}, so there is nothing to export; train it again"
            )

    def begin(self, work: Path, said: Callable[[str], None]) -> None:
        """Where files may be tried, and who is told."""
        work.mkdir()
        self.work, self.said = work, said

    def write(self, path: Path, writer: Writer, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write a file that holds the figures of its own check; returns its row of export.json.

        Raises FailureError where a float32 file does not answer as torch, Refused where an int8
        file does not pass the gate.
        """
        tried = self.work / path.name
        writer(tried, facts)
        self.said(f"{path.name} answers for {self.sample.words()}")
        parity, runtime = self._parity(tried, facts["kind"])
        self._judge(path.name, facts["kind"], parity)
        writer(path, {**facts, "parity": parity})
        parts = [path, *([path.with_suffix(".bin")] if path.suffix == ".xml" else [])]
        return {
            "file": path.name,
            "kind": facts["kind"],
            "runtime": runtime,
            "bytes": sum(part.stat().st_size for part in parts),
            "sha256": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in parts},
            "parity": parity,
        }

    def _parity(self, path: Path, kind: str) -> tuple[dict[str, Any], str]:
        predictor = load_file(path)
        parity = self._compared(predictor)
        if path.suffix == ".xml":
            try:
                parity["bf16"] = self._compared(load_file(path, precision="bf16"))
            except UserError:  # the processor has none
                parity["bf16"] = None
        return parity, predictor.runtime

    def _compared(self, predictor: Any) -> dict[str, Any]:
        found = read(predictor, self.sample)
        return compare(self.reference, found, self.decision, self.sample.labels)

    def _judge(self, name: str, kind: str, parity: Mapping[str, Any]) -> None:
        if kind == "fp32":
            if not exact(parity):
                largest = max(
                    parity["largest_difference"], parity["largest_difference_other_sizes"]
                )
                raise FailureError(
                    f"{name} does not answer as torch does: the largest difference of a "
                    f"probability is {largest:.2g} (at most {TOLERANCE:g} is allowed), and "
                    f"{parity['answers_changed']} of {parity['patches']} decisions changed; "
                    "nothing was written"
                )
            return
        given = {"": parity, " in bf16": parity.get("bf16")}
        for how, figures in given.items():
            if figures is not None and (why := why_not(figures, self.sample)):
                raise Refused(f"{why}{how}", parity)
