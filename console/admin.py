"""The admin pages of beat's schedule and of sign-in failures: the theme's look, and a permission for every action."""

from datetime import timedelta
from typing import Any

from axes.admin import AccessAttemptAdmin as BaseAttemptAdmin
from axes.admin import AccessLogAdmin as BaseLogAdmin
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django_celery_beat.admin import ClockedScheduleAdmin as BaseClockedAdmin
from django_celery_beat.admin import CrontabScheduleAdmin as BaseCrontabAdmin
from django_celery_beat.admin import PeriodicTaskAdmin as BaseTaskAdmin
from django_celery_beat.admin import PeriodicTaskForm, TaskSelectWidget
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule
from kombu.exceptions import OperationalError as BrokerAway
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

admin.site.index_title = "Overview"
for model in (PeriodicTask, IntervalSchedule, CrontabSchedule, SolarSchedule, ClockedSchedule):
    admin.site.unregister(model)
for model in (AccessAttempt, AccessLog, AccessFailureLog):
    admin.site.unregister(model)


class TaskSelect(UnfoldAdminSelectWidget, TaskSelectWidget):  # type: ignore[misc]
    template_name = "unfold/widgets/select.html"


class TaskForm(PeriodicTaskForm):  # type: ignore[misc]
    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.fields["task"].widget = UnfoldAdminTextInputWidget()
        self.fields["regtask"].widget = TaskSelect()


def every(interval: IntervalSchedule) -> str:
    """`every 500 ms`, `every 10 min`. Intervals are whole numbers, so one below a second is stored in microseconds."""
    seconds = timedelta(**{interval.period: interval.every}).total_seconds()
    if seconds < 1:
        return f"every {seconds * 1000:g} ms"
    if seconds < 120:
        return f"every {seconds:g} s"
    return f"every {seconds / 60:g} min" if seconds < 7200 else f"every {seconds / 3600:g} h"


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(BaseTaskAdmin, ModelAdmin):  # type: ignore[misc]
    """Its actions come without permissions, and Django then offers them to whoever may look."""

    form = TaskForm
    list_display = ("name", "task", "rhythm", "enabled", "last_run_at")
    list_filter = ("enabled",)
    date_hierarchy = None
    list_fullwidth = True

    @display(description="runs")
    def rhythm(self, task: PeriodicTask) -> str:
        return every(task.interval) if task.interval else str(task.scheduler)

    @admin.action(description="Enable selected tasks", permissions=["change"])
    def enable_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().enable_tasks(request, queryset)

    @admin.action(description="Disable selected tasks", permissions=["change"])
    def disable_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().disable_tasks(request, queryset)

    @admin.action(description="Toggle activity of selected tasks", permissions=["change"])
    def toggle_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().toggle_tasks(request, queryset)

    @admin.action(description="Run selected tasks", permissions=["change"])
    def run_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        try:
            super().run_tasks(request, queryset)
        except (BrokerAway, OSError):
            self.message_user(request, "The broker cannot be reached; nothing was run.", level=messages.ERROR)


@admin.register(IntervalSchedule, SolarSchedule)
class ScheduleAdmin(ModelAdmin):  # type: ignore[misc]
    pass


@admin.register(CrontabSchedule)
class CrontabAdmin(BaseCrontabAdmin, ModelAdmin):  # type: ignore[misc]
    pass


@admin.register(ClockedSchedule)
class ClockedAdmin(BaseClockedAdmin, ModelAdmin):  # type: ignore[misc]
    pass


@admin.register(AccessAttempt)
class AttemptAdmin(BaseAttemptAdmin, ModelAdmin):  # type: ignore[misc]
    """Deleting a row lifts the lock of its name and address."""

    list_display = ("attempt_time", "username", "ip_address", "failures_since_start", "path_info", "user_agent")
    list_filter = ("path_info",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.action(description="Clean up expired attempts", permissions=["delete"])
    def cleanup_expired_attempts(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().cleanup_expired_attempts(request, queryset)


@admin.register(AccessLog)
class LogAdmin(BaseLogAdmin, ModelAdmin):  # type: ignore[misc]
    """Who signed in and out. Nobody changes it."""

    list_filter = ("path_info",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
