"""Every error that eosin raises on purpose, in one tree.

::

    EosinError                     a sentence for a person: what, where, what to do
    ├── UserError                  exit code 2: the request cannot be carried out
    │   ├── SourceError            the thing to pack cannot be read or understood
    │   ├── StoreError             not a store, or a damaged one
    │   ├── SplitError             a split that does not fit the store or itself
    │   ├── RecipeError            an unknown key or a value out of range
    │   ├── RunError               not a run folder, or a damaged one
    │   ├── SlideError             a slide that no reader opens, or that is damaged
    │   ├── ImageError             an image that cannot be read (one of many: collected, not raised)
    │   ├── BusyError              another process is changing the same folder
    │   ├── CredentialsError       a download that needs a token, or was refused
    │   └── MissingExtraError      an optional part is not installed; the message has the line
    └── FailureError               exit code 1: it was tried and it failed
        ├── RejectsError           too many images of a source are unusable
        ├── LeakError              the parts of a split share information
        ├── DiskError              what is written has no room, or may not be written there
        ├── DownloadError          connection or checksum
        ├── TrainingError          the loss is not a number, the memory is full, ...
        └── StoppedError           Ctrl-C or a stop signal (exit code 130); the state is saved

Exit codes: 2 for what the user can fix in the request, 1 for failures, 130 for Ctrl-C.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class EosinError(Exception):
    """A sentence for a person: what is wrong, where, and what to do."""

    exit_code = 1


class UserError(EosinError):
    """The request cannot be carried out."""

    exit_code = 2


class SourceError(UserError):
    """The thing to pack cannot be read or understood."""


class StoreError(UserError):
    """Not a patch store, or a damaged one."""


class SplitError(UserError):
    """A split that does not fit the store or itself."""


class RecipeError(UserError):
    """An unknown recipe key or a value out of range."""


class RunError(UserError):
    """Not a run folder, or a damaged one."""


class SlideError(UserError):
    """A slide that no reader opens, or that is damaged; in a batch of many it is collected."""


class ImageError(UserError):
    """An image that cannot be read; in a batch of many it is collected, not raised."""


class BusyError(UserError):
    """Another process is changing the same folder."""


class CredentialsError(UserError):
    """A download that needs a token, or whose token was refused."""


class MissingExtraError(UserError):
    """An optional part is not installed.

    >>> print(MissingExtraError("kaggle", "fetching"))
    fetching needs an optional part; install it with: pip install "eosin[kaggle]"
    """

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(
            f'{purpose} needs an optional part; install it with: pip install "eosin[{extra}]"'
        )
        self.extra = extra


@contextmanager
def needing(extra: str, purpose: str) -> Iterator[None]:
    """An import of an optional part; where it fails, a MissingExtraError tells what to install.

    >>> try:
    ...     with needing("prune", "pruning"):
    ...         import not_installed
    ... except MissingExtraError as error:
    ...     print(error.extra)
    prune
    """
    try:
        yield
    except ImportError:
        raise MissingExtraError(extra, purpose) from None


#: Package -> the extra that brings it.
_EXTRAS = {
    "torch": "train", "captum": "train", "onnxruntime": "runtime", "openvino": "openvino",
    "onnx": "deploy", "onnxscript": "deploy", "accelerate": "cluster", "timm": "pretrained",
    "transformers": "pretrained", "peft": "pretrained", "huggingface_hub": "pretrained",
}  # fmt: skip


def missing_extra(error: ModuleNotFoundError, purpose: str) -> MissingExtraError | None:
    """What to install where an import failed for lack of an optional part; None for any other.

    >>> print(missing_extra(ModuleNotFoundError(name="torch"), "training"))
    training needs an optional part; install it with: pip install "eosin[train]"
    """
    # The name is that of the package only where all of it is missing.
    extra = _EXTRAS.get(error.name or "")
    return None if extra is None else MissingExtraError(extra, purpose)


class FailureError(EosinError):
    """It was tried and it failed."""


class RejectsError(FailureError):
    """Too many images of a source are unusable."""


class LeakError(FailureError):
    """The parts of a split share information."""


class DiskError(FailureError):
    """What is written has no room, or may not be written there; what was complete is kept.

    what: the place, what is wrong and what to do; again: what completes the work afterwards.

    >>> print(DiskError("a/b cannot be written: it is read-only; choose another folder"))
    a/b cannot be written: it is read-only; choose another folder, then run the same command again
    """

    def __init__(self, what: str, again: str = "run the same command again") -> None:
        super().__init__(f"{what}, then {again}" if again else what)
        self.what, self.again = what, again

    def followed_by(self, again: str) -> DiskError:
        """The same with another command that completes the work."""
        return DiskError(self.what, again)


class DownloadError(FailureError):
    """A download failed: connection or checksum."""


class TrainingError(FailureError):
    """Training cannot continue."""


class StoppedError(FailureError):
    """The user stopped a long job; what was done is saved and the message says how to resume."""

    exit_code = 130


def closest(name: str, known: Iterable[str]) -> str:
    """A hint that lists the closest known words, or all of them when there are few.

    >>> closest("epoch", ["epochs", "batch_size", "seed"])
    'did you mean epochs?'
    >>> closest("zzz", ["a", "b"])
    'known: a, b'
    """
    names = sorted(known)
    matches = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if matches:
        return f"did you mean {' or '.join(matches)}?"
    shown = ", ".join(names[:30])
    return f"known: {shown}{', ...' if len(names) > 30 else ''}"


def first_line(error: BaseException) -> str:
    """The first line of an error of another library, or its type where it has no text.

    >>> first_line(ValueError("a\\nb")), first_line(EOFError())
    ('a', 'EOFError')
    """
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
