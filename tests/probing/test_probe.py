"""`eosin probe`: from a store and an encoder to a run as any other."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from eosin.config import Recipe
from eosin.data.store import PatchStore
from eosin.errors import LeakError, RecipeError, UserError
from eosin.models.classifier import load_classifier
from eosin.probing.embeddings import Watcher
from eosin.probing.probe import begin, fit_probe, probe_recipe
from eosin.records.model import ModelFacts
from eosin.runs import RunFolder
from eosin.splitting.split_file import Split
from eosin.splitting.splits import by_case, by_file
from eosin.training.session import fit, start

pytest.importorskip("timm")

Run = Callable[..., Any]
SMALL = ("--encoder", "resnet18", "--weights", "random", "--input-px", 32, "--precision", "fp32")
COMPACT = Recipe(
    network="compact", arguments={"widths": [8, 16], "blocks": [0, 1], "dropout": 0.1},
    epochs=1, batch_size=32, learning_rate=0.01, optimizer="adamw", precision="fp32",
)  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> PatchStore:
    """Ten made-up cases with twelve patches each."""
    from eosin.synthetic.archive import make_store

    path = tmp_path_factory.mktemp("small") / "m.store"
    return make_store(path, cases=10, patches_per_case=12, seed=1)


@pytest.fixture(scope="module")
def probed(small: PatchStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run made by the command, with its whole evaluation; tests must not change it."""
    from eosin.cli.main import main

    run = tmp_path_factory.mktemp("probed") / "run"
    with pytest.raises(SystemExit) as stop:
        main(["probe", str(small.path), *map(str, SMALL), "-o", str(run)])
    assert not stop.value.code
    return run


