"""Shared by the tests of several rooms."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from eosin.data.store import PatchStore

# What tests remember of exported files goes away with them.
_CACHE = tempfile.TemporaryDirectory()
os.environ["EOSIN_CACHE"] = _CACHE.name

REAL = Path(__file__).parents[2] / "shared" / "data"
MARKERS = ("slow", "real", "gpu", "browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with many slow tests first, so that no process waits for one of them in the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Count the tests of each marker that ran and that were skipped, before the closing line."""
    rows = {name: {"ran": 0, "skipped": 0} for name in (*MARKERS, "other")}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if not isinstance(report, pytest.TestReport):
                continue
            # A test without a report of its call was skipped, or failed, before it.
            if report.when == "call" or (report.when == "setup" and not report.passed):
                for name in [name for name in MARKERS if name in report.keywords] or ["other"]:
                    rows[name]["skipped" if report.skipped else "ran"] += 1
    terminalreporter.section("tests by marker")
    for name, counts in rows.items():
        terminalreporter.line(f"{name:8} {counts['ran']:6} ran {counts['skipped']:6} skipped")


@dataclass
class Asked:
    """One request that reached the server."""

    method: str
    path: str
    headers: dict[str, str]

    def __getitem__(self, header: str) -> str | None:
        return self.headers.get(header.lower())


@dataclass
class FileServer:
    """A web server on 127.0.0.1 with files and planned misbehavior.

    ``faults`` holds, for a path, what the next answers do instead of the file: a status, an integer
    pair ("drop", n) that ends the body after n bytes, or a function of the handler.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    etags: bool = True
    ranges: bool = True
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def of(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]

    def etag(self, path: str) -> str:
        return f'"{hash(self.files[path]) & 0xFFFFFFFF:x}"'

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = urlsplit(handler.path).path
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.asked.append(Asked(handler.command, path, headers))
        if length := headers.get("content-length"):
            handler.rfile.read(int(length))
        fault = self.faults[path].pop(0) if self.faults.get(path) else None
        if callable(fault):
            fault(handler)
        elif isinstance(fault, int):
            self.send(handler, fault, b"refused")
        elif path not in self.files:
            self.send(handler, 404, b"nothing here")
        else:
            self.send_file(handler, path, headers, fault[1] if fault else None)

    def send_file(
        self,
        handler: BaseHTTPRequestHandler,
        path: str,
        headers: dict[str, str],
        drop_after: int | None = None,
    ) -> None:
        body, total = self.files[path], len(self.files[path])
        extra = {"ETag": self.etag(path)} if self.etags else {}
        status = 200
        match = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
        fresh = headers.get("if-range", self.etag(path)) == self.etag(path)
        if match and self.ranges and fresh:
            start = int(match[1])
            if start >= total:
                self.send(handler, 416, b"", {"Content-Range": f"bytes */{total}"})
                return
            body, status = body[start:], 206
            extra["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        self.send(handler, status, body, extra, drop_after)

    def send(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        drop_after: int | None = None,
    ) -> None:
        sent = {"Content-Length": str(len(body)), "Connection": "close", **(headers or {})}
        handler.send_response(status)
        for name, value in sent.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body[:drop_after])
        handler.wfile.flush()
        # One request a connection, so that a dropped body is seen as a dropped connection.
        handler.close_connection = True


@pytest.fixture
def file_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A FileServer that runs for one test; requests to anywhere else cannot leave the machine."""
    served = FileServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            served.answer(self)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        served.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        # Plain requests to any name are sent to this server as a proxy, so the real Kaggle client
        # finds its service here; encrypted ones go nowhere.
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, served.url)
        for name in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield served
        server.shutdown()
        thread.join()


