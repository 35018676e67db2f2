"""Files and folders are there complete or not at all, and what eosin made is told from the rest.

One place writes: under a temporary name that no other writer shares, then in place by one rename.
A writer holds a lock on its temporary file or folder, so leftovers of killed writers are known by
having none, and are swept by the next writer of the same name. A folder carries a mark of its kind;
``--force`` removes the files of that kind and nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from eosin.errors import UserError
from eosin.kinds import KINDS, LOCK, MARK, recognize
from eosin.locks import Lock

Path_ = str | os.PathLike[str]

#: A temporary entry without a lock is swept when its process is gone, or after this many seconds.
_SWEEP_AFTER_S = 60
_ENDING = ".partial"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@contextlib.contextmanager
def whole_file(path: Path_, *, durable: bool = False) -> Iterator[Path]:
    """A temporary path to write; it takes the place of ``path`` when the block ends without error.

    The temporary file is in the same folder, which is made if it is missing. On an error, Ctrl-C
    included, it is removed and ``path`` stays as it was. durable: the bytes are on the disk before
    the name changes. Raises OSError as writing does.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_file(Path(folder) / "a.txt") as temporary:
    ...         _ = temporary.write_text("all of it")
    ...     [entry.name for entry in Path(folder).iterdir()]
    ['a.txt']
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target)
    temporary = _temporary(target)
    lock = Lock.take(temporary)
    try:
        yield temporary
        _replace_file(temporary, target, durable=durable)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(temporary):
            # The message names the file that the user asked for.
            error.filename, error.filename2 = str(target), None
        raise
    finally:
        if lock:
            lock.release()


