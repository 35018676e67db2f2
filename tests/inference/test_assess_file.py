"""An exported file on stores: which patches are measured, what is refused, what is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from eosin.data.store import PatchStore, StoreWriter
from eosin.errors import RunError, UserError
from eosin.inference.assess import NO_TRAINING, OTHER_TRAINING, assess_file
from eosin.inference.predictor import load_file
from eosin.inference.subject import (
    NO_PIXELS,
    NO_TEST,
    NOTHING_KNOWN,
    OTHER_TEST,
    OWN_SPLIT,
)
from eosin.reporting.report import write_report
from eosin.splitting.split_file import Split
from eosin.splitting.splits import by_file

pytest.importorskip("onnxruntime")

Make = Callable[..., Path]
QUICK: dict[str, Any] = {"replicates": 20, "with_baselines": False}


@pytest.fixture(scope="module")
def exported(make_exported: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_exported(tmp_path_factory.mktemp("export") / "model.onnx")


def split_of(store: PatchStore, folder: Path, parts: Mapping[str, str]) -> Split:
    """A split by case; cases that are not named are left out."""
    table = folder / "parts.csv"
    table.write_text(
        "case,part\n" + "".join(f"{c},{parts.get(c, 'out')}\n" for c in cases_of(store))
    )
    return by_file(store, table)


def sentences(result: dict[str, Any]) -> list[str]:
    return [mark["sentence"] for mark in result["marks"]]


def cases_of(store: PatchStore) -> list[str]:
    return sorted(set(store.cases.tolist()))


def of_store(store: PatchStore, make: Make, folder: Path, seen: Mapping[str, list[str]]) -> Path:
    """A file that was trained on this store, with these cases."""
    plain = load_file(make(folder / "plain.onnx")).exported.info.facts
    facts = {**plain, "store_digest": store.digest}
    return make(folder / "model.onnx", facts=facts, seen_cases=dict(seen))


def test_a_whole_store_by_what_the_file_carries(
    exported: Path, made_up_store: PatchStore, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    found = assess_file(
        exported, made_up_store, output=tmp_path / "out",
        progress=lambda done, total: told.append((done, total)), **QUICK,
    )  # fmt: skip
    result = found.evaluation
    assert result["part"] == "all"
    assert result["n_patches"] == len(made_up_store)
    assert result["threshold"]["value"] == 0.45
    assert [point["name"] for point in result["operating_points"]] == ["balanced", "f1"]
    assert result["calibration"]["temperature"] == 2.0
    assert result["referral"]["band"] == {"low": 0.3, "high": 0.6}
    bands = [point["referral"]["band"] for point in result["operating_points"]]
    assert bands == [{"low": 0.3, "high": 0.6}, {"low": 0.25, "high": 0.55}]
    assert {probe["name"] for probe in result["scope"]["probes"]} >= {"noise", "digits"}
    assert result["exported"]["kind"] == "fp32"
    assert "made_up" in [mark["kind"] for mark in result["marks"]]
    assert f"{OWN_SPLIT}a mark of the run" in sentences(result)
    assert NO_PIXELS in result["warnings"]
    assert told[-1] == (len(made_up_store), len(made_up_store))
    # The table holds what the file answers, not what a detour over logits makes of it.
    table = pl.read_parquet(tmp_path / "out" / "predictions.parquet")
    wanted = load_file(exported).predict(np.asarray(made_up_store.patches))
    assert np.allclose(table.select("p_negative", "p_positive").to_numpy(), wanted, atol=1e-6)
    report = write_report(tmp_path / "out", store=made_up_store)
    assert [p for p in report.problems if "no explanation maps" in p] == list(report.problems)
    assert "tiny-run, model.onnx" in report.path.read_text("utf-8")
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text("utf-8")
    assert "ONNX Runtime" in card
    assert "The date of the run is not recorded" in card


def test_the_test_part_of_its_own_split_with_baselines(
    made_up_store: PatchStore, make_exported: Make, tmp_path: Path
) -> None:
    cases = cases_of(made_up_store)
    parts = dict.fromkeys(cases[:8], "train") | dict.fromkeys(cases[8:12], "val")
    split = split_of(made_up_store, tmp_path, parts | dict.fromkeys(cases[12:], "test"))
    file = of_store(
        made_up_store, make_exported, tmp_path, {"train": cases[:8], "val": cases[8:12]}
    )
    made_up_store.index.select("case", "digest").filter(
        pl.col("case").is_in(cases[:12])
    ).with_columns(part=pl.lit("train")).write_parquet(tmp_path / "seen.parquet")
    result = assess_file(file, made_up_store, split=split, replicates=20).evaluation
    assert result["part"] == "test"
    assert result["n_patches"] == int(np.isin(made_up_store.cases, cases[12:]).sum())
    assert "color_histogram" in result["baselines"]
    assert "a mark of the run" in sentences(result)
    assert NO_PIXELS not in result["warnings"]
    # Beside the file, and not in another file's folder.
    assert (tmp_path / f"evaluation-{made_up_store.path.name}" / "evaluation.json").is_file()
    # A split with other training cases gives no baselines that would be fair.
    other = split_of(made_up_store, tmp_path, {cases[0]: "train", cases[13]: "test"})
    result = assess_file(file, made_up_store, split=other, replicates=20).evaluation
    assert not result["baselines"]
    assert OTHER_TRAINING in result["warnings"]


def test_without_a_test_part_the_figures_say_so(
    made_up_store: PatchStore, make_exported: Make, tmp_path: Path
) -> None:
    cases = cases_of(made_up_store)
    split = split_of(made_up_store, tmp_path, {cases[0]: "train", cases[1]: "val", cases[2]: "val"})
    file = of_store(
        made_up_store, make_exported, tmp_path, {"train": [cases[0]], "val": cases[1:3]}
    )
    result = assess_file(file, made_up_store, split=split, **QUICK).evaluation
    assert result["part"] == "val"
    assert NO_TEST.to_json() in result["marks"]
    other = of_store(made_up_store, make_exported, tmp_path, {"train": [cases[0]], "val": []})
    result = assess_file(other, made_up_store, split=split, **QUICK).evaluation
    assert OTHER_TEST.to_json() in result["marks"]
    nothing = split_of(made_up_store, tmp_path, {cases[0]: "train"})
    with pytest.raises(RunError, match="neither validation nor test"):
        assess_file(file, made_up_store, split=nothing, **QUICK)


def test_what_was_seen_is_refused(
    made_up_store: PatchStore, make_exported: Make, tmp_path: Path
) -> None:
    cases = cases_of(made_up_store)
    file = make_exported(tmp_path / "model.onnx", seen_cases={"train": cases[:1]})
    with pytest.raises(RunError, match=r"1 case.*--allow-seen"):
        assess_file(file, made_up_store, **QUICK)
    result = assess_file(file, made_up_store, allow_seen=True, **QUICK).evaluation
    assert any(mark.startswith("seen in training: 1 case") for mark in sentences(result))
    # The cases have other names, but the pixels are known.
    file = make_exported(tmp_path / "model.onnx", seen_cases={})
    made_up_store.index.select("digest").head(3).with_columns(
        case=pl.lit("elsewhere"), part=pl.lit("val")
    ).write_parquet(tmp_path / "seen.parquet")
    with pytest.raises(RunError, match=r"0 case.*3 patch"):
        assess_file(file, made_up_store, **QUICK)
    (tmp_path / "seen.parquet").write_text("no table")
    with pytest.raises(RunError, match="cannot be read"):
        assess_file(file, made_up_store, **QUICK)
    (tmp_path / "seen.parquet").unlink()
    found = assess_file(file, made_up_store, replicates=20)
    assert NOTHING_KNOWN in found.evaluation["warnings"]
    assert NO_TRAINING in found.evaluation["warnings"]


def test_other_classes_and_folders_that_are_taken(
    exported: Path, made_up_store: PatchStore, tmp_path: Path
) -> None:
    writer = StoreWriter(tmp_path / "s", classes=["a", "b"], patch_size=(50, 50))
    writer.append(np.zeros((1, 50, 50, 3), np.uint8), [{"label": 1, "case": "A"}])
    with pytest.raises(RunError, match=r"answers negative, positive: .* a, b"):
        assess_file(exported, writer.close(), **QUICK)
    with pytest.raises(UserError, match="contains an exported model"):
        assess_file(exported, made_up_store, output=exported.parent, **QUICK)
    (tmp_path / "recipe.toml").touch()
    with pytest.raises(UserError, match="is a run folder"):
        assess_file(exported, made_up_store, output=tmp_path, **QUICK)


def test_the_command(
    exported: Path, made_up_store: PatchStore, tmp_path: Path, eosin: Callable[..., Any]
) -> None:
    words = ("--store", made_up_store.path, "--replicates", 20, "-o", tmp_path / "out")
    found = eosin("evaluate", exported.parent, *words, "--no-report", "--json")
    assert found.code == 0, found.err
    assert json.loads(found.out)["n_patches"] == len(made_up_store)
    for given, said in (
        (("evaluate", exported), "add its store with --store"),
        (("evaluate", exported, *words, "--refer-error", 0.1), "nothing is fitted"),
        (("evaluate", exported, *words, "--split", "nothing.csv"), "neither a file nor a scheme"),
        (("evaluate", tmp_path, "--split", "case"), "a run keeps its own split"),
        (("explain", exported, tmp_path, "-o", tmp_path / "a.png"), "does not open its network"),
    ):
        refused = eosin(*given)
        assert refused.code == 2
        assert said in refused.err
