"""Runs that begin with another run's weights, or learn from its answers."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from eosin.config import Recipe
from eosin.data.store import PatchStore
from eosin.errors import LeakError, RecipeError, RunError, StoppedError
from eosin.inference.assess import assess
from eosin.models.classifier import load_classifier
from eosin.runs import RunFolder
from eosin.splitting.seen import Seen
from eosin.splitting.split_file import Split
from eosin.splitting.splits import by_case, by_file
from eosin.training.loop import Reporter
from eosin.training.origin import head_tensors
from eosin.training.session import at_scale, fit, reopen, start

RECIPE = Recipe(
    network="compact",
    arguments={"widths": [8, 16], "blocks": [0, 1], "dropout": 0.1},
    epochs=1,
    batch_size=32,
    learning_rate=0.01,
    optimizer="adamw",
    precision="fp32",
)


@pytest.fixture(scope="module")
def split(made_up_store: PatchStore) -> Split:
    return by_case(made_up_store)


@pytest.fixture(scope="module")
def earlier(
    made_up_store: PatchStore, split: Split, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run on the same split: it has seen the training and validation cases, no test case."""
    path = tmp_path_factory.mktemp("earlier") / "run"
    fit(start(made_up_store, split, RECIPE, path)[0])
    return path


def test_a_run_begins_with_anothers_weights(
    made_up_store: PatchStore, split: Split, earlier: Path, tmp_path: Path
) -> None:
    still = RECIPE.changed(learning_rate=1e-12, arguments={**RECIPE.arguments, "dropout": 0.0})
    session, _ = start(made_up_store, split, still, tmp_path / "run", base=earlier)
    facts = fit(session)
    assert not any("has seen" in mark for mark in map(str, facts.marks))
    assert facts.start == session.origin
    assert session.origin.kind == "run"
    before, after = load_classifier(earlier)[0], load_classifier(tmp_path / "run")[0]
    assert torch.equal(before.mean, after.mean)
    for name, value in before.network.named_parameters():
        assert torch.allclose(value, after.network.get_parameter(name), atol=1e-6)


def other_split(store: PatchStore, earlier: Path, part: str, target: str, folder: Path) -> Split:
    """One case that the earlier run had in ``part`` is now in ``target``, the rest is as it was."""
    seen = pl.read_parquet(earlier / "seen.parquet")
    roles = dict(seen.select("case", "part").unique().iter_rows())
    moved = next(case for case, role in roles.items() if role == part)
    names = list(dict.fromkeys(store.cases.tolist()))
    lines = [f"{name},{target if name == moved else roles.get(name, 'test')}" for name in names]
    (folder / "split.csv").write_text("\n".join(["case,part", *lines]) + "\n")
    return by_file(store, folder / "split.csv")


@pytest.mark.parametrize(("part", "target"), [("train", "val"), ("train", "test"), ("val", "test")])
@pytest.mark.parametrize("role", ["base", "teacher"])
def test_what_an_earlier_run_learned_from_is_not_measured_on(
    made_up_store: PatchStore, earlier: Path, tmp_path: Path, part: str, target: str, role: str
) -> None:
    split = other_split(made_up_store, earlier, part, target, tmp_path)
    word = {"base": "--from", "teacher": "the teacher"}[role]
    with pytest.raises(LeakError, match=rf"{word} .* 1 case and 20 patches of the {target} part"):
        start(made_up_store, split, RECIPE, tmp_path / "run", **{role: earlier})
    assert not (tmp_path / "run").exists()
    session, _ = start(
        made_up_store, split, RECIPE, tmp_path / "run", allow_leaks=True, **{role: earlier}
    )
    assert any("has seen 1 case" in mark for mark in session.marks)


def test_other_architectures_are_refused(
    made_up_store: PatchStore, split: Split, earlier: Path, tmp_path: Path
) -> None:
    for other in (
        RECIPE.changed(arguments={"widths": [8, 8], "blocks": [0, 1]}),
        RECIPE.changed(network="article", arguments={"width": 4}),
    ):
        with pytest.raises(RecipeError, match="only in an equal network"):
            start(made_up_store, split, other, tmp_path / "run", base=earlier)
    with pytest.raises(RunError, match="no such run"):
        start(made_up_store, split, RECIPE, tmp_path / "run", base=tmp_path / "none")


def test_what_was_seen_before_counts_as_seen(
    made_up_store: PatchStore, split: Split, earlier: Path, tmp_path: Path
) -> None:
    start(made_up_store, split, RECIPE, tmp_path / "run", base=earlier)
    mine = RunFolder(tmp_path / "run")
    # The earlier run seems to have seen one more case.
    seen = pl.read_parquet(earlier / "seen.parquet")
    more = tmp_path / "more"
    more.mkdir()
    for file in earlier.iterdir():
        (more / file.name).write_bytes(file.read_bytes())
    row = {"case": ["elsewhere"], "digest": ["0" * 40], "part": ["train"]}
    extra = pl.DataFrame(row, schema=seen.schema)
    pl.concat([seen, extra]).write_parquet(more / "seen.parquet")
    start(made_up_store, split, RECIPE, tmp_path / "next", base=more)
    assert "elsewhere" in pl.read_parquet(tmp_path / "next" / "seen.parquet")["case"].to_list()
    assert Seen.of_run(mine).overlap(made_up_store)


