"""What a command may write a file to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from eosin.errors import UserError

if TYPE_CHECKING:
    from eosin.data.store import PatchStore


def check_file(
    target: Path,
    kind: str,
    is_kind: Callable[[Path], bool],
    *,
    force: bool,
    store: PatchStore,
    inputs: Mapping[str, Path | None],
) -> None:
    """Raise UserError where a file may not be made, or not without --force.

    kind: with its article, for messages; is_kind: whether an existing file is of this kind, which
    alone --force replaces; store: what the file is about, and must not be in; inputs: what is read,
    by the option that named it.
    """
    from eosin.folders import refuse_overlap

    if target.is_dir():
        raise UserError(f"{target} is a folder; name a file with -o FILE")
    if target.resolve().is_relative_to(store.path.resolve()):
        raise UserError(f"{target} is inside the store; choose a place beside it with -o FILE")
    refuse_overlap(target, inputs)
    if not target.exists():
        return
    if not is_kind(target):
        raise UserError(f"{target} already exists and is not {kind}; name another with -o FILE")
    if not force:
        raise UserError(
            f"{target} already exists; add --force to replace it, or name another with -o FILE"
        )
