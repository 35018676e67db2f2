"""What `eosin doctor FILE` shows: an exported file's answers here, beside those of torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eosin.cli import output
from eosin.cli.checks import FAIL, NONE, PASS

_NAMES = ("model.onnx", "model-int8.onnx", "model.xml", "model-int8.xml", "model.pt2")
_NO_PROOF = "the file is of an earlier version and carries no patches; export it again"


def prove_file(path: Path) -> dict[str, Any]:
    """Ask an exported file, or all of an export's folder, in every runtime and precision here.

    Returns {"file", "processor", "instructions", "kind", "rows", "failed"}.
    Raises RunError where nothing there was exported by eosin.
    """
    import platform

    from eosin.cores import instructions, kinds_of_processor, processor
    from eosin.errors import RunError

    files = [path / name for name in _NAMES if (path / name).is_file()] if path.is_dir() else [path]
    if not files:
        raise RunError(f"{path} is not an export; make one with: eosin export RUN -o FOLDER")
    name, flags = processor()
    rows = [row for file in files for row in _rows(file)]
    return {
        "file": str(path),
        "processor": name,
        "instructions": instructions(flags),
        "kind": kinds_of_processor(flags, platform.machine())[0],
        "rows": rows,
        "failed": sum(row["status"] == FAIL for row in rows),
    }


def show_proof(result: dict[str, Any]) -> None:
    """The same for people."""
    has = ", ".join(result["instructions"]) or "instructions unknown"
    output.say(f"{result['processor'] or 'processor'}: {has} ({result['kind']})")
    figures = ["differs", "allowed", "classes", "where exported"]
    output.table(
        "64 drawn patches, beside torch in float32",
        ["file", "", "runtime", "precision", *figures],
        [
            [row["file"], row["status"], row["runtime"], row["precision"]]
            + [_figure(row.get(key)) for key in ("apart", "allowed", "called_changed", "exported")]
            for row in result["rows"]
        ],
        right=figures,
    )
    output.say(
        *(
            f"{row['file']}, {row['precision']}: {row['why']}"
            for row in result["rows"]
            if row["why"]
        )
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    """A row for each runtime and precision that may answer; what cannot says why."""
    from eosin.errors import EosinError, MissingExtraError, UserError
    from eosin.inference.predictor import load_file
    from eosin.runtime import proof as proofs

    for precision in ("fp32", "bf16"):
        row: dict[str, Any] = {
            "file": file.name,
            "precision": precision,
            "runtime": NONE,
            "why": "",
        }
        try:
            predictor = load_file(file, precision=precision, check=False)
        except UserError as error:
            if precision == "fp32" and not isinstance(error, MissingExtraError):
                raise
            yield row | {"status": NONE, "why": str(error)}
            continue
        info, row["runtime"] = predictor.exported.info, predictor.runtime
        if info.proof is None:
            try:
                predictor.proven()
                yield row | {"status": NONE, "why": _NO_PROOF}
            except EosinError as error:
                yield row | {"status": FAIL, "why": str(error)}
            continue
        shown = predictor.shown()
        assert shown is not None
        why = proofs.problem(shown, info, info.proof)
        kind = "largest" if proofs.exact(info, precision) else "mean"
        there = [each for each in info.proof.shown if each.precision == precision]
        yield row | {
            "status": FAIL if why else PASS,
            "why": why,
            "statistic": kind,
            "apart": getattr(shown, f"{kind}_difference"),
            "allowed": proofs.allowed(info, info.proof, precision)[0],
            "exported": max((getattr(e, f"{kind}_difference") for e in there), default=None),
            **shown.model_dump(mode="json", exclude={"runtime", "precision"}),
        }
