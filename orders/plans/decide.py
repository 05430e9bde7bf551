"""What a plan does next: a pure function of what it wants, of its committed orders, and of the time."""

from datetime import datetime

from orders.plans import bracket, schedule
from orders.plans.values import ENDED, Bracket, Decision, Facts, Spec


def decide(spec: Spec, facts: Facts, now: datetime) -> Decision:
    """The next step. The same facts give the same step, and a step that was taken leaves nothing to decide."""
    if facts.status in ENDED:
        # A leg may be back after its plan's end, by an operator's requeue: it must not trade.
        return Decision(status=facts.status, cancel=[leg for leg in facts.legs if leg.waits])
    if isinstance(spec, Bracket):
        return bracket.decide(spec, facts, now)
    return schedule.decide(spec, facts, now)
