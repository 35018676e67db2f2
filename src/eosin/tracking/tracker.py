"""Tracker: sends what a run does to its trackers; never raises, and waits only at the end.

What goes wrong with a tracker is one warning, and then that tracker is dropped. RUN/tracking.json
keeps the trackers' own ids of the run, so that a resumed run continues in the same place.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from eosin.errors import EosinError
from eosin.runs import RunFolder
from eosin.tracking import words
from eosin.tracking.backend import Value
from eosin.tracking.channel import Channel, Limits, Message
from eosin.tracking.names import SPECS, is_uri, without_secrets

KEPT = "tracking.json"
_FORMAT = 1


def tracked_before(run: RunFolder) -> dict[str, dict[str, Any]]:
    """Tracker -> what is kept in tracking.json; empty where it is missing or damaged."""
    try:
        kept = run.read_json(KEPT).get("trackers", {})
    except EosinError:
        return {}
    known = kept.items() if isinstance(kept, dict) else ()
    return {name: each for name, each in known if name in SPECS and isinstance(each, dict)}


class Tracker:
    """Several trackers at once; with none of them every call does nothing.

    names: from `names.check_names`; project: what the trackers call a group of runs; to: tracker ->
    folder or URI, by default beside the run; warn: called once for each tracker that is dropped.
    Each tracker works in a process of its own; a run that tracking.json lists is resumed. All calls
    return at once except ``finished`` and ``failed``, which wait, up to a limit, until all is sent.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tracker = Tracker([], run=RunFolder(folder), project="demo")
    ...     tracker.metrics({"loss": 0.5}, 1)
    ...     tracker.finished({})
    []
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        run: RunFolder,
        project: str,
        to: Mapping[str, str] = {},
        warn: Callable[[str], None] = lambda sentence: None,
        limits: Limits | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        self._run, self._warn, self._limits = run, warn, limits or Limits()
        self._lock = threading.Lock()
        self._kept = tracked_before(run) if names else {}
        self._warned: list[str] = []
        self._dropped: set[str] = set()
        self._bytes = self._step = 0
        self._over = False
        self._channels = [
            Channel(
                name,
                limits=self._limits,
                answered=partial(self._answered, name),
                skip=partial(self._sent_before, name),
                command=None if command is None else [*command, name],
            )
            for name in names
        ]
        for channel in self._channels:
            before = self._kept.get(channel.name, {})
            where = str(before.get("where", ""))
            target = to.get(channel.name, "") or ("" if _missing(where) else where)
            same = without_secrets(target) == where
            channel.send(
                "open",
                run=str(run.path.resolve()),
                project=str(before.get("project", project)) if same else project,
                to=target,
                identity=str(before.get("identity", "")) if same else "",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The trackers that are asked for and not dropped."""
        return tuple(channel.name for channel in self._channels if not channel.trouble)

    def started(self, params: Mapping[str, Value], tags: Mapping[str, str] = {}) -> None:
        """Parameters and tags of the run."""
        self._send("started", params=dict(params), tags=dict(tags))

    def metrics(self, row: Mapping[str, Any], step: int) -> None:
        """A row of metrics.jsonl; step is the epoch. What a tracker has already is left out."""
        self._step = max(self._step, step)
        self._send("metrics", values=words.numbers(row), step=step)

    def warned(self, sentence: str) -> None:
        """A warning of the training, as a tag; the same one once."""
        if sentence not in self._warned:
            self._warned.append(sentence)
            self._send("tag", name=f"warning.{len(self._warned)}", text=sentence)

    def file(self, path: Path, kind: str) -> None:
        """A file of the run; kind: model, report, record, or figure for a picture (PNG or SVG).

        A missing file is not a failure of the tracker.
        """
        if path.is_file():
            self._bytes += path.stat().st_size
            call, more = ("figure", {}) if kind == "figure" else ("artifact", {"kind": kind})
            self._send(call, path=str(path.resolve()), **more)

    def finished(self, summary: Mapping[str, Any]) -> list[str]:
        """The run is done; returns a line a tracker: how to look at it.

        summary: the content of evaluation.json, or nothing. Waits until all is sent, for a limited
        time that grows with the files.
        """
        values = words.final_figures(summary)
        table = words.final_table(summary) if values else ""
        self._send("finished", values=values, table=table, step=self._step)
        self._close(self._limits.end_s + self._bytes / self._limits.bytes_per_s)
        with self._lock:
            looks = {name: str(kept.get("look", "")) for name, kept in self._kept.items()}
        return [f"{SPECS[name].title}: {looks[name]}" for name in self.names if looks.get(name)]

    def failed(self, sentence: str, *, stopped: bool = False) -> None:
        """The run ended early; waits a few seconds at most. After the end it does nothing.

        stopped: by its user, so that it may be resumed.
        """
        if not self._over:
            self._send("failed", sentence=sentence, stopped=stopped)
            self._close(self._limits.stop_s)

    def _send(self, call: str, **arguments: Any) -> None:
        if self._over:
            return
        for channel in self._channels:
            channel.send(call, **arguments)
        self._warn_of_dropped()

    def _close(self, wait_s: float) -> None:
        self._over = True
        until = time.monotonic() + wait_s
        try:
            for channel in self._channels:
                channel.close(wait_s=max(0.0, until - time.monotonic()))
        except KeyboardInterrupt:
            for channel in self._channels:
                channel.cut("Ctrl-C while it was finishing")
        self._warn_of_dropped()

    def _warn_of_dropped(self) -> None:
        """Warn of what went wrong, in the caller's thread and once a tracker."""
        for channel in self._channels:
            if channel.trouble and channel.name not in self._dropped:
                self._dropped.add(channel.name)
                self._warn(
                    f"{SPECS[channel.name].title} is dropped: {channel.trouble}; the run "
                    f"continues, and {self._run.path} is complete by itself"
                )

    # In the channels' threads

    def _answered(self, name: str, message: Message, answer: Message) -> None:
        call, arguments = message["call"], message["with"]
        if call not in ("open", "metrics"):
            return
        with self._lock:
            before = self._kept.get(name, {})
            if call == "open":
                self._kept[name] = {
                    "where": without_secrets(str(answer["where"])),
                    "project": arguments["project"],
                    "identity": answer["identity"],
                    "look": answer["look"],
                    "epoch": before.get("epoch", 0) if answer["resumed"] else 0,
                }
            else:
                self._kept[name] = {**before, "epoch": arguments["step"]}
            self._run.write_json(KEPT, {"version": _FORMAT, "trackers": self._kept})

    def _sent_before(self, name: str, message: Message) -> bool:
        if message["call"] != "metrics":
            return False
        with self._lock:
            sent = self._kept.get(name, {}).get("epoch", 0)
        return int(message["with"]["step"]) <= int(sent)


def _missing(where: str) -> bool:
    """Whether a local folder of an earlier session does not exist anymore."""
    path = where.removeprefix("sqlite:///")
    return not where or ((path != where or not is_uri(where)) and not Path(path).exists())
