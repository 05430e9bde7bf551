"""Up to when the ledger is complete: what follows it by time and must miss nothing reads no further."""

from orders.ledger import queries

HORIZON = queries.query("horizon")
GRACE_S = 1.0
"""From a statement's arrival at Postgres to its showing as a transaction, on a machine that is short of processors."""