@contextlib.contextmanager
def whole_files(folder: Path_) -> Iterator[Callable[[str], Path]]:
    """Several files of one folder that belong together: a function from name to temporary path.

    When the block ends without error they are renamed one right after the other, in the order in
    which they were asked for, so the file that makes the others valid is asked for last. On an
    error none of them changes.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_files(folder) as new:
    ...         for name in ("a", "b"):
    ...             _ = new(name).write_text(name)
    ...     sorted(os.listdir(folder))
    ['a', 'b']
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    made: dict[str, tuple[Path, Lock | None]] = {}

    def new(name: str) -> Path:
        if name not in made:
            sweep(place / name)
            temporary = _temporary(place / name)
            made[name] = (temporary, Lock.take(temporary))
        return made[name][0]

    try:
        yield new
        for temporary, _ in made.values():
            _sync(temporary)
        for name, (temporary, _) in made.items():
            _replace_file(temporary, place / name, durable=False)
        _sync(place)
    finally:
        for temporary, lock in made.values():
            temporary.unlink(missing_ok=True)
            if lock:
                lock.release()


@contextlib.contextmanager
def whole_folder(
    path: Path_, kind: str, *, force: bool = False, inputs: Mapping[str, Path_ | None] | None = None
) -> Iterator[Path]:
    """A folder to fill; it takes the place of ``path`` when the block ends without error.

    kind: a key of ``kinds.KINDS``; force: replace a folder of the same kind, of which files that
    eosin did not make are kept; inputs: what the work reads, by the option that gave it. Raises
    UserError, before anything is touched, for a path that may not be replaced; OSError as writing.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with whole_folder(Path(place) / "out", "export") as folder:
    ...         _ = (folder / "export.json").write_text("{}")
    ...     kind_of(Path(place) / "out")
    'export'
    """
    target = Path(path)
    check_target(target, kind, force=force, inputs=inputs)
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target)
    temporary = _temporary(target)
    temporary.mkdir()
    lock = Lock.take(temporary)
    try:
        yield temporary
        set_mark(temporary, kind)
        swap(temporary, target)
    finally:
        _put_away(temporary, target)
        if lock:
            lock.release()


def make_folder(
    path: Path_,
    kind: str,
    *,
    force: bool = False,
    inputs: Mapping[str, Path_ | None] | None = None,
    resume: str = "",
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
        target.mkdir(parents=True, exist_ok=True)
        kept = clear(target, kind)
        set_mark(target, kind)
    except OSError as error:
        raise UserError(f"{target} cannot be made ({error.strerror or error})") from None
    return kept


def check_target(
    target: Path,
    kind: str,
    *,
    force: bool,
    inputs: Mapping[str, Path_ | None] | None = None,
    resume: str = "",
) -> None:
    """Raise UserError where a folder of this kind may not be made."""
    refuse_overlap(target, inputs or {})
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file; choose a folder that does not exist yet")
    if not target.exists() or not any(_foreign_or_owned(target)):
        return
    name, there = KINDS[kind].name, kind_of(target)
    if there != kind:
        what = f"contains {KINDS[there].name}" if there else "contains other files"
        raise UserError(f"{target} already exists and {what}; choose another name")
    if not force:
        choice = f"resume it with: {resume}; or " if resume else ""
        raise UserError(
            f"{target} already contains {name}; {choice}choose another name, or add --force to "
            "replace it"
        )


def refuse_overlap(output: Path_, inputs: Mapping[str, Path_ | None]) -> None:
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
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        kind = str(json.loads((place / MARK).read_text("utf-8"))["kind"])
        return kind if kind in KINDS else ""
    return recognize(place)


def set_mark(folder: Path, kind: str) -> None:
    """Mark a folder as made by eosin."""
    (folder / MARK).write_text(json.dumps({"kind": kind, "made_by": "eosin"}) + "\n", "utf-8")


def clear(folder: Path, kind: str) -> list[str]:
    """Remove what eosin made in a folder of this kind; returns the names of all else, which stays.

    Folders inside are removed only if they are of a kind that belongs there, and by the same rule.
    """
    kept = []
    for entry in sorted(folder.iterdir(), key=lambda each: _removal_order(each.name)):
        if entry.name in (MARK, LOCK):
            continue
        if entry.is_dir() and not entry.is_symlink():
            inner = kind_of(entry)
            owned = _matches(entry.name, KINDS[kind].folders)
            if (owned and inner and not clear(entry, inner)) or (
                owned and not inner and _matches(entry.name, KINDS[kind].plain_folders)
            ):
                shutil.rmtree(entry)
            else:
                kept.append(entry.name)
        elif _matches(entry.name, KINDS[kind].files):
            entry.unlink()
        else:
            kept.append(entry.name)
    return sorted(kept)


def swap(new: Path, target: Path) -> None:
    """Put ``new`` in the place of ``target``; what was there is at ``new`` afterwards, if anything.

    Where the system can exchange two names (Linux), the name is never empty; elsewhere the old
    folder is moved aside first and moved back if the second rename fails.
    """
    if not target.exists():
        os.rename(new, target)
        return
    if _exchange(new, target):
        return
    aside = target.with_name(f"{new.name}.old{_ENDING}")
    os.rename(target, aside)
    try:
        os.rename(new, target)
    except BaseException:
        os.rename(aside, target)
        raise
    os.rename(aside, new)


def sweep(target: Path) -> None:
    """Remove temporary files and folders that killed writers of this name left behind."""
    for leftover in target.parent.glob(f".{_escaped(target.name)}.*{_ENDING}"):
        if _abandoned(leftover):
            if leftover.is_dir() and not leftover.is_symlink():
                _put_away(leftover, target)
            else:
                leftover.unlink(missing_ok=True)


def _put_away(temporary: Path, target: Path) -> None:
    """Remove a temporary folder; what it has of others (after a swap) goes back to the target."""
    if not temporary.exists():
        return
    kind = kind_of(temporary)
    if kind and target.is_dir() and temporary.joinpath(MARK).exists():
        for name in clear(temporary, kind):
            if not (target / name).exists():
                os.rename(temporary / name, target / name)
    shutil.rmtree(temporary, ignore_errors=True)


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}{_ENDING}")


def _abandoned(leftover: Path) -> bool:
    number = leftover.name.removesuffix(_ENDING).rpartition(".")[2].partition("-")[0]
    if not number.isdigit():
        return False
    try:
        age = time.time() - leftover.stat().st_mtime
        if _running(int(number)) and age < _SWEEP_AFTER_S:
            return False
        lock = Lock.take(leftover, create=False)
    except OSError:
        return False
    if lock is None:
        return False
    lock.release()
    return True


def _running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _replace_file(temporary: Path, target: Path, *, durable: bool) -> None:
    if durable:
        _sync(temporary)
    os.replace(temporary, target)
    if durable:
        _sync(target.parent)


def _sync(path: Path) -> None:
    """Wait until a file or the names in a folder are on the disk."""
    if path.is_dir() and sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system or the file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    names = (os.fsencode(one), os.fsencode(other))
    done: int = rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    return done == 0


def _foreign_or_owned(folder: Path) -> Iterator[Path]:
    """Everything in a folder but eosin's own mark and lock."""
    return (entry for entry in folder.iterdir() if entry.name != LOCK)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _removal_order(name: str) -> tuple[bool, str]:
    """What makes a model or a result complete goes first: nothing half-removed looks complete."""
    return not name.startswith(("model.", "fitted", "store.json", "export.json")), name


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
