"""The errors clients see: a stable code, a message, and what is wrong with which field."""

from collections.abc import Mapping
from typing import Any

RETRYABLE = frozenset({"RATE_LIMITED", "UNAVAILABLE", "INTERNAL_ERROR"})
RETRY_AFTER_S = 1


class ApiError(Exception):
    """An answer that is not what was asked for. `details` maps a field's name to what is wrong with it."""

    def __init__(
        self,
        code: str,
        message: str,
        details: Mapping[str, list[str]] | None = None,
        *,
        retry_after_s: int = RETRY_AFTER_S,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.headers = dict(headers or {})
        self.code = code
        self.message = message
        self.details = dict(details or {})
        self.retry_after_s = retry_after_s

    def body(self, request_id: str) -> dict[str, Any]:
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "details": self.details,
                "retryable": self.code in RETRYABLE,
                "requestId": request_id,
            }
        }


def invalid(field: str, message: str) -> ApiError:
    return ApiError("VALIDATION_FAILED", f"{field}: {message}", {field: [message]})


def check_seq(what: str, seq: int, seen: int | None) -> None:
    """Raises `ApiError` SEQ_MISMATCH where a client has seen `what` at another seq than the present one. None: at any."""
    if seen is not None and seq != seen:
        said = f"the {what} is at seq {seq} now"
        raise ApiError("SEQ_MISMATCH", f"If-Match: {said}, not at {seen}.", {"If-Match": [said]})


def unavailable(
    message: str = "The order store does not answer just now. Try again; with the same Idempotency-Key nothing happens twice.",
) -> ApiError:
    return ApiError("UNAVAILABLE", message)
