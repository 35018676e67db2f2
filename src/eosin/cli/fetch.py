"""`eosin fetch`: download a public data set."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eosin.cli import options, output, transfers
from eosin.errors import UserError

if TYPE_CHECKING:
    from eosin.fetching.fetch import Fetched

IDC_NAME = "breast-histopathology-images.zip"


class DataSet(StrEnum):
    """What can be fetched."""

    IDC = "idc"
    MNIST = "mnist"


def fetch(
    data_set: Annotated[
        DataSet,
        typer.Argument(help="idc (Kaggle, about 3.1 GB, needs a token) or mnist (12 MB)."),
    ],
    to: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help=f"File for idc (default {IDC_NAME}), folder for mnist (default mnist).",
            show_default=False,
        ),
    ] = None,
    mirror: Annotated[
        list[str] | None,
        typer.Option("--mirror", help="Address of a folder with the mnist files; repeatable."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Fetch again, and replace an earlier download.")
    ] = False,
    json_: options.Json = False,
) -> None:
    """Download a public data set: the Kaggle breast-histopathology archive or MNIST.

    Run the command again to resume a broken or stopped download. The archive stays a zip; eosin
    pack reads it without unpacking.

    Example: eosin fetch idc -o archive.zip
    """
    from eosin.fetching import fetch as sets

    target = _target(data_set, to)
    if mirror and data_set is DataSet.IDC:
        raise UserError("--mirror is for mnist; idc comes only from Kaggle")
    with transfers.watcher() as watcher:
        if data_set is DataSet.IDC:
            fetched = [sets.fetch_idc(target, force=force, watcher=watcher)]
        else:
            mirrors = mirror or sets.MNIST_MIRRORS
            fetched = sets.fetch_mnist(target, mirrors=mirrors, force=force, watcher=watcher)
    _show(data_set, target, fetched, json_)


def _target(data_set: DataSet, to: Path | None) -> Path:
    if data_set is DataSet.MNIST:
        target = to or Path("mnist")
        if target.exists() and not target.is_dir():
            raise UserError(f"{target} is a file; for mnist, -o must be a folder")
        return target
    target = to or Path(IDC_NAME)
    return target / IDC_NAME if target.is_dir() else target


def _show(data_set: DataSet, target: Path, fetched: list[Fetched], json_: bool) -> None:
    from eosin.fetching.downloads import amount

    following = f"eosin pack {target} {data_set}.store"
    if json_:
        files = [
            {"path": str(item.path), "size_bytes": item.size_bytes, "new": item.new}
            for item in fetched
        ]
        output.result({"data_set": data_set.value, "files": files, "next": following})
        return
    for item in fetched:
        how = "fetched" if item.new else "already complete, not fetched again"
        output.say(f"{item.path} ({amount(item.size_bytes)}): {how}")
    output.say(f"Next: {following}")
