"""Files and folders are there complete or not at all, and what eosin made is recognized.

One place writes: under a temporary name that no other writer shares, then in place by one rename.
A writer has a lock on its temporary file or folder, so leftovers of killed writers are known by
having none, and are swept by the next writer of the same name. A folder carries a mark of its kind;
``--force`` removes the files of that kind and nothing else.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from eosin.disks import writing
from eosin.errors import DiskError, UserError
from eosin.kinds import ENDING, KINDS, LOCK, MARK, belongs, matches, recognize
from eosin.locks import Lock, claim, refuse_in_use
from eosin.swaps import swap, synchronize
from eosin.texts import from_json, read_text

Path_ = str | os.PathLike[str]
Inputs = Mapping[str, Path_ | None]


@contextlib.contextmanager
def scratch_file(path: Path_) -> Iterator[Path]:
    """A path for a temporary file in the folder of ``path``; the file is removed at the end.

    Files of this name that killed processes left behind are removed first.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with scratch_file(Path(folder) / "a.h5") as temporary:
    ...         _ = temporary.write_text("unpacked")
    ...     os.listdir(folder)
    []
    """
    target = Path(path)
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target)
        temporary = _temporary(target)
        lock = Lock.take(temporary)
    try:
        with writing(target, temporary):
            yield temporary
    finally:
        # What cannot be removed now is swept by the next writer.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if lock:
            lock.release()


@contextlib.contextmanager
def whole_file(path: Path_, *, durable: bool = False) -> Iterator[Path]:
    """A temporary path to write; it takes the place of ``path`` when the block ends without error.

    The temporary file is in the same folder, which is made if it is missing. On an error, Ctrl-C
    included, it is removed and ``path`` stays as it was. durable: the bytes are on the disk before
    the name changes. Raises DiskError where the disk refuses it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_file(Path(folder) / "a.txt") as temporary:
    ...         _ = temporary.write_text("all of it")
    ...     [entry.name for entry in Path(folder).iterdir()]
    ['a.txt']
    """
    target = Path(path)
    with scratch_file(target) as temporary:
        yield temporary
        if durable:
            synchronize(temporary)
        os.replace(temporary, target)
        if durable:
            synchronize(target.parent)


@contextlib.contextmanager
def whole_files(folder: Path_, *, outdated: Iterable[str] = ()) -> Iterator[Callable[[str], Path]]:
    """Several files of one folder that belong together: a function from name to temporary path.

    When the block ends without error they are renamed one right after the other, in the order in
    which they were asked for, so the file that makes the others valid is asked for last. On an
    error none of them changes. outdated: names of files made from the former ones, which go.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_files(folder) as new:
    ...         for name in ("a", "b"):
    ...             _ = new(name).write_text(name)
    ...     sorted(os.listdir(folder))
    ['a', 'b']
    """
    place = Path(folder)
    made: dict[str, Path] = {}
    with contextlib.ExitStack() as stack, writing(place):
        place.mkdir(parents=True, exist_ok=True)

        def new(name: str) -> Path:
            if name not in made:
                made[name] = stack.enter_context(scratch_file(place / name))
            return made[name]

        yield new
        for temporary in made.values():
            synchronize(temporary)
        for name in outdated:
            (place / name).unlink(missing_ok=True)
        for name, temporary in made.items():
            os.replace(temporary, place / name)
        synchronize(place)


@contextlib.contextmanager
def whole_folder(
    path: Path_, kind: str, *, force: bool = False, inputs: Inputs | None = None, resume: str = ""
) -> Iterator[Path]:
    """A folder to fill; it takes the place of ``path`` when the block ends without error.

    kind: a key of ``kinds.KINDS``; force: replace a folder of the same kind, of which files that
    eosin did not make are kept; inputs: what the work reads, by the option that gave it; resume:
    the command that resumes what is there, for the message. Raises UserError, before anything is
    touched, for a path that may not be replaced; DiskError where the disk refuses it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with whole_folder(Path(place) / "out", "export") as folder:
    ...         _ = (folder / "export.json").write_text("{}")
    ...     kind_of(Path(place) / "out")
    'export'
    """
    target = Path(path)
    if target.is_symlink():
        target = target.resolve()
    sweep(target)
    check_target(target, kind, force=force, inputs=inputs, resume=resume)
    temporary = _temporary(target)
    lock = None
    try:
        with writing(target, temporary):
            temporary.mkdir(parents=True)
            lock = Lock.take(temporary / LOCK)
            set_mark(temporary, kind, temporary=temporary.name)
            yield temporary
            # Another process may have been quicker.
            there = check_target(target, kind, force=force, inputs=inputs, resume=resume)
            (temporary / LOCK).unlink(missing_ok=True)
            if lock:
                lock.release()
            swap(temporary, target, there=there)
    finally:
        if lock:
            lock.release()
        # What cannot be removed now is swept by the next writer.
        with contextlib.suppress(OSError, DiskError):
            _put_away(temporary, target)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for files that are not kept, where the system has such; removed at the end.

    Raises DiskError where the disk refuses it.

    >>> with temporary_folder() as folder:
    ...     folder.is_dir()
    True
    """
    try:
        with (
            writing(tempfile.gettempdir()),
            tempfile.TemporaryDirectory(prefix="eosin-", ignore_cleanup_errors=True) as name,
        ):
            yield Path(name)
    except FileNotFoundError as error:
        if "temporary directory" not in str(error):
            raise
        what = "temporary files cannot be written anywhere: free space in /tmp or set TMPDIR"
        raise DiskError(what) from None


