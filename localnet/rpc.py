"""JSON-RPC: the methods of a Solana node, as clients call them (https://solana.com/docs/rpc/http)."""

import base64
import inspect
from collections.abc import Callable
from typing import Any

from localnet import accounts_api, blocks_api, transactions_api
from localnet.chain import Chain
from localnet.node import Node, RpcError

METHOD_NOT_FOUND, INVALID_REQUEST, INVALID_PARAMS, INTERNAL = -32601, -32600, -32602, -32603
MAX_BATCH = 100


class NoAnswer(Exception):
    """The client gets none: the outcome of its call is open to it."""


class Rpc:
    """Answers calls by method name. Not safe from several threads."""

    def __init__(self, chain: Chain) -> None:
        self.node = Node(chain)
        self._methods: dict[str, Callable[..., Any]] = {}
        for module in (accounts_api, blocks_api, transactions_api):
            self._methods |= {name: method for name, method in vars(module).items() if name in module.METHODS}

    def answer(self, request: Any) -> Any:
        """The answer to one call or to a batch of them. Raises `NoAnswer`."""
        if isinstance(request, list):
            if not 1 <= len(request) <= MAX_BATCH:
                return _error(None, INVALID_REQUEST, f"a batch has 1 to {MAX_BATCH} calls")
            return [self._one(each) for each in request]
        return self._one(request)

    def _one(self, request: Any) -> Any:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return _error(None, INVALID_REQUEST, "Invalid request")
        identity, params = request.get("id"), request.get("params") or []
        method = self._methods.get(request["method"])
        if method is None:
            return _error(identity, METHOD_NOT_FOUND, "Method not found")
        if not isinstance(params, list):
            return _error(identity, INVALID_PARAMS, "`params` should be an array")
        try:
            inspect.signature(method).bind(self.node, *params)
        except TypeError as error:
            return _error(identity, INVALID_PARAMS, f"Invalid params: {error}")
        try:
            return {"jsonrpc": "2.0", "id": identity, "result": method(self.node, *params)}
        except RpcError as error:
            return _error(identity, error.code, str(error), error.data)
        except TimeoutError:
            raise NoAnswer from None
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, base64.binascii.Error) as error:  # type: ignore[attr-defined]
            return _error(identity, INVALID_PARAMS, f"Invalid params: {error}")


def _error(identity: Any, code: int, message: str, data: Any = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": identity, "error": error}
