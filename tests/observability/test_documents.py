"""The page and the dashboard about metrics name what there is, and leave out nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from documented_metrics import DOCUMENT, with_table

from ktrdr.api.observing.families import COUNTER, FAMILIES, HISTOGRAM
from ktrdr.settings import SETTINGS

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana" / "ktrdr.json"


def sample_names() -> set[str]:
    """Every name that an expression may use."""
    names: set[str] = set()
    for family in FAMILIES.values():
        if family.kind == HISTOGRAM:
            names |= {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
        else:
            assert (family.kind == COUNTER) == family.name.endswith("_total")
            names.add(family.name)
    return names


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"\bktrdr_[a-z_]+", text))


def test_the_table_of_metrics_is_current() -> None:
    text = DOCUMENT.read_text()
    assert text == with_table(text), "write it anew: python tests/observability/documented_metrics.py"


def test_every_metric_that_the_page_names_exists() -> None:
    assert metrics_in(DOCUMENT.read_text()) == set(FAMILIES)


def test_every_setting_of_logs_is_on_the_page() -> None:
    text = DOCUMENT.read_text()
    for name in ("log_format", "log_level", "access_log"):
        assert f"`{SETTINGS[name].variable}`" in text


def test_every_expression_of_the_dashboard_asks_for_metrics_that_exist() -> None:
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(expressions) >= len(panels) > 20
    asked = set[str]()
    for expression in expressions:
        found = metrics_in(expression)
        assert found, expression
        assert found <= sample_names(), expression
        assert expression.count("(") == expression.count(")")
        asked |= found
    labels = {label for family in FAMILIES.values() for label in family.labels} | {"le"}
    for expression in expressions:
        grouped = {one.strip() for by in re.findall(r"\bby \(([^)]*)\)", expression) for one in by.split(",")}
        assert grouped <= labels
    families = {re.sub("_(bucket|sum|count)$", "", name) if name not in FAMILIES else name for name in asked}
    # What no panel shows is of use to an alarm or an inquiry.
    assert set(FAMILIES) - families == {
        "ktrdr_claims_total", "ktrdr_lease_renewals_total", "ktrdr_scrape_seconds",
        "ktrdr_process_virtual_memory_bytes", "ktrdr_process_start_time_seconds", "ktrdr_process_open_fds",
        "ktrdr_process_max_fds",
    }  # fmt: skip


def test_the_panels_of_the_dashboard_lie_side_by_side() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set[tuple[int, int]]()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken
        taken |= cells
