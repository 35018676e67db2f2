"""W&B's offline folder, read back record by record with W&B's own messages."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eosin.runs import RunFolder

pytest.importorskip("wandb")
pytestmark = pytest.mark.slow

BLOCK = 32768


def records(path: Path) -> Iterator[bytes]:
    """The records of a LevelDB log, which a .wandb file is: blocks of pieces with checksums."""
    data = path.read_bytes()
    # W&B puts seven bytes of its own first, inside the first block.
    assert data[:4] == b":W&B"
    at, parts = 7, b""
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        checksum, size, kind = struct.unpack("<IHB", data[at : at + 7])
        piece = data[at + 7 : at + 7 + size]
        if kind == 0:
            at += BLOCK - at % BLOCK
            continue
        assert checksum == zlib.crc32(bytes([kind]) + piece)
        at += 7 + size
        # 1 whole, 2 first, 3 middle, 4 last
        parts = piece if kind in (1, 2) else parts + piece
        if kind in (1, 4):
            yield parts


def read(folder: Path) -> list[Any]:
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob("run-*.wandb")
    return [Record.FromString(data) for data in records(path)]


def offline(run: RunFolder) -> list[Path]:
    return sorted((run.path.parent / "wandb").glob("offline-run-*"))


def history(found: list[Any]) -> list[dict[str, Any]]:
    rows = [record.history for record in found if record.WhichOneof("record_type") == "history"]
    return [
        {
            ".".join(item.nested_key) or item.key: json.loads(item.value_json)
            for item in row.item
        }
        for row in rows
    ]  # fmt: skip


def test_the_offline_folder_holds_the_run(
    opened: Any, story: Any, run: RunFolder, said: list[str]
) -> None:
    first = opened("wandb")
    story.tell(first, epochs=2)
    first.failed("stopped", stopped=True)
    second = opened("wandb")
    story.tell(second)
    (line,) = story.end(second)
    assert said == []
    before, after = offline(run)
    identity = story.kept("wandb")["identity"]
    assert line == f"Weights & Biases: wandb sync --id {identity} {after.resolve()}"
    # Both parts are one run once they are sent.
    assert before.name.endswith(identity)
    assert after.name.endswith(identity)
    rows = [row for folder in (before, after) for row in history(read(folder))]
    told = {row["_step"]: row for row in rows if "loss" in row}
    assert {step: row["loss"] for step, row in told.items()} == {1: 1.0, 2: 0.5, 3: 1 / 3}
    found = read(after)
    kinds = {record.WhichOneof("record_type") for record in found}
    assert {"run", "history", "artifact", "summary", "exit"} <= kinds | {"summary"}
    begun = next(record.run for record in found if record.WhichOneof("record_type") == "run")
    assert (begun.project, begun.run_id, begun.display_name) == ("idc", identity, "first")
    config = {
        item.key or ".".join(item.nested_key): json.loads(item.value_json)
        for record in found
        if record.WhichOneof("record_type") == "config"
        for item in record.config.update
    }
    assert config["epochs"] == 3
    assert config["split.scheme"] == "case"
    assert config["tag.mark.1"] == story.mark
    assert config["tag.warning.1"] == "no training patch of class rare"
    artifacts = {
        record.artifact.type: record.artifact
        for record in found
        if record.WhichOneof("record_type") == "artifact"
    } or {
        record.request.log_artifact.artifact.type: record.request.log_artifact.artifact
        for record in found
        if record.WhichOneof("record_type") == "request"
    }
    files = {entry.path for entry in artifacts["model"].manifest.contents}
    assert files == {"model.json", "model.safetensors"}
    assert {entry.path for entry in artifacts["report"].manifest.contents} == {
        "report.html",
        "MODEL_CARD.md",
    }
    summary = {
        item.key or ".".join(item.nested_key): json.loads(item.value_json)
        for record in found
        if record.WhichOneof("record_type") == "summary"
        for item in record.summary.update
    }
    assert summary["test/auroc"] == 0.75
    assert summary["test/auroc_low"] == pytest.approx(0.65)
    (picture,) = (after / "files" / "media" / "images" / "figures").glob("roc*.png")
    assert picture.read_bytes() == (run / "roc.png").read_bytes()


def test_the_mode_in_the_environment_is_respected(
    opened: Any, story: Any, run: RunFolder, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracker = opened("wandb")
    story.tell(tracker)
    story.end(tracker)
    assert said == []
    assert offline(run) == []


def test_a_login_that_leads_nowhere_is_one_warning(
    opened: Any, story: Any, run: RunFolder, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a key it goes online, here to a port where nobody is."""
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    from eosin.tracking.channel import Limits

    tracker = opened(
        "wandb",
        to={"wandb": "http://127.0.0.1:9"},
        limits=Limits(first_s=8, call_s=5, end_s=60, stop_s=5),
    )
    story.tell(tracker)
    assert story.end(tracker) == []
    assert len(said) == 1
    assert said[0].startswith("Weights & Biases is dropped: ")
    assert "0" * 40 not in said[0] + (run / "environment.json").read_text()
