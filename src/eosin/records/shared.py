"""What leaves the machine: a model and an evaluation as others may see them.

No absolute path and no name of a case is in it. A path is replaced by its last part, the name of a
case by its digest, and where an image came from by nothing. Exports, trackers and model cards use
these functions and nothing else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from typing import Any

from eosin.records.model import ModelFacts

#: An absolute path in a sentence; one with spaces is known by its quotes.
_PATH = re.compile(
    r"""(?P<quote>['"])(?:/|[A-Za-z]:[\\/]|~/)[^'"\n]*(?P=quote)
    |(?<![\w.:/\\])(?:/|[A-Za-z]:[\\/]|~/)[^\s'"(),;:]*[^\s'"(),;:.]""",
    re.X,
)
#: How sentences of earlier versions list cases.
_LISTED = re.compile(r" \(cases? [^()]*\)|(?<=case\(s\)) \([^()]*\)")
#: Keys whose values are names of cases or slides, and keys that say where single images are from.
_NAMES = ("case", "cases", "slide", "worst_case")
_SOURCES = ("source", "examples", "watched", "command")
#: Keys whose whole value is a path, which may have spaces.
_PATHS = ("path", "run", "file")


def case_digest(case: str, key: str) -> str:
    """The digest that replaces the name of a case in what leaves the machine; "" stays "".

    key: the digest of the store that the model was trained on. Whoever has the key and guesses a
    name can check the guess: the digest keeps names from being read, not from being tried.

    >>> case_digest("patient 7", "0f") == case_digest("patient 7", "0f")
    True
    >>> case_digest("patient 7", "0f") == case_digest("patient 7", "1f")
    False
    """
    if not case:
        return ""
    return hashlib.blake2b(case.encode(), digest_size=16, key=key.encode()[:64]).hexdigest()


def shared_text(text: str, cases: Collection[str] = (), key: str = "") -> str:
    """A sentence without absolute paths and without the names of cases.

    cases: names to replace by their digests. One or two digits could be any number, so such a name
    is replaced only after the word "case".

    >>> shared_text("--from /home/me/run has seen 1 cases (cases 8863)")
    '--from run has seen 1 cases'
    >>> shared_text("12 patches, most of case 12", ["12"], "0f")[:25]
    '12 patches, most of case '
    """
    text = _LISTED.sub("", _PATH.sub(lambda match: _last_part(match[0]), text))
    for name in sorted(cases, key=len, reverse=True):
        if name and name in text:
            common = len(name) < 3 and name.isdigit()
            before = r"(?<=\bcase )" if common else r"(?<![\w.,-])"
            pattern = rf"{before}{re.escape(name)}(?![\w-])(?![.,]\d)"
            text = re.sub(pattern, case_digest(name, key), text)
    return text


def shared_value(value: Any, key: str, cases: Collection[str] = ()) -> Any:
    """Plain JSON values without absolute paths and names of cases, whatever they are part of.

    key: the digest of the model's store; cases: the names to look for in sentences.

    >>> shared_value({"run": "/home/me/run", "source": "8863/0.png", "n": 2}, "0f")
    {'run': 'run', 'n': 2}
    """
    if isinstance(value, Mapping):
        # The source of a published figure is a citation.
        dropped = () if "protocol" in value else _SOURCES
        return {
            name: _named(each, key, cases)
            if name in _NAMES
            else _last_part(each)
            if name in _PATHS and isinstance(each, str) and _PATH.match(each)
            else shared_value(each, key, cases)
            for name, each in value.items()
            if name not in dropped
        }
    if isinstance(value, list | tuple):
        return [shared_value(each, key, cases) for each in value]
    return shared_text(value, cases, key) if isinstance(value, str) else value


def shared_model(facts: ModelFacts, cases: Collection[str] = ()) -> ModelFacts:
    """A model as others may see it. cases: names to look for in its marks.

    >>> facts = ModelFacts(architecture="compact", classes=("n", "p"), patch_size=(50, 50),
    ...                    start={"kind": "run", "path": "/home/me/run"})
    >>> shared_model(facts).to_json()["start"]["path"]
    'run'
    """
    fitted, key = facts.fitted, facts.store_digest
    plain = shared_value(facts.to_json(), key, cases)
    values = None if fitted is None else shared_value(fitted.to_json(), key, cases)
    return ModelFacts.read(plain, values)


def shared_evaluation(
    evaluation: Mapping[str, Any], key: str, cases: Collection[str] = ()
) -> dict[str, Any]:
    """An evaluation.json as others may see it.

    key: the digest of the model's store, so that a case has one digest wherever it appears; cases:
    more names to look for in sentences, beside those in the evaluation.
    """
    known = {*cases, *_cases_in(evaluation)}
    shared: dict[str, Any] = shared_value(evaluation, key, known)
    return shared


def _cases_in(value: Any) -> set[str]:
    """Every name of a case under a key that lists them."""
    if isinstance(value, Mapping):
        names = {
            name
            for key in _NAMES
            for name in (value[key] if isinstance(value.get(key), list) else [value.get(key)])
            if isinstance(name, str)
        }
        return names.union(*(_cases_in(each) for each in value.values()))
    if isinstance(value, list | tuple):
        return set().union(*(_cases_in(each) for each in value))
    return set()


def _named(value: Any, key: str, cases: Collection[str]) -> Any:
    """Names of cases as digests; a number or a table under such a key is treated as any value."""
    if isinstance(value, str):
        return case_digest(value, key)
    if isinstance(value, list | tuple):
        return [_named(each, key, cases) for each in value]
    return shared_value(value, key, cases)


def _last_part(path: str) -> str:
    quote = path[0] if path[0] in "'\"" else ""
    parts = [part for part in re.split(r"[\\/]", path.strip("'\"")) if part]
    return f"{quote}{parts[-1] if parts else ''}{quote}"
