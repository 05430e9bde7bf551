"""Writes docs/errors.md from `orders.codes` and the HTTP statuses: `python scripts/document_codes.py`; a test compares them."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

BASE = Path(__file__).resolve().parent.parent
PAGE = BASE / "docs" / "errors.md"
HEAD = """# Codes
Every code is stable: programs may decide by it, while messages are for people and may change. This page is made from
`orders/codes.py`; the OpenAPI document lists the same codes.

## Errors of requests
A request that is answered with one of these has changed nothing. *again* says that the same request may work later; with the same
`Idempotency-Key` it never makes a second order.

| code | HTTP | again | meaning |
|---|---|---|---|
"""


def rows(codes: Mapping[str, str]) -> str:
    return "| code | meaning |\n|---|---|\n" + "".join(f"| `{code}` | {meaning} |\n" for code, meaning in codes.items())


def page() -> str:
    """Needs Django's settings."""
    from orders.codes import ERRORS, FAILURES, REASONS
    from orders.errors import RETRYABLE
    from orders.http.errors import HTTP_STATUS

    errors = "".join(
        f"| `{code}` | {HTTP_STATUS[code]} | {'yes' if code in RETRYABLE else ''} | {meaning} |\n"
        for code, meaning in ERRORS.items()
    )
    failures = (
        "\n## Failures of orders\n`failure.code` of an order that failed, and `error.code` of an attempt that did."
        " An attempt that failed is made again unless its error says `permanent`.\n\n"
    )
    reasons = "\n## Reasons to wait again\n`reason` of an event that puts an order back to rest.\n\n"
    return HEAD + errors + failures + rows(FAILURES) + reasons + rows(REASONS)


if __name__ == "__main__":
    sys.path.insert(0, str(BASE))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orderengine.settings")
    import django

    django.setup()
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE.relative_to(BASE)} written\n")
