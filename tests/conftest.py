"""Shared by the tests of several rooms."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from eosin.data.store import PatchStore

REAL = Path(__file__).parents[2] / "shared" / "data"


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
