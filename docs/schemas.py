"""Write the JSON Schemas of eosin's files into docs/reference/schemas; a test keeps them true.

Run: python docs/schemas.py
"""

from __future__ import annotations

import json
from pathlib import Path

from eosin.records.evaluation import json_schema

FOLDER = Path(__file__).parent / "reference" / "schemas"


def schemas() -> dict[str, str]:
    """File name -> text."""
    schema = {"evaluation.json": json_schema()}
    return {name: json.dumps(each, indent=1) + "\n" for name, each in schema.items()}


if __name__ == "__main__":
    for name, text in schemas().items():
        (FOLDER / name).write_text(text, "utf-8")
