"""A store of published test cases is compared by what the model has learned from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from eosin.data.published import published_cases
from eosin.inference.records import published_section
from eosin.inference.subject import Subject
from eosin.splitting.seen import Seen
from eosin.trust.literature import UNSEEN

LISTED = {
    part: [case.case for case in published_cases() if case.part == part]
    for part in ("train", "val", "test")
}


def reason(cases: list[str], seen: Seen) -> str:
    store: Any = SimpleNamespace(cases=np.array(cases), made_up=False)
    rows = np.arange(len(cases))
    subject = Subject(store, {"all": rows}, Path("out"), Path("run"), UNSEEN, seen=seen)
    found = published_section(subject, {})
    assert not found["comparable"]
    return str(found["reason"])


@pytest.mark.parametrize("key", ["", "0f"])
def test_patches_are_missing_for_a_model_of_the_published_lists(key: str) -> None:
    seen = Seen.of_cases({part: LISTED[part] for part in ("train", "val")})
    seen = seen.for_others(key) if key else seen
    text = reason(LISTED["test"][:4] * 5, seen)
    assert "45 of the 49 published test cases are missing" in text
    assert text.endswith("51,419 of 51,439 patches")
    assert "not in the published test list" in reason([*LISTED["test"], LISTED["val"][0]], seen)


@pytest.mark.parametrize(
    "seen",
    [
        Seen.of_cases({}),
        Seen.of_cases({"train": [*LISTED["train"], "another"]}),
        Seen.of_cases({"train": [*LISTED["train"], ""]}),
        Seen.of_cases({"train": [*LISTED["train"], LISTED["test"][9]]}),
    ],
)
def test_any_other_model_is_not_compared(seen: Seen) -> None:
    assert "published lists alone" in reason(LISTED["test"][:4], seen)