def test_the_head_is_fresh_for_other_classes(earlier: Path) -> None:
    from eosin.models.classifier import Classifier
    from eosin.training.origin import from_run, initializer

    record = from_run(earlier, RECIPE)
    model = Classifier.build(
        "compact", classes=["x", "y", "z"], patch_size=(50, 50), arguments=RECIPE.arguments
    )
    head = {name: model.network.state_dict()[name].clone() for name in head_tensors(model.network)}
    initializer(record, resume=False)(model)
    source = load_classifier(earlier)[0].network.state_dict()
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, head[name] if name in head else source[name])
    with pytest.raises(RunError, match="has changed since"):
        initializer(record.changed(weights_digest="0"), resume=False)
    with pytest.raises(RunError, match="is missing"):
        initializer(record.changed(path=str(earlier / "gone")), resume=False)


def test_a_record_of_an_earlier_version_has_the_digest_of_the_file(earlier: Path) -> None:
    from eosin.records.origin import Origin

    digest = hashlib.sha256((earlier / "model.safetensors").read_bytes()).hexdigest()
    old = {"kind": "run", "path": str(earlier), "digest": digest}
    Origin.model_validate(old).check()
    with pytest.raises(RunError, match="has changed since"):
        Origin.model_validate({**old, "digest": "0"}).check()


def test_evaluating_a_run_changes_nothing_for_what_started_from_it(
    made_up_store: PatchStore, split: Split, earlier: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    shutil.copytree(earlier, first)
    recipe = RECIPE.changed(epochs=2)
    session, _ = start(made_up_store, split, recipe, tmp_path / "run", base=first, teacher=first)
    stops = iter([False, False, True])
    with pytest.raises(StoppedError):
        fit(session, reporter=Reporter(stop=lambda: next(stops, False)))
    before = (first / "model.safetensors").read_bytes()
    assess(reopen(first), replicates=20, with_baselines=False)
    assert (first / "fitted.json").is_file()
    assert (first / "model.safetensors").read_bytes() == before
    # Killed before its first checkpoint, a run starts again; stopped after it, it is resumed.
    for checkpoint in (True, False):
        copy = tmp_path / f"copy-{checkpoint}"
        shutil.copytree(session.run.path, copy)
        (copy / "teacher.npy").unlink()
        if not checkpoint:
            (copy / "resume.pt").unlink()
        assert fit(reopen(copy), resume=checkpoint).epochs == 2


def test_a_student_learns_from_a_teacher_and_goes_on_without_it(
    made_up_store: PatchStore, split: Split, earlier: Path, tmp_path: Path
) -> None:
    recipe = RECIPE.changed(epochs=2, distill_weight=0.9)
    whole, _ = start(made_up_store, split, recipe, tmp_path / "whole", teacher=earlier)
    facts = fit(whole)
    assert facts.teacher == whole.teacher
    assert whole.teacher is not None
    assert whole.teacher.recipe == RECIPE.name
    kept = np.load(tmp_path / "whole" / "teacher.npy")
    assert kept.shape == (len(whole.parts["train"]), 2)
    stopped, _ = start(made_up_store, split, recipe, tmp_path / "stopped", teacher=earlier)
    count = {"steps": 0}

    def stop() -> bool:
        count["steps"] += 1
        return count["steps"] == 4

    with pytest.raises(StoppedError):
        fit(stopped, reporter=Reporter(stop=stop))
    record = json.loads((tmp_path / "stopped" / "environment.json").read_text())
    record["teacher"]["path"] = str(tmp_path / "gone")
    (tmp_path / "stopped" / "environment.json").write_text(json.dumps(record))
    fit(reopen(tmp_path / "stopped", str(made_up_store.path)), resume=True)
    first, second = (load_classifier(tmp_path / name)[0] for name in ("whole", "stopped"))
    for name, value in first.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name])


def test_a_teacher_must_know_the_classes(
    made_up_store: PatchStore, split: Split, earlier: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "teacher"
    changed.mkdir()
    for file in earlier.iterdir():
        (changed / file.name).write_bytes(file.read_bytes())
    facts = json.loads((changed / "model.json").read_text())
    facts["classes"] = ["cat", "dog"]
    (changed / "model.json").write_text(json.dumps(facts))
    with pytest.raises(RunError, match="has the classes cat, dog"):
        start(made_up_store, split, RECIPE, tmp_path / "run", teacher=changed)


def test_an_encoder_at_its_own_scale_takes_that_of_the_store(made_up_store: PatchStore) -> None:
    recipe = Recipe(
        network="encoder", normalize="encoder", arguments={"encoder": "uni", "resize": "mpp"}
    )
    assert made_up_store.mpp
    assert at_scale(recipe, made_up_store).arguments["patch_mpp"] == made_up_store.mpp
    scaled = recipe.changed(arguments={**recipe.arguments, "patch_mpp": 1.0})
    assert at_scale(scaled, made_up_store) is scaled
    assert at_scale(RECIPE, made_up_store) is RECIPE

    class Unknown:
        mpp, path = None, "somewhere"

    with pytest.raises(RecipeError, match="somewhere does not have"):
        at_scale(recipe, Unknown())  # type: ignore[arg-type]
