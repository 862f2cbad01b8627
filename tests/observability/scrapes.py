"""Reading what `/metrics` answers."""

from __future__ import annotations

from collections.abc import Mapping

import httpx2
from prometheus_client.parser import text_string_to_metric_families

#: Name and labels of a sample → its value.
Scrape = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Scrape:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(url: str, token: str = "") -> Scrape:
    answer = httpx2.get(f"{url}/metrics", headers={"Authorization": f"Bearer {token}"} if token else {}, timeout=30)
    assert answer.status_code == 200, answer.text
    return read(answer.text)


def value(found: Scrape, name: str, **labels: str) -> float:
    """One sample; 0 for one that is not there."""
    return found.get((name, frozenset(labels.items())), 0.0)


def by_label(found: Scrape, name: str, label: str) -> dict[str, float]:
    return {dict(labels)[label]: value for (of, labels), value in found.items() if of == name}
