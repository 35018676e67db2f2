"""The training loop: learning, dying, stopping, going on."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eosin.config import Recipe, read_recipe
from eosin.data.store import PatchStore
from eosin.errors import RunError, SplitError, StoppedError, TrainingError
from eosin.models.classifier import load_classifier
from eosin.runs import RunFolder
from eosin.training import loop
from eosin.training.loop import Reporter, Trainer

SMALL = ["arguments.widths=[8, 16]", "arguments.blocks=[0, 1]", "batch_size=32"]
Parts = Mapping[str, np.ndarray]


@pytest.fixture
def parts(made_up_store: PatchStore) -> Parts:
    names = np.unique(made_up_store.cases)
    inside = np.isin(made_up_store.cases, names[:10])
    return {"train": np.flatnonzero(inside), "val": np.flatnonzero(~inside)}


def trainer(store: PatchStore, parts: Parts, path: Path, recipe: Recipe, **more: Any) -> Trainer:
    run = RunFolder(path)
    if not path.exists():
        run.create()
        run.write_text("recipe.toml", recipe.to_toml())
    return Trainer(store, parts, recipe, run, **more)


def weights(path: Path) -> bytes:
    return (path / "model.safetensors").read_bytes()


def test_compact_learns(made_up_store: PatchStore, parts: Parts, tmp_path: Path) -> None:
    recipe = read_recipe("compact", [*SMALL, "epochs=8", "learning_rate=0.01"])
    facts = trainer(made_up_store, parts, tmp_path / "run", recipe).fit()
    rows = RunFolder(tmp_path / "run").metrics()
    assert [row["epoch"] for row in rows] == list(range(1, 9))
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1]["val_auroc"] > 0.7
    assert rows[-1]["watched"].endswith(".png")
    assert 0 < rows[-1]["watched_probability"] < 1
    assert not facts.diagnoses
    model, saved = load_classifier(tmp_path / "run")
    assert saved.store_digest == made_up_store.digest
    assert model.classes == made_up_store.classes


def test_verbatim_is_dead_and_says_so(
    made_up_store: PatchStore, parts: Parts, tmp_path: Path
) -> None:
    recipe = read_recipe("article-verbatim", ["arguments.width=4"])
    warned: list[str] = []
    work = trainer(
        made_up_store, parts, tmp_path / "run", recipe, reporter=Reporter(warned=warned.append)
    )
    before = {n: p.detach().clone() for n, p in work.model.named_parameters()}
    facts = work.fit()
    assert all(torch.equal(before[n], p) for n, p in work.model.named_parameters())
    assert facts.diagnoses[0].name == "no weight changed"
    assert facts.epochs == 1
    assert "no weight changed" in warned[0]
    share = made_up_store.labels[parts["train"]].mean()
    row = RunFolder(tmp_path / "run").metrics()[0]
    # The mean of batch means: the last batch is smaller, so nearly the base rate.
    assert row["loss"] == pytest.approx(100 * share, rel=0.25)
    assert row["val_auroc"] == 0.5


def test_verbatim_can_run_on_as_the_tutorial_did(
    made_up_store: PatchStore, parts: Parts, tmp_path: Path
) -> None:
    recipe = read_recipe(
        "article-verbatim", ["arguments.width=2", "epochs=3", "stop_when_dead=false"]
    )
    assert trainer(made_up_store, parts, tmp_path / "run", recipe).fit().epochs == 3


@pytest.mark.parametrize(
    "settings",
    [
        ["optimizer=adamw", "average_decay=0.9"],
        ["optimizer=muon", "sampling=balanced"],
        ["optimizer=sgd", "momentum=0.9", "keep=best", "arguments.dropout=0.3"],
    ],
)
def test_resumed_is_bit_for_bit_uninterrupted(
    made_up_store: PatchStore,
    parts: Parts,
    tmp_path: Path,
    settings: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = read_recipe("compact", [*SMALL, "epochs=4", *settings])
    trainer(made_up_store, parts, tmp_path / "whole", recipe).fit()
    # Stop after every few steps, in the middle of epochs too, and go on each time.
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    path, resume = tmp_path / "pieces", False
    for steps in (1, 5, 9, 2):
        left = iter(range(steps - 1, -1, -1))
        reporter = Reporter(stop=lambda left=left: next(left) == 0)  # type: ignore[misc]
        work = trainer(made_up_store, parts, path, recipe, reporter=reporter)
        with pytest.raises(StoppedError, match="eosin train --resume") as stopped:
            work.fit(resume=resume)
        assert stopped.value.exit_code == 130
        resume = True
    trainer(made_up_store, parts, path, recipe).fit(resume=True)
    assert weights(path) == weights(tmp_path / "whole")
    scores = [
        [row["val_auroc"] for row in RunFolder(tmp_path / name).metrics()]
        for name in ("whole", "pieces")
    ]
    assert scores[0] == scores[1]


def test_training_repeats_exactly(made_up_store: PatchStore, parts: Parts, tmp_path: Path) -> None:
    recipe = read_recipe("compact", [*SMALL, "epochs=2"])
    for name in ("a", "b"):
        trainer(made_up_store, parts, tmp_path / name, recipe).fit()
    trainer(made_up_store, parts, tmp_path / "c", recipe.changed(seed=1)).fit()
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")


def test_divergence_is_named(made_up_store: PatchStore, parts: Parts, tmp_path: Path) -> None:
    recipe = read_recipe("article", ["arguments.width=4", "learning_rate=100", "epochs=3"])
    with pytest.raises(TrainingError) as caught:
        trainer(made_up_store, parts, tmp_path / "run", recipe).fit()
    assert "lower learning_rate (now 100)" in str(caught.value)
    assert not RunFolder(tmp_path / "run").finished


def test_constant_predictions_are_named(
    made_up_store: PatchStore, parts: Parts, tmp_path: Path
) -> None:
    recipe = read_recipe("article", ["arguments.width=2", "epochs=1", "learning_rate=1e-12"])
    work = trainer(made_up_store, parts, tmp_path / "run", recipe)
    torch.nn.init.zeros_(work.model.network.fc3.weight)  # type: ignore[union-attr, arg-type]
    names = [each.name for each in work.fit().diagnoses]
    assert "constant predictions" in names


def test_exhausted_memory_is_named(
    made_up_store: PatchStore, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = trainer(made_up_store, parts, tmp_path / "run", read_recipe("compact", SMALL))

    monkeypatch.setattr(work.model, "forward", exhausted)
    with pytest.raises(TrainingError, match="--set batch_size=16"):
        work.fit()


def exhausted(*_: object) -> None:
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")


def timeless(row: Mapping[str, Any]) -> dict[str, Any]:
    """Without what depends on the clock."""
    return {key: value for key, value in row.items() if "second" not in key}


def same_run(one: Path, two: Path) -> None:
    assert weights(one) == weights(two)
    assert [*map(timeless, RunFolder(one).metrics())] == [*map(timeless, RunFolder(two).metrics())]
    facts = [timeless(RunFolder(path).read_json("model.json")) for path in (one, two)]
    assert facts[0] == facts[1]


def test_validation_that_runs_out_of_memory_goes_on_in_halves(
    made_up_store: PatchStore, parts: Parts, tmp_path: Path
) -> None:
    recipe = read_recipe("compact", [*SMALL, "epochs=2", "precision=fp32"])
    trainer(made_up_store, parts, tmp_path / "plain", recipe).fit()
    warned: list[str] = []
    work = trainer(
        made_up_store, parts, tmp_path / "run", recipe, reporter=Reporter(warned=warned.append)
    )
    forward, most = work.model.forward, len(parts["val"]) // 3

    def hungry(patches: torch.Tensor) -> torch.Tensor:
        if not work.model.training and len(patches) > most:
            exhausted()
        return forward(patches)

    work.model.forward = hungry  # type: ignore[method-assign]
    work.fit()
    assert work.val_batch.size <= most
    assert warned[0] == (
        "validation: out of memory with 512 patches at once: continuing with 256"
        if len(parts["val"]) >= 512
        else f"validation: out of memory with {len(parts['val'])} patches at once: continuing with "
        f"{(len(parts['val']) + 1) // 2}"
    )
    assert weights(tmp_path / "run") == weights(tmp_path / "plain")
    for one, two in zip(
        *(RunFolder(tmp_path / n).metrics() for n in ("plain", "run")), strict=True
    ):
        assert two["val_loss"] == pytest.approx(one["val_loss"], rel=1e-5)


@pytest.mark.parametrize(
    "settings", [["optimizer=muon", "average_decay=0.9"], ["keep=best", "patience=2", "epochs=4"]]
)
def test_validation_that_does_not_fit_at_all_loses_no_step(
    made_up_store: PatchStore,
    parts: Parts,
    tmp_path: Path,
    settings: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = read_recipe("compact", [*SMALL, "epochs=2", *settings])
    trainer(made_up_store, parts, tmp_path / "whole", recipe).fit()
    resume = False
    for _ in range(2):
        work = trainer(made_up_store, parts, tmp_path / "run", recipe)
        with monkeypatch.context() as patched:
            patched.setattr("eosin.training.validate.take", exhausted)
            with pytest.raises(TrainingError, match=r"validation of epoch 1.* --resume") as failed:
                work.fit(resume=resume)
        assert "one patch at a time" in str(failed.value)
        resume = True
    assert not RunFolder(tmp_path / "run").metrics()
    stepped: list[tuple[int, int]] = []
    reporter = Reporter(stepped=lambda epoch, step, loss: stepped.append((epoch, step)))
    trainer(made_up_store, parts, tmp_path / "run", recipe, reporter=reporter).fit(resume=True)
    # The resumed run begins with the validation of epoch 1.
    assert stepped[0] == (2, 1)
    same_run(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize("epoch", [1, 3])
@pytest.mark.parametrize(
    "settings",
    [
        ["optimizer=adamw", "average_decay=0.9", "keep=best"],
        ["optimizer=sgd", "momentum=0.9", "arguments.dropout=0.3", "validate_every=1"],
        ["network=article", "arguments={width=2}", "learning_rate=1e-12"],
    ],
)
def test_killed_in_validation_resumes_bit_for_bit(
    made_up_store: PatchStore,
    parts: Parts,
    tmp_path: Path,
    settings: list[str],
    epoch: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = read_recipe("compact", [*SMALL, "epochs=3", *settings])
    trainer(made_up_store, parts, tmp_path / "whole", recipe).fit()
    real, validations = loop.answers, iter(range(1, 99))

    def killed(*given: Any) -> torch.Tensor:
        if next(validations) == epoch:
            raise SystemExit(137)
        return real(*given)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "answers", killed)
        with pytest.raises(SystemExit):
            trainer(made_up_store, parts, tmp_path / "run", recipe).fit()
    assert len(RunFolder(tmp_path / "run").metrics()) == epoch - 1
    epochs: list[int] = []
    stepped: list[tuple[int, int]] = []
    reporter = Reporter(
        stepped=lambda epoch, step, loss: stepped.append((epoch, step)),
        epoch_done=lambda row: epochs.append(row["epoch"]),
    )
    trainer(made_up_store, parts, tmp_path / "run", recipe, reporter=reporter).fit(resume=True)
    assert epochs == list(range(epoch, 4))
    assert stepped[:1] == [(epoch + 1, 1)][: 3 - epoch]
    same_run(tmp_path / "whole", tmp_path / "run")


def test_early_stopping_and_the_best_epoch(
    made_up_store: PatchStore, parts: Parts, tmp_path: Path
) -> None:
    recipe = read_recipe(
        "compact", [*SMALL, "epochs=40", "patience=2", "keep=best", "learning_rate=0.02"]
    )
    facts = trainer(made_up_store, parts, tmp_path / "run", recipe).fit()
    scores = [row["val_auroc"] for row in RunFolder(tmp_path / "run").metrics()]
    assert facts.epochs == len(scores) < 40
    assert facts.kept_epoch == int(np.argmax(scores)) + 1 == len(scores) - 2


def test_class_weights_raise_the_rare_class(
    made_up_store: PatchStore, parts: Parts, tmp_path: Path
) -> None:
    recipe = read_recipe("compact", [*SMALL, "class_weights=balanced", "epochs=1"])
    work = trainer(made_up_store, parts, tmp_path / "run", recipe)
    counts = np.bincount(made_up_store.labels[parts["train"]])
    assert work.step.class_weights is not None
    assert work.step.class_weights.tolist() == pytest.approx((counts.sum() / (2 * counts)).tolist())


def test_without_validation_it_trains_all_the_same(
    made_up_store: PatchStore, parts: Parts, tmp_path: Path
) -> None:
    work = trainer(
        made_up_store, {"train": parts["train"]}, tmp_path / "run",
        read_recipe("compact", [*SMALL, "epochs=1"]),
    )  # fmt: skip
    work.fit()
    assert "val_auroc" not in RunFolder(tmp_path / "run").metrics()[0]


def test_too_little_to_train_on(made_up_store: PatchStore, parts: Parts, tmp_path: Path) -> None:
    recipe = read_recipe("compact", SMALL)
    with pytest.raises(SplitError, match="0 training patches"):
        trainer(made_up_store, {"train": np.empty(0, np.int64)}, tmp_path / "a", recipe)
    negatives = np.flatnonzero(made_up_store.labels == 0)
    with pytest.raises(SplitError, match="only one class"):
        trainer(made_up_store, {"train": negatives}, tmp_path / "b", recipe)


class _Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("hostile-was-here"),))


def test_a_hostile_checkpoint_runs_no_code(
    made_up_store: PatchStore, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = read_recipe("compact", SMALL)
    work = trainer(made_up_store, parts, tmp_path / "run", recipe)
    torch.save({"format": 1, "position": _Hostile()}, tmp_path / "run" / "resume.pt")
    with pytest.raises(RunError, match="not a checkpoint"):
        work.fit(resume=True)
    for data in (b"", b"junk", pickle.dumps(_Hostile()), json.dumps({"a": 1}).encode()):
        (tmp_path / "run" / "resume.pt").write_bytes(data)
        with pytest.raises(RunError):
            work.fit(resume=True)
    assert not (tmp_path / "hostile-was-here").exists()
    (tmp_path / "run" / "resume.pt").unlink()
    with pytest.raises(RunError, match="no checkpoint"):
        work.fit(resume=True)
