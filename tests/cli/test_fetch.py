"""`eosin fetch` as a person runs it, against a server on 127.0.0.1."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from eosin.cli import output
from eosin.cli.fetch import fetch as command
from eosin.errors import CredentialsError, UserError
from eosin.fetching import servers
from eosin.fetching.archives import ARCHIVES, Item

API = "/api/v1/datasets.DatasetApiService/DownloadDataset"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(servers, "PATIENCE", servers.Patience(attempts=2, backoff_s=0.01))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(output._state, "json", False)
    for name in list(os.environ):
        if name.startswith("KAGGLE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def mnist(file_server: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    files = {item.name: item.name.encode() * 100 for item in ARCHIVES["mnist"].items}
    items = [Item(name, f"md5:{hashlib.md5(body).hexdigest()}") for name, body in files.items()]
    monkeypatch.setitem(ARCHIVES, "mnist", replace(ARCHIVES["mnist"], items=tuple(items)))
    file_server.files |= {f"/m/{name}": body for name, body in files.items()}
    return files


@pytest.fixture
def idc(file_server: Any, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The Kaggle service in place of the real one; see tests/data/test_fetch.py."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("8863/0/a.png", b"x" * 50_000)
    file_server.files[API] = target.getvalue()
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "TEST")
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_right")
    return target.getvalue()


def run(*arguments: str) -> Any:
    app = typer.Typer()
    app.command("fetch")(command)
    done = CliRunner().invoke(app, list(arguments))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_mnist(file_server: Any, mnist: Any) -> None:
    done = run("mnist", "--mirror", file_server.url + "/m")
    assert done.exit_code == 0
    assert done.stdout.count(": fetched\n") == 4
    assert done.stdout.endswith("Next: eosin pack mnist mnist.store\n")
    done = run("mnist", "--mirror", file_server.url + "/m")
    assert done.stdout.count("already complete, not fetched again") == 4


def test_mnist_json(file_server: Any, mnist: Any) -> None:
    done = run("mnist", "-o", "digits", "--mirror", file_server.url + "/m", "--json")
    shown = json.loads(done.stdout)
    assert shown["data_set"] == "mnist"
    assert shown["next"] == "eosin pack digits mnist.store"
    assert [Path(file["path"]).name for file in shown["files"]] == list(mnist)
    assert all(file["new"] for file in shown["files"])


def test_idc(idc: bytes) -> None:
    done = run("idc", "-o", "archive.zip")
    assert done.exit_code == 0
    assert Path("archive.zip").read_bytes() == idc
    assert done.stdout.endswith("Next: eosin pack archive.zip idc.store\n")


def test_idc_into_a_folder_and_by_default(idc: bytes) -> None:
    Path("there").mkdir()
    run("idc", "-o", "there")
    run("idc")
    name = "breast-histopathology-images.zip"
    assert Path("there", name).read_bytes() == Path(name).read_bytes() == idc


def test_idc_through_a_post_without_redirect_goes_on(idc: bytes, file_server: Any) -> None:
    file_server.faults[API] = [("drop", 20_000), ("drop", 10)]
    done = run("idc")
    assert done.exit_code == 0
    assert "trying again" in done.stderr
    assert "resuming at" in done.stderr
    *_, last = file_server.of(API)
    assert last.method == "POST"
    assert last["Range"] == "bytes=20000-"
    assert last["Authorization"] == "Bearer KGAT_right"


def test_idc_without_a_token(idc: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    with pytest.raises(CredentialsError, match=r"1\. Sign in"):
        run("idc")


def test_wrong_uses(file_server: Any) -> None:
    with pytest.raises(UserError, match="--mirror is for archives"):
        run("idc", "--mirror", file_server.url)
    Path("file").touch()
    with pytest.raises(UserError, match="is a file"):
        run("mnist", "-o", "file")
    for words in (["cifar"], [], ["idc", "--list"]):
        with pytest.raises(UserError, match="eosin fetch --list"):
            run(*words)


def test_ctrl_c_keeps_the_partial_and_says_how_to_go_on(idc: bytes, file_server: Any) -> None:
    body = file_server.files[API]

    def stall(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", file_server.etag(API))
        handler.end_headers()
        handler.wfile.write(body[:30_000])
        handler.wfile.flush()
        handler.connection.settimeout(20)
        handler.rfile.read(1)

    file_server.faults[API] = [stall]
    # A shell's background jobs ignore the signal, and their children inherit that.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code = heed + "import typer; from eosin.cli.fetch import fetch; typer.run(fetch)"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "idc", "-o", "a.zip"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # 30,000 bytes are less than a chunk: they are written when the stop ends the reading or not at
    # all, so wait for the file alone.
    for _ in range(600):
        if Path("a.zip.partial").exists():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "run the same command again" in err
    assert "Traceback" not in err
    assert out == ""
    assert not Path("a.zip").exists()
    assert Path("a.zip.partial.json").exists()
