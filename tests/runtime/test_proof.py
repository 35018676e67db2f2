"""A file proves itself where it is used: drawn patches, what passes, what is refused."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eosin.errors import FailureError, RunError
from eosin.records.export import FileFacts, Proof, Shown
from eosin.records.model import ModelFacts
from eosin.runtime import proof as proofs
from eosin.runtime.drawn import drawn_patches

SIZE = (12, 10)


def softmax(logits: Any) -> Any:
    each = np.exp(logits - logits.max(1, keepdims=True))
    return (each / each.sum(1, keepdims=True)).astype(np.float32)


LOGITS = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
WANTED = softmax(LOGITS)


def facts(**more: Any) -> FileFacts:
    return FileFacts(classes=("n", "p"), patch_size=SIZE, facts={}, **more)


MODEL = ModelFacts.read(
    {"format": 2, "architecture": "compact", "classes": ["n", "p"], "patch_size": SIZE},
    None,
    file="m",
)


def shown(kind: float, mean: float = 0.0, changed: int = 0, precision: str = "fp32") -> Shown:
    return Shown(
        runtime="r 1", precision=precision, largest_difference=kind, mean_difference=mean,
        called_changed=changed,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("size", "digest"),
    [((50, 50), "3b3a0f6a8575a381"), ((1, 3), "b858d3de4d2eb4ee"), ((224, 96), "d4a699cce15dd07a")],
)
def test_patches_are_the_same_everywhere(size: tuple[int, int], digest: str) -> None:
    patches = drawn_patches(size)
    assert patches.shape == (64, *size, 3)
    assert hashlib.sha256(patches.tobytes()).hexdigest()[:16] == digest


def test_answers_are_compared_with_torch() -> None:
    proof = proofs.proof_of(LOGITS, SIZE)
    found = proofs.show(lambda patches: WANTED, MODEL, proof, runtime="r 1", precision="fp32")
    assert found.largest_difference < 1e-6
    assert found.called_changed == 0
    swapped = proofs.show(
        lambda patches: WANTED[:, ::-1], MODEL, proof, runtime="r 1", precision="fp32"
    )
    assert swapped.called_changed == 64
    lost = np.full((64, 2), np.nan, np.float32)
    assert (
        proofs.show(lambda _: lost, MODEL, proof, runtime="r", precision="fp32").mean_difference
        == 1
    )


def test_other_patches_are_not_compared() -> None:
    proof = proofs.proof_of(LOGITS, SIZE)
    for other in (
        proof.model_copy(update={"patches_sha256": "0"}),
        proof.model_copy(update={"logits": proof.logits[:3]}),
        proof.model_copy(update={"logits": (*proof.logits[:-1], (0.0,))}),
    ):
        with pytest.raises(FailureError, match="not those of this version"):
            proofs.show(lambda _: WANTED, MODEL, other, runtime="r", precision="fp32")


@pytest.mark.parametrize(
    ("kind", "precision", "there", "here", "passes"),
    [
        ("fp32", "fp32", shown(1e-6), shown(9e-5), True),
        ("fp32", "fp32", shown(1e-6), shown(2e-4), False),
        ("fp32", "fp32", shown(1e-6), shown(math.inf), False),
        ("int8", "fp32", shown(0.04, 0.006), shown(0.04, 0.0119), True),
        ("int8", "fp32", shown(0.04, 0.006), shown(0.04, 0.0121), False),
        ("int8", "fp32", shown(0.04, 0.006, 1), shown(0.04, 0.006, 2), True),
        ("int8", "fp32", shown(0.04, 0.006, 1), shown(0.04, 0.006, 3), False),
        ("int8", "fp32", shown(0.001, 0.0001), shown(0.02, 0.0039), True),
        ("fp32", "bf16", shown(1e-6), shown(0.02, 0.0039, 1, "bf16"), True),
        ("fp32", "bf16", shown(1e-6), shown(0.02, 0.0041, 0, "bf16"), False),
    ],
)
def test_what_passes(kind: str, precision: str, there: Shown, here: Shown, passes: bool) -> None:
    proof = Proof(patches_sha256="", logits=((0.0, 0.0),), shown=(there,))
    why = proofs.problem(here, facts(kind=kind, proof=proof), proof)
    assert (why == "") is passes
    assert passes or "of 64 drawn patches" in why


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("EOSIN_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "model.onnx"
    file.write_bytes(b"model")
    calls: list[str] = []

    def prove(answer: Shown, runtime: str = "r 1", precision: str = "fp32") -> list[str]:
        proof = Proof(patches_sha256="", logits=((0.0, 0.0),), shown=(shown(1e-6),))

        def ask() -> Shown:
            calls.append(runtime)
            return answer

        proofs.prove(ask, [file], facts(proof=proof), runtime, precision)
        return calls

    return prove, file


def test_what_passed_is_asked_once(asked: Any) -> None:
    prove, file = asked
    assert prove(shown(1e-6)) == ["r 1"]
    assert prove(shown(1e-6)) == ["r 1"]
    assert prove(shown(1e-6), "r 2") == ["r 1", "r 2"], "a newer runtime is asked again"
    file.write_bytes(b"another")
    assert len(prove(shown(1e-6))) == 3, "another file is asked"


def test_what_does_not_pass_is_refused_each_time(asked: Any) -> None:
    prove, file = asked
    for _ in range(2):
        with pytest.raises(RunError) as caught:
            prove(shown(0.3, 0.2, 9))
        assert "of 64 drawn patches 9 change their class" in str(caught.value)
        assert f"eosin doctor {file}" in str(caught.value)


def test_a_home_that_cannot_be_written_is_no_error(
    asked: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prove, _ = asked
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EOSIN_CACHE", str(tmp_path / "file"))
    assert len(prove(shown(1e-6))) == 1
    assert len(prove(shown(1e-6))) == 2


@pytest.mark.parametrize(("flags", "refused"), [({"avx2"}, True), ({"avx2", "avx_vnni"}, False)])
def test_int8_of_earlier_versions(
    flags: set[str], refused: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(proofs, "processor", lambda: ("", flags))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    file = tmp_path / "model-int8.onnx"
    file.write_bytes(b"model")
    old = facts(kind="int8")
    if refused:
        with pytest.raises(RunError, match=r"without VNNI answer wrongly.*export it again"):
            proofs.prove(lambda: None, [file], old, "r 1", "fp32")
    else:
        proofs.prove(lambda: None, [file], old, "r 1", "fp32")
    proofs.prove(lambda: None, [file], facts(), "r 1", "fp32")


def test_what_is_remembered_says_what_was_seen(asked: Any, tmp_path: Path) -> None:
    asked[0](shown(1e-6))
    (kept,) = (tmp_path / "cache" / "proofs").iterdir()
    assert json.loads(kept.read_text()) | {"runtime": "r 1", "file": "model.onnx"} == json.loads(
        kept.read_text()
    )
