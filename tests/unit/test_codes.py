"""Every code that is raised is in the catalogue, and the catalogue is what clients read."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pytest

from orders.codes import ERRORS, FAILURES, REASONS
from orders.errors import RETRYABLE
from orders.http.errors import HTTP_STATUS
from risk.values import MESSAGES
from scripts.document_codes import PAGE, page

BASE = Path(__file__).resolve().parents[2]
PACKAGES = (
    "accounts",
    "books",
    "console",
    "orderengine",
    "orders",
    "risk",
    "routing",
    "trade",
    "triggers",
    "wallets",
    "webhooks",
)


def text(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def raised(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(kind, code): first arguments of `ApiError`, `code` of classes, and `code=` and `reason=` of event data."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if called == "ApiError" and node.args and (code := text(node.args[0])):
                yield "error", code
            if called == "over" and node.args and (code := text(node.args[0])):
                yield from (("error", code), ("message", code))
            if called == "Denial":
                for keyword in node.keywords:
                    if keyword.arg == "code" and (code := text(keyword.value)):
                        yield from (("error", code), ("message", code))
            if called in ("ErrorData", "RestData", "ReleaseData"):
                for keyword in node.keywords:
                    if keyword.arg in ("code", "reason") and (code := text(keyword.value)):
                        yield ("failure" if keyword.arg == "code" else "reason"), code
        if isinstance(node, ast.ClassDef):
            for part in filter(is_code, node.body):
                if code := text(part.value):
                    yield "failure", code


def is_code(part: ast.stmt) -> TypeGuard[ast.Assign]:
    return isinstance(part, ast.Assign) and getattr(part.targets[0], "id", "") == "code"


def everything() -> set[tuple[str, str]]:
    files = (file for package in PACKAGES for file in (BASE / package).rglob("*.py"))
    return {found for file in files for found in raised(ast.parse(file.read_text()))}


def test_every_code_that_is_raised_is_described() -> None:
    described = {("error", code) for code in ERRORS} | {("failure", code) for code in FAILURES}
    described |= {("reason", code) for code in REASONS} | {("message", code) for code in MESSAGES}

    assert len(everything()) > 30
    assert everything() - described == set(), "describe it in orders/codes.py, then python scripts/document_codes.py"


def test_every_error_has_a_status_and_every_status_an_error() -> None:
    assert set(HTTP_STATUS) == set(ERRORS)
    assert set(ERRORS) >= RETRYABLE


@pytest.mark.parametrize("codes", [ERRORS, FAILURES, REASONS])
def test_a_meaning_is_a_sentence(codes: dict[str, str]) -> None:
    assert all(not meaning[0].islower() or meaning.startswith("tokenIn") for meaning in codes.values())
    assert all(meaning.endswith(".") for meaning in codes.values())


def test_the_page_is_made_from_the_catalogue() -> None:
    assert PAGE.read_text() == page(), "run python scripts/document_codes.py"
