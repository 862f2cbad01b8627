"""Sample prices and strategies that come with ktrdr, for the demo, the tests and people's first steps.

Imports the standard library only. Where the prices are from: PROVENANCE.md beside this file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from string import Template
from types import MappingProxyType
from typing import Literal

__all__ = ["SCHEMA_PATH", "prices", "renamed", "starter", "strategies"]

#: Where a service has the JSON Schema that the first line of a strategy file names for editors.
SCHEMA_PATH = "/api/v1/strategy-schema"

_RECURRENT = """\
  type: $type
  architecture:
    sequence_length: 20                                  # bars that are read one after the other
    hidden_size: 32
    num_layers: 1
    dropout: 0.2"""
_MODELS = {
    "mlp": """\
  type: mlp                                              # or lstm, gru
  architecture:
    hidden_layers: [32, 16]
    dropout: 0.2
    activation: relu                                     # or tanh, sigmoid, leaky_relu, gelu, silu""",
    "lstm": _RECURRENT.replace("$type", "lstm"),
    "gru": _RECURRENT.replace("$type", "gru"),
}


def prices() -> bytes:
    """A gzipped CSV of daily bars of AAPL, FB, GOOG, IBM and MSFT, ready to be imported as it is."""
    return (files(__name__) / "prices.csv.gz").read_bytes()


@cache
def strategies() -> Mapping[str, str]:
    """Name → text of the sample strategy files, in the order of their names."""
    folder = files(__name__) / "strategies"
    found = {file.name.removesuffix(".yaml"): file.read_text("utf-8") for file in folder.iterdir()}
    return MappingProxyType(dict(sorted(found.items())))


def starter(name: str, model: Literal["mlp", "lstm", "gru"], *, schema: str) -> str:
    """The text of a strategy to begin with. `schema` is the address of its JSON Schema."""
    template = Template((files(__name__) / "starter.yaml").read_text("utf-8"))
    return template.substitute(name=name, model=_MODELS[model], schema=schema)


def renamed(sample: str, name: str, *, schema: str) -> str:
    """The text of a sample strategy under another name."""
    text = re.sub(r"(?m)^name: .*$", f"name: {name}", strategies()[sample], count=1)
    return re.sub(r"(?<=\$schema=)\S+", schema, text, count=1)
