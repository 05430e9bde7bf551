"""Brings one plan's events to a socket, each once and in the order of its seq.

What is published to a plan's group only says that there is something new: what a socket is sent is read from the database, so
it is complete whatever Redis loses.
"""

import asyncio
from typing import Any
from uuid import UUID

import msgspec
from django.db import close_old_connections

from orders.events import plan_group
from orders.models import Plan, PlanEvent
from orders.plans.representation import PlanOut, event_out, newest_orders, plan_out
from orders.plans.values import ENDED
from orders.streams.connection import DONE, NOT_FOUND, Closed, Socket
from orders.streams.following import REREAD_S, encode, until_answered
from orders.streams.subscriptions import Subscriptions


class PlanSnapshotOut(msgspec.Struct, rename="camel", tag_field="type", tag="snapshot"):
    """The first message of a plan's socket."""

    plan_id: str
    seq: int
    status: str
    plan: PlanOut
    events: list[Any]


def read(plan_id: UUID, after: int) -> tuple[int, PlanOut, list[Any]] | None:
    """Account, plan and its events after the seq."""
    close_old_connections()
    try:
        plan = Plan.objects.filter(pk=plan_id).first()
        if plan is None:
            return None
        # Events first of all up to the plan's seq: what is committed meanwhile comes with the next look.
        events = list(plan.events.filter(seq__gt=after, seq__lte=plan.seq).order_by("seq"))
        return plan.account_id, plan_out(plan, newest_orders(plan)), [event_out(event) for event in events]
    finally:
        close_old_connections()


def read_events(plan_id: UUID, after: int) -> list[Any]:
    close_old_connections()
    try:
        events = PlanEvent.objects.filter(plan_id=plan_id, seq__gt=after).order_by("seq")
        return [event_out(event) for event in events]
    finally:
        close_old_connections()


async def follow_plan(subscriptions: Subscriptions, socket: Socket, plan_id: UUID, after: int) -> None:
    group = plan_group(plan_id)
    await subscriptions.join(group, socket)
    try:
        found = await until_answered(lambda: asyncio.to_thread(read, plan_id, after))
        if found is None or found[0] != socket.caller.account_id and not socket.caller.is_staff:
            raise Closed(NOT_FOUND)
        _, plan, events = found
        seq, status = plan.seq, plan.status
        await socket.send(encode(PlanSnapshotOut(str(plan_id), seq, status, plan, events)).decode())
        while status not in ENDED:
            await socket.wait(REREAD_S)
            socket.inbox.clear()
            socket.overflowed = False
            known = seq
            for event in await until_answered(lambda: asyncio.to_thread(read_events, plan_id, known)):  # noqa: B023
                await socket.send(encode({"type": "event", "planId": plan_id, **event.fields()}).decode())
                seq, status = event.seq, event.status
        raise Closed(DONE)
    finally:
        subscriptions.leave(group, socket)
