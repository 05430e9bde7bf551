import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q

STATUSES = ["active", "paused", "closing", "completed", "cancelled", "expired", "failed"]
STATUS = {"choices": [(status, status.title()) for status in STATUSES], "max_length": 9}
KINDS = [("bracket", "Bracket"), ("schedule", "Schedule")]
FOREIGN = {"db_constraint": False, "db_index": False, "on_delete": django.db.models.deletion.PROTECT}


class Migration(migrations.Migration):
    """Plans and their events, beside the orders of before, which belong to none."""

    dependencies = [("accounts", "0003_ticket_issuer"), ("orders", "0008_order_finished")]
    operations = [
        migrations.CreateModel(
            "Plan",
            [
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("account", models.ForeignKey(to="accounts.account", **FOREIGN)),
                ("client_plan_id", models.CharField(blank=True, max_length=64, null=True)),
                ("idempotency_key", models.CharField(blank=True, max_length=300, null=True)),
                ("request_hash", models.BinaryField(max_length=32)),
                ("kind", models.CharField(choices=KINDS, max_length=8)),
                ("spec", models.JSONField()),
                ("progress", models.JSONField(default=dict)),
                ("status", models.CharField(default="active", **STATUS)),
                ("seq", models.IntegerField(default=1)),
                ("holder", models.UUIDField(blank=True, null=True)),
                ("due_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
            ],
            {
                "constraints": [
                    models.CheckConstraint(name="plan_kind", condition=Q(kind__in=["bracket", "schedule"])),
                    models.CheckConstraint(name="plan_status", condition=Q(status__in=STATUSES)),
                    models.CheckConstraint(
                        name="plan_ended",
                        condition=Q(status__in=STATUSES[:3], finished_at=None)
                        | Q(status__in=STATUSES[3:], finished_at__isnull=False, due_at=None),
                    ),
                    models.UniqueConstraint(
                        name="plan_client_plan_id",
                        fields=["account", "client_plan_id"],
                        condition=Q(client_plan_id__isnull=False),
                    ),
                    models.UniqueConstraint(
                        name="plan_idempotency_key",
                        fields=["account", "idempotency_key"],
                        condition=Q(idempotency_key__isnull=False),
                    ),
                ],
                "indexes": [
                    models.Index(fields=["account", "-id"], name="plan_of_account"),
                    models.Index(condition=Q(due_at__isnull=False), fields=["due_at"], name="plan_due"),
                    models.Index(condition=Q(holder=F("id")), fields=["id"], name="plan_waiting"),
                ],
            },
        ),
        migrations.CreateModel(
            "PlanEvent",
            [
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "plan_id", "seq", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("plan", models.ForeignKey(related_name="events", to="orders.plan", **FOREIGN)),
                ("seq", models.IntegerField()),
                ("status", models.CharField(**STATUS)),
                ("at", models.DateTimeField()),
                ("data", models.JSONField(default=dict)),
            ],
        ),
        migrations.AddField(
            "order",
            "plan",
            models.ForeignKey(blank=True, null=True, related_name="orders", to="orders.plan", **FOREIGN),
        ),
        migrations.AddField("order", "leg", models.CharField(blank=True, max_length=16, null=True)),
        migrations.AddField("order", "round", models.IntegerField(blank=True, null=True)),
    ]
