"""plan.json: what decides every run of a study, so that it is resumed with the same settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eosin import __version__
from eosin.config import Recipe, make_recipe
from eosin.data.store import PatchStore
from eosin.errors import UserError
from eosin.runs import RunFolder

FORMAT = 1
PLAN = "plan.json"


@dataclass(frozen=True)
class Plan:
    """What decides the runs of a study; only their count may grow.

    study: crossval, gap, prune, retrain or search; store: path, digest and patches of the store;
    settings: further numbers and words, such as the number of folds, as JSON has them;
    counted, count: what may grow ("seeds", "trials"), and how many are planned.
    """

    study: str
    store: Mapping[str, Any]
    recipe: Recipe
    settings: Mapping[str, Any]
    count: int = 1
    counted: str = "seeds"

    def to_dict(self) -> dict[str, Any]:
        """The content of plan.json."""
        content = {
            "format": FORMAT,
            "study": self.study,
            "recipe": self.recipe.model_dump(),
            "store": dict(self.store),
            self.counted: self.count,
            "settings": dict(self.settings),
            "eosin": __version__,
        }
        plain: dict[str, Any] = json.loads(json.dumps(content))
        return plain

    @classmethod
    def read(cls, folder: RunFolder, study: str) -> Plan:
        """The plan of a folder; raises UserError where there is none of this kind of study."""
        origin = folder / PLAN
        if not origin.is_file():
            raise UserError(f"{folder.path} is not the folder of a {study} (it has no {PLAN})")
        data = folder.read_json(PLAN)
        kind, version = data.get("study"), data.get("format")
        if kind != study:
            raise UserError(f"{origin} is of a study of kind {kind!r}, not {study!r}")
        if version != FORMAT:
            raise UserError(f"{origin} has format {version!r}, this version reads {FORMAT}")
        counted = "trials" if study == "search" else "seeds"
        try:
            # Searches of earlier versions have their settings beside the rest.
            common = {"format", "study", "recipe", "store", counted, "eosin"}
            beside = {key: value for key, value in data.items() if key not in common}
            store = {key: str(data["store"][key]) for key in ("path", "digest")}
            store["patches"] = data["store"].get("patches")
            recipe = make_recipe(data["recipe"], origin=str(origin))
            settings = dict(data.get("settings", beside))
            return cls(study, store, recipe, settings, int(data[counted]), counted)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{origin} is damaged ({type(error).__name__}: {error})") from None


def identity(store: PatchStore) -> dict[str, Any]:
    """Where a store is, its digest, and how many patches it has."""
    return {"path": str(store.path.resolve()), "digest": store.digest, "patches": len(store)}


def earlier_plan(folder: RunFolder) -> dict[str, Any]:
    """The content of a folder's plan.json; UserError where it cannot be what a plan is."""
    data = folder.read_json(PLAN)
    for key, kind in (("store", dict), ("recipe", dict), ("settings", dict), ("seeds", int),
                      ("trials", int)):  # fmt: skip
        if data.get(key) is not None and not isinstance(data[key], kind):
            raise UserError(f"{folder / PLAN} is damaged ({key} is {data[key]!r:.60})")
    return data


def refuse_other(folder: RunFolder, plan: Plan) -> None:
    """Raise UserError, with what differs, where a folder was started with other settings."""
    if differing := differences(earlier_plan(folder), plan.to_dict(), plan.counted):
        raise UserError(
            f"{folder.path} was started with other settings: {'; '.join(differing)}. Use the same "
            "settings to resume it, choose another folder with -o FOLDER, or start over with "
            "--force"
        )


def differences(
    earlier: Mapping[str, Any], plan: Mapping[str, Any], counted: str = "seeds"
) -> list[str]:
    """What two plans disagree about, in words; a larger count than before is no disagreement.

    >>> before = {"study": "gap", "recipe": {"epochs": 3}, "seeds": 2, "settings": {}}
    >>> differences(before, {**before, "recipe": {"epochs": 4}, "seeds": 3})
    ['epochs of the recipe was 3, now 4']
    >>> differences(before, {**before, "seeds": 1})
    ['seeds was 2, now 1']
    """
    texts = []
    if earlier.get("format", FORMAT) != plan.get("format", FORMAT):
        texts.append(f"the format of {PLAN} was {earlier.get('format')}, now {plan.get('format')}")
    if earlier.get("study") != plan["study"]:
        return [*texts, f"it is a study of kind {earlier.get('study')}, not {plan['study']}"]
    stores = [str((each.get("store") or {}).get("digest", "")) for each in (earlier, plan)]
    if stores[0] != stores[1]:
        texts.append(f"the store was {stores[0][:12]}, now {stores[1][:12]}")
    for key, of in (("recipe", " of the recipe"), ("settings", "")):
        before, now = earlier.get(key) or {}, plan[key] or {}
        texts += [
            f"{name}{of} was {before.get(name)!r}, now {now.get(name)!r}"
            for name in {**before, **now}
            if before.get(name) != now.get(name)
        ]
    if int(plan[counted]) < int(earlier.get(counted) or 0):
        texts.append(f"{counted} was {earlier[counted]}, now {plan[counted]}")
    return texts
