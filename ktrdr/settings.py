"""The settings of one process: read once from the environment, then handed down. Imports the standard library only.

`ktrdr config` lists them; each field's environment variable and meaning are in `SETTINGS`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ktrdr.jobs.events import Target
from ktrdr.training.faults import Fault, InvalidInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    home: Path
    #: None = `ktrdr.db` in the home folder.
    database_url: str | None
    #: Where clients find the API.
    url: str
    host: str
    port: int
    #: auto, cpu, cuda, cuda:1, mps.
    device: str
    #: native or portable.
    numerics: str
    default_target: Target
    slots: int
    lease_seconds: float
    #: How often the log is signed, if it has grown.
    sign_seconds: float
    #: A file or URL where the signed checkpoints are kept too; None = nowhere.
    checkpoint_push: str | None
    #: `url=key` of each witness that is asked to cosign, with spaces between; None = nobody.
    witnesses: str | None
    #: What jobs said of their progress is pruned so many days after their end; None = never.
    prune_days: float | None
    #: plain or json; None = plain in a terminal, json elsewhere.
    log_format: str | None
    #: debug, info, warning or error.
    log_level: str
    #: Whether the API logs every request.
    access_log: bool
    #: A token that may do everything, and what clients and workers send; None = only the tokens of the installation.
    token: str | None = field(repr=False)
    #: How often the holder of a token may ask: `600/minute`, or `off`.
    rate_limit: str
    #: Origins whose pages may use the API, with spaces between; None = those of the service itself alone.
    cors_origins: str | None


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: the variable that holds it, what it means, its default, and how its text is read."""

    variable: str
    meaning: str
    default: Callable[[Mapping[str, Any]], Any]
    read: Callable[[str], Any]
    #: What a right value looks like.
    expected: str
    #: Never shown.
    is_secret: bool = False


def _default_home(_: Mapping[str, Any]) -> Path:
    from platformdirs import user_data_path

    return user_data_path("ktrdr", appauthor=False)


def _target(text: str) -> Target:
    return Target(text.lower())


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(text)
        return text.lower()

    return read


def _token(text: str) -> str:
    if not re.fullmatch(r"[!-~]{16,500}", text):
        raise ValueError("not a token")
    return text


def _rate(text: str) -> str:
    if not re.fullmatch(r"off|[1-9]\d{0,8}/(second|minute|hour)", text.lower()):
        raise ValueError(text)
    return text.lower()


def _copy_place(text: str) -> str:
    if not re.fullmatch(r"https?://[^/\s]+.*|file:///.+|[/~].+", text):
        raise ValueError("neither an absolute path nor a URL")
    return text


def _witnesses(text: str) -> str:
    asked = [one for one in re.split(r"[\s,]+", text) if one]
    if not all(re.fullmatch(r"https?://[^=]+=[^+=]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+", one) for one in asked):
        raise ValueError("not witnesses")
    return " ".join(asked)


def _origins(text: str) -> str:
    given = [one.lower() for one in re.split(r"[\s,]+", text) if one]
    if not all(re.fullmatch(r"https?://[a-z0-9.-]+(:\d+)?|https?://\[[0-9a-f:]+\](:\d+)?", one) for one in given):
        raise ValueError("not origins")
    return " ".join(given)


def _yes_or_no(text: str) -> bool:
    if text.lower() not in ("1", "true", "0", "false"):
        raise ValueError(text)
    return text.lower() in ("1", "true")


