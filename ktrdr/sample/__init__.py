"""Sample prices and strategies that come with ktrdr, for the demo, the tests and people's first steps.

Imports the standard library only. Where the prices are from: PROVENANCE.md beside this file.
"""

from __future__ import annotations

from importlib.resources import files

__all__ = ["prices", "strategies"]


def prices() -> bytes:
    """A gzipped CSV of daily bars of AAPL, FB, GOOG, IBM and MSFT, ready to be imported as it is."""
    return (files(__name__) / "prices.csv.gz").read_bytes()


def strategies() -> dict[str, str]:
    """Name → text of the sample strategy files, in the order of their names."""
    folder = files(__name__) / "strategies"
    found = {file.name.removesuffix(".yaml"): file.read_text("utf-8") for file in folder.iterdir()}
    return dict(sorted(found.items()))
