"""The real MLflow server on this machine: what it has of a run, and what its death does to one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eosin.runs import RunFolder
from eosin.tracking.channel import Limits

pytest.importorskip("mlflow")
pytestmark = pytest.mark.slow

#: A server that keeps to itself, without the processes for jobs that nobody gives it.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "OMP_NUM_THREADS": "1",
}


class Server:
    """`mlflow server` with its database in a folder; it can be killed and begun again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin, unless it runs already, and wait until it answers."""
        if self.process is not None and self.process.poll() is None:
            return
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1",
                 "--port", str(self.port), "--workers", "1",
                 "--backend-store-uri", f"sqlite:///{self.folder}/server.db",
                 "--artifacts-destination", str(self.folder / "artifacts")],
                stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
                env={**os.environ, **QUIET},
            )  # fmt: skip
        for _ in range(1200):
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.25)
        pytest.fail((self.folder / "server.log").read_text()[-2000:])

    def kill(self) -> None:
        """At once, with all of its processes, as a machine that is switched off."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("mlflow"))
    yield found
    found.kill()


@pytest.fixture
def server(one_server: Server) -> Server:
    """The server of this module, running."""
    one_server.start()
    return one_server


@pytest.fixture(scope="module")
def client(one_server: Server) -> Any:
    """MLflow's own client of the server's REST interface."""
    with warnings.catch_warnings():
        # What MLflow imports warns about its own dependencies.
        warnings.simplefilter("ignore")
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=one_server.uri)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_server_has_the_run(
    opened: Any,
    story: Any,
    run: RunFolder,
    server: Server,
    client: Any,
    said: list[str],
    tmp_path: Path,
) -> None:
    to = {"mlflow": server.uri}
    first = opened("mlflow", to=to, project="sample")
    story.tell(first, epochs=2)
    first.failed("stopped after epoch 2", stopped=True)
    identity = story.kept("mlflow")["identity"]
    halfway = client.get_run(identity)
    assert halfway.info.status == "KILLED"
    assert halfway.data.tags["ended"] == "stopped after epoch 2"
    # Resumed, without being told again where.
    second = opened("mlflow", project="sample")
    story.tell(second)
    assert story.end(second) == [f"MLflow: {server.uri}"]
    assert said == []
    assert story.kept("mlflow")["identity"] == identity
    found = client.get_run(identity)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "first"
    assert client.get_experiment(found.info.experiment_id).name == "sample"
    assert found.data.params["epochs"] == "3"
    assert found.data.params["split.scheme"] == "case"
    assert found.data.params["store.digest"] == "abc123"
    assert found.data.params["machine.cores"] == "2"
    assert found.data.tags["mark.1"] == story.mark
    assert found.data.tags["warning.1"] == "no training patch of class rare"
    losses = [(m.step, m.value) for m in client.get_metric_history(identity, "loss")]
    assert losses == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert found.data.metrics["test/auroc"] == 0.75
    assert found.data.metrics["test/auroc_low"] == pytest.approx(0.65)
    assert found.data.metrics["test/auroc_high"] == pytest.approx(0.85)
    paths = {
        file.path
        for folder in ("figures", "report", "record", "model")
        for file in client.list_artifacts(identity, folder)
    }
    assert paths == {
        "figures/roc.png", "figures/roc.svg", "report/report.html", "report/MODEL_CARD.md",
        "record/recipe.toml", "record/evaluation.json", "model/model.json",
        "model/model.safetensors",
    }  # fmt: skip
    back = Path(client.download_artifacts(identity, "model/model.safetensors", str(tmp_path)))
    assert back.read_bytes() == (run / "model.safetensors").read_bytes()
    # One and the same run, and no other.
    assert len(client.search_runs([found.info.experiment_id])) == 1


def test_a_server_killed_in_mid_run_does_not_stop_the_training(
    made_up_store: Any,
    tmp_path: Path,
    server: Server,
    opened: Any,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from eosin.cli.tracking import tracked
    from eosin.config import read_recipe
    from eosin.splitting.splits import by_case
    from eosin.tracking.tracker import tracked_before
    from eosin.training.loop import Reporter
    from eosin.training.session import fit, start

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    small = ["epochs=4", "arguments.widths=[8,16]", "arguments.blocks=[0,1]", "batch_size=64"]
    recipe = read_recipe("compact", small)
    session, _ = start(made_up_store, by_case(made_up_store), recipe, tmp_path / "killed")
    heard: list[str] = []

    def epoch_done(row: dict[str, Any]) -> None:
        # The tracker has all of the first epoch before the server dies in the second.
        if row["epoch"] != 2:
            return
        for _ in range(6000):
            if tracked_before(session.run).get("mlflow", {}).get("epoch") == 1:
                break
            time.sleep(0.05)
        server.kill()

    reporter = Reporter(epoch_done=epoch_done, warned=heard.append)
    with tracked(session, ["mlflow"], [server.uri]) as follow:
        facts = fit(session, reporter=follow(reporter))
    assert facts.epochs == 4
    assert session.run.finished
    assert [row["epoch"] for row in session.run.metrics()] == [1, 2, 3, 4]
    err = capfd.readouterr().err
    assert err.count("MLflow is dropped: ") == 1
    assert "tracked in" not in err
    assert heard == []
    assert tracked_before(session.run)["mlflow"]["epoch"] == 1


def test_a_server_that_never_answers_is_given_up(
    opened: Any, story: Any, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that takes every connection and says nothing."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        held: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(silent.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        limits = Limits(first_s=200, end_s=300, stop_s=60)
        port = silent.getsockname()[1]
        tracker = opened("mlflow", to={"mlflow": f"http://127.0.0.1:{port}"}, limits=limits)
        story.tell(tracker)
        assert story.end(tracker) == []
        assert held
        for each in held:
            each.close()
        silent.shutdown(socket.SHUT_RDWR)
    assert len(said) == 1
    assert said[0].startswith("MLflow is dropped: ")


def test_the_local_database_stands_beside_the_run(
    opened: Any, story: Any, run: RunFolder, said: list[str]
) -> None:
    import sqlite3

    tracker = opened("mlflow")
    story.tell(tracker)
    (line,) = story.end(tracker)
    assert said == []
    beside = run.path.resolve().parent
    assert line == f"MLflow: mlflow ui --backend-store-uri sqlite:///{beside}/mlflow.db"
    with contextlib.closing(sqlite3.connect(beside / "mlflow.db")) as database:
        found = database.execute("select key, value, step from metrics where key = 'loss'")
        assert [step for _, _, step in sorted(found, key=lambda row: row[2])] == [1, 2, 3]
        ((status, uri),) = database.execute("select status, artifact_uri from runs")
    assert status == "FINISHED"
    assert (beside / "mlruns" / "idc").as_uri() in uri
    (model,) = (beside / "mlruns").rglob("model.safetensors")
    assert model.read_bytes() == (run / "model.safetensors").read_bytes()
