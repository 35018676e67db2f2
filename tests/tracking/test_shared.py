"""Nothing that a tracker is sent has an absolute path or the name of a case in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from eosin.cli import tracking
from eosin.cli.tracking import for_others
from eosin.config import read_recipe
from eosin.data.store import PatchStore
from eosin.inference.assess import assess
from eosin.models.classifier import load_classifier
from eosin.reporting.report import write_report
from eosin.splitting.splits import by_case
from eosin.tracking import words
from eosin.training.session import Session, fit, start

SMALL = ["arguments.widths=[8, 8]", "arguments.blocks=[0, 1]", "batch_size=40", "epochs=1"]


@pytest.fixture(scope="module")
def session(made_up_store: PatchStore, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """An evaluated run with its report, whose marks were written by an earlier version."""
    folder = tmp_path_factory.mktemp("secret-place")
    made, _ = start(made_up_store, by_case(made_up_store), read_recipe("compact", SMALL),
                    folder / "run")  # fmt: skip
    fit(made)
    assess(made, replicates=20, with_baselines=False)
    write_report(made.run.path, store=made_up_store)
    case = str(made_up_store.cases[0])
    evaluation = made.run.read_json("evaluation.json")
    evaluation["marks"] += [f"--from {made.run.path} has seen 1 cases (cases {case}): {case}/9.png"]
    made.run.write_json("evaluation.json", evaluation)
    return made


def hidden(session: Session) -> list[re.Pattern[bytes]]:
    """Names of cases, which are numbers, and places; digits of a longer number are no name."""
    names = sorted(set(session.store.cases.tolist()))
    places = ["secret-place", str(session.store.path.parent), *names]
    return [re.compile(rb"(?<![\d.])%s(?!\d)" % re.escape(each.encode())) for each in places]


def test_files_for_others(session: Session, tmp_path: Path) -> None:
    shared = for_others(session, tmp_path)
    pictures, others = words.files(shared)
    assert {path.name for path in pictures} >= {"roc.png", "cases.png", "confusion.png"}
    sent = {path.name for path, _ in others}
    assert sent >= {"report.html", "MODEL_CARD.md", "evaluation.json", "model.json", "fitted.json"}
    for path in tmp_path.iterdir():
        found = [each for each in hidden(session) if each.search(path.read_bytes())]
        assert not found, (path.name, found)
    model, facts = load_classifier(shared.path)
    assert facts.decision() == load_classifier(session.run.path)[1].decision()
    assert model.scope_mean is not None
    ours, theirs = (each.read_json("evaluation.json") for each in (session.run, shared))
    assert theirs["auroc"] == ours["auroc"]
    assert len(theirs["cases"]) == len(ours["cases"])
    assert len({row["case"] for row in theirs["cases"]}) == len(ours["cases"])


def test_the_output_of_a_tracker(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    said: list[str] = []
    monkeypatch.setattr(tracking.output, "warn", said.append)
    tracker = tracking._opened(session, ["tensorboard"], [str(tmp_path / "logs")], None)
    tracking.report_start(tracker, session, {"parameters": 5, "machine": "cpu"})
    assert tracking.finish(tracker, session)
    assert said == []
    content = b"".join(path.read_bytes() for path in (tmp_path / "logs").rglob("*.*"))
    assert b"figures/roc" in content
    assert b"auroc" in content
    assert not [each for each in hidden(session) if each.search(content)]


def test_parameters_name_the_run_that_it_started_from(session: Session) -> None:
    run: Any = session.run
    environment = run.read_json("environment.json")
    start_of = {"kind": "run", "path": "/home/someone/first", "weights_digest": "ab"}
    run.write_json("environment.json", {**environment, "start": start_of})
    found = words.parameters(run)
    assert found["start.path"] == "first"
    assert found["store.name"] == session.store.path.name
