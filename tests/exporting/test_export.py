"""eosin export, from run to folder: what is written, what is said, and what is refused."""

from __future__ import annotations

import json
import shutil
import socket
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file

from eosin.data.pack import pack
from eosin.data.store import PatchStore
from eosin.errors import FailureError, RunError, UserError
from eosin.exporting import checked, parity
from eosin.exporting import export as room
from eosin.exporting.export import Formats, export
from eosin.inference.images import picture_rule, predict_images
from eosin.inference.predictor import load, load_file
from eosin.records.model import ModelFacts
from eosin.records.weights import weights_digest
from eosin.runs import RunFolder
from eosin.runtime.drawn import drawn_patches
from eosin.splitting.seen import Seen
from eosin.training.session import reopen

Run = Callable[..., Any]
FILES = ["model.pt2", "model.onnx", "model.xml", "model-int8.onnx", "model-int8.xml"]


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """All files of one run; made-up patches are no measure of int8, so it may lose more."""
    folder = tmp_path_factory.mktemp("exported") / "all"
    said: list[str] = []

    def refuse(*_: object) -> None:
        raise AssertionError("an export asks no server")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parity, "MOST_CHANGED", 0.2)
        patch.setattr(parity, "MOST_AUROC_LOST", 0.05)
        patch.setattr(socket.socket, "connect", refuse)
        result = export(
            run, folder, formats=Formats(int8=True, openvino=True, torch=True), note=said.append
        )
    assert said[0] == "torch answers for 60 validation patches", said
    return folder, result.model_dump(mode="json")


def test_everything_asked_for_is_there(exported: tuple[Path, dict[str, Any]]) -> None:
    folder, result = exported
    assert [each["file"] for each in result["files"]] == FILES
    assert result["refused"] == []
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *FILES, "model.bin", "model-int8.bin", ".eosin.json", "EXPORT_CARD.md", "export.json",
        "seen.parquet",
    }  # fmt: skip
    assert json.loads((folder / "export.json").read_text("utf-8")) == json.loads(json.dumps(result))
    for each in result["files"][:3]:
        figures = each["parity"]
        assert figures["largest_difference"] < 1e-5
        assert figures["largest_difference_other_sizes"] < 1e-5
        assert figures["distance_difference"] < 1e-4
        assert figures["called_changed"] == figures["answers_changed"] == 0
        assert figures["auroc"] == pytest.approx(figures["auroc_torch"])
    for each in result["files"][3:]:
        assert each["kind"] == "int8"
        assert 1e-5 < each["parity"]["largest_difference"] < 0.3
        # The out-of-scope check of an int8 file is computed in float32.
        assert each["parity"]["distance_difference"] < 1e-3
    sizes = {each["file"]: each["bytes"] for each in result["files"]}
    assert sizes["model-int8.onnx"] < sizes["model.onnx"] + 40_000


@pytest.mark.parametrize("name", ["", *FILES[:4]])
def test_a_file_answers_by_itself(
    exported: tuple[Path, dict[str, Any]], run: Path, made_up_store: PatchStore, name: str
) -> None:
    folder, _ = exported
    predictor, reference = load(folder / name), load(run)
    assert predictor.classes == reference.classes
    assert predictor.patch_size == reference.patch_size
    assert predictor.facts.decision() == reference.facts.decision()
    patches = np.asarray(made_up_store.patches[:7])
    tolerance = 0.3 if "int8" in name else 1e-5
    for given in (patches, patches[:1, :33, :20]):
        found, distances = predictor.examine(np.ascontiguousarray(given))
        wanted, apart = reference.examine(np.ascontiguousarray(given))
        np.testing.assert_allclose(found, wanted, atol=tolerance)
        assert distances is not None
        assert apart is not None
        np.testing.assert_allclose(distances, apart, rtol=1e-3)
    assert predictor.predict(patches[:0]).shape == (0, 2)


