"""`eosin train` from what is there already: an encoder, an earlier run, a teacher."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from eosin.data.store import PatchStore
from eosin.models.classifier import load_classifier

QUICK = ["--set", "epochs=1", "--set", "batch_size=64", "--set", "precision=fp32"]
ENCODER = [*QUICK, "--set", "arguments.input_px=32", "--set", "head_epochs=0"]
SMALL = [*QUICK, "--set", "arguments.widths=[8, 16]", "--set", "arguments.blocks=[0, 1]"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet-18 in timm's own format, its 1,000 classes included."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(timm.create_model("resnet18", num_classes=1000).state_dict(), path)
    return path


def test_an_encoder_from_a_local_file(
    eosin: Callable[..., Any], made_up_store: PatchStore, weights: Path, tmp_path: Path
) -> None:
    done = eosin(
        "train", made_up_store.path, "-r", "finetune", "--weights", weights, "-o", tmp_path / "run",
        *ENCODER, "--set", "learning_rate=1e-9", "--no-evaluate", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    start = json.loads(done.out)["model"]["start"]
    assert (start["kind"], start["encoder"]) == ("encoder", "resnet18")
    assert start["path"] == str(weights)
    trained = load_classifier(tmp_path / "run")[0].network.state_dict()
    from safetensors.torch import load_file

    given = load_file(weights)
    assert torch.allclose(trained["backbone.layer4.1.conv2.weight"], given["layer4.1.conv2.weight"])


def test_weights_that_do_not_fit_are_refused_before_anything_is_written(
    eosin: Callable[..., Any], made_up_store: PatchStore, tmp_path: Path
) -> None:
    timm = pytest.importorskip("timm")
    other = tmp_path / "other.safetensors"
    save_file(timm.create_model("resnet34", num_classes=10).state_dict(), other)
    for path, words in (
        (other, "layer"),
        (tmp_path / "none.safetensors", "no such file"),
        (made_up_store.path / "store.json", "store.json"),
    ):
        done = eosin(
            "train", made_up_store.path, "-r", "finetune", "--weights", path,
            "-o", tmp_path / "run", *ENCODER,
        )  # fmt: skip
        assert done.code == 2, done.err
        assert words in done.err
        assert "Traceback" not in done.err
        assert not (tmp_path / "run").exists()


def test_chance_may_be_asked_for_and_is_said(
    eosin: Callable[..., Any], made_up_store: PatchStore, tmp_path: Path
) -> None:
    pytest.importorskip("timm")
    done = eosin(
        "train", made_up_store.path, "-r", "finetune", "--weights", "random",
        "-o", tmp_path / "run", *ENCODER, "--no-evaluate",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "nothing is pretrained" in done.err


def test_options_that_do_not_go_together(
    eosin: Callable[..., Any], made_up_store: PatchStore, weights: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    for options, words in (
        (["--weights", weights], "--weights is for encoders"),
        (["--from", tmp_path / "none"], "no such run folder"),
        (["--teacher", tmp_path / "none"], "no such run folder"),
        (["-r", "finetune", "--set", "arguments.encoder=resnet81"], "did you mean resnet18"),
    ):
        done = eosin("train", made_up_store.path, "-o", run, *options)
        assert done.code == 2, done.err
        assert words in done.err
        assert not run.exists()


def test_from_a_run_takes_its_recipe_and_a_teacher_is_named(
    eosin: Callable[..., Any], made_up_store: PatchStore, tmp_path: Path
) -> None:
    first = eosin(
        "train", made_up_store.path, "-r", "compact", "-o", tmp_path / "first", *SMALL,
        "--no-evaluate",
    )  # fmt: skip
    assert first.code == 0, first.err
    second = eosin(
        "train", made_up_store.path, "-o", tmp_path / "second", "--from", tmp_path / "first",
        "--teacher", tmp_path / "first", "--set", "seed=5", "--no-evaluate", "--json",
    )  # fmt: skip
    assert second.code == 0, second.err
    facts = json.loads(second.out)["model"]
    assert facts["start"]["kind"] == "run"
    assert facts["teacher"]["path"] == str(tmp_path / "first")
    refused = eosin(
        "train", made_up_store.path, "-o", tmp_path / "third", "-r", "compact", *QUICK,
        "--from", tmp_path / "first",
    )  # fmt: skip
    assert refused.code == 2
    assert "only in an equal network" in refused.err