def _bounded(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return read


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return read


#: The switch that users of this format know from elsewhere, for a default target that nothing else says.
HOST_SWITCH = "USE_TRAINING_HOST_SERVICE"
_SWITCH = dict.fromkeys(("1", "true", "yes", "on"), Target.HOST) | dict.fromkeys(
    ("0", "false", "no", "off"), Target.LOCAL
)

#: Field of `Settings` → what it is. Later defaults may use earlier values.
SETTINGS: dict[str, Setting] = {
    "home": Setting(
        "KTRDR_HOME", "folder of database, prices and models", _default_home,
        lambda text: Path(text).expanduser().absolute(), "a folder on a local disk",
    ),
    "database_url": Setting(
        "KTRDR_DATABASE_URL", "the database; without it ktrdr.db in the home folder", lambda _: None,
        str, "sqlite:////path/to/ktrdr.db",
    ),
    "host": Setting("KTRDR_HOST", "address that the API listens on", lambda _: "127.0.0.1", str, "an IP address"),
    "port": Setting("KTRDR_PORT", "port that the API listens on", lambda _: 8321, _whole(0, 65535), "0 to 65535"),
    "url": Setting(
        "KTRDR_URL", "where clients and host workers find the API",
        lambda earlier: f"http://{earlier['host']}:{earlier['port']}", lambda text: text.rstrip("/"),
        "http://127.0.0.1:8321",
    ),
    "device": Setting(
        "KTRDR_DEVICE", "what to compute on", lambda _: "auto", str.lower, "auto, cpu, cuda, cuda:N or mps",
    ),
    "numerics": Setting(
        "KTRDR_NUMERICS", "portable gives the same bits on every CPU of a kind, native is faster", lambda _: "native",
        _one_of("native", "portable"), "native or portable",
    ),
    "default_target": Setting(
        "KTRDR_DEFAULT_TARGET", "which workers run a job that does not say", lambda _: Target.AUTO,
        _target, "local, host or auto",
    ),
    "slots": Setting(
        "KTRDR_SLOTS", "jobs that one worker runs at once", lambda _: 1, _whole(1, 256), "1 to 256",
    ),
    "lease_seconds": Setting(
        "KTRDR_LEASE_SECONDS", "a worker not heard of for so long counts as lost", lambda _: 15.0,
        _bounded(0.5, 3600), "0.5 to 3600 seconds",
    ),
    "sign_seconds": Setting(
        "KTRDR_SIGN_SECONDS", "how often the log is signed, if it has grown", lambda _: 60.0,
        _bounded(0.5, 86400), "0.5 to 86400 seconds",
    ),
    "checkpoint_push": Setting(
        "KTRDR_CHECKPOINT_PUSH", "where signed checkpoints of the log are kept too: a file that is appended to, or a "
        "URL below which each is PUT", lambda _: None, _copy_place, "/media/elsewhere/checkpoints or https://…",
    ),
    "witnesses": Setting(
        "KTRDR_WITNESSES", "who cosigns the checkpoints of the log", lambda _: None, _witnesses,
        "URL=KEY of each with spaces between, as ktrdr audit witness prints it",
    ),
    "prune_days": Setting(
        "KTRDR_PRUNE_DAYS", "so many days after a job's end its progress goes from the log into the archive; without "
        "it never", lambda _: None, _bounded(1, 36500), "1 to 36500 days",
    ),
    "log_format": Setting(
        "KTRDR_LOG_FORMAT", "how every part logs; without it plain in a terminal, json elsewhere", lambda _: None,
        _one_of("plain", "json"), "plain or json",
    ),
    "log_level": Setting(
        "KTRDR_LOG_LEVEL", "from which level on every part logs", lambda _: "info",
        _one_of("debug", "info", "warning", "error"), "debug, info, warning or error",
    ),
    "access_log": Setting(
        "KTRDR_ACCESS_LOG", "whether the API logs every request, and not only slow and broken ones", lambda _: False,
        _yes_or_no, "1 or 0",
    ),
    "token": Setting(
        "KTRDR_TOKEN", "of the service: a token that may do everything; of clients and host workers: the one that they "
        "send", lambda _: None,
        _token, "16 to 500 visible ASCII characters, for example from: openssl rand -hex 32", is_secret=True,
    ),
    "rate_limit": Setting(
        "KTRDR_RATE_LIMIT", "how often the holder of one token may ask; workers may ten times as often, and who needs "
        "no token as often as they like", lambda _: "6000/minute", _rate, "600/minute, 10/second, 5000/hour or off",
    ),
    "cors_origins": Setting(
        "KTRDR_CORS_ORIGINS", "whose pages may use the API in a browser; without it only the service's own",
        lambda _: None, _origins, "origins with spaces between: https://research.example.com http://localhost:3000",
    ),
}  # fmt: skip


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings that the environment gives. Raises InvalidInputError with every wrong variable."""
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, setting in SETTINGS.items():
        text = environment.get(setting.variable, "").strip()
        try:
            values[name] = setting.read(text) if text else setting.default(values)
        except ValueError:
            given = "its value" if setting.is_secret else repr(text)
            faults.append(Fault((setting.variable,), f"{given} is not possible", f"give {setting.expected}"))
            values[name] = setting.default(values)
    switch = environment.get(HOST_SWITCH, "").strip()
    if switch and not environment.get(SETTINGS["default_target"].variable, "").strip():
        if switch.lower() in _SWITCH:
            values["default_target"] = _SWITCH[switch.lower()]
        else:
            faults.append(Fault((HOST_SWITCH,), f"{switch!r} is not possible", "give true or false"))
    if faults:
        raise InvalidInputError(faults)
    return Settings(**values)
