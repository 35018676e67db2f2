"""A file is written, tried, compared with torch, and written again with the figures in it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eosin.errors import FailureError, UserError
from eosin.exporting.parity import Sample, compare, exact, read, why_not
from eosin.inference.predictor import FilePredictor, load_file
from eosin.inference.torch_predictor import TorchPredictor
from eosin.records.export import ExportedFile, FileFacts, Parity, RefusedFile
from eosin.runtime.drawn import drawn_patches
from eosin.runtime.proof import TOLERANCE, proof_of

#: (path, metadata) -> None: writes a file of an export.
Writer = Callable[[Path, Mapping[str, Any]], None]
Note = Callable[[str], None]


class Checker:
    """Torch's answers for a sample, with which those of every file are compared.

    work: a folder to try files in; note: called with a sentence on each step. What was written is
    in ``files``, and what was not in ``refused``.
    Raises FailureError where torch itself gives no finite probabilities.
    """

    def __init__(self, predictor: TorchPredictor, sample: Sample, work: Path, note: Note) -> None:
        note(f"torch answers for {sample.words()}")
        self.sample, self.work, self.note = sample, work, note
        self.files: list[ExportedFile] = []
        self.refused: list[RefusedFile] = []
        self.rule = predictor.facts.decision()
        self.reference = read(predictor, sample)
        drawn = drawn_patches(predictor.patch_size)
        logits, _ = predictor.read(drawn, np.arange(len(drawn)))
        #: What every file carries, to be asked again where it is used.
        self.proof = proof_of(logits, predictor.patch_size)
        if not np.isfinite(self.reference.probabilities).all():
            raise FailureError(
                "the run's network gives no finite probabilities for "
                f"{sample.words()}, so there is nothing to export; train it again"
            )

    def write(self, path: Path, writer: Writer, info: FileFacts) -> None:
        """Write a file that contains the figures of its own check.

        Raises FailureError where a float32 file does not answer as torch; an int8 file that does
        not pass the gate is refused.
        """
        tried = self.work / path.name
        info = info.model_copy(update={"proof": self.proof})
        writer(tried, info.model_dump(mode="json"))
        self.note(f"{path.name} answers for {self.sample.words()}")
        predictor = load_file(tried, check=False)
        parity = self._compared(predictor)
        shown = [predictor.shown()]
        if path.suffix == ".xml":
            try:
                in_bf16 = load_file(tried, precision="bf16", check=False)
                parity = parity.model_copy(update={"bf16": self._compared(in_bf16)})
                shown.append(in_bf16.shown())
            except UserError:  # the processor has no bf16
                pass
        proof = self.proof.model_copy(update={"shown": tuple(filter(None, shown))})
        info = info.model_copy(update={"proof": proof})
        if info.kind == "fp32":
            self._check_exact(path.name, parity)
        elif why := self._why_not(parity):
            self.refused.append(RefusedFile(file=path.name, why=why, parity=parity))
            return
        writer(path, info.model_dump(mode="json") | {"parity": parity.model_dump(mode="json")})
        parts = [path, *([path.with_suffix(".bin")] if path.suffix == ".xml" else [])]
        self.files.append(
            ExportedFile(
                file=path.name,
                kind=info.kind,
                runtime=predictor.runtime,
                bytes=sum(part.stat().st_size for part in parts),
                sha256={p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in parts},
                parity=parity,
            )
        )

    def _compared(self, predictor: FilePredictor) -> Parity:
        return compare(self.reference, read(predictor, self.sample), self.rule, self.sample.labels)

    def _check_exact(self, name: str, parity: Parity) -> None:
        if not exact(parity):
            largest = max(parity.largest_difference, parity.largest_difference_other_sizes)
            raise FailureError(
                f"{name} does not answer as torch does: the largest difference of a probability is "
                f"{largest:.2g} (at most {TOLERANCE:g} is allowed), and {parity.answers_changed} "
                f"of {parity.patches} decisions changed; nothing was written"
            )

    def _why_not(self, parity: Parity) -> str:
        for how, figures in (("", parity), (" in bf16", parity.bf16)):
            if figures is not None and (why := why_not(figures, self.sample)):
                return f"{why}{how}"
        return ""
