"""eosin: from labeled histology patches to a classifier that can be defended.

Research and education only, not for diagnosis.

What a program may rely on is in ``eosin.__all__``; docs/reference/python.md has an example of each
name. A name loads its module when it is first used, so that ``import eosin`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eosin.config import Recipe, read_recipe
    from eosin.data.pack import pack
    from eosin.data.store import PatchStore
    from eosin.errors import EosinError
    from eosin.evaluation.intervals import bootstrap
    from eosin.exporting.export import export
    from eosin.inference.predictor import load
    from eosin.runs import RunFolder
    from eosin.runtime.predictor import Predictor
    from eosin.splitting.audit import audit
    from eosin.splitting.split_file import Split, read_split, write_split
    from eosin.splitting.splits import by_case
    from eosin.steps import evaluate, train
    from eosin.synthetic.archive import make_store

__version__ = "0.1.0"

#: Module -> the public names in it.
_PUBLIC = {
    "config": ("Recipe", "read_recipe"),
    "data.pack": ("pack",),
    "data.store": ("PatchStore",),
    "errors": ("EosinError",),
    "evaluation.intervals": ("bootstrap",),
    "exporting.export": ("export",),
    "inference.predictor": ("load",),
    "runs": ("RunFolder",),
    "runtime.predictor": ("Predictor",),
    "splitting.audit": ("audit",),
    "splitting.split_file": ("Split", "read_split", "write_split"),
    "splitting.splits": ("by_case",),
    "steps": ("evaluate", "train"),
    "synthetic.archive": ("make_store",),
}

__all__ = [
    "EosinError", "PatchStore", "Predictor", "Recipe", "RunFolder", "Split", "__version__",
    "audit", "bootstrap", "by_case", "evaluate", "export", "load", "make_store", "pack",
    "read_recipe", "read_split", "train", "write_split",
]  # fmt: skip


def __getattr__(name: str) -> object:
    for module, names in _PUBLIC.items():
        if name in names:
            return getattr(import_module(f"eosin.{module}"), name)
    raise AttributeError(f"module 'eosin' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
