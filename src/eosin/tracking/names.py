"""The trackers, what each needs installed, and the values of --track and --track-to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit, urlunsplit

from eosin.errors import MissingExtraError, UserError, closest


@dataclass(frozen=True, slots=True)
class Spec:
    """One tracker. parts: importable modules it needs; module: the file of this room for it."""

    name: str
    title: str
    extra: str
    parts: tuple[str, ...]
    module: str
    #: The variables of the environment that it takes passwords from.
    secrets: str = ""
    #: Whether --track-to may be a URI.
    remote: bool = True


SPECS = {
    spec.name: spec
    for spec in (
        # mlflow-skinny imports as mlflow too, but has no local database.
        Spec("mlflow", "MLflow", "mlflow", ("mlflow", "sqlalchemy", "alembic"), "with_mlflow",
             "MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD, or all in MLFLOW_TRACKING_URI"),
        Spec("tensorboard", "TensorBoard", "tensorboard", ("tensorboard",), "with_tensorboard",
             remote=False),
        Spec("wandb", "Weights & Biases", "wandb", ("wandb",), "with_wandb", "WANDB_API_KEY"),
        Spec("trackio", "Trackio", "trackio", ("trackio",), "with_trackio",
             "TRACKIO_WRITE_TOKEN"),
    )
}  # fmt: skip

#: Other names that people use.
_ALSO = {"w&b": "wandb", "weights-and-biases": "wandb", "tb": "tensorboard"}
NEPTUNE = (
    "--track neptune: Neptune closed its service on 2026-03-05; track with mlflow (a local "
    "database, or your own server), tensorboard, wandb or trackio instead, for example: "
    "--track mlflow"
)


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """The trackers of these names, each once; nothing is imported.

    Raises UserError for an unknown name and for Neptune, MissingExtraError where the tracker is
    not installed.

    >>> check_names(["tensorboard", "tb"])
    ('tensorboard',)
    >>> check_names(["mflow"])
    Traceback (most recent call last):
    eosin.errors.UserError: --track mflow: no such tracker; did you mean mlflow?
    """
    known: dict[str, None] = {}
    for text in names:
        name = _ALSO.get(text.strip().lower(), text.strip().lower())
        if name in ("neptune", "neptune-scale", "neptune.ai"):
            raise UserError(NEPTUNE)
        if name not in SPECS:
            raise UserError(f"--track {text}: no such tracker; {closest(name, SPECS)}")
        spec = SPECS[name]
        if any(find_spec(part) is None for part in spec.parts):
            raise MissingExtraError(spec.extra, f"--track {name}")
        known[name] = None
    return tuple(known)


def is_uri(text: str) -> bool:
    """Whether the text is a URI and not a folder.

    >>> is_uri("http://127.0.0.1:5000"), is_uri("sqlite:////tmp/a.db"), is_uri("runs/tracked")
    (True, True, False)
    """
    # One letter before the colon is a drive of Windows.
    return re.match(r"[a-z][a-z0-9+.-]+:", text, re.I) is not None


def destinations(texts: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Tracker -> where to, from the values of --track-to.

    ``NAME=WHERE`` is for one tracker; a folder without a name is for all, a URI without a name
    needs a single tracker. Raises UserError where that is unclear.

    >>> destinations(["mlflow=http://127.0.0.1:5000", "logs"], ["mlflow", "tensorboard"])
    {'tensorboard': 'logs', 'mlflow': 'http://127.0.0.1:5000'}
    """
    named: dict[str, str] = {}
    for text in texts:
        head, equals, tail = text.partition("=")
        name = _ALSO.get(head.lower(), head.lower())
        if equals and name in SPECS:
            if name not in names:
                raise UserError(f"--track-to {text}: add --track {name} as well")
            named[name] = tail
            continue
        if equals and not is_uri(text) and "/" not in head:
            raise UserError(f"--track-to {text}: no such tracker; {closest(head, names)}")
        open_ = [other for other in names if other not in named]
        if is_uri(text) and len(names) > 1:
            raise UserError(
                f"--track-to {text}: which tracker is it for? Write for example "
                f"--track-to {names[0]}={text}"
            )
        named = {**dict.fromkeys(open_, text), **named}
    for name, where in named.items():
        if not where:
            raise UserError(f"--track-to {name}=: write a folder or an address after the =")
        if is_uri(where) and without_secrets(where) != where:
            raise UserError(
                f"--track-to {without_secrets(where)}: leave password and token out, as the run "
                f"folder keeps the command; set them in the environment: {SPECS[name].secrets}"
            )
        if is_uri(where) and not SPECS[name].remote:
            raise UserError(f"--track-to {where}: {SPECS[name].title} writes to a folder; give one")
    return named


def without_secrets(where: str) -> str:
    """The address without user, password and query: what may be kept in a run folder.

    >>> without_secrets("https://me:word@tracking.org/a?write_token=x")
    'https://tracking.org/a'
    >>> without_secrets("runs/tracked")
    'runs/tracked'
    """
    if not is_uri(where) or ("@" not in where and "?" not in where):
        return where
    parts = urlsplit(where)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, place, parts.path, "", ""))
