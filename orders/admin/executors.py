"""Executors: the worker processes that execute orders."""

from django.contrib import admin
from unfold.decorators import display

from accounts.read_only import ReadOnlyAdmin
from orders.models import Executor


@admin.register(Executor)
class ExecutorAdmin(ReadOnlyAdmin):
    list_display = ("name", "pid", "shown_state", "in_flight", "started_at", "heartbeat_at")
    list_per_page = 50
    ordering = ("-heartbeat_at",)

    @display(description="state", label={"alive": "success", "dead": "danger"})
    def shown_state(self, executor: Executor) -> str:
        return executor.state
