"""`eosin encoders` as a person runs it: the list, one in full, and weights fetched ahead."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eosin.fetching import servers
from eosin.models.pretrained import ENCODERS, find_encoder

Run = Callable[..., Any]
BODY = bytes(range(256)) * 8000


def names(eosin: Run, *filters: str) -> set[str]:
    done = eosin("encoders", *filters, "--json")
    assert done.code == 0
    return {row["name"] for row in json.loads(done.out)["encoders"]}


def test_the_list(eosin: Run) -> None:
    done = eosin("encoders")
    assert done.code == 0
    for spec in ENCODERS.values():
        assert f" {spec.name} " in done.out
        assert spec.title in done.out
    assert done.err == ""


def test_filters(eosin: Run) -> None:
    assert names(eosin) == set(ENCODERS)
    permissive = names(eosin, "--permissive")
    assert {"virchow", "resnet18"} <= permissive
    assert not {"uni2-h", "phikon"} & permissive
    assert names(eosin, "--ungated", "--permissive", "--pathology") == {"midnight-12k"}
    small = names(eosin, "--pathology", "--max-params", "22M")
    assert small == {"kaiko-s16", "kaiko-s8", "lunit-s16", "lunit-s8"}
    assert names(eosin, "--max-params", "4k") == set()
    assert "No encoder passes" in eosin("encoders", "--max-params", "4k").out


def test_one_in_full(eosin: Run) -> None:
    done = eosin("encoders", "uni2-h")
    commit = "d517a8dd47902dd7c308b3c36f63bce47e7b9a43"
    for text in (
        "CC-BY-NC-ND-4.0; no commercial use", "ask for access at", "681.4M parameters",
        "224 px at 0.5 mpp", "class token", commit,
    ):  # fmt: skip
        assert text in done.out
    assert "trained on photographs" in eosin("encoders", "resnet18").out
    assert "not pinned: the newest is taken" in eosin("encoders", "midnight-12k").out
    facts = json.loads(eosin("encoders", "uni2-h", "--json").out)
    assert facts["arguments"]["reg_tokens"] == 8
    assert facts["page"].endswith("MahmoodLab/UNI2-h")


def test_how_a_store_reaches_the_encoder(eosin: Run, made_up_store: Any) -> None:
    done = eosin("encoders", "uni2-h", "--store", made_up_store.path)
    assert "50 px patches (200 um at 4 mpp) are resized to 224 px, 0.893 mpp" in " ".join(
        done.out.split()
    )
    shown = json.loads(eosin("encoders", "uni2-h", "--store", made_up_store.path, "--json").out)
    assert shown["resize"].endswith("UNI2-h was trained at 0.5 mpp")
    assert eosin("encoders", "uni2-h", "--store", "nowhere").code == 2


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["uni3"], "unknown encoder 'uni3'; did you mean uni or uni2-h?"),
        (["--max-params", "many"], "--max-params 'many' is not a number like 100M"),
        (["--download"], "need the encoder's name"),
        (["uni", "--permissive"], "filter the list"),
        (["uni", "--token", "x"], "belong to --download"),
    ],
)
def test_wrong_uses(eosin: Run, words: list[str], named: str) -> None:
    done = eosin("encoders", *words)
    assert done.code == 2
    assert named in done.err
    assert "Traceback" not in done.err


# Weights


@pytest.fixture
def published(hub: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(servers, "PATIENCE", servers.Patience(attempts=2, backoff_s=0.01))
    hub.commit = find_encoder("resnet18").revision
    hub.files[find_encoder("resnet18").hub, "model.safetensors"] = BODY
    return hub


def test_weights_are_fetched_ahead(eosin: Run, published: Any) -> None:
    done = eosin("encoders", "resnet18", "--download")
    assert done.code == 0
    assert "ResNet-18: license Apache-2.0" in done.err
    assert f"model.safetensors, 2.0 MB, from {published.url}" in done.err
    path = Path(done.out.rpartition("weights: ")[2].strip())
    assert path.read_bytes() == BODY
    published.asked.clear()
    again = json.loads(eosin("encoders", "resnet18", "--download", "--json").out)
    assert again["weights"] == str(path)
    assert again["weights_revision"] == published.commit
    assert published.asked == []


def test_gated_weights(eosin: Run, published: Any) -> None:
    spec = find_encoder("uni")
    published.commit = spec.revision
    published.files[spec.hub, "pytorch_model.bin"] = BODY
    published.tokens[spec.hub] = {"right"}
    done = eosin("encoders", "uni", "--download")
    assert done.code == 2
    assert "UNI: license CC-BY-NC-ND-4.0, no commercial use; gated" in done.err
    assert "UNI is gated. Request access at" in done.err
    assert eosin("encoders", "uni", "--download", "--token", "right").code == 0


def test_another_revision(eosin: Run, published: Any) -> None:
    done = eosin("encoders", "resnet18", "--download", "--revision", "0" * 40)
    assert done.code == 1
    assert "has no revision 0000" in done.err
    assert eosin("encoders", "resnet18", "--download", "--revision", "main").code == 0


def test_no_connection(eosin: Run, published: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    done = eosin("encoders", "resnet18", "--download")
    assert done.code == 1
    assert "no connection to http://127.0.0.1:9" in done.err
    assert "--weights FILE" in done.err


def test_the_whole_way_from_the_hub_into_a_network(
    eosin: Run, hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that timm itself writes, served, fetched, and put into a network."""
    import timm
    import torch

    from eosin.models.encoder import EncoderNetwork, load_encoder_weights

    spec = replace(find_encoder("resnet18"), name="tiny", hub="lab/tiny", architecture="resnet10t",
                   parameters=0, revision=hub.commit)  # fmt: skip
    monkeypatch.setitem(ENCODERS, "tiny", spec)
    model = timm.create_model("resnet10t", num_classes=4).eval()
    timm.models.save_for_hf(model, tmp_path / "made", safe_serialization=True)
    hub.files |= {
        (spec.hub, file.name): file.read_bytes() for file in (tmp_path / "made").iterdir()
    }
    facts = json.loads(eosin("encoders", "tiny", "--download", "--json").out)
    network = EncoderNetwork(encoder="tiny", classes=2, patch_size=(50, 50), input_px=64).eval()
    loaded = load_encoder_weights(network, Path(facts["weights"]))
    assert loaded["left_out"] == ["fc.bias", "fc.weight"]
    model.reset_classifier(0)
    patches = torch.rand(2, 3, 64, 64)
    assert torch.equal(network.embed(patches), model(patches))


def test_ctrl_c_says_how_to_go_on(published: Any, tmp_path: Path) -> None:
    def stall(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.send_header("ETag", '"one"')
        handler.end_headers()
        handler.wfile.write(BODY[:300_000])
        handler.wfile.flush()
        handler.connection.settimeout(20)
        handler.rfile.read(1)

    published.faults["GET", "model.safetensors"] = [stall]
    # A shell's background jobs ignore the signal, and their children inherit that.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code = heed + "from eosin.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "encoders", "resnet18", "--download"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    cache = Path(os.environ["HF_HUB_CACHE"])
    for _ in range(900):
        if any(path.stat().st_size for path in cache.glob("models--*/blobs/*.partial")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "run the same command again" in err
    assert "Traceback" not in err
    assert not list(cache.glob("models--*/snapshots/*/model.safetensors"))
