"""Whether an evaluation and what the model keeps were written together.

An evaluation is written first and what was fitted last. Where the writing was interrupted between
them, the digest in evaluation.json is not that of what the model keeps.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from eosin.errors import RunError
from eosin.records.model import Fitted


def fitted_digest(fitted: Fitted | None) -> str | None:
    """The identity of what was fitted: temperature, points with their bands, out-of-scope limit.

    >>> fitted_digest(Fitted(temperature=2.0)) == fitted_digest(Fitted(temperature=2.0))
    True
    >>> fitted_digest(None) is None
    True
    """
    if fitted is None:
        return None
    values: dict[str, Any] = {
        key: fitted.to_json()[key] for key in ("temperature", "point", "points", "scope")
    }
    text = json.dumps(values, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def check_agreement(digest: str | None, fitted: Fitted | None, folder: object) -> None:
    """Raise RunError where an evaluation is not of what the model keeps.

    digest: ``fitted_digest`` of evaluation.json; None where an earlier version wrote it, which
    cannot be checked. fitted: what the model keeps; folder: the run, for the message.

    >>> check_agreement("0f", Fitted(), "run")
    Traceback (most recent call last):
        ...
    eosin.errors.RunError: run: the report's figures and the model's thresholds do not belong \
together, because an evaluation was interrupted; run it again with: eosin evaluate run
    """
    if digest is not None and digest != fitted_digest(fitted):
        raise RunError(
            f"{folder}: the report's figures and the model's thresholds do not belong together, "
            f"because an evaluation was interrupted; run it again with: eosin evaluate {folder}"
        )
