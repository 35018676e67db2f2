"""A tracker that dies, hangs, floods or talks nonsense is dropped; nobody waits for it."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eosin.runs import RunFolder
from eosin.tracking.channel import Channel, Limits
from eosin.tracking.tracker import Tracker, tracked_before
from eosin.tracking.worker import environment

#: Answers each line; `do` may change that, knowing the number of the call and its name.
WORKER = """
import json, os, sys, time
log = open({log!r}, "a")
for number, line in enumerate(sys.stdin, 1):
    message = json.loads(line)
    call = message["call"]
    log.write(line); log.flush()
    {do}
    identity = message["with"].get("identity")
    answer = {{"identity": identity or "made", "where": {where!r}, "look": "look here",
              "resumed": bool(identity)}}
    print(json.dumps({{"ok": answer if call == "open" else {{}}}}), flush=True)
log.write('{{"call": "closed"}}\\n')
"""
DEAD = {
    "dies": ("sys.exit('database is locked') if number == 2 else None", "database is locked"),
    "dies at once": ("sys.exit(3)", "exit code 3"),
    "hangs": ("time.sleep(1e6) if number == 2 else None", "no answer within"),
    "raises": ("print(json.dumps({'error': 'OSError: full'}), flush=True)", "OSError: full"),
    "talks nonsense": ("print('hello', flush=True)", "JSONDecodeError"),
    "closes its ear": ("os.close(0); os._exit(0) if number == 2 else None", "its process ended"),
}
CALM = Limits(first_s=60, call_s=60, end_s=60, stop_s=60)
SHORT = Limits(first_s=60, call_s=0.3, end_s=60, stop_s=60)

Make = Callable[..., tuple[list[str], Path]]


@pytest.fixture
def worker(tmp_path: Path) -> Make:
    """The command of a made-up tracker, and the file that it notes its calls in."""

    def make(do: str = "pass") -> tuple[list[str], Path]:
        log = tmp_path / "calls.jsonl"
        text = WORKER.format(log=str(log), where=str(tmp_path), do=do)
        return [sys.executable, "-c", textwrap.dedent(text)], log

    return make


def calls(log: Path) -> list[str]:
    return [json.loads(line)["call"] for line in log.read_text().splitlines()]


def gone(channel: Channel) -> bool:
    process = channel._process
    return process is None or process.poll() is not None


def test_calls_arrive_in_order_and_the_line_is_closed(worker: Make) -> None:
    command, log = worker()
    heard: list[str] = []
    channel = Channel(
        "mlflow", command=command, answered=lambda message, _: heard.append(message["call"])
    )
    for call in ("open", "started", "metrics", "finished"):
        channel.send(call)
    channel.close(wait_s=60)
    assert not channel.trouble
    assert calls(log) == [*heard, "closed"] == ["open", "started", "metrics", "finished", "closed"]
    assert gone(channel)


@pytest.mark.parametrize("kind", DEAD)
def test_what_goes_wrong_is_one_sentence(worker: Make, kind: str) -> None:
    do, sentence = DEAD[kind]
    command, _ = worker(do)
    channel = Channel("mlflow", command=command, limits=SHORT if kind == "hangs" else CALM)
    for call in ("open", "started", "metrics", "finished"):
        channel.send(call)
    channel.close(wait_s=60)
    assert sentence in channel.trouble
    assert "\n" not in channel.trouble
    channel.send("metrics")
    channel._thread.join()
    assert gone(channel)


def test_a_full_queue_drops_the_tracker_and_not_the_training(worker: Make) -> None:
    command, _ = worker("time.sleep(1e6)")
    channel = Channel("mlflow", command=command, limits=Limits(waiting=5, first_s=1e6))
    for _ in range(20):
        channel.send("metrics")
    assert "does not keep up (5 messages are waiting)" in channel.trouble
    channel._thread.join()
    assert gone(channel)


def test_the_end_has_a_limit(worker: Make) -> None:
    command, _ = worker("time.sleep(1e6)")
    channel = Channel("mlflow", command=command, limits=Limits(first_s=1e6))
    channel.send("open")
    channel.close(wait_s=0.2)
    assert "did not finish within" in channel.trouble
    channel._thread.join()
    assert gone(channel)


def test_a_large_file_has_more_time(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"x" * 1000)
    channel = Channel("mlflow", limits=Limits(call_s=5, first_s=7, bytes_per_s=100))
    message = {"call": "artifact", "with": {"path": str(path)}}
    assert channel._limit(message, False) == pytest.approx(15)
    assert channel._limit({"call": "open", "with": {}}, True) == 7
    channel.close(wait_s=60)


def test_a_program_that_cannot_start_is_said() -> None:
    channel = Channel("mlflow", command=["/nowhere/at/all"])
    channel.send("open")
    channel.close(wait_s=60)
    assert "FileNotFoundError" in channel.trouble


def test_trackers_keep_quiet_and_off_the_accelerator() -> None:
    found = environment({"WANDB_ERROR_REPORTING": "true", "MLFLOW_HTTP_REQUEST_TIMEOUT": "90"})
    assert found["WANDB_ERROR_REPORTING"] == "false"
    assert found["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert found["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert found["CUDA_VISIBLE_DEVICES"] == ""
    assert found["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "90"
    assert "MLFLOW_DISABLE_TELEMETRY" not in os.environ


# The Tracker above it


def tracker(run: RunFolder, command: list[str], said: list[str], *names: str) -> Tracker:
    return Tracker(
        names or ("mlflow",),
        run=run,
        project="idc",
        to={},
        warn=said.append,
        limits=CALM,
        command=command,
    )


def test_a_dropped_tracker_is_one_warning_and_the_other_goes_on(
    worker: Make, run: RunFolder, story: Any, said: list[str]
) -> None:
    command, _ = worker("sys.exit('gone') if call == 'tag' and sys.argv[1] == 'mlflow' else None")
    told = tracker(run, command, said, "mlflow", "wandb")
    story.tell(told)
    assert story.end(told) == ["Weights & Biases: look here"]
    assert len(said) == 1
    assert said[0].startswith("MLflow is dropped: its process ended (gone)")
    assert "complete by itself" in said[0]
    assert told.names == ("wandb",)


def test_a_warning_is_told_once(worker: Make, run: RunFolder, said: list[str]) -> None:
    command, log = worker()
    told = tracker(run, command, said)
    for sentence in ("a", "b", "a"):
        told.warned(sentence)
    assert told.finished({}) == ["MLflow: look here"]
    assert calls(log).count("tag") == 2
    # After the end nothing is sent and nothing raises.
    told.warned("c")
    told.failed("too late")
    assert said == []


def test_a_resumed_run_goes_on_where_it_was(
    worker: Make, run: RunFolder, story: Any, said: list[str]
) -> None:
    command, log = worker()
    first = tracker(run, command, said)
    story.tell(first, epochs=2)
    first.failed("stopped", stopped=True)
    assert story.kept("mlflow")["epoch"] == 2
    log.unlink()
    second = tracker(run, command, said)
    story.tell(second, epochs=3)
    story.end(second)
    sent = [json.loads(line) for line in log.read_text().splitlines()]
    assert sent[0]["with"]["identity"] == "made"
    assert [message["with"]["step"] for message in sent if message["call"] == "metrics"] == [3]
    assert story.kept("mlflow")["epoch"] == 3
    assert said == []


def test_a_tracker_that_lost_the_run_hears_all_of_it(
    worker: Make, run: RunFolder, story: Any, said: list[str]
) -> None:
    command, log = worker("message['with']['identity'] = ''")
    run.write_json(
        "tracking.json",
        {"version": 1, "trackers": {"mlflow": {"where": "/gone", "identity": "old", "epoch": 3}}},
    )
    told = tracker(run, command, said)
    story.tell(told)
    told.finished({})
    assert calls(log).count("metrics") == 3
    assert json.loads(log.read_text().splitlines()[0])["with"]["to"] == ""


def test_another_place_is_another_run(worker: Make, run: RunFolder, tmp_path: Path) -> None:
    command, log = worker()
    kept = {"where": str(tmp_path), "identity": "old", "epoch": 3, "project": "mine"}
    run.write_json("tracking.json", {"version": 1, "trackers": {"mlflow": kept}})
    for to, identity, project in (({}, "old", "mine"), ({"mlflow": "elsewhere"}, "", "idc")):
        log.unlink(missing_ok=True)
        told = Tracker(
            ["mlflow"], run=run, project="idc", to=to, warn=print, limits=CALM, command=command
        )
        told.finished({})
        given = json.loads(log.read_text().splitlines()[0])["with"]
        assert (given["identity"], given["project"]) == (identity, project)


@pytest.mark.parametrize("text", ["{", "[]", '{"trackers": 3}', '{"trackers": {"other": {}}}'])
def test_a_damaged_record_is_no_record(run: RunFolder, text: str) -> None:
    (run / "tracking.json").write_text(text)
    assert tracked_before(run) == {}


def test_a_record_that_cannot_be_written_drops_the_tracker(
    worker: Make, run: RunFolder, story: Any, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunFolder, "write_json", full)
    told = tracker(run, worker()[0], said)
    told.finished({})
    assert len(said) == 1
    assert "No space left on device" in said[0]


def test_ctrl_c_at_the_end_ends_the_waiting(
    worker: Make, run: RunFolder, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command, _ = worker("time.sleep(1e6)")
    told = tracker(run, command, said)

    def press(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("eosin.tracking.channel.Channel.close", press)
    assert told.finished({}) == []
    assert "Ctrl-C" in said[0]


def test_without_a_name_nothing_is_written(run: RunFolder, story: Any, said: list[str]) -> None:
    told = Tracker([], run=run, project="", to={}, warn=said.append, limits=CALM)
    story.tell(told)
    assert story.end(told) == []
    assert not (run / "tracking.json").exists()
