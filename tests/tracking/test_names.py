"""--track and --track-to: what is understood, what is refused, in which words."""

from __future__ import annotations

import pytest

from eosin.errors import MissingExtraError, UserError
from eosin.tracking import names
from eosin.tracking.names import SPECS, check_names, destinations, without_secrets


@pytest.mark.parametrize("name", ["neptune", "Neptune", "neptune-scale"])
def test_neptune_is_closed_and_others_are_named(name: str) -> None:
    with pytest.raises(UserError) as found:
        check_names([name])
    assert "closed its service on 2026-03-05" in str(found.value)
    assert all(other in str(found.value) for other in SPECS)
    assert found.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "hint"),
    [("mlfow", "mlflow"), ("tensorbord", "tensorboard"), ("wanb", "wandb"), ("comet", "known: ")],
)
def test_an_unknown_tracker_names_the_closest(name: str, hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        check_names([name])


def test_each_is_meant_once_under_any_of_its_names() -> None:
    assert check_names(["W&B", "wandb", " MLflow "]) == ("wandb", "mlflow")


@pytest.mark.parametrize("name", SPECS)
def test_a_missing_extra_has_its_install_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "find_spec", lambda part: None)
    with pytest.raises(MissingExtraError, match=f'pip install "eosin\\[{name}\\]"'):
        check_names([name])


def test_the_slim_mlflow_has_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "find_spec", lambda part: None if part == "sqlalchemy" else part)
    with pytest.raises(MissingExtraError):
        check_names(["mlflow"])


def test_where_to() -> None:
    both = ["mlflow", "tensorboard"]
    assert destinations([], both) == {}
    assert destinations(["logs"], both) == dict.fromkeys(both, "logs")
    assert destinations(["http://127.0.0.1:5000"], ["mlflow"]) == {
        "mlflow": "http://127.0.0.1:5000"
    }
    # An equals sign inside a folder or an address is part of it.
    assert destinations(["runs/a=b"], ["mlflow"]) == {"mlflow": "runs/a=b"}


@pytest.mark.parametrize(
    ("wanted", "chosen", "match"),
    [
        (["http://127.0.0.1:5000"], ["mlflow", "wandb"], "which tracker is it for"),
        (["wandb=logs"], ["mlflow"], "add --track wandb as well"),
        (["mlfow=logs"], ["mlflow"], "did you mean mlflow"),
        (["mlflow="], ["mlflow"], "write a folder or an address"),
        (["http://127.0.0.1:6006"], ["tensorboard"], "writes to a folder"),
        (["https://me:word@host"], ["mlflow"], "MLFLOW_TRACKING_PASSWORD"),
        (["https://host/?write_token=t"], ["trackio"], "TRACKIO_WRITE_TOKEN"),
    ],
)
def test_an_unclear_destination_is_refused(
    wanted: list[str], chosen: list[str], match: str
) -> None:
    with pytest.raises(UserError, match=match) as found:
        destinations(wanted, chosen)
    assert "word" not in str(found.value).replace("password", "")


@pytest.mark.parametrize("where", ["runs/a?b", "/tmp/a@b", "sqlite:////tmp/a.db", "C:\\runs"])
def test_a_place_without_secrets_stays_as_it_is(where: str) -> None:
    assert without_secrets(where) == where
