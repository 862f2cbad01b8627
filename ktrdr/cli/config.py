"""Showing the settings. Imports click; the settings when the command runs."""

from __future__ import annotations

import os
import re
from typing import Any

import click

from ktrdr.cli.options import json_option
from ktrdr.cli.output import put_json, put_table


@click.command()
@json_option
def config(as_json: bool) -> None:
    """Shows every setting: its value, where that comes from, and what it means.

    \b
    Examples:
      ktrdr config
      KTRDR_HOME=/srv/ktrdr ktrdr config --json
    """
    from ktrdr.settings import SETTINGS, read_settings

    settings = read_settings()
    found = [
        {
            "setting": field,
            "value": "***" if setting.is_secret and getattr(settings, field) else _shown(getattr(settings, field)),
            "variable": setting.variable,
            "source": _source(setting.variable),
            "meaning": setting.meaning,
        }
        for field, setting in SETTINGS.items()
    ]
    if as_json:
        put_json({"settings": found})
    else:
        put_table(
            ("variable", "value", "from", "meaning"),
            [(one["variable"], one["value"], one["source"], one["meaning"]) for one in found],
        )


def _source(variable: str) -> str:
    if os.environ.get(variable, "").strip():
        return "environment"
    if variable == "KTRDR_DEFAULT_TARGET" and os.environ.get("USE_TRAINING_HOST_SERVICE"):
        return "USE_TRAINING_HOST_SERVICE"
    return "default"


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", str(value))  # no password of a database URL
