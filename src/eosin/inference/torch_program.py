"""An exported .pt2 file, answered by torch without eosin's own networks."""

from __future__ import annotations

import logging
import os
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from eosin.errors import RunError
from eosin.runtime.exported import (
    DISTANCE,
    INPUT,
    PROBABILITIES,
    Port,
    blocks,
    check_patches,
    existing,
    joined,
    read_exported,
)
from eosin.training.machine import choose_machine

Patches = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: Name of the extra file that holds the facts.
FACTS = "eosin.json"
_OUTPUTS = (PROBABILITIES, "features", DISTANCE)


class ProgramPredictor:
    """A Predictor over a program that torch.export has written.

    path: a .pt2 file of ``eosin export --torch``; such a file may hold code, so open only one whose
    origin you know. precision: "fp32", "bf16" or "auto".
    Raises RunError where the file is missing, damaged, not eosin's or of a newer format.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, precision: str = "fp32", batch_size: int = 256
    ) -> None:
        self.path = existing(Path(path))
        self.batch_size = batch_size
        text = _facts(self.path)
        ports = {INPUT: Port("uint8", (None, None, None, 3))}
        # What the program gives is seen when it answers; its facts are checked before it is read.
        answer = {PROBABILITIES: Port("float32", (None, None))}
        read_exported(self.path, text, ports, answer)
        try:
            with _quiet():
                program = torch.export.load(self.path)
        except Exception as error:  # an archive can be damaged in as many ways as it has parts
            first = [*str(error).strip().splitlines(), type(error).__name__][0]
            raise RunError(
                f"{self.path} cannot be opened by torch ({first}); export it again"
            ) from None
        count = len(program.graph_signature.user_outputs)
        if count > 2:
            answer[DISTANCE] = Port("float32", (None,))
        self.exported = read_exported(self.path, text, ports, answer)
        self.classes = self.exported.classes
        self.patch_size = self.exported.patch_size
        self.facts = self.exported.facts
        self.machine = choose_machine(precision)
        self.runtime = f"torch {torch.__version__}"
        self._program: Any = program.module().to(self.machine.device)

    def predict(self, patches: Patches) -> Floats:
        """patches: uint8 [N, H, W, 3], any N, H and W. Returns probabilities float32 [N, K]."""
        return self.examine(patches)[0]

    @torch.inference_mode()
    def examine(self, patches: Patches) -> tuple[Floats, Floats | None]:
        """Probabilities float32 [N, K], and the distance from the training patches float32 [N].

        patches: uint8 [N, H, W, 3]. The distance is None where the file has no such check.
        """
        check_patches(patches)
        found: dict[str, list[Floats]] = {name: [] for name in _OUTPUTS}
        for block in blocks(patches, self.patch_size, self.batch_size):
            given = torch.from_numpy(np.array(patches[block])).to(self.machine.device)
            with self.machine.autocast():
                answers = self._program(given)
            for name, answer in zip(_OUTPUTS, answers, strict=False):
                found[name].append(answer.float().cpu().numpy())
        probabilities = joined(found[PROBABILITIES], (0, len(self.classes)))
        if not self.exported.has_distance:
            return probabilities, None
        return probabilities, joined(found[DISTANCE], (0,))


@contextmanager
def _quiet() -> Iterator[None]:
    """torch tells developers what it meets in a file; a user gets one sentence."""
    logger = logging.getLogger("torch.export")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _facts(path: Path) -> str | None:
    """The facts in the archive, read without torch; None where there are none."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.rpartition("/")[2] == FACTS]
            return archive.read(names[0]).decode("utf-8") if names else None
    except (zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
        raise RunError(f"{path} is not a torch program, or was cut short ({error})") from None
