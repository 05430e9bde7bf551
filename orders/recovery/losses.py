"""What accounts with a limit of daily loss have lost today, noted in their budgets for the statement that claims."""

from pathlib import Path

from orders.ledger import queries
from orders.ledger.statements import Connection
from risk.worth import quote_tokens

LOSSES = queries.query("losses", Path(__file__).parent)
EVERY_S = 2.0
"""Between two looks: a loss is known only after its order has confirmed, and a look reads the day's orders."""
LIMITED = "SELECT EXISTS (SELECT FROM risk_rule WHERE max_daily_loss IS NOT NULL)"


def note_losses(connection: Connection) -> None:
    """Safe to repeat and to do in several processes."""
    quotes = quote_tokens()
    [limited] = connection.execute(LIMITED).fetchone() or (False,)
    if limited and quotes:
        connection.execute(LOSSES, {"currency": quotes[0].mint})
