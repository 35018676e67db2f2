"""`eosin card`: what the data of a store are, where from, and what they are not good for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eosin.cli import options, output
from eosin.cli.targets import check_file

if TYPE_CHECKING:
    from eosin.data.store import PatchStore


def card(
    store: options.Store,
    out: Annotated[Path | None, typer.Option("--output", "-o")] = None,
    split: Annotated[Path | None, typer.Option("--split", "-s")] = None,
    facts: Path | None = None,
    objective: str = "",
    origin: str = "",
    license_: Annotated[str, typer.Option("--license", "--licence")] = "",
    consent: str = "",
    force: Annotated[bool, typer.Option("--force")] = False,
    json_: options.Json = False,
) -> None:
    """Write a data card: what is in a store, where it is from, its limits.

    Every number is counted. What only the owner knows is taken from the options or a TOML file;
    what is missing is marked in the card and listed here.

    Options:
        out: The card.  [default: DATA_CARD.md beside the store]
        split: A split file to search for leaks.  [default: STORE.split.csv where it exists]
        facts: TOML with what only you know: objective, origin, license, consent, population,
            equipment, labels, contact.  [default: STORE.card.toml where it exists]
        objective: What the data are for.
        origin: Institutions, years, who collected them.
        license_: The terms of use and of passing on.
        consent: The consent or ethics decision.
        force: Replace a data card.

    Example: eosin card idc.store
    """
    from eosin.data.store import PatchStore
    from eosin.splitting.split_file import read_split

    opened = PatchStore.open(store)
    target = out or opened.path.resolve().with_name("DATA_CARD.md")
    check_file(
        target, "a data card", _is_card, force=force, store=opened, inputs={"--facts": facts}
    )
    statements = _statements(
        opened, facts, objective=objective, origin=origin, license=license_, consent=consent
    )
    beside = opened.path.with_name(f"{opened.path.name}.split.csv")
    searched = split or (beside if beside.exists() else None)
    chosen = None
    if searched is not None:
        output.note(f"searching {searched} for leaks")
        chosen = read_split(searched)
    from eosin.experiments.datasheet import card_facts
    from eosin.folders import whole_file
    from eosin.reporting.datasheet import data_card, limits

    name = "" if searched is None else searched.name
    result = card_facts(opened, statements, split=chosen, split_name=name)
    with whole_file(target) as temporary:
        temporary.write_text(data_card(result), "utf-8")
    output.end_with_json({**result, "limits": limits(result), "file": str(target)}, json_=json_)
    _show(result, limits(result))
    output.say(f"wrote {target}")


def _is_card(path: Path) -> bool:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.readline().startswith("# Data card: ")


def _statements(store: PatchStore, facts: Path | None, **statements: str) -> dict[str, str]:
    """What the owner states in the TOML file or, first, in the options."""
    from eosin.experiments.datasheet import checked_statements, read_statements

    beside = store.path.resolve()
    beside = beside.with_name(f"{beside.name}.card.toml")
    path = facts or (beside if beside.exists() else None)
    stated = read_statements(path) if path is not None else {}
    if facts is None and path is not None:
        output.note(f"statements: {path}")
    return stated | checked_statements(statements, "options")


def _show(result: dict[str, Any], limits: list[str]) -> None:
    from eosin.sources.layouts import plainly

    cases = result["cases"]["count"]
    rows = {"patches": f"{result['patches']:,}", "cases": f"{cases:,}" if cases else "unknown"}
    rows |= {
        f"class {plainly(row['class'], 40)}": f"{row['patches']:,} ({row['share']:.1%})"
        for row in result["classes"][:10]
        if row["share"] is not None
    }
    rows["public archive"] = "yes" if result["archive"] else "not recognized"
    rows["split searched"] = result["split"]["file"] if result["split"] else "none"
    output.table(f"data card of {result['store']['name']}", ["what", "value"], rows.items())
    output.say(*(f"- {text}" for text in limits))
    if result["missing"]:
        output.warn(
            f"only you know: {', '.join(result['missing'])}; write them into "
            f"{result['store']['name']}.card.toml (or --objective, --origin, --license, --consent)"
        )
