"""What the file of a tracker must offer, and where it writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from eosin.tracking.names import is_uri

#: Values that every tracker can keep as a parameter.
Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run is to be tracked.

    run: its folder; to: folder or URI, or "" for the tracker's own default beside the run;
    identity: the tracker's own id of the run from an earlier session, or "".
    """

    run: Path
    project: str
    to: str = ""
    identity: str = ""

    @property
    def beside(self) -> Path:
        """The folder that contains the run: shared by runs that are to be compared."""
        return self.run.resolve().parent

    @property
    def remote(self) -> bool:
        """Whether it is tracked by a server."""
        return is_uri(self.to)

    def folder(self, name: str = "") -> Path:
        """The folder to write to: the user's, or by default this name beside the run."""
        return Path(self.to).resolve() if self.to and not self.remote else self.beside / name


@dataclass(frozen=True, slots=True)
class Opened:
    """A run as a tracker opened it.

    identity: the tracker's id of the run; where: folder or URI, usable as ``Place.to``; look: the
    command or address that shows it; resumed: whether the earlier run is continued.
    """

    identity: str
    where: str
    look: str
    resumed: bool = False


class Backend(Protocol):
    """One tracker, used from a process of its own: it may raise, and it may be slow."""

    def open(self, place: Place) -> Opened:
        """Start a run, or resume that of ``place.identity`` where it still exists."""

    def started(self, params: Mapping[str, Value], tags: Mapping[str, str]) -> None:
        """Parameters and tags, once a session; a resumed run keeps what it has."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """The figures of one epoch; step is its number."""

    def tag(self, name: str, text: str) -> None:
        """A warning that came up during the run."""

    def figure(self, path: Path) -> None:
        """A picture, PNG or SVG."""

    def artifact(self, path: Path, kind: str) -> None:
        """A file; kind is model, report or record."""

    def finished(self, values: Mapping[str, float], table: str, step: int) -> None:
        """The final figures, as numbers and as a Markdown table; returns when all is sent.

        step: the last epoch.
        """

    def failed(self, sentence: str, stopped: bool) -> None:
        """The run ended early; stopped: by its user or the system, and it may be resumed."""


class Grouped:
    """Files that a tracker keeps as artifacts named <run>-<kind>; pictures it can show are logged.

    library: the tracker's module, with Artifact and Image; run: as it opened it; name: of the run.
    """

    def keep(self, library: Any, run: Any, name: str) -> None:
        self._library, self._run, self._name = library, run, name
        self._artifacts: dict[str, Any] = {}

    def show(self, values: dict[str, Any]) -> None:
        """Log a picture or text beside the figures."""
        self._run.log(values)

    def figure(self, path: Path) -> None:
        if path.suffix == ".png":
            self.show({f"figures/{path.stem}": self._library.Image(str(path))})
        else:
            self.artifact(path, "figures")

    def artifact(self, path: Path, kind: str) -> None:
        if kind not in self._artifacts:
            self._artifacts[kind] = self._library.Artifact(f"{self._name}-{kind}", type=kind)
        self._artifacts[kind].add_file(str(path), name=path.name)

    def finish(self) -> None:
        """Send the artifacts and end the run."""
        for artifact in self._artifacts.values():
            self._run.log_artifact(artifact)
        self._run.finish()
