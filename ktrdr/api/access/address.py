"""Where the service may listen: on this machine, or elsewhere once there is a token. Imports the faults of input."""

from __future__ import annotations

import ipaddress

from ktrdr.training.faults import Fault, InvalidInputError


def is_loopback(host: str) -> bool:
    """Whether a name or address belongs to this machine alone."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_address(host: str, *, has_token: bool) -> str:
    """What an operator must know of listening at this address; empty for one that belongs to this machine alone.

    Raises InvalidInputError for an address that others could reach while no token is wanted of them.
    """
    if is_loopback(host):
        return ""
    if not has_token:
        raise InvalidInputError(
            [
                Fault(
                    ("KTRDR_HOST",),
                    f"{host!r} can be reached from other machines, and there is no access control",
                    "listen on 127.0.0.1 and forward the port, for example with: ssh -R; or make a token, with: "
                    "ktrdr tokens create; or set KTRDR_TOKEN, which every client must then know",
                )
            ]
        )
    return (
        f"{host} can be reached from other machines: tokens are all that keeps them out, and there is no TLS, so "
        "tokens and data can be read on the way; use a network that you trust, or put a proxy with TLS before it"
    )
