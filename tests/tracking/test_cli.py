"""`eosin train --track`: refusals before any work, and a whole training told to a tracker."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eosin.cli import tracking
from eosin.errors import StoppedError, TrainingError, UserError
from eosin.tracking import names
from eosin.training.loop import Reporter

SMALL = [
    "--set", "arguments.widths=[8,16]", "--set", "arguments.blocks=[0,1]",
    "--set", "batch_size=64", "--set", "epochs=2",
]  # fmt: skip
Run = Callable[..., Any]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--track", "neptune"], "closed its service on 2026-03-05"),
        (["--track", "mlfow"], "did you mean mlflow?"),
        (["--track-to", "logs"], "needs --track"),
        (["--track", "none", "--track", "mlflow"], "cannot be combined"),
        (["--track", "tensorboard", "--track-to", "http://127.0.0.1:1"], "writes to a folder"),
    ],
)
def test_a_refusal_comes_before_any_work(
    eosin: Run, made_up_store: Any, tmp_path: Path, words: list[str], said: str
) -> None:
    found = eosin("train", made_up_store.path, "-o", tmp_path / "run", *words)
    assert found.code == 2
    assert said in found.err
    assert not (tmp_path / "run").exists()


def test_a_missing_extra_has_its_install_line(
    eosin: Run, made_up_store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "find_spec", lambda part: None)
    found = eosin("train", made_up_store.path, "-o", tmp_path / "run", "--track", "trackio")
    assert found.code == 2
    assert 'pip install "eosin[trackio]"' in found.err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_training_is_told_to_tensorboard_and_goes_on_there(
    eosin: Run, made_up_store: Any, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    run, logs = tmp_path / "run", tmp_path / "logs"
    found = eosin(
        "train", made_up_store.path, "-o", run, *SMALL, "--no-evaluate",
        "--track", "tensorboard", "--track-to", logs, "--json",
    )  # fmt: skip
    assert found.code == 0, found.err
    # A program reads one object; where to look is for people.
    assert json.loads(found.out)["run"] == str(run)
    assert f"tracked in TensorBoard: tensorboard --logdir {logs}" in found.err
    # A finished run says its figures to the tracker it had.
    found = eosin("train", "--resume", run)
    assert found.code == 0, found.err
    assert "tracking continues: tensorboard" in found.err
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logs / "run"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2]
    evaluation = json.loads((run / "evaluation.json").read_text())
    (value,) = events.Scalars("test/auroc")
    assert value.value == pytest.approx(evaluation["auroc"]["value"])
    pictures = {path.stem for path in run.glob("*.png")}
    assert pictures
    assert {f"figures/{name}" for name in pictures} == set(events.Tags()["images"])
    text = events.Tensors("parameters")[0].tensor_proto.string_val[0].decode()
    for name in ("split.scheme", "store.digest", "store.classes", "machine.device", "epochs"):
        assert f"| {name} |" in text
    # And no more, when that is said.
    found = eosin("train", "--resume", run, "--track", "none", "--no-evaluate")
    assert "tracked in" not in found.err


# What follows needs no tracker: a Tracker that only notes.


class Notes:
    """Notes what a Tracker is told."""

    names = ("noted",)

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def note(*given: Any, **more: Any) -> list[str]:
            self.heard.append((name, *given, *more.items()))
            return []

        return note


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Notes:
    found = Notes()
    monkeypatch.setattr(tracking, "_opened", lambda *_: found)
    return found


def test_a_reporter_keeps_all_that_it_had(notes: Notes) -> None:
    heard: list[str] = []
    before = Reporter(
        epoch_done=lambda row: heard.append("epoch"),
        warned=heard.append,
        stop=lambda: True,
    )
    joined = tracking.follow(before, notes, None)  # type: ignore[arg-type]
    joined.epoch_done({"epoch": 3, "loss": 0.5})
    joined.warned("careful")
    assert joined.stop()
    assert heard == ["epoch", "careful"]
    assert notes.heard == [("metrics", {"epoch": 3, "loss": 0.5}, 3), ("warned", "careful")]
    assert {field.name for field in dataclasses.fields(joined)} == {
        field.name for field in dataclasses.fields(before)
    }


@pytest.mark.parametrize(
    ("error", "said", "stopped"),
    [
        (StoppedError("stopped after epoch 1"), "stopped after epoch 1", True),
        (TrainingError("the loss is not finite"), "the loss is not finite", False),
        (KeyboardInterrupt(), "KeyboardInterrupt", True),
        (ValueError("inner words"), "ValueError", False),
    ],
)
def test_an_error_ends_the_tracked_run(
    notes: Notes, error: BaseException, said: str, stopped: bool
) -> None:
    with pytest.raises(type(error)), tracking.tracked(None, ["noted"]):  # type: ignore[arg-type]
        raise error
    assert notes.heard == [("failed", said, ("stopped", stopped))]


def test_check_accepts_what_can_be_tracked() -> None:
    tracking.check(None, None)
    tracking.check(["none"], None)
    with pytest.raises(UserError, match="cannot be combined"):
        tracking.check(["none"], ["logs"])