@pytest.fixture(scope="module")
def earlier(small: PatchStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("earlier") / "run"
    fit(start(small, by_case(small), COMPACT, path)[0])
    return path


def quick(
    store: PatchStore, path: Path, encoder: str = "resnet18", **options: Any
) -> tuple[RunFolder, dict[str, Any]]:
    """A probe without its evaluation; embeddings lie in the test's own folder."""
    keys = ("head", "input_px", "resize", "seed")
    made = {key: options.pop(key) for key in keys if key in options}
    if encoder == "resnet18":
        made.setdefault("input_px", 32)
    recipe, base = probe_recipe(store, encoder, precision="fp32", **made)
    split = options.pop("split", None) or by_case(store)
    session = begin(store, split, recipe, path, base=base, **options)
    facts = fit_probe(session, folder=path.with_name("embeddings"))
    return session.run, facts.to_json()


def test_it_is_a_run_as_any_other(probed: Path, small: PatchStore) -> None:
    names = {path.name for path in probed.iterdir()}
    assert {
        "recipe.toml", "split.csv", "seen.parquet", "metrics.jsonl", "model.safetensors",
        "model.json", "predictions.parquet", "evaluation.json", "environment.json", "report.html",
        "MODEL_CARD.md",
    } <= names  # fmt: skip
    facts = json.loads((probed / "model.json").read_text())
    assert facts["architecture"] == "encoder"
    assert facts["fit"] == "pad"
    assert facts["probe"]["chosen_on"] == "validation"
    assert ModelFacts.of_run(probed).decision().point.chosen_on == "validation"
    assert set(pl.read_parquet(probed / "seen.parquet")["part"]) == {"train", "val"}
    rows = RunFolder(probed).metrics()
    best = min(rows, key=lambda row: row["val_loss"])
    assert best["strength"] == facts["probe"]["strength"]
    assert RunFolder(probed).recipe().probe == "logistic"
    assert json.loads((probed / "environment.json").read_text())["audit"]["leaking"] is False
    card = (probed / "MODEL_CARD.md").read_text()
    assert "that of ResNet-18, started with random weights" in card
    assert "ImageNet" not in card
    assert "logistic regression" in card
    assert "resized to 32 px" in card
    assert "A head was fitted on frozen embeddings: logistic regression, C = " in card
    # The recipe is shown as it is in its file, but no row claims that an optimizer was used.
    assert not any(f"| {name} |" in card for name in ("optimizer", "learning rate", "epochs"))
    folder = small.path.with_name(small.path.name + ".embeddings")
    assert (folder / facts["probe"]["embeddings"] / "embeddings.npy").is_file()


@pytest.mark.parametrize("head", ["logistic", "knn", "knn-euclidean"])
def test_logits_are_the_heads_of_the_kept_embeddings(
    small: PatchStore, tmp_path: Path, head: str
) -> None:
    run, facts = quick(small, tmp_path / "run", head=head)
    model, _ = load_classifier(run.path)
    kept = np.load(tmp_path / "embeddings" / facts["probe"]["embeddings"] / "embeddings.npy")
    # The test part is not needed to fit a head, so it is not embedded: its block may be.
    rows = by_case(small).parts(small)["train"][:40]
    with torch.no_grad():
        found = model(torch.from_numpy(small.patches[rows]))
        expected = model.network.head(torch.from_numpy(kept[rows]))  # type: ignore[operator]
    assert torch.allclose(found, expected, atol=1e-3)
    assert model.arguments.get("head", "linear") == ("linear" if head == "logistic" else "knn")
    # It needs neither the weights nor the embeddings, and can be exported as one graph.
    shutil.rmtree(tmp_path / "embeddings")
    graph = torch.export.export(model, (torch.from_numpy(small.patches[rows]),))
    with torch.no_grad():
        again = graph.module()(torch.from_numpy(small.patches[rows]))
    assert torch.allclose(again, found, atol=1e-4)


def test_weights_from_a_file(small: PatchStore, tmp_path: Path) -> None:
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(5)
    network = timm.create_model("resnet18", pretrained=False)
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    weights = {"path": str(tmp_path / "model.safetensors")}
    run, facts = quick(small, tmp_path / "run", weights=weights)
    assert facts["start"]["kind"] == "encoder"
    assert len(facts["start"]["digest"]) == 64
    (tmp_path / "model.safetensors").unlink()
    kept = load_classifier(run.path)[0].network.backbone.conv1.weight  # type: ignore[union-attr]
    assert torch.equal(kept, network.conv1.weight)
    _, other = quick(small, tmp_path / "other")
    assert other["probe"]["embeddings"] != facts["probe"]["embeddings"]


@pytest.mark.parametrize("head", ["logistic", "knn"])
def test_features_of_an_earlier_run(
    small: PatchStore, earlier: Path, tmp_path: Path, head: str
) -> None:
    run, facts = quick(small, tmp_path / "run", str(earlier), head=head)
    assert facts["start"]["kind"] == "run"
    before, after = load_classifier(earlier)[0], load_classifier(run.path)[0]
    patches = torch.from_numpy(np.array(small.patches[:8]))
    with torch.no_grad():
        old, new = (m.network.embed(m.prepare(patches)) for m in (before, after))  # type: ignore[operator]
    assert torch.allclose(old, new)
    if head == "knn":
        with pytest.raises(RecipeError, match="head of nearest neighbors"):
            probe_recipe(small, str(run.path))


def test_a_run_that_saw_the_test_cases_is_refused(
    small: PatchStore, earlier: Path, tmp_path: Path
) -> None:
    seen = pl.read_parquet(earlier / "seen.parquet").select("case", "part").unique()
    roles = dict(seen.iter_rows())
    moved = next(case for case, role in roles.items() if role == "train")
    names = dict.fromkeys(small.cases.tolist())
    lines = [f"{n},{'test' if n == moved else roles.get(n, 'test')}" for n in names]
    (tmp_path / "split.csv").write_text("\n".join(["case,part", *lines]) + "\n")
    split: Split = by_file(small, tmp_path / "split.csv")
    with pytest.raises(LeakError, match=r"--encoder .* has seen 1 case"):
        quick(small, tmp_path / "run", str(earlier), split=split)
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "embeddings").exists()
    _, facts = quick(small, tmp_path / "run", str(earlier), split=split, allow_leaks=True)
    assert any("has seen 1 case and" in mark["sentence"] for mark in facts["marks"])


