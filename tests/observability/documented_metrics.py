"""The table of metrics in the documentation: `python tests/observability/documented_metrics.py` writes it anew."""

from __future__ import annotations

from pathlib import Path

from ktrdr.api.observing.families import FAMILIES

DOCUMENT = Path(__file__).parents[2] / "docs" / "observability.md"
BEGIN = "<!-- metrics: made from ktrdr/api/observing/families.py by tests/observability/documented_metrics.py -->\n"
END = "<!-- end of metrics -->\n"


def table() -> str:
    rows: list[str] = []
    for family in FAMILIES.values():
        labels = ", ".join(f"`{label}`" for label in family.labels)
        rows.append(f"| `{family.name}` | {family.kind} | {labels} | {family.meaning} |\n")
    return "".join(["| metric | kind | labels | meaning |\n|---|---|---|---|\n", *rows])


def with_table(text: str) -> str:
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
