"""ASGI's callables, as the endpoints beside Django use them (ASGI specification 3.0).

`asgiref.typing` has a TypedDict for each message, which wants every optional key in every literal; servers do not.
"""

from collections.abc import Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