@pytest.mark.parametrize("fit", ["pad", "resize"])
def test_a_file_sees_images_of_another_size_as_they_are_packed(
    exported: tuple[Path, dict[str, Any]], tmp_path: Path, fit: str
) -> None:
    predictor = load(exported[0] / "model.onnx")
    assert predictor.facts.fit == "pad"
    height, width = predictor.patch_size
    rng = np.random.default_rng(0)
    for k, size in enumerate([(height, width), (height - 9, width), (height // 2, width // 3)]):
        below = tmp_path / "images" / f"class{k % 2}"
        below.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(below / f"{k}.png"), rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    store = pack(tmp_path / "images", tmp_path / "store", size=(height, width), fit=fit)
    wanted = dict(zip(store.index["source"], predictor.predict(store.patches), strict=True))
    rule = picture_rule(predictor, fit=None if fit == "pad" else fit)
    rows = list(predict_images(predictor, [tmp_path / "images"], rule=rule))
    assert len(rows) == 3
    for row in rows:
        packed = wanted[row.file.removeprefix(f"{tmp_path}/images/")]
        assert list(row.probabilities.values()) == pytest.approx(packed, abs=1e-6)


def test_metadata_stand_in_the_file(exported: tuple[Path, dict[str, Any]], run: Path) -> None:
    folder, result = exported
    model = onnx.load(folder / "model-int8.onnx")
    held = {entry.key: entry.value for entry in model.metadata_props}
    assert held["classes"] == "negative, positive"
    assert held["mpp"] == "4"
    assert held["intended_use"].startswith("Research and education only")
    facts = json.loads(held["eosin"])
    assert facts["kind"] == "int8"
    model_json = json.loads((run / "model.json").read_text("utf-8"))
    assert facts["facts"] == {**model_json, "fitted": facts["facts"]["fitted"]}
    assert facts["facts"]["fitted"]["points"] == load(run).facts.fitted.to_json()["points"]
    assert facts["weights_digest"] == model_json["weights_digest"] == weights_digest(run)
    assert facts["parity"] == result["files"][3]["parity"]
    assert facts["run"] == "a run"
    assert set(facts["seen_cases"]) == {"train", "val"}
    assert all(facts["seen_cases"].values())
    assert not set(facts["seen_cases"]["train"]) & set(facts["seen_cases"]["val"])
    assert model.opset_import[0].version == 20
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in shape] == ["N", "H", "W", 3]


def test_the_card_says_what_was_found(exported: tuple[Path, dict[str, Any]]) -> None:
    text = (exported[0] / "EXPORT_CARD.md").read_text("utf-8")
    for words in (
        "# Export card: a run",
        "Research and education only, not for diagnosis.",
        "| patches | input | uint8 |",
        "60 patches of 3 cases: validation",
        "- Made-up data: drawn by a program",
        'session = onnxruntime.InferenceSession("model.onnx")',
    ):
        assert words in text, words
    assert "## Refused" not in text


def test_the_command(eosin: Run, run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    done = eosin("export", run, "-o", folder)
    assert done.code == 0, done.err
    assert "model.onnx" in done.out
    assert "0 of 60" in done.out
    lines = done.err.splitlines()
    assert [line for line in lines if not line.startswith(("torch answers", "tracing", "model."))
            ] == ["warning: made-up data: drawn by a program, no figure says anything about tissue",
                  "Research and education only, not for diagnosis."]  # fmt: skip
    assert sorted(path.name for path in folder.iterdir()) == [
        ".eosin.json", "EXPORT_CARD.md", "export.json", "model.onnx", "seen.parquet",
    ]  # fmt: skip
    done = eosin("export", run, "-o", folder)
    assert (done.code, "already contains an export" in done.err) == (2, True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    done = eosin("export", run, "-o", tmp_path / "other", "--force")
    assert (done.code, "contains other files" in done.err) == (2, True)


def test_int8_that_is_worse_is_left_out(
    eosin: Run, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "MOST_CHANGED", -1.0)
    done = eosin("export", run, "--int8", "-o", tmp_path / "out", "--json")
    assert done.code == 1
    result = json.loads(done.out)
    assert [each["file"] for each in result["files"]] == ["model.onnx"]
    (refused,) = result["refused"]
    assert refused["file"] == "model-int8.onnx"
    assert "of the classes change (at most -100% is allowed)" in refused["why"]
    assert "model-int8.onnx was not written" in done.err
    assert not (tmp_path / "out" / "model-int8.onnx").exists()
    card = (tmp_path / "out" / "EXPORT_CARD.md").read_text("utf-8")
    assert "model-int8.onnx was not written: " in card


def test_float32_that_differs_leaves_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked, "TOLERANCE", 0)
    monkeypatch.setattr(parity, "TOLERANCE", -1)
    with pytest.raises(FailureError, match="does not answer as torch does: the largest difference"):
        export(run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FILES)
def test_a_file_carries_torchs_answers_and_is_checked_with_them(
    exported: tuple[Path, dict[str, Any]], run: Path, name: str
) -> None:
    proof = load_file(exported[0] / name, check=False).exported.info.proof
    assert proof is not None
    patches = drawn_patches(load(run).patch_size)
    wanted = load(run).predict(patches)
    given = torch.softmax(torch.tensor(proof.logits), 1).numpy()
    np.testing.assert_allclose(given, wanted, atol=1e-6)
    assert {each.precision for each in proof.shown} <= {"fp32", "bf16"}
    assert all(each.runtime for each in proof.shown)
    assert load_file(exported[0] / name).proven()


def tampered(source: Path, target: Path) -> Path:
    """A file that says that torch gave other answers."""
    model = onnx.load(source)
    (entry,) = (each for each in model.metadata_props if each.key == "eosin")
    info = json.loads(entry.value)
    info["proof"]["logits"] = [row[::-1] for row in info["proof"]["logits"]]
    entry.value = json.dumps(info)
    onnx.save(model, target)
    return target


def test_a_file_that_answers_otherwise_here_is_refused(
    exported: tuple[Path, dict[str, Any]], eosin: Run, tmp_path: Path, made_up_store: PatchStore
) -> None:
    other = tampered(exported[0] / "model.onnx", tmp_path / "model.onnx")
    done = eosin("evaluate", other, "--store", made_up_store.path, "-o", tmp_path / "out")
    assert done.code == 2
    assert "does not answer here as it did where it was exported: of 64 drawn patches" in done.err
    assert "(at most 0.0001)" in done.err
    assert not (tmp_path / "out").exists()
    shown = eosin("doctor", other, "--json")
    assert shown.code == 1
    rows = json.loads(shown.out)["rows"]
    assert [row["status"] for row in rows if row["precision"] == "fp32"] == ["FAIL"]


def test_the_doctor_of_an_export(exported: tuple[Path, dict[str, Any]], eosin: Run) -> None:
    done = eosin("doctor", exported[0], "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    exact = [row for row in found["rows"] if row["precision"] == "fp32"]
    assert {row["file"] for row in exact} == set(FILES)
    assert {row["status"] for row in exact} == {"PASS"}
    assert found["kind"].startswith(("x86-64", "Arm"))
    (program,) = (
        row for row in found["rows"] if (row["file"], row["precision"]) == ("model.pt2", "bf16")
    )
    assert (program["status"], "answers in fp32 only" in program["why"]) == ("-", True)
    text = eosin("doctor", exported[0]).out
    assert "64 drawn patches, beside torch in float32" in text
    assert "model-int8.onnx" in text


def test_the_card_names_the_processor(exported: tuple[Path, dict[str, Any]]) -> None:
    folder, result = exported
    here = result["checked_on"]
    card = (folder / "EXPORT_CARD.md").read_text("utf-8")
    assert f"Checked on: {here['kind']}" in card
    assert f"not on: {' and '.join(here['not_on'])}" in card
    assert load_file(folder).exported.info.checked_on.kind == here["kind"]


def moved(run: Path, target: Path, store: str) -> Path:
    """A copy of a run whose store lies elsewhere."""
    shutil.copytree(run, target)
    facts = json.loads((target / "environment.json").read_text("utf-8"))
    facts["store"] |= {"path": store, "relative": "nowhere.store"}
    (target / "environment.json").write_text(json.dumps(facts), "utf-8")
    return target


def test_a_store_that_is_gone(
    run: Path, tmp_path: Path, made_up_store: PatchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = moved(run, tmp_path / "copy", "/nowhere/s.store")
    result = export(copy, tmp_path / "out", formats=Formats(int8=True))
    assert result.sample.part == "random"
    assert result.files[0].parity.auroc is None
    assert "no training patches to calibrate on" in result.refused[0].why
    card = (tmp_path / "out" / "EXPORT_CARD.md").read_text("utf-8")
    assert "made-up patches, which show nothing about tissue" in card
    assert "name its store with --store" in card
    with pytest.raises(UserError, match="no such store"):
        export(copy, tmp_path / "out2", store=str(tmp_path / "missing"))
    monkeypatch.setattr(room, "_write_all", lambda *given: given[3].files.extend(result.files))
    found = export(copy, tmp_path / "out3", store=str(made_up_store.path))
    assert found.sample.part == "val"


def test_without_validation_patches_int8_is_refused(run: Path) -> None:
    session = reopen(run)
    parts = {**session.parts, "val": np.empty(0, np.int64)}
    without = replace(session, parts=parts)
    assert parity.validation_sample(without).part == "train"
    assert "no validation patches" in room._calibration(without)
    assert len(room._calibration(session)) == len(session.parts["train"])


def test_runs_that_are_not_finished_or_damaged(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist"):
        export(tmp_path / "none", tmp_path / "out")
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "resume.pt").touch()
    with pytest.raises(RunError, match="training has not finished"):
        export(unfinished, tmp_path / "out")
    damaged = tmp_path / "damaged"
    shutil.copytree(run, damaged)
    (damaged / "model.safetensors").write_bytes(b"1234567890")
    with pytest.raises(RunError, match="damaged"):
        export(damaged, tmp_path / "out")
    weights = load_tensors(run / "model.safetensors")
    weights["head.bias"] = torch.full_like(weights["head.bias"], float("nan"))
    save_file(weights, damaged / "model.safetensors")
    with pytest.raises(FailureError, match="no finite probabilities"):
        export(damaged, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="is a file"):
        export(run, damaged / "model.json")


def test_no_path_and_no_case_leaves_the_machine(
    run: Path, tmp_path: Path, made_up_store: PatchStore
) -> None:
    copy = moved(run, tmp_path / "copy", "/nowhere/secret-place/s.store")
    model = json.loads((copy / "model.json").read_text("utf-8"))
    cases = sorted(set(made_up_store.cases.tolist()))
    model["marks"] += [f"--from {copy} has seen 1 cases and 9 patches (cases {cases[0]})"]
    model["start"] = {"kind": "run", "path": str(copy)}
    (copy / "model.json").write_text(json.dumps(model), "utf-8")
    export(copy, tmp_path / "out", formats=Formats(onnx=True, openvino=True, torch=True))
    hidden = [str(tmp_path), str(run.parent), "secret-place", *cases]
    for path in (tmp_path / "out").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if path.suffix == ".pt2":
            with zipfile.ZipFile(path) as archive:
                content = b"".join(archive.read(name) for name in archive.namelist())
        assert not [each for each in hidden if each.encode() in content], path.name
    # What was seen is still recognized, by the file's own list and by the table beside it.
    exported = load_file(tmp_path / "out").exported
    assert exported.facts.start is not None
    assert exported.facts.start.path == "copy"
    listed = Seen.of_cases(exported.info.seen_cases, exported.info.seen_key)
    beside, own = Seen.read(tmp_path / "out" / "seen.parquet"), Seen.of_run(RunFolder(run))
    for seen in (listed, beside):
        assert seen.overlap(made_up_store).cases == own.overlap(made_up_store).cases
    assert beside.overlap(made_up_store).patches == own.overlap(made_up_store).patches


def test_the_point_that_decides_is_chosen(eosin: Run, run: Path, tmp_path: Path) -> None:
    facts = ModelFacts.of_run(run)
    name = next(each for each in facts.points if each != facts.decision().point.name)
    done = eosin("export", run, "--point", name, "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert load(tmp_path / "out").facts.decision() == facts.decision(name)
    assert f"Operating point {name}" in (tmp_path / "out" / "EXPORT_CARD.md").read_text("utf-8")
    done = eosin("export", run, "--point", "sensitivty", "-o", tmp_path / "out2")
    assert (done.code, "did you mean sensitivity" in done.err) == (2, True)
