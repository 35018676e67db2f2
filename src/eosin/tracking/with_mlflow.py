"""MLflow: a local SQLite database beside the run, or a tracking server by its address."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eosin.tracking.backend import Opened, Place, Value
from eosin.tracking.names import is_uri, without_secrets

#: The most that the server takes in one call, and the longest value of a parameter and a tag.
_PARAMS, _METRICS, _PARAM_LETTERS, _TAG_LETTERS = 100, 1000, 6000, 5000


class Tracked:
    """One run of MLflow. Its artifacts: figures/, report/, record/ and model/."""

    def open(self, place: Place) -> Opened:
        from mlflow.tracking import MlflowClient

        uri = _uri(place)
        self._client = MlflowClient(tracking_uri=uri)
        resumed = bool(place.identity) and self._reopen(place.identity)
        if not resumed:
            created = self._client.create_run(
                self._experiment(uri, place.project), run_name=place.run.name
            )
            self._run, self._params = created.info.run_id, dict[str, str]()
        look = without_secrets(uri)
        if not uri.startswith("http"):
            look = f"mlflow ui --backend-store-uri {shlex.quote(look)}"
        return Opened(self._run, uri, look, resumed)

    def started(self, params: Mapping[str, Value], tags: Mapping[str, str]) -> None:
        from mlflow.entities import Param, RunTag

        # A parameter of MLflow cannot be changed: a resumed run keeps those it started with.
        fresh = [name for name in params if name not in self._params]
        rows = [Param(name, str(params[name])[:_PARAM_LETTERS]) for name in fresh]
        self._log(_PARAMS, "params", rows)
        own = [RunTag(name, text[:_TAG_LETTERS]) for name, text in tags.items()]
        self._client.log_batch(self._run, tags=own)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        rows = [Metric(name, value, now, step) for name, value in values.items()]
        self._log(_METRICS, "metrics", rows)

    def tag(self, name: str, text: str) -> None:
        self._client.set_tag(self._run, name, text[:_TAG_LETTERS])

    def figure(self, path: Path) -> None:
        self._client.log_artifact(self._run, str(path), "figures")

    def artifact(self, path: Path, kind: str) -> None:
        self._client.log_artifact(self._run, str(path), kind)

    def finished(self, values: Mapping[str, float], table: str, step: int) -> None:
        self.metrics(values, step)
        if table:
            # The page of a run shows this above everything.
            self._client.set_tag(self._run, "mlflow.note.content", table[:_TAG_LETTERS])
        self._client.set_terminated(self._run, "FINISHED")

    def failed(self, sentence: str, stopped: bool) -> None:
        self.tag("ended", sentence)
        self._client.set_terminated(self._run, "KILLED" if stopped else "FAILED")

    def _log(self, most: int, kind: str, rows: list[Any]) -> None:
        for k in range(0, len(rows), most):
            self._client.log_batch(self._run, **{kind: rows[k : k + most]})

    def _reopen(self, identity: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            earlier = self._client.get_run(identity)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return False
            raise
        if earlier.info.lifecycle_stage == "deleted":
            return False
        self._run, self._params = identity, dict(earlier.data.params)
        self._client.update_run(identity, status="RUNNING")
        return True

    def _experiment(self, uri: str, name: str) -> str:
        from mlflow.exceptions import MlflowException

        known = self._client.get_experiment_by_name(name)
        if known is not None:
            if known.lifecycle_stage == "deleted":
                self._client.restore_experiment(known.experiment_id)
            return str(known.experiment_id)
        # A server decides where artifacts go; beside a local database they go to mlruns/.
        database = Path(uri.removeprefix("sqlite:///"))
        local = uri.startswith("sqlite:///")
        root = (database.parent / "mlruns" / _plain(name)).as_uri() if local else None
        try:
            return str(self._client.create_experiment(name, artifact_location=root))
        except MlflowException as error:
            # Two runs may start at once.
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return str(self._client.get_experiment_by_name(name).experiment_id)


def _uri(place: Place) -> str:
    address = os.environ.get("MLFLOW_TRACKING_URI", "")
    # The address that is kept has no password; that of the environment may have one.
    target = address if place.to in ("", without_secrets(address)) else place.to
    if is_uri(target):
        return target
    folder = Path(target).resolve() if target else place.beside
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{(folder / 'mlflow.db').as_posix()}"


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
