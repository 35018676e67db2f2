"""Write the JSON Schemas of eosin's files into docs/reference/schemas; a test keeps them true.

Run: python docs/schemas.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from eosin.records.evaluation import Evaluation
from eosin.records.export import ExportFacts
from eosin.records.model import Fitted, ModelFacts
from eosin.records.scan import ScanFacts

FOLDER = Path(__file__).parent / "reference" / "schemas"


def schemas() -> dict[str, str]:
    """File name -> text."""
    schema = {
        "evaluation.json": _of(Evaluation),
        "model.json": _of(ModelFacts, "fitted"),
        "fitted.json": _of(Fitted),
        "export.json": _of(ExportFacts),
        "scan.json": _of(ScanFacts),
    }
    return {name: json.dumps(each, indent=1) + "\n" for name, each in schema.items()}


def _of(record: type[BaseModel], *without: str) -> dict[str, Any]:
    """The JSON Schema of a record; without: fields that are in another file."""
    schema = record.model_json_schema(mode="validation")
    for name in without:
        schema["properties"].pop(name)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


if __name__ == "__main__":
    for name, text in schemas().items():
        (FOLDER / name).write_text(text, "utf-8")