@dataclass
class Hub:
    """A model hub on 127.0.0.1 that answers as the real one does to its client.

    ``files`` holds bytes by (repository, name). ``large`` ones are sent from a file store under
    another host name, to which the hub sends on, with the checksum in the hub's own answer.
    ``faults`` holds, for (method, name), what the next answers do instead: a status, ("drop", n) to
    end the body after n bytes, bytes to send in place of the file, or a function of the handler.
    """

    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    large: set[str] = field(default_factory=lambda: {"model.safetensors", "pytorch_model.bin"})
    tokens: dict[str, set[str]] = field(default_factory=dict)  #: of gated repositories
    revisions: set[str] = field(default_factory=lambda: {"main"})
    commit: str = "c" * 40
    faults: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def of(self, method: str, name: str) -> list[Asked]:
        return [a for a in self.asked if a.method == method and a.path.endswith(f"/{name}")]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = urlsplit(handler.path).path
        asked = Asked(handler.command, path, {k.lower(): v for k, v in handler.headers.items()})
        self.asked.append(asked)
        found = re.fullmatch(r"/(store/)?([\w.-]+/[\w.-]+)/resolve/([\w.-]+)/([\w.-]+)", path)
        if not found:
            self.send(handler, 404, b"no page")
            return
        store, repository, revision, name = found.groups()
        fault = None
        if store or name not in self.large or handler.command == "HEAD":
            waiting = self.faults.get((handler.command, name))
            fault = waiting.pop(0) if waiting else None
        wanted, token = self.tokens.get(repository), asked["authorization"]
        if callable(fault):
            fault(handler)
        elif isinstance(fault, int):
            self.send(handler, fault, b"")
        elif not store and wanted and (token or "Bearer ").removeprefix("Bearer ") not in wanted:
            self.send(handler, 403 if token else 401, b"", {"X-Error-Code": "GatedRepo"})
        elif not any(repository == known for known, _ in self.files):
            self.send(handler, 404, b"", {"X-Error-Code": "RepoNotFound"})
        elif revision not in {*self.revisions, self.commit}:
            self.send(handler, 404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif (repository, name) not in self.files:
            missing = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": self.commit}
            self.send(handler, 404, b"", missing)
        elif name in self.large and not store:
            body = self.files[repository, name]
            facts = {
                "Location": f"http://localhost:{self.port}/store{path}",
                "X-Repo-Commit": self.commit,
                "X-Linked-Size": str(len(body)),
                "X-Linked-ETag": f'"{hashlib.sha256(body).hexdigest()}"',
            }
            self.send(handler, 302, b"", facts)
        else:
            self.send_file(handler, self.files[repository, name], asked, fault)

    def send_file(
        self, handler: BaseHTTPRequestHandler, body: bytes, asked: Asked, fault: Any
    ) -> None:
        git = hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
        extra = {"ETag": f'"{git}"', "X-Repo-Commit": self.commit}
        body = fault if isinstance(fault, bytes) else body
        status, total = 200, len(body)
        if match := re.fullmatch(r"bytes=(\d+)-", asked["range"] or ""):
            start = int(match[1])
            body, status = body[start:], 206
            extra["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        drop_after = fault[1] if isinstance(fault, tuple) else None
        self.send(handler, status, body, extra, drop_after)

    def send(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        drop_after: int | None = None,
    ) -> None:
        handler.send_response(status)
        sent = {"Content-Length": str(len(body)), "Connection": "close", **(headers or {})}
        for name, value in sent.items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body[:drop_after])
            handler.wfile.flush()
        handler.close_connection = True


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A Hub that runs for one test, set as HF_ENDPOINT, with an empty cache and no token."""
    pytest.importorskip("huggingface_hub")
    served = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            served.answer(self)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    # A token of the person who runs the tests must not be used.
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr("huggingface_hub.utils._auth._get_token_from_google_colab", lambda: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        served.port = server.server_address[1]
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def made_up_store(tmp_path_factory: pytest.TempPathFactory) -> PatchStore:
    """Sixteen made-up cases with twenty patches each; tests must not change it."""
    from eosin.synthetic.archive import make_store

    return make_store(
        tmp_path_factory.mktemp("stores") / "made-up.store", cases=16, patches_per_case=20, seed=1
    )


@pytest.fixture
def real_data() -> Path:
    """The folder of real data beside the project; the test skips where there is none."""
    if not REAL.is_dir():
        pytest.skip("no real data beside the project")
    return REAL


#: How a tiny exported model tells the classes: from the mean color, in 0 to 1.
TINY_WEIGHTS = ((-8.0, 8.0), (4.0, -4.0), (4.0, -4.0))
TINY_CENTER = (0.8, 0.6, 0.75)


def tiny_facts(classes: tuple[str, ...] = ("negative", "positive")) -> dict[str, Any]:
    """model.json of a made-up run, as an evaluation leaves it."""
    from eosin.records.model import Fitted, Scope
    from eosin.records.points import Band, OperatingPoint

    points = {
        "balanced": OperatingPoint(
            "balanced", 0.45, band=Band(0.3, 0.6, assumption="cases are alike")
        ),
        "f1": OperatingPoint("f1", 0.4, band=Band(0.25, 0.55)),
    }
    fitted = Fitted(temperature=2.0, points=points, scope=Scope(threshold=0.6, kept=0.99))
    return {
        "format": 1,
        "architecture": "tiny",
        "classes": list(classes),
        "patch_size": [50, 50],
        "temperature": 2.0,
        "mpp": 4.0,
        "recipe": "tiny",
        "threshold": points["balanced"].threshold_json(),
        "referral": points["balanced"].to_json()["band"],
        "scope": {"threshold": 0.6, "kept": 0.99},
        "fitted": fitted.to_json(),
        "marks": ["a mark of the run"],
        "diagnoses": [],
        "intended_use": "Research and education only, not for diagnosis.",
    }


@pytest.fixture(scope="session")
def make_exported() -> Callable[..., Path]:
    """Writes a tiny exported ONNX file without torch, as the contract of exported files says.

    Changes to its metadata are given as keywords; ``metadata`` replaces all of it (None: none).
    ``kind`` and ``rename`` change the input's type and the outputs' names; ``external`` refers to
    weights in a file of that name.
    """
    pytest.importorskip("onnx")

    def make(
        path: Path,
        *,
        metadata: Any = ...,
        input_kind: str = "UINT8",
        rename: dict[str, str] | None = None,
        external: str | None = None,
        **changes: Any,
    ) -> Path:
        from onnx import TensorProto, helper, numpy_helper

        def named(name: str) -> str:
            return (rename or {}).get(name, name)

        def constant(name: str, values: Any, kind: str = "float32") -> Any:
            import numpy as np

            return numpy_helper.from_array(np.array(values, kind), name)

        constants = [
            constant("weights", TINY_WEIGHTS), constant("axes", [1, 2], "int64"),
            constant("last", [1], "int64"), constant("scale", 255), constant("center", TINY_CENTER),
        ]  # fmt: skip
        if external is not None:
            tensor = constants[0]
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", external), ("offset", "0"), ("length", "24")):
                entry = tensor.external_data.add()
                entry.key, entry.value = key, value
        nodes = [
            helper.make_node("Cast", ["patches"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
            helper.make_node("Div", ["mean", "scale"], [named("features")]),
            helper.make_node("MatMul", [named("features"), "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], [named("probabilities")], axis=1),
            helper.make_node("Sub", [named("features"), "center"], ["apart"]),
            helper.make_node("ReduceL2", ["apart", "last"], [named("distance")], keepdims=0),
        ]
        value = helper.make_tensor_value_info
        outputs = (("probabilities", ["N", 2]), ("features", ["N", 3]), ("distance", ["N"]))
        graph = helper.make_graph(
            nodes,
            "tiny",
            [value("patches", getattr(TensorProto, input_kind), ["N", "H", "W", 3])],
            [value(named(name), TensorProto.FLOAT, shape) for name, shape in outputs],
            constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
        model.ir_version = 10
        facts = tiny_facts()
        info = {
            "format": 1,
            "kind": "fp32",
            "classes": facts["classes"],
            "patch_size": facts["patch_size"],
            "facts": facts,
            "weights_digest": "0" * 64,
            "run": "tiny-run",
            "seen_cases": {"train": ["seen-1"], "val": ["seen-2"]},
            "parity": {},
            "intended_use": facts["intended_use"],
            **changes,
        }
        if metadata is ...:
            metadata = json.dumps(info)
        if metadata is not None:
            helper.set_model_props(model, {"eosin": metadata})
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.SerializeToString())
        return path

    return make


class Outcome(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


@pytest.fixture
def eosin(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command line in this process."""

    def run(*words: object) -> Outcome:
        from eosin.cli.main import main

        capfd.readouterr()
        try:
            main([str(word) for word in words])
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        out, err = capfd.readouterr()
        return Outcome(code, out, err)

    return run


class Tab:
    """A browser tab with a page open, and all that went wrong in it."""

    def __init__(self, program: Any, path: Path, width: int, height: int, scheme: str) -> None:
        self.context = program.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        self.page = self.context.new_page()
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda said: self.wrong.append(said.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.resolve().as_uri())

    def outside(self) -> list[str]:
        """Addresses that were asked for beyond the file itself."""
        return [url for url in self.asked if not url.startswith(("file:", "data:"))]

    def widths(self) -> tuple[int, int]:
        """Of the whole page and of the window, in CSS pixels; the first is no larger."""
        wide, client = self.page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        return wide, client


@pytest.fixture(scope="module")
def chromium() -> Path:
    """A Chromium of this machine; the test skips where there is none."""
    from eosin.errors import UserError
    from eosin.reporting.browser import find_browser

    try:
        return find_browser()
    except UserError:
        pytest.skip("no Chromium on this machine")


@pytest.fixture(scope="module")
def open_tab(chromium: Path) -> Iterator[Callable[..., Tab]]:
    """Open a file in a real browser: (path, width, height, "light" or "dark") -> Tab."""
    playwright = pytest.importorskip("playwright.sync_api")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as running:
        program = running.chromium.launch(executable_path=str(chromium), args=arguments)
        yield lambda path, *look: Tab(program, path, *look)
        program.close()


@pytest.fixture(scope="session")
def launch() -> Callable[..., list[subprocess.Popen[str]]]:
    """Starts python several times as torchrun would: (count, its arguments, more environment)."""
    if importlib.util.find_spec("accelerate") is None:
        pytest.skip("accelerate is not installed")

    def start(count: int, words: list[str], **more: object) -> list[subprocess.Popen[str]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        common = {
            "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port, "OMP_NUM_THREADS": 1, "CUDA_VISIBLE_DEVICES": "", **more,
        }  # fmt: skip
        return [
            subprocess.Popen(
                [sys.executable, *words],
                env=os.environ
                | {
                    key: str(value) for key, value in {**common, "RANK": r, "LOCAL_RANK": r}.items()
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for r in range(count)
        ]

    return start


@pytest.fixture(scope="session")
def rows_of_benchmark() -> Callable[..., list[dict[str, str]]]:
    """Runs a benchmark's short form."""
    root = Path(__file__).parents[1]

    def run(name: str, results: Path, *words: str) -> list[dict[str, str]]:
        """Run a benchmark with its results elsewhere; the rows of its CSV."""
        code = (
            f"import sys; sys.path.insert(0, {str(root / 'benchmarks')!r})\n"
            f"import harness, {name}\nfrom pathlib import Path\n"
            f"harness.write_csv.__kwdefaults__['folder'] = Path({str(results)!r})\n"
            f"sys.argv = ['{name}.py', *sys.argv[1:]]\n{name}.main()\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        (path,) = results.glob("*.csv")
        with open(path, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    return run
