"""TensorBoard's event file, read back by TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eosin.runs import RunFolder

pytest.importorskip("tensorboard")
pytestmark = [
    # TensorBoard's reader asks the stub of TensorFlow for what NumPy no longer calls so.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:google"),
]


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    found.Reload()
    return found


def text(events: Any, tag: str) -> str:
    return str(events.Tensors(tag)[-1].tensor_proto.string_val[0], "utf-8")


def scalars(events: Any, tag: str) -> list[tuple[int, float]]:
    return [(event.step, pytest.approx(event.value)) for event in events.Scalars(tag)]


def test_the_event_file_holds_the_run(
    opened: Any, story: Any, run: RunFolder, said: list[str]
) -> None:
    from tensorboard.plugins.hparams import metadata

    tracker = opened("tensorboard")
    story.tell(tracker)
    root = run.path.resolve().parent / "tensorboard"
    assert story.end(tracker) == [f"TensorBoard: tensorboard --logdir {root}"]
    assert said == []
    events = read(root / "first")
    assert scalars(events, "loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert scalars(events, "val_auroc") == [(1, 0.7), (2, 0.8), (3, 0.9)]
    assert scalars(events, "test/auroc") == [(3, 0.75)]
    assert scalars(events, "test/auroc_low") == [(3, 0.65)]
    image = events.Images("figures/roc")[0]
    assert (image.width, image.height) == (60, 40)
    assert image.encoded_image_string == (run / "roc.png").read_bytes()
    assert story.mark in text(events, "figures")
    assert text(events, "tags/mark.1") == story.mark
    assert text(events, "tags/warning.1") == "no training patch of class rare"
    assert "| split.scheme | case |" in text(events, "parameters")
    assert text(events, "report/MODEL_CARD").startswith("# Card")
    assert "model.safetensors" in text(events, "files")
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    params = metadata.parse_session_start_info_plugin_data(content).hparams
    assert params["epochs"].number_value == 3
    assert params["dihedral"].bool_value is False
    assert params["store.digest"].string_value == "abc123"
    content = events.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    assert metadata.parse_session_end_info_plugin_data(content).status == 1


def test_a_resumed_run_goes_on_in_its_folder(
    opened: Any, story: Any, run: RunFolder, tmp_path: Path, said: list[str]
) -> None:
    logs = tmp_path / "logs of all"
    first = opened("tensorboard", to={"tensorboard": str(logs)})
    story.tell(first, epochs=1)
    first.failed("stopped after epoch 1", stopped=True)
    assert text(read(logs / "first"), "tags/ended") == "stopped after epoch 1"
    second = opened("tensorboard")
    story.tell(second)
    assert story.end(second) == [f"TensorBoard: tensorboard --logdir '{logs}'"]
    assert [step for step, _ in scalars(read(logs / "first"), "loss")] == [1, 2, 3]
    # Another run of the same name is another folder.
    (run / "tracking.json").unlink()
    opened("tensorboard", to={"tensorboard": str(logs)}).finished({})
    assert {path.name for path in logs.iterdir()} == {"first", "first-2"}
    assert said == []


def test_a_place_that_cannot_be_written_is_one_warning(
    opened: Any, story: Any, tmp_path: Path, said: list[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    tracker = opened("tensorboard", to={"tensorboard": str(tmp_path / "file")})
    story.tell(tracker)
    assert story.end(tracker) == []
    assert len(said) == 1
    assert said[0].startswith("TensorBoard is dropped: ")
