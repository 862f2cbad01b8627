"""ktrdr trains neuro-fuzzy trading models as jobs; its event log is the truth.

import ktrdr

with ktrdr.connect() as client:
    for happened in client.train("trend_follower").follow():
        print(happened)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ktrdr.client import connect, connect_async

__version__ = "0.1.0"
__all__ = ["__version__", "connect", "connect_async"]


def __getattr__(name: str) -> object:
    """The client, imported when somebody asks for it: the parts of the service have no use for it."""
    if name in ("connect", "connect_async"):
        from ktrdr import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
