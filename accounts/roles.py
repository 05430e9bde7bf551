"""The named permissions that decide who may do what beyond an account's own orders.

Three groups carry them (migration 0002): `trader` holds none and trades for its own account, `operator` runs the engine,
`administrator` also manages people, accounts and the schedule. A superuser passes every check. `docs/security.md` has the
matrix, `tests/integration/test_roles.py` checks it cell by cell.
"""

from typing import Any

TRADER, OPERATOR, ADMINISTRATOR = "trader", "operator", "administrator"
OPERATE = "accounts.operate_orders"
"""The staff API, everybody's orders, cancel and requeue in the admin, the mock market."""
FIGURES = "accounts.view_figures"
"""The admin's overview."""
TASKS = "accounts.view_tasks"
"""Flower, read only. Changing workers takes a superuser."""


def holds_all_of(person: Any, other: Any) -> bool:
    """Whether `person` has every permission of `other`, so that acting as `other` gains nothing.

    Both are users. Whoever changes a password, an owner or a group acts as somebody else from then on.
    """
    if person.is_superuser:
        return True
    if other.is_superuser:
        return False
    return bool(other.get_all_permissions() <= person.get_all_permissions())