def test_bad_requests(eosin: Run, small: PatchStore, tmp_path: Path, earlier: Path) -> None:
    for words, said in (
        (["--encoder", "resnet19"], "did you mean resnet18"),
        (["--encoder", "resnet18", "--head", "nearest"], "head 'nearest'; known:"),
        (["--encoder", "resnet18", "--precision", "fp8"], "choose auto, fp32 or bf16"),
        (["--encoder", "resnet18", "--resize", "mpp"], "photographs, which have no mpp"),
        (["--encoder", "resnet18", "--resize", "big"], "resize 'big'"),
        (["--encoder", earlier, "--input-px", 64], "sees patches as it was trained"),
        (["--encoder", earlier, "--weights", "random"], "brings its own weights"),
        (["--encoder", tmp_path], "not a run folder"),
        (["--encoder", "resnet18", "--weights", tmp_path / "none"], "no such file or folder"),
        (["--encoder", "resnet18", "--embeddings", small.path / "e"], "is inside the store"),
    ):
        if "--encoder" in words and words[1] == "resnet18" and "--weights" not in words:
            words = [*words, "--weights", "random"]
        found = eosin("probe", small.path, *words, "-o", tmp_path / "run")
        assert found.code == 2, found
        assert said in found.err
        assert "Traceback" not in found.err
        assert not (tmp_path / "run").exists()


def test_runs_without_features(small: PatchStore, tmp_path: Path) -> None:
    recipe = Recipe(network="article", arguments={"width": 4}, epochs=1, batch_size=64)
    fit(start(small, by_case(small), recipe, tmp_path / "run")[0])
    with pytest.raises(RecipeError, match="network article, which has no features"):
        probe_recipe(small, str(tmp_path / "run"))


def test_training_does_not_take_a_probe(
    eosin: Run, small: PatchStore, probed: Path, tmp_path: Path
) -> None:
    found = eosin("train", small.path, "-r", probed / "recipe.toml", "--weights", "random",
                  "-o", tmp_path / "run")  # fmt: skip
    assert found.code == 2
    assert "use: eosin probe" in found.err


def test_a_stopped_probe_gives_way(eosin: Run, small: PatchStore, tmp_path: Path) -> None:
    recipe, _ = probe_recipe(small, "resnet18", input_px=32, precision="fp32")
    session = begin(small, by_case(small), recipe, tmp_path / "run")
    watcher = Watcher(stop=lambda: True)
    with pytest.raises(Exception, match="stopped"):
        fit_probe(session, folder=tmp_path / "embeddings", watcher=watcher)
    run, _ = quick(small, tmp_path / "run")
    assert run.finished
    with pytest.raises(UserError, match="already contains a run"):
        quick(small, tmp_path / "run")
    assert quick(small, tmp_path / "run", force=True)[0].finished


@pytest.mark.slow
def test_ctrl_c_is_a_sentence(small: PatchStore, tmp_path: Path) -> None:
    code = (
        "import eosin.probing.embeddings as e, time, sys\n"
        "real = e._embed\n"
        "def slow(*a):\n"
        "    sys.stderr.write('embedding\\n'); sys.stderr.flush(); time.sleep(0.3)\n"
        "    return real(*a)\n"
        "e._embed = slow\n"
        "from eosin.cli.main import main\n"
        "main(sys.argv[1:])\n"
    )
    words = ["probe", small.path, *SMALL, "-o", tmp_path / "run", "--embeddings", tmp_path / "e"]
    child = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)], stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    seen = ""
    for line in child.stderr:
        seen += line
        if line == "embedding\n" and seen.count(line) == 2:
            os.kill(child.pid, signal.SIGINT)
            break
    seen += child.stderr.read()
    assert child.wait() == 130
    child.stderr.close()
    assert "the same command resumes" in seen
    assert "Traceback" not in seen
