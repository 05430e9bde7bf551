"""Pages that show and never edit."""

from typing import Any

from django.http import HttpRequest
from unfold.admin import ModelAdmin

from accounts.roles import OPERATE


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Needs Django's `view` permission to look, and `accounts.operate_orders` for its actions ("operate")."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(OPERATE))
