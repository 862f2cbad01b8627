"""What the operator can set while the service runs: default target, fairness and caps. Imports the store."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict  # pydantic reads no other on Python 3.11

from ktrdr.api.conditions import json_answer
from ktrdr.api.context import Context, actor_of, context_of
from ktrdr.api.requests import Body, read_json
from ktrdr.api.submissions import Label
from ktrdr.jobs.events import Target
from ktrdr.jobs.queue import ANY_SHARE
from ktrdr.store.log import Transaction
from ktrdr.store.service_settings import (
    CAPS,
    DEFAULT_TARGET,
    FAIR_BY,
    StoredSetting,
    default_target_of,
    put_setting,
    read_settings,
    rules_of,
)

Share = Annotated[str, Field(max_length=127, pattern=r"^(\*|[^\s=,]+=[^\s=,]+)$")]
Cap = Annotated[int, Field(ge=0, le=1_000_000)]


class SettingsRequest(Body):
    """What to set; what is not named stays as it is, and null goes back to the default."""

    default_target: Target | None = Field(
        None, strict=False, description="Which workers run a job that does not say; by default as the environment says."
    )
    fair_by: Label | None = Field(
        None, description="The label whose values take turns; by default all jobs wait in one queue."
    )
    caps: dict[Share, Cap | None] | None = Field(
        None,
        max_length=1000,
        description="How many jobs of a share (`desk=rates`, or `*` for each that is not named) may run at once; "
        "null takes one cap away, in place of all of them all.",
    )


class SettingView(TypedDict):
    #: What holds now.
    value: Any
    #: Whether that was set here; otherwise it is the default.
    is_set: bool
    #: The last change, be it back to the default.
    changed_at: str | None
    changed_by: str | None


class SettingsView(TypedDict):
    default_target: SettingView
    fair_by: SettingView
    caps: SettingView
    #: What of it has no effect.
    warnings: list[str]


async def show(request: Request) -> Response:
    """What is set, by whom and since when."""
    return json_answer(request, _view(context_of(request)))


async def change(request: Request) -> Response:
    """Sets what the body names, for jobs submitted (target, fairness) and claimed (caps) from now on."""
    context, actor = context_of(request), actor_of(request)
    asked = await read_json(request, SettingsRequest)
    await context.log.write(lambda transaction: _change(transaction, asked, actor))
    return JSONResponse(_view(context))


def _change(transaction: Transaction, asked: SettingsRequest, actor: str) -> None:
    for name in sorted(asked.model_fields_set):
        value = getattr(asked, name)
        if name == CAPS and value is not None:
            before = rules_of(read_settings(transaction.cursor, transaction.statements)).caps
            value = {share: cap for share, cap in {**before, **value}.items() if cap is not None} or None
        put_setting(transaction, name, value, by=actor)


def _view(context: Context) -> SettingsView:
    stored = context.reader.settings()
    rules = rules_of(stored)
    target = default_target_of(stored) or context.settings.default_target
    idle = [
        f"the cap of {share} holds for older jobs only: fair_by is {rules.fair_by or 'not set'} now"
        for share in sorted(rules.caps)
        if share != ANY_SHARE and share.partition("=")[0] != rules.fair_by
    ]
    return SettingsView(
        default_target=_setting(stored.get(DEFAULT_TARGET), target),
        fair_by=_setting(stored.get(FAIR_BY), rules.fair_by),
        caps=_setting(stored.get(CAPS), dict(rules.caps)),
        warnings=idle,
    )


def _setting(stored: StoredSetting | None, value: Any) -> SettingView:
    return SettingView(
        value=value,
        is_set=stored is not None and stored.value is not None,
        changed_at=stored.changed_at if stored else None,
        changed_by=stored.changed_by if stored else None,
    )
