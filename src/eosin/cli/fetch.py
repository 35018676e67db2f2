"""`eosin fetch`: download a public data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import options, output, transfers
from eosin.errors import UserError

if TYPE_CHECKING:
    from eosin.fetching.archives import Archive
    from eosin.fetching.fetch import Fetched


def fetch(
    name: Annotated[str | None, typer.Argument()] = None,
    list_: Annotated[bool, typer.Option("--list")] = False,
    to: Annotated[Path | None, typer.Option("-o", "--output", show_default=False)] = None,
    mirror: Annotated[list[str] | None, typer.Option("--mirror")] = None,
    force: Annotated[bool, typer.Option("--force")] = False,
    json_: options.Json = False,
) -> None:
    """Download a public data set, with its license and citation, and show how to pack it.

    Run the command again to resume a broken or stopped download. Files are checked against their
    published checksums; where none is known, that of the first download is recorded in fetched.json
    and compared from then on. Archives are not unpacked: eosin pack reads them as they are.

    Options:
        name: The data set, such as idc, pcam or nct-crc; see --list.
        list_: List the data sets that can be fetched.
        to: Folder for the files (default NAME); of one zip from Kaggle, the file.
        mirror: Address of another folder with the files; repeatable.
        force: Fetch again, and replace an earlier download.

    Example: eosin fetch idc -o archive.zip
    """
    from eosin.fetching import fetch as fetching
    from eosin.fetching.archives import ARCHIVES, find_archive

    if list_ or name is None:
        if name is not None or not list_:
            raise UserError("name a data set, or list them alone with: eosin fetch --list")
        _list(list(ARCHIVES.values()), json_)
        return
    archive = find_archive(name)
    if archive.steps:
        place = to or Path(name)
        commands = "\n     ".join(archive.commands(place))
        raise UserError(
            f"{name} cannot be downloaded by a program ({archive.license}):\n  {archive.steps}\n"
            f"  3. Pack the folder, here {place}, with:\n     {commands}"
        )
    if mirror and archive.kaggle:
        raise UserError(f"--mirror is for archives with files of their own; {name} is from Kaggle")
    target = _target(archive, to)
    output.note(f"{name}: license {archive.license}")
    with transfers.watcher() as watcher:
        if archive.kaggle:
            fetched = [fetching.fetch_zip(archive, target, force=force, watcher=watcher)]
        else:
            fetched = fetching.fetch_files(
                archive, target, mirrors=mirror or (), force=force, watcher=watcher
            )
    _show(archive, target, fetched, json_)


def _target(archive: Archive, to: Path | None) -> Path:
    if archive.kaggle:
        target = to or Path(archive.items[0].name)
        return target / archive.items[0].name if target.is_dir() else target
    target = to or Path(archive.name)
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file; for {archive.name}, -o must be a folder")
    return target


def _facts(archive: Archive) -> dict[str, Any]:
    return {
        "data_set": archive.name, "about": archive.about, "patches": archive.patches,
        "size_bytes": archive.size_bytes or None, "license": archive.license,
        "citation": archive.citation, "page": archive.page, "needs": archive.account or None,
        "note": archive.note or None,
    }  # fmt: skip


def _list(archives: list[Archive], json_: bool) -> None:
    from eosin.disks import amount

    if json_:
        output.result({"archives": [_facts(archive) for archive in archives]})
        return
    output.table(
        "",
        ["name", "what", "patches", "size", "license", "needs", "cite"],
        [
            [
                *(each.name, each.about, f"{each.patches:,}"),
                amount(each.size_bytes) if each.size_bytes else "?",
                *(each.license, each.account or "-", each.citation),
            ]
            for each in archives
        ],
        right=["patches", "size"],
    )


def _show(archive: Archive, target: Path, fetched: list[Fetched], json_: bool) -> None:
    from eosin.disks import amount

    following = archive.commands(target)
    if json_:
        files = [
            {"path": str(item.path), "size_bytes": item.size_bytes, "new": item.new}
            for item in fetched
        ]
        output.result({**_facts(archive), "files": files, "next": "; ".join(following)})
        return
    for item in fetched:
        how = "fetched" if item.new else "already complete, not fetched again"
        output.say(f"{item.path} ({amount(item.size_bytes)}): {how}")
    output.say(f"License: {archive.license} ({archive.page})")
    output.say(f"Cite: {archive.citation}")
    if archive.note:
        output.say(f"Note: {archive.note}")
    for command in following:
        output.say(f"Next: {command}")
