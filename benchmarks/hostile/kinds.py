"""Which kinds of input there are, how each is laid out and damaged, and who reads it.

An input is laid out in a folder ``in``; commands run beside it and write to ``out``. Undamaged
neighbors (a run for damaged images, a store for a damaged split) are read where they were made.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hostile import archives, arrays, damage, networks, pictures, tables
from hostile.material import FEW, copy

TINY = [
    "--set", "arguments.widths=[4,8]", "--set", "arguments.blocks=[0,1]", "--set", "batch_size=16",
    "--set", "epochs=1", "--set", "precision=fp32", "--set", "compile=off",
]  # fmt: skip
QUICK = ["--replicates", "10"]
assert [str(word) for word in FEW] == QUICK


@dataclass(frozen=True)
class Command:
    """A command line; "@x" is the valid x, "in/x" the hostile one.

    weight: how often it is taken beside the others of a kind. writes: names in the input that it
    may write when it succeeds. keeps: it may leave a folder to resume from when it fails.
    """

    words: tuple[str, ...]
    weight: float = 1.0
    writes: tuple[str, ...] = ()
    keeps: bool = False

    @property
    def name(self) -> str:
        return self.words[0]


#: (generator, folder ``in``, valid files, undamaged) -> what was done; a command line of its own
#: goes into words.json.
Maker = Callable[[random.Random, Path, Path, bool], str]


@dataclass(frozen=True)
class Kind:
    """One kind of input."""

    name: str
    weight: float
    make: Maker
    commands: tuple[Command, ...]


def _c(text: str, weight: float = 1.0, *, writes: str = "", keeps: bool = False,
       more: list[str] | None = None) -> Command:  # fmt: skip
    words = [*text.split(), *(more or [])]
    return Command(tuple(words), weight, tuple(writes.split()), keeps)


EVALUATE = ["--no-baselines", "--no-report", *QUICK]
EVALUATED = (
    ".eosin.lock evaluation.json fitted.json predictions.parquet measured.npz suspects.csv *.png "
    "report.html MODEL_CARD.md model.json environment.json evaluation-*"
)
PACK = "--max-rejects 60%"


def _images(rng: random.Random, place: Path, valid: Path, plain: bool) -> str:
    words = []
    for k in range(6):
        label = archives.LABELS[k % 2]
        suffix, data = ".png", pictures.picture(rng)
        if k % 3 == 0 and not plain:
            suffix, data, done = pictures.hostile_picture(rng)
            words.append(done)
        folder = place / "images" / label
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{k}{suffix}").write_bytes(data)
    return " | ".join(words)


def _zip(rng: random.Random, place: Path, valid: Path, plain: bool) -> str:
    data, words = (
        (archives.zipped(archives.members(rng)), "") if plain else archives.hostile_zip(rng)
    )
    (place / "a.zip").write_bytes(data)
    return words


def _one(name: str, make: Callable[[random.Random, bytes], tuple[bytes, str]]) -> Maker:
    """A maker of one damaged copy of a valid file."""

    def maker(rng: random.Random, place: Path, valid: Path, plain: bool) -> str:
        target = copy(valid / name, place / name)
        if plain:
            return ""
        data, words = make(rng, target.read_bytes())
        target.write_bytes(data)
        return words

    return maker


def _text(make: Callable[[random.Random, str], tuple[bytes, str]]
          ) -> Callable[[random.Random, bytes], tuple[bytes, str]]:  # fmt: skip
    return lambda rng, data: make(rng, data.decode("utf-8"))


def _json_lines(rng: random.Random, text: str) -> tuple[bytes, str]:
    return damage.lines_of(rng, text, damage.json_of)


#: How a file of a folder is damaged, by the end of its name.
BY_NAME: tuple[tuple[str, Callable[[random.Random, bytes], tuple[bytes, str]]], ...] = (
    (".jsonl", _text(_json_lines)),
    (".journal", _text(_json_lines)),
    (".json", _text(damage.json_of)),
    (".toml", _text(damage.toml_of)),
    (".csv", _text(tables.hostile_csv)),
    (".parquet", tables.hostile_parquet),
    (".safetensors", arrays.hostile_safetensors),
    (".onnx", networks.hostile_onnx),
    (".pt", networks.hostile_torch),
    (".pt2", networks.hostile_torch),
    (".npy", lambda rng, data: _npy(rng, data)),
)


def _npy(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    import io

    import numpy as np

    return arrays.hostile_npy(rng, np.load(io.BytesIO(data)))


def _folder(name: str, *files: str, also: tuple[str, ...] = ()) -> Maker:
    """A maker of a copy of a valid folder with one of these files damaged (a pattern each)."""

    def maker(rng: random.Random, place: Path, valid: Path, plain: bool) -> str:
        target = copy(valid / name, place / name)
        for each in also:
            if (valid / each).exists():  # not in the short form
                copy(valid / each, place / each)
        if plain:
            return ""
        found = sorted(path for pattern in files for path in target.glob(pattern))
        chosen = rng.choice(found)
        named = str(chosen.relative_to(target))
        draw = rng.random()
        if draw < 0.03:
            chosen.unlink()
            return f"{named}: missing"
        if draw < 0.05:
            chosen.unlink()
            chosen.mkdir()
            return f"{named}: a folder"
        if chosen.suffix in (".xml", ".bin"):
            return networks.hostile_openvino(rng, target)
        data = chosen.read_bytes()
        change = next((how for end, how in BY_NAME if named.endswith(end)), damage.bytes_of)
        made, words = change(rng, data)
        chosen.write_bytes(made)
        return f"{named}: {words}"

    return maker


def _unfinished(rng: random.Random, place: Path, valid: Path, plain: bool) -> str:
    """A run that was stopped after its last checkpoint."""
    names = ("resume.pt", "resume.pt", "metrics.jsonl", "recipe.toml", "split.csv",
             "environment.json", "seen.parquet")  # fmt: skip
    words = _folder("run", *names)(rng, place, valid, plain)
    for name in ("model.json", "model.safetensors", "evaluation.json", "fitted.json",
                 "predictions.parquet"):  # fmt: skip
        (place / "run" / name).unlink(missing_ok=True)
    return words


def _tar(rng: random.Random, place: Path, valid: Path, plain: bool) -> str:
    suffix, data, words = archives.hostile_tar(random.Random(1) if plain else rng)
    if plain:
        suffix, data = ".tar", _plain_tar(rng)
    (place / f"a{suffix}").write_bytes(data)
    (place.parent / "words.json").write_text(json.dumps(["pack", f"in/a{suffix}", "out/s"]))
    return words


def _plain_tar(rng: random.Random) -> bytes:
    import io
    import tarfile

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in archives.members(rng).items():
            archives._add(archive, name, data)
    return stream.getvalue()


def _tree(rng: random.Random, place: Path, valid: Path, plain: bool) -> str:
    folder = place / "tree"
    folder.mkdir()
    if plain:
        for name, data in archives.members(rng).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return ""
    return archives.hostile_tree(rng, folder)


def _npz(rng: random.Random, place: Path, valid: Path, plain: bool) -> str:
    data, words = arrays.hostile_npz(rng)
    (place / "a.npz").write_bytes(data)
    return words


def _idx(rng: random.Random, place: Path, valid: Path, plain: bool) -> str:
    (place / "idx").mkdir()
    return arrays.hostile_idx(rng, place / "idx")


def _hdf5(rng: random.Random, place: Path, valid: Path, plain: bool) -> str:
    name, words = arrays.hostile_hdf5(rng, place)
    whole = rng.random() < 0.3
    chosen = "in" if whole else f"in/{name}"
    (place.parent / "words.json").write_text(json.dumps(["pack", chosen, "out/s"]))
    return words


def _manifest(rng: random.Random, place: Path, valid: Path, plain: bool) -> str:
    names = []
    for k in range(12):
        names.append(f"{k}.png")
        (place / names[-1]).write_bytes(pictures.picture(rng))
    name, words = tables.manifest(rng, place, names)
    (place.parent / "words.json").write_text(json.dumps(["pack", f"in/{name}", "out/s"]))
    return words


def _exported(rng: random.Random, place: Path, valid: Path, plain: bool) -> str:
    name = rng.choice(("model.onnx", "model.onnx", "model.xml", "model.pt2"))
    files = ["export.json", "seen.parquet", "model.onnx", "model.onnx", "model.onnx", "model.xml",
             "model.xml", "model.pt2"]  # fmt: skip
    words = _folder("exported", *([name] if rng.random() < 0.8 else files))(
        rng, place, valid, plain
    )
    chosen = "in/exported" if rng.random() < 0.2 else f"in/exported/{name}"
    command = (
        ["predict", chosen, "@pictures"] if rng.random() < 0.75 or plain
        else ["evaluate", chosen, "--store", "@t.store", "-o", "out/e", "--allow-seen", *EVALUATE]
    )  # fmt: skip
    (place.parent / "words.json").write_text(json.dumps(command))
    return words


def _kaggle(rng: random.Random, place: Path, valid: Path, plain: bool) -> str:
    return _one("kaggle.json", _text(damage.json_of))(rng, place, valid, plain)


RUN_FILES = (
    "recipe.toml", "split.csv", "seen.parquet", "metrics.jsonl", "model.safetensors", "model.json",
    "fitted.json", "environment.json", "predictions.parquet", "evaluation.json", ".eosin.json",
    "model.json", "fitted.json", "evaluation.json",
)  # fmt: skip
STORE_FILES = ("store.json", "store.json", "index.parquet", "index.parquet", "patches.npy",
               ".eosin.json")  # fmt: skip

KINDS: tuple[Kind, ...] = (
    Kind("images", 22, _images, (
        _c(f"pack in/images out/s {PACK}", 5),
        _c("predict @exported/model.onnx in/images", 3),
        _c("predict @run in/images --fit resize", 1.5),
        _c("explain @run in/images -o out/sheet.png", 0.4),
    )),
    Kind("zip", 12, _zip, (
        _c(f"pack in/a.zip out/s {PACK}", 8),
        _c("predict @exported/model.onnx in/a.zip", 1.5),
        _c("train in/a.zip -o out/run", 0.3, keeps=True, more=[*TINY, "--no-evaluate"]),
    )),
    Kind("tar", 6, _tar, (_c(f"pack in/a.tar out/s {PACK}"),)),
    Kind("folder", 4, _tree, (
        _c(f"pack in/tree out/s {PACK}", 4), _c("predict @exported/model.onnx in/tree", 1),
    )),
    Kind("npz", 7, _npz, (_c("pack in/a.npz out/s"),)),
    Kind("idx", 5, _idx, (_c("pack in/idx out/s"),)),
    Kind("hdf5", 5, _hdf5, (_c("pack in/all.h5 out/s"),)),
    Kind("table", 6, _manifest, (_c(f"pack in/list.csv out/s {PACK}"),)),
    Kind("parquet", 4, _one("images.parquet", tables.hostile_parquet), (
        _c(f"pack in/images.parquet out/s {PACK}"),
    )),
    Kind("split", 5, _one("t.store.split.csv", _text(tables.hostile_csv)), (
        _c("audit @t.store in/t.store.split.csv", 5),
        _c("card @t.store -o out/card.md --split in/t.store.split.csv", 1),
        _c("train @t.store -o out/run --split in/t.store.split.csv", 0.5, keeps=True,
           more=[*TINY, "--no-evaluate"]),
        _c("baselines @t.store --split in/t.store.split.csv", 0.5, more=QUICK),
        _c("probe @t.store --encoder @run -o out/p --no-evaluate --embeddings @embeddings --split "
           "in/t.store.split.csv", 0.3, keeps=True),
        _c("evaluate @exported/model.onnx --store @t.store --split in/t.store.split.csv -o out/e",
           0.3, more=EVALUATE),
    )),
    Kind("parts", 2, _one("parts.csv", _text(tables.hostile_csv)), (
        _c("split @t.store --by file --file in/parts.csv -o out/split.csv"),
    )),
    Kind("store", 6, _folder("t.store", *STORE_FILES, also=("run",)), (
        _c("inspect in/t.store -o out/pictures", 3),
        _c("split in/t.store -o out/split.csv", 3),
        _c("audit in/t.store @t.store.split.csv", 2),
        _c("card in/t.store -o out/card.md", 1),
        _c("encoders resnet18 --store in/t.store", 1),
        _c("train in/t.store -o out/run", 0.5, keeps=True, more=[*TINY, "--no-evaluate"]),
        _c("evaluate in/run --store in/t.store", 0.5, writes=EVALUATED, more=EVALUATE),
        _c("evaluate @exported/model.onnx --store in/t.store -o out/e --allow-seen", 0.5,
           more=EVALUATE),
        _c("baselines in/t.store", 0.4, more=QUICK),
        _c("probe in/t.store --encoder @run -o out/p --no-evaluate --embeddings out/em", 0.3,
           keeps=True),
        _c("search in/t.store -o out/search -n 1", 0.2, keeps=True, more=TINY),
        _c("crossval in/t.store -o out/folds -k 3", 0.1, keeps=True, more=[*TINY, *QUICK]),
        _c("gap in/t.store -o out/gap --seeds 1", 0.1, keeps=True, more=[*TINY, *QUICK]),
        _c("retrain @run --store in/t.store -o out/new", 0.2, keeps=True, more=QUICK),
        _c("report in/run --store in/t.store", 0.2, writes=EVALUATED),
    )),
    Kind("recipe", 4, _one("run/recipe.toml", _text(damage.toml_of)), (
        _c("recipes in/run/recipe.toml", 5),
        _c("train @t.store -o out/run --no-evaluate --recipe in/run/recipe.toml", 1.2, keeps=True),
        _c("search @t.store -o out/search -n 1 --recipe in/run/recipe.toml", 0.2, keeps=True),
        _c("crossval @t.store -o out/folds -k 3 --recipe in/run/recipe.toml", 0.1, keeps=True,
           more=QUICK),
        _c("gap @t.store -o out/gap --seeds 1 --recipe in/run/recipe.toml", 0.1, keeps=True,
           more=QUICK),
    )),
    Kind("space", 1, _one("space.toml", _text(damage.toml_of)), (
        _c("search @t.store -o out/search -n 1 --space in/space.toml", keeps=True, more=TINY),
    )),
    Kind("statements", 1, _one("card.toml", _text(damage.toml_of)), (
        _c("card @t.store -o out/card.md --facts in/card.toml"),
    )),
    Kind("run", 13, _folder("run", *RUN_FILES), (
        _c("runs in", 8),
        _c("runs in --best auroc", 2),
        _c("runs . --diff in/run @other", 2),
        _c("runs in --curves out/curves.png", 0.7),
        _c("predict in/run @pictures", 4),
        _c("compare in/run @other -o out/c", 2, more=QUICK),
        _c("evaluate in/run", 0.8, writes=EVALUATED, more=EVALUATE),
        _c("report in/run", 0.5, writes=EVALUATED),
        _c("explain in/run @pictures -o out/sheet.png", 0.4),
        _c("export in/run -o out/x", 0.4),
        _c("ensemble in/run @other -o out/en --no-evaluate", 1),
        _c("prune in/run -o out/pruned --epochs 1", 0.3, keeps=True, more=QUICK),
        _c("retrain in/run --store @t.store -o out/new", 0.4, keeps=True, more=QUICK),
        _c("train @t.store -o out/run --from in/run --no-evaluate", 0.5, keeps=True, more=TINY),
        _c("train @t.store -o out/run --teacher in/run --no-evaluate", 0.5, keeps=True, more=TINY),
        _c("train --resume in/run --no-evaluate", 1, writes="*"),
        _c("probe @t.store --encoder in/run -o out/p --no-evaluate --embeddings out/em", 0.5,
           keeps=True),
    )),
    Kind("unfinished run", 3, _unfinished, (
        _c("train --resume in/run --no-evaluate", writes="*", keeps=True),
    )),
    Kind("export", 10, _exported, (_c("predict in/exported/model.onnx @pictures"),)),
    Kind("study", 4, _folder("folds", "plan.json", "crossval.json", "predictions.parquet",
                             "split.csv", "seed*-fold0/*.json", "seed*-fold0/*.parquet",
                             "seed*-fold0/recipe.toml", ".eosin.json"), (
        _c("crossval @t.store -o in/folds -k 3", 2, writes="*", more=[*TINY, *QUICK]),
        _c("compare in/folds @folds", 2, more=QUICK),
        _c("runs in", 1),
    )),
    Kind("gap study", 1, _folder("gap", "plan.json", "gap.json", "*/*.json", "*/*.parquet"), (
        _c("gap @t.store -o in/gap --seeds 1 --allow-leaks", writes="*", more=[*TINY, *QUICK]),
    )),
    Kind("prune study", 1, _folder("pruned", "plan.json", "prune.json", "*/*.json", "*/*.parquet",
                                   "*/*.safetensors"), (
        _c("prune @run -o in/pruned --epochs 1", writes="*", more=QUICK),
    )),
    Kind("search", 4, _folder("search", "search.journal", "search.journal", "plan.json",
                              "search.json", "best.toml", "trial-*/*.json",
                              "trial-*/metrics.jsonl"), (
        _c("search --resume in/search", writes="*"),
        _c("runs in", 0.3),
        _c("recipes in/search/best.toml", 0.3),
    )),
    Kind("embeddings", 1, _folder("embeddings", "**/embeddings.json", "**/embeddings.npy"), (
        _c("probe @t.store --encoder @run -o out/p --no-evaluate --embeddings in/embeddings",
           writes="*", keeps=True),
    )),
    Kind("credentials", 0.15, _kaggle, (_c("doctor"),)),
)  # fmt: skip

#: The commands of the short form, which need no torch and no trained run, and its kinds.
SHORT = ("pack", "split", "audit", "inspect", "card", "recipes")
SHORT_KINDS = ("images", "zip", "tar", "folder", "npz", "idx", "hdf5", "table", "parquet", "split",
               "parts", "store", "recipe", "statements")  # fmt: skip


def short() -> tuple[Kind, ...]:
    """The kinds and commands of the short form."""
    return tuple(
        replace(kind, commands=tuple(each for each in kind.commands if each.name in SHORT))
        for kind in KINDS
        if kind.name in SHORT_KINDS
    )
