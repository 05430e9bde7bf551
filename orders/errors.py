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


def unavailable(
    message: str = "The order store does not answer just now. Try again; with the same Idempotency-Key nothing happens twice.",
) -> ApiError:
    return ApiError("UNAVAILABLE", message)
