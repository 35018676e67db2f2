"""A file proves itself where it is used: it is asked for drawn patches, and compared with torch.

Processors, runtimes and precisions add numbers in different ways, and some of them wrongly without
a word. So an exported file carries torch's logits for 64 patches that a program draws. The first
time that a file is opened by a runtime on a machine it answers for them; what passed is remembered
by the digest of the file, the runtime's version, the processor, the precision and the threads.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from platformdirs import user_cache_path

from eosin.cores import kinds_of_processor, processor, usable_cores
from eosin.errors import DiskError, FailureError, RunError
from eosin.folders import whole_file
from eosin.records.export import FileFacts, Proof, Shown
from eosin.records.model import ModelFacts
from eosin.runtime.drawn import COUNT, drawn_patches

Patches = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Predict = Callable[[Patches], Floats]

#: float32: largest difference of a probability from torch's.
TOLERANCE = 1e-4
#: Other numbers: what the mean difference of a probability may be at least, how many times that of
#: the export it may be, and classes that may change beyond those that changed there: 1 % of 64.
MEAN, TIMES, CHANGED = 0.004, 2.0, 1


def proof_of(logits: Floats, size: tuple[int, int]) -> Proof:
    """What a file carries; logits: torch's for the drawn patches, float32 [64, K]."""
    rows = tuple(tuple(float(value) for value in row) for row in logits)
    return Proof(patches_sha256=_digest(drawn_patches(size).tobytes()), logits=rows)


def show(
    predict: Predict, facts: ModelFacts, proof: Proof, *, runtime: str, precision: str
) -> Shown:
    """Ask for the drawn patches, and compare with torch.

    predict: patches uint8 [64, H, W, 3] to probabilities float32 [64, K].
    Raises FailureError where this version draws other patches, or has numbers for others.
    """
    patches = drawn_patches(facts.patch_size)
    fitting = len(proof.logits) == COUNT and {len(row) for row in proof.logits} == {
        len(facts.classes)
    }
    if not fitting or _digest(patches.tobytes()) != proof.patches_sha256:
        raise FailureError(
            "the patches that the file was checked with are not those of this version, so it "
            "cannot be checked here; export it again"
        )
    logits = np.array(proof.logits, np.float64)
    wanted = np.exp(logits - logits.max(axis=1, keepdims=True))
    wanted /= wanted.sum(axis=1, keepdims=True)
    given = predict(patches).astype(np.float64)
    apart = np.abs(given - wanted)
    # What is not a number is as far away as can be.
    apart = np.where(np.isfinite(apart), apart, 1.0)
    called = facts.decision().point.called
    return Shown(
        runtime=runtime,
        precision=precision,
        largest_difference=float(apart.max()),
        mean_difference=float(apart.mean()),
        called_changed=int((called(wanted) != called(given)).sum()),
    )


def exact(info: FileFacts, precision: str) -> bool:
    """Whether a file should answer to the last digits, as float32 does."""
    return info.kind == "fp32" and precision == "fp32"


def allowed(info: FileFacts, proof: Proof, precision: str) -> tuple[float, int]:
    """The largest difference of float32, or the mean one of other numbers, and classes changed."""
    if exact(info, precision):
        return TOLERANCE, 0
    shown = [each for each in proof.shown if each.precision == precision] or [*proof.shown]
    mean = max([MEAN, *(TIMES * each.mean_difference for each in shown)])
    return mean, CHANGED + max([0, *(each.called_changed for each in shown)])


def problem(shown: Shown, info: FileFacts, proof: Proof) -> str:
    """Why these answers do not pass, with figures; "" where they do."""
    most, changed = allowed(info, proof, shown.precision)
    exactly = exact(info, shown.precision)
    apart = shown.largest_difference if exactly else shown.mean_difference
    # With float32 a class may change where the probability is on the threshold to the last digit.
    if apart <= most and (exactly or shown.called_changed <= changed):
        return ""
    which = "largest" if exactly else "mean"
    return (
        f"of {COUNT} drawn patches {shown.called_changed} change their class (at most {changed}), "
        f"and the {which} difference of a probability from torch's is {apart:.2g} (at most "
        f"{most:.2g})"
    )


def prove(
    ask: Callable[[], Shown | None],
    files: list[Path],
    info: FileFacts,
    runtime: str,
    precision: str,
) -> None:
    """Refuse a file that does not answer here as torch did, once per machine, runtime and file.

    ask: answers for the drawn patches; files: all parts of the exported model.
    Raises RunError with the figures; also for an int8 file of an earlier version, which has 8-bit
    weights and nothing to check, where the processor may answer it wrongly.
    """
    path, proof = files[0], info.proof
    here = processor()
    kind, _ = kinds_of_processor(here[1], platform.machine())
    if proof is None:
        if info.kind == "int8" and kind == "x86-64 without VNNI":
            raise RunError(
                f"{path} was exported by an earlier version, with 8-bit weights, which processors "
                "without VNNI answer wrongly, and this one has none; export it again"
            )
        return
    remembered = _place(files, runtime, precision, here)
    if remembered.is_file():
        return
    shown = ask()
    assert shown is not None
    if why := problem(shown, info, proof):
        shown_in = ", ".join(sorted({each.runtime for each in proof.shown})) or "torch alone"
        raise RunError(
            f"{path} does not answer here as it did where it was exported: {why}, in {runtime} "
            f"with {precision} on {kind}; it was checked with {shown_in}. See: eosin doctor {path}"
        )
    try:
        remembered.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(remembered) as temporary:
            temporary.write_text(json.dumps(shown.to_json() | {"file": path.name}), "utf-8")
    except (OSError, DiskError):  # a home that cannot be written: it is checked again next time
        pass


def _place(files: list[Path], runtime: str, precision: str, here: tuple[str, set[str]]) -> Path:
    """Where it is remembered that these files passed here."""
    name, flags = here
    known = [
        *(_digest_of(file) for file in files), runtime, precision, name, *sorted(flags),
        platform.machine(), str(usable_cores()[0]),
        *(os.environ.get(key, "") for key in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")),
    ]  # fmt: skip
    key = _digest("\n".join(known).encode())
    cache = os.environ.get("EOSIN_CACHE") or user_cache_path("eosin", appauthor=False)
    return Path(cache) / "proofs" / f"{key}.json"


def _digest_of(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
