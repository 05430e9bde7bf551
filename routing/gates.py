"""Whether a token may be bought unseen: what was looked at, and what was found. Pure.

Unknown is never a pass: whoever buys on it buys what somebody has hidden.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    PASS = "pass"  # nosec B105 - no password
    FAIL = "fail"
    UNKNOWN = "unknown"


class Finding(msgspec.Struct, frozen=True):
    gate: str
    """What was looked at, such as `freezeAuthority`."""
    verdict: Verdict
    found: str
    """In words."""


def overall(findings: Sequence[Finding]) -> Verdict:
    """Fail where any fails; else unknown where any is, or where nothing was looked at."""
    verdicts = {finding.verdict for finding in findings}
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    return Verdict.UNKNOWN if Verdict.UNKNOWN in verdicts or not verdicts else Verdict.PASS
