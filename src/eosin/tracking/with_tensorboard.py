"""TensorBoard: event files in a folder a run, written by TensorBoard's own writer; never torch."""

from __future__ import annotations

import shlex
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from eosin.tracking.backend import Opened, Place, Value

_ALONE = "tensorboard.compat.notf"


class Tracked:
    """One folder of event files: scalars, images, texts and the table of hyperparameters.

    It has no place for files: reports in Markdown are shown as text, the others by name only.
    """

    def open(self, place: Place) -> Opened:
        root = place.folder("tensorboard")
        folder = root / (place.identity or _free(root, place.run.name))
        resumed = bool(place.identity) and any(folder.glob("events.out.tfevents.*"))
        # TensorBoard looks for this name and then leaves TensorFlow alone, where it is installed.
        sys.modules.setdefault(_ALONE, ModuleType(_ALONE))
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._summary = Summary
        self._writer = EventFileWriter(str(folder), flush_secs=10)
        self._resumed = resumed
        self._files: list[str] = []
        self._writer.flush()
        look = f"tensorboard --logdir {shlex.quote(str(root))}"
        return Opened(folder.name, str(root), look, resumed)

    def started(self, params: Mapping[str, Value], tags: Mapping[str, str]) -> None:
        if self._resumed:
            return
        self._session_start(params)
        rows = "\n".join(f"| {name} | {_cell(str(value))} |" for name, value in params.items())
        self._text("parameters", f"| name | value |\n|---|---|\n{rows}")
        for name, text in tags.items():
            self._text(f"tags/{name}", text)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        self._write([{"tag": name, "simple_value": value} for name, value in values.items()], step)

    def tag(self, name: str, text: str) -> None:
        self._text(f"tags/{name}", text)

    def figure(self, path: Path) -> None:
        if path.suffix != ".png":
            self._files.append(path.name)
            return
        picture = path.read_bytes()
        width, height = struct.unpack(">II", picture[16:24])
        image = self._summary.Image(
            encoded_image_string=picture, width=width, height=height, colorspace=3
        )
        self._write([{"tag": f"figures/{path.stem}", "image": image}])

    def artifact(self, path: Path, kind: str) -> None:
        self._files.append(path.name)
        if path.suffix == ".md":
            self._text(f"{kind}/{path.stem}", path.read_text("utf-8"))

    def finished(self, values: Mapping[str, float], table: str, step: int) -> None:
        self.metrics(values, step)
        if table:
            self._text("figures", table)
        if self._files:
            self._text("files", "\n".join(f"- `{name}`" for name in self._files))
        self._end("STATUS_SUCCESS")

    def failed(self, sentence: str, stopped: bool) -> None:
        self.tag("ended", sentence)
        self._end("STATUS_FAILURE")

    # The table of hyperparameters. TensorBoard's own functions for these two need TensorFlow.

    def _session_start(self, params: Mapping[str, Value]) -> None:
        from tensorboard.plugins.hparams import metadata, plugin_data_pb2

        info = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
        kinds = {bool: "bool_value", str: "string_value"}
        for name, value in params.items():
            setattr(info.hparams[name], kinds.get(type(value), "number_value"), value)
        data = plugin_data_pb2.HParamsPluginData(session_start_info=info)
        self._hparams(metadata.SESSION_START_INFO_TAG, data)

    def _end(self, status: str) -> None:
        from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

        info = plugin_data_pb2.SessionEndInfo(
            status=api_pb2.Status.Value(status), end_time_secs=time.time()
        )
        data = plugin_data_pb2.HParamsPluginData(session_end_info=info)
        self._hparams(metadata.SESSION_END_INFO_TAG, data)
        self._writer.close()

    def _hparams(self, tag: str, data: Any) -> None:
        from tensorboard.plugins.hparams import metadata

        described = metadata.create_summary_metadata(data)
        self._write([{"tag": tag, "metadata": described, "tensor": metadata.NULL_TENSOR}])

    def _text(self, tag: str, text: str) -> None:
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.types_pb2 import DT_STRING
        from tensorboard.plugins.text import metadata

        tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()])
        described = metadata.create_summary_metadata(tag, "")
        self._write([{"tag": tag, "metadata": described, "tensor": tensor}])

    def _write(self, values: Sequence[Mapping[str, Any]], step: int = 0) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        summary = self._summary(value=[self._summary.Value(**value) for value in values])
        # Flushed at once: it is rarely called, and a full disk must be noticed now.
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))
        self._writer.flush()


def _free(root: Path, name: str) -> str:
    """The run's name, or with a number where another run has used that name."""
    taken, number = name, 1
    while (root / taken).exists():
        number += 1
        taken = f"{name}-{number}"
    return taken


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
