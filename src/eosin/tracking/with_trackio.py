"""Trackio: a local SQLite database in a folder beside the run, or a server by its address."""

from __future__ import annotations

import os
import secrets
import shlex
import warnings
from collections.abc import Mapping
from typing import Any

from eosin.tracking.backend import Grouped, Opened, Place, Value
from eosin.tracking.names import without_secrets

#: Words of Trackio's own warnings that data were lost: it never raises by itself.
_LOST = ("failed", "could not", "Could not", "skipped", "cannot")


class Tracked(Grouped):
    """One run of Trackio; its files are artifacts named <run>-<kind>."""

    def open(self, place: Place) -> Opened:
        remote, folder = place.remote, place.folder("trackio")
        # Read when the library is imported.
        os.environ["TRACKIO_DIR"] = str(folder)
        for name in ("TRACKIO_SPACE_ID", *(() if remote else ("TRACKIO_SERVER_URL",))):
            os.environ.pop(name, None)
        if not remote:
            os.environ["HF_HUB_OFFLINE"] = "1"
        import trackio

        self._lost: list[str] = []
        self._step = 0
        warnings.simplefilter("always")
        warnings.showwarning = self._on_warning
        names = set() if remote else _names(trackio, place.project)
        resumed = place.identity in names or (remote and bool(place.identity))
        name = place.identity if resumed else _free(place.run.name, names, remote)
        run = trackio.init(
            project=place.project,
            name=name,
            server_url=place.to if remote else None,
            resume="allow" if resumed else "never",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        self.keep(trackio, run, run.name)
        self._check()
        project = shlex.quote(place.project)
        look = f"TRACKIO_DIR={shlex.quote(str(folder))} trackio show --project {project}"
        where, look = (place.to, without_secrets(place.to)) if remote else (str(folder), look)
        return Opened(name, where, look, resumed)

    def started(self, params: Mapping[str, Value], tags: Mapping[str, str]) -> None:
        # Written with the first row.
        self._run.config.update({**params, **{f"tag.{name}": text for name, text in tags.items()}})
        self._check()

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        self._step = step
        self.show(dict(values))

    def tag(self, name: str, text: str) -> None:
        self.show({f"tags/{name}": self._library.Markdown(text)})

    def finished(self, values: Mapping[str, float], table: str, step: int) -> None:
        if values:
            self.metrics(values, step)
            self.show({"figures": self._library.Markdown(table)})
        self.finish()
        self._check()

    def failed(self, sentence: str, stopped: bool) -> None:
        self.tag("ended", sentence)
        self._run.finish()

    def _on_warning(self, message: Warning | str, *rest: Any, **more: Any) -> None:
        text = str(message)
        if "trackio" in text.lower() and any(word in text for word in _LOST):
            self._lost.append(text)

    def show(self, values: dict[str, Any]) -> None:
        self._run.log(values, step=self._step)
        self._check()

    def _check(self) -> None:
        if self._lost:
            raise OSError(self._lost[0])


def _names(trackio: Any, project: str) -> set[str]:
    """The runs of a local project."""
    try:
        return {run.name for run in trackio.Api().runs(project)}
    except ValueError:
        # There is no such project yet.
        return set()


def _free(name: str, taken: set[str], remote: bool) -> str:
    """A name for the run that no other run of the project has; Trackio resumes by name."""
    return f"{name}-{secrets.token_hex(3)}" if remote or name in taken else name