def make_folder(
    path: Path_, kind: str, *, force: bool = False, inputs: Inputs | None = None, resume: str = ""
) -> list[str]:
    """Make a folder that is filled over time; returns the names that were there and are kept.

    As ``whole_folder`` checks it. force: what eosin made there is removed first. resume: the
    command that resumes what is there, for the message.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     make_folder(Path(place) / "run", "run")
    []
    """
    target = Path(path)
    check_target(target, kind, force=force, inputs=inputs, resume=resume)
    try:
        with writing(target):
            target.mkdir(parents=True, exist_ok=True)
            set_mark(target, kind)
            return clear(target, kind)
    except OSError as error:
        raise UserError(f"{target} cannot be made ({error.strerror or error})") from None


def check_target(
    target: Path, kind: str, *, force: bool, inputs: Inputs | None = None, resume: str = ""
) -> bool:
    """Raise UserError where a folder of this kind may not be made; returns whether one is there."""
    refuse_overlap(target, inputs or {})
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file; choose a folder that does not exist yet")
    if not target.exists():
        return False
    if _is_empty(target):
        return True
    name, there = KINDS[kind].name, kind_of(target)
    if there != kind:
        what = f"contains {KINDS[there].name}" if there else "contains other files"
        listed = "" if there else f" (not made by eosin: {_listed(target)})"
        raise UserError(f"{target} already exists and {what}; choose another name{listed}")
    if not force:
        choice = f"resume it with: {resume}; or " if resume else ""
        raise UserError(
            f"{target} already contains {name}; {choice}choose another name, or add --force to "
            "replace it"
        )
    refuse_in_use(target)
    return True


def _listed(folder: Path, most: int = 3) -> str:
    """The first names in a folder, for a sentence."""
    names = sorted(name for name in os.listdir(folder) if name not in (MARK, LOCK))
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def refuse_overlap(output: Path_, inputs: Inputs) -> None:
    """Raise UserError where an input is the output or inside it.

    inputs: option -> path, or None where it was not given.

    >>> refuse_overlap("run", {"--from": "run/../run"})
    Traceback (most recent call last):
        ...
    eosin.errors.UserError: run is also the input of --from; choose another output
    """
    target = Path(output).resolve()
    for option, path in inputs.items():
        if path is None:
            continue
        source = Path(path).resolve()
        if source == target:
            raise UserError(f"{output} is also the input of {option}; choose another output")
        if source.is_relative_to(target):
            raise UserError(
                f"{path} ({option}) is inside the output {output}; choose another output"
            )


def kind_of(path: Path_) -> str:
    """The kind of folder that eosin made, or "" for any other.

    Folders of earlier versions have no mark; they are known by their files.
    """
    place = Path(path)
    kind = str(_mark_of(place).get("kind", ""))
    return kind if kind in KINDS else recognize(place)


