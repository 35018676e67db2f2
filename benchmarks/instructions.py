"""int8 with and without VNNI, with 7 and 8 bits of weights: what changes, and how fast it is.

    python benchmarks/instructions.py RUN [--patches 6000] [--qemu] [--repeats 5]

RUN: an evaluated run whose store is there. Its int8 files are made with 8 and with 7 bits. OpenVINO
obeys oneDNN's limit, so ONEDNN_MAX_CPU_ISA=AVX2 makes it add products as a processor without VNNI
does. ONNX Runtime has no such limit: with --qemu it answers on an emulated processor (qemu-x86_64
-cpu Haswell), so slowly that it is only asked for the 64 drawn patches. Prints a table and writes a
CSV: how far the answers are from torch's, whether the file would pass the gate of an export and the
check where it is used, and patches a second.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import alternate, show, write_csv


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--patches", type=int, default=6000)
    parser.add_argument("--qemu", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--ask", nargs=3, metavar=("FILE", "SAMPLE", "TIMED"), help=argparse.SUPPRESS
    )
    chosen = parser.parse_args()
    if chosen.ask:
        print(json.dumps(asked(Path(chosen.ask[0]), Path(chosen.ask[1]), int(chosen.ask[2]))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        rows = list(measured(chosen, Path(temporary)))
    show(rows, "int8 beside torch in float32")
    write_csv("instructions", rows, packages=("onnxruntime", "openvino"))


def measured(chosen: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    from eosin.exporting import parity
    from eosin.inference.torch_predictor import load_run
    from eosin.training.session import reopen

    parity.MOST = chosen.patches
    sample = parity.validation_sample(reopen(chosen.run))
    predictor = load_run(chosen.run)
    reference = parity.read(predictor, sample)
    kept = folder / "sample.pickle"
    kept.write_bytes(pickle.dumps((sample, reference)))
    for bits in (8, 7):
        exported = folder / str(bits)
        with bits_of_weights(bits):
            export_all(chosen.run, exported)
        for name in ("model.onnx", "model-int8.onnx", "model.xml", "model-int8.xml"):
            if bits == 7 and "int8" not in name:
                continue
            file = exported / name
            about = {"file": name, "bits": bits if "int8" in name else 32}
            yield about | {"processor": "this"} | ask(file, kept, chosen.repeats)
            if name.endswith(".xml"):
                limited = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
                yield (
                    about
                    | {"processor": "limited to AVX2"}
                    | ask(file, kept, chosen.repeats, environment=limited)
                )
            if chosen.qemu and shutil.which("qemu-x86_64"):
                emulated = ["qemu-x86_64", "-cpu", "Haswell"]
                yield (
                    about | {"processor": "emulated Haswell"} | ask(file, kept, 0, before=emulated)
                )


def ask(
    file: Path, sample: Path, repeats: int, *, environment: Any = (), before: Any = ()
) -> dict[str, Any]:
    """What a process of its own finds."""
    command = [*before, sys.executable, __file__, "-", "--ask", file, sample, str(repeats)]
    done = subprocess.run(
        [str(word) for word in command], env=os.environ | dict(environment), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    return dict(json.loads(done.stdout.splitlines()[-1]))


def asked(file: Path, sample_file: Path, repeats: int) -> dict[str, Any]:
    from eosin.runtime.predictor import load_file
    from eosin.runtime.proof import problem

    predictor = load_file(file, check=False)
    info = predictor.exported.info
    shown = predictor.shown()
    assert shown is not None
    assert info.proof is not None
    drawn = {
        "runtime": predictor.runtime,
        "drawn_mean": shown.mean_difference,
        "drawn_classes": shown.called_changed,
        "check": "refused" if problem(shown, info, info.proof) else "passed",
    }
    if not repeats:
        return drawn
    from eosin.exporting import parity

    sample, reference = pickle.loads(sample_file.read_bytes())
    answers = parity.read(predictor, sample)
    found = parity.compare(reference, answers, predictor.facts.decision(), sample.labels)
    patches = sample.patches[:2048]
    predictor.predict(patches)
    seconds = alternate({"all": lambda: predictor.predict(patches)}, repeats=repeats)
    gate = parity.why_not(found, sample) if info.kind == "int8" else ""
    return drawn | {
        "patches": found.patches,
        "largest": found.largest_difference,
        "mean": found.mean_difference,
        "classes_changed": found.called_changed,
        "decisions_changed": found.answers_changed,
        "auroc_lost": found.auroc_lost,
        "gate": "refused" if gate else "passed",
        "patches_per_second": round(len(patches) / seconds["all"].median),
    }


def export_all(run: Path, folder: Path) -> None:
    from eosin.exporting.export import Formats, export

    begun = time.perf_counter()
    export(run, folder, formats=Formats(int8=True, openvino=True))
    print(f"exported in {time.perf_counter() - begun:.0f} s", file=sys.stderr)


@contextlib.contextmanager
def bits_of_weights(bits: int) -> Iterator[None]:
    """Quantize with so many bits; files are kept although they may fail the gate here."""
    import onnxruntime.quantization as quantization

    from eosin.exporting import checked

    quantize, why_not = quantization.quantize_static, checked.why_not
    quantization.quantize_static = lambda *given, **named: quantize(
        *given, **named | {"reduce_range": bits == 7}
    )
    checked.why_not = lambda *given: ""
    try:
        yield
    finally:
        quantization.quantize_static, checked.why_not = quantize, why_not


if __name__ == "__main__":
    main()
