"""card, baselines and runs from the command line, as a user meets them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eosin.data.store import PatchStore
from eosin.splitting.split_file import write_split
from eosin.splitting.splits import by_case, by_patch

Run = Callable[..., Any]
TINY = [
    "--set", "arguments.widths=[4,8]", "--set", "arguments.blocks=[0,1]", "--set", "batch_size=40",
    "--set", "learning_rate=0.01", "--set", "epochs=1", "--set", "precision=fp32",
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, made_up_store: PatchStore) -> Path:
    """A folder with one real, evaluated run; tests must not change it."""
    from eosin.cli.main import main

    folder = tmp_path_factory.mktemp("life")
    for words in (
        ["train", str(made_up_store.path), "-o", str(folder / "one"), *TINY, "--no-evaluate"],
        ["evaluate", str(folder / "one"), "--replicates", "20", "--no-baselines", "--no-report"],
    ):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert not stop.value.code
    return folder


def test_runs_shows_what_a_real_run_left(eosin: Run, trained: Path) -> None:
    found = eosin("runs", trained)
    assert found.code == 0, found.err
    for text in ("1 run in", "one", "compact", "finished", "1 of 1", "test"):
        assert text in found.out
    (row,) = json.loads(eosin("runs", trained, "--json").out)["runs"]
    evaluation = json.loads((trained / "one" / "evaluation.json").read_text("utf-8"))
    model = json.loads((trained / "one" / "model.json").read_text("utf-8"))
    assert row["figures"]["auroc"] == evaluation["auroc"]
    assert row["seconds"] == model["train_seconds"]
    assert row["parameters"] == model["parameters"]
    assert row["cases"] == evaluation["n_cases"]
    assert row["store"] == evaluation["store"]["digest"][:8]
    assert row["split"] == "case"
    assert row["val_auroc"] is not None


def test_runs_of_several(eosin: Run, trained: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(trained, runs)
    shutil.copytree(runs / "one", runs / "deep" / "two")
    recipe = (runs / "deep" / "two" / "recipe.toml").read_text("utf-8")
    (runs / "deep" / "two" / "recipe.toml").write_text(
        recipe.replace("seed = 0", "seed = 5"), "utf-8"
    )
    (runs / "broken").mkdir()
    for name in ("recipe.toml", "split.csv"):
        (runs / "broken" / name).write_text("{", "utf-8")
    found = eosin("runs", runs, "--columns", "name,seed,auroc", "--sort", "seed")
    assert found.code == 0, found.err
    assert found.out.index("one") < found.out.index("deep/two") < found.out.index("broken")
    assert "broken: " in found.err
    assert "recipe.toml cannot be read" in found.err
    found = eosin("runs", runs, "--filter", "seed=5", "--filter", "auroc>0")
    assert "deep/two" in found.out
    assert "1 of 3 runs" in found.out
    assert "no run of 3" in eosin("runs", runs, "-f", "seed=99").out
    found = eosin("runs", runs, "--best", "ap")
    assert found.code == 0, found.err
    assert "the intervals overlap" in found.out
    assert "somewhat too good" in found.out
    found = eosin("runs", runs, "--diff", "one", "deep/two")
    assert found.code == 0, found.err
    assert "seed" in found.out
    assert "environment: the same" in found.out
    assert "eosin compare" in found.out
    found = eosin("runs", runs, "--curves", tmp_path / "c.svg")
    assert found.code == 0, found.err
    assert "deep/two" in (tmp_path / "c.svg").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "no such folder"),
        ([".", "--sort", "aurok"], "did you mean auroc"),
        ([".", "--filter", "recipe"], "write key, sign and value"),
        ([".", "--columns", "nam"], "did you mean name"),
        ([".", "--best", "aurok"], "did you mean auroc"),
        ([".", "--best", "auroc"], "there are no runs to choose from"),
        ([".", "--curves", "c.pdf"], "ends in .png or .svg"),
        ([".", "--curves", "c.png"], "no curves to draw"),
        ([".", "--diff", "a", "b"], "neither a folder nor a run"),
        ([".", "--diff", "a", "b", "--best", "auroc"], "--diff cannot be combined"),
    ],
)
def test_what_runs_cannot_do(
    eosin: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found = eosin("runs", *words)
    assert found.code == 2
    assert said in found.err
    assert "Traceback" not in found.err


def test_a_failed_training_leaves_its_reason(
    eosin: Run, made_up_store: PatchStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eosin.errors import TrainingError

    def fails(self: object, *, resume: bool = False) -> None:
        raise TrainingError("the loss is not a number")

    monkeypatch.setattr("eosin.training.loop.Trainer.fit", fails)
    words = ["train", made_up_store.path, "-o", tmp_path / "one", *TINY, "--no-evaluate"]
    assert eosin(*words).code == 1
    (row,) = json.loads(eosin("runs", tmp_path, "--json").out)["runs"]
    assert (row["status"], row["remark"]) == ("failed", "the loss is not a number")


def test_no_runs_is_no_error(eosin: Run, tmp_path: Path) -> None:
    found = eosin("runs", tmp_path)
    assert found.code == 0
    assert "no runs in" in found.out
    assert json.loads(eosin("runs", tmp_path, "--json").out)["runs"] == []


def test_runs_loads_nothing_heavy(trained: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys\nfrom eosin.cli.main import main\n"
        f"try:\n    main(['runs', {str(trained)!r}, '--sort', 'auroc'])\n"
        "except SystemExit: pass\n"
        "sys.exit(','.join(m for m in ('torch', 'polars', 'sklearn', 'matplotlib', 'cv2')"
        " if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert not done.stderr.strip(), done.stderr


def test_baselines(
    eosin: Run, made_up_store: PatchStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eosin.evaluation.baselines.TREES", 110)
    write_split(by_case(made_up_store, seed=1), tmp_path / "split.csv")
    words = ["baselines", made_up_store.path, "--split", tmp_path / "split.csv"]
    found = eosin(*words, "--replicates", 30, "-o", tmp_path / "out")
    assert found.code == 0, found.err
    for text in ("texture + gradient boosting", "base rate", "A network must beat", "written to"):
        assert text in found.out
    assert "made-up" in found.err
    kept = json.loads((tmp_path / "out" / "baselines.json").read_text("utf-8"))
    assert set(kept["baselines"]) == {
        "base_rate", "color_histogram", "texture", "nearest_neighbors"
    }  # fmt: skip
    assert (tmp_path / "out" / "baselines.png").is_file()
    assert not list(tmp_path.glob("**/.*partial"))


def test_what_baselines_refuse(eosin: Run, made_up_store: PatchStore, tmp_path: Path) -> None:
    leaking = tmp_path / "leak.csv"
    write_split(by_patch(made_up_store), leaking)
    leaking.write_text(leaking.read_text("utf-8").replace("scheme: patch", "scheme: given"))
    found = eosin("baselines", made_up_store.path, "--split", leaking, "--json")
    assert found.code == 1
    assert "--allow-leaks" in json.loads(found.out)["error"]
    found = eosin("baselines", made_up_store.path, "--split", "publishd")
    assert found.code == 2
    assert "neither a file nor a scheme" in found.err
    found = eosin("baselines", made_up_store.path, "-o", made_up_store.path / "x")
    assert found.code == 2
    assert "inside the store" in found.err
    (tmp_path / "file").touch()
    assert eosin("baselines", tmp_path / "nowhere").code == 2


def test_card(eosin: Run, made_up_store: PatchStore, tmp_path: Path) -> None:
    store = tmp_path / "s.store"
    shutil.copytree(made_up_store.path, store)
    found = eosin("card", store, "--origin", "drawn here", "--licence", "free")
    assert found.code == 0, found.err
    text = (tmp_path / "DATA_CARD.md").read_text("utf-8")
    assert "Drawn here. (Stated by the owner.)" in text
    assert "only you know: objective, consent" in found.err
    (tmp_path / "s.store.card.toml").write_text('contact = "me"\norigin = "there"\n', "utf-8")
    write_split(by_case(made_up_store), tmp_path / "s.store.split.csv")
    found = eosin("card", store, "--origin", "here", "--json", "--force")
    facts = json.loads(found.out)
    assert facts["statements"]["contact"] == {"text": "me", "by": "owner"}
    assert facts["statements"]["origin"]["text"] == "here"
    assert "contact" not in facts["missing"]
    assert facts["split"]["file"] == "s.store.split.csv"
    assert facts["split"]["audit"]["leaking"] is False
    assert facts["file"] == str(tmp_path / "DATA_CARD.md")


def test_what_card_refuses(eosin: Run, made_up_store: PatchStore, tmp_path: Path) -> None:
    mine = tmp_path / "mine.md"
    mine.write_text("# My notes\n", "utf-8")
    for words, said in (
        (["-o", mine], "is not a data card"),
        (["-o", tmp_path], "is a folder"),
        (["-o", made_up_store.path / "card.md"], "inside the store"),
        (["-o", tmp_path / "c.md", "--facts", tmp_path / "no.toml"], "no such file of statements"),
        (["-o", tmp_path / "c.md", "--split", tmp_path / "no.csv"], "no such file"),
    ):
        found = eosin("card", made_up_store.path, *words)
        assert found.code == 2, found.err
        assert said in found.err
    assert mine.read_text("utf-8") == "# My notes\n"
    assert not (tmp_path / "c.md").exists()
    assert eosin("card", made_up_store.path, "-o", mine, "--force").code == 2
    assert mine.read_text("utf-8") == "# My notes\n"  # not even with --force


@pytest.mark.slow
@pytest.mark.real
def test_texture_is_the_baseline_to_beat_on_real_patches(
    eosin: Run, real_data: Path, tmp_path: Path
) -> None:
    assert eosin("pack", real_data / "idc-sample.zip", tmp_path / "s").code == 0
    found = eosin("baselines", tmp_path / "s", "--split", "published", "--replicates", 50, "--json")
    result = json.loads(found.out)
    assert result["best"] == "texture"
    assert result["baselines"]["texture"]["auroc"]["value"] > 0.945