def set_mark(folder: Path, kind: str, **more: str) -> None:
    """Mark a folder as made by eosin; more: what the mark has beside that, such as ``name``."""
    with whole_file(folder / MARK) as temporary:
        text = json.dumps({**_mark_of(folder), "kind": kind, "made_by": "eosin", **more})
        temporary.write_text(text + "\n", "utf-8")


def others(folder: Path_, kind: str) -> list[str]:
    """Names in a folder of this kind that eosin did not make: what ``clear`` leaves there.

    >>> others("a folder that does not exist", "run")
    []
    """
    place = Path(folder)
    return _sorted_out(place, kind)[1] if place.is_dir() else []


def clear(folder: Path, kind: str) -> list[str]:
    """Remove what eosin made in a folder of this kind; returns the names of all else, which stays.

    Folders inside are removed only if they are of a kind that belongs there, and by the same rule.
    """
    removed, kept = _sorted_out(folder, kind)
    # What makes a model or a result complete goes first: nothing half-removed looks complete.
    first = ("model.", "fitted", "store.json", "export.json")
    for entry in sorted(removed, key=lambda each: (not each.name.startswith(first), str(each))):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    return kept


def sweep(target: Path) -> None:
    """Remove temporary files and folders that killed writers of this name left behind.

    A folder that was about to be replaced, or had just been, is put back where it was; of one that
    was replaced, the files that eosin did not make go into the new one.
    """
    with contextlib.suppress(OSError, DiskError):
        for leftover in target.parent.glob(f".{glob.escape(target.name)}.*{ENDING}"):
            number = leftover.name.removesuffix(ENDING).rpartition(".")[2].partition("-")[0]
            # None where its writer may be alive.
            if number.isdigit() and (lock := claim(leftover, int(number))):
                try:
                    _put_away(leftover, target)
                finally:
                    lock.release()


def _put_away(leftover: Path, target: Path) -> None:
    """Remove a temporary file or folder, and nothing of the user's in it."""
    if not leftover.is_dir():
        leftover.unlink(missing_ok=True)
        return
    unfinished = _mark_of(leftover).get("temporary") == leftover.name
    if unfinished or _is_empty(leftover):
        shutil.rmtree(leftover, ignore_errors=True)
    elif not target.exists():
        os.rename(leftover, target)
    elif kind := kind_of(leftover):
        # Without the mark it would not be known any more once its first files are removed. One that
        # is there is not written again: the disk may be full.
        if _mark_of(leftover).get("kind") != kind:
            set_mark(leftover, kind)
        for name in clear(leftover, kind):
            os.rename(leftover / name, _free(target / name))
        shutil.rmtree(leftover, ignore_errors=True)


def _sorted_out(folder: Path, kind: str) -> tuple[list[Path], list[str]]:
    """What eosin made in a folder of this kind, and the names of all else."""
    removed, kept, own = [], [], str(_mark_of(folder).get("name", ""))
    for entry in sorted(folder.iterdir()):
        if entry.name in (MARK, LOCK):
            continue
        owned = belongs(entry.name, kind, own)
        if entry.is_dir() and not entry.is_symlink():
            owned = matches(entry.name, KINDS[kind].plain_folders)
            if matches(entry.name, KINDS[kind].folders) and (inner := kind_of(entry)):
                inside, foreign = _sorted_out(entry, inner)
                owned = not foreign
                removed += inside if foreign else []
        if owned:
            removed.append(entry)
        else:
            kept.append(entry.name)
    return removed, kept


def _mark_of(folder: Path) -> dict[str, object]:
    try:
        mark = from_json(read_text(folder / MARK))
    except (OSError, ValueError):
        return {}
    return mark if isinstance(mark, dict) else {}


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}{ENDING}")


def _is_empty(folder: Path) -> bool:
    """Whether there is nothing but what a writer needs itself."""
    return all(
        name in (MARK, LOCK) or (name.startswith(".") and name.endswith(ENDING))
        for name in os.listdir(folder)
    )


def _free(path: Path) -> Path:
    """The path, or where it is taken the first of path-2, path-3, ... that is not."""
    number, free = 1, path
    while free.exists() or free.is_symlink():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free
