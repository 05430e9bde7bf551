"""The ledger's SQL statements: one `.sql` file each, beside this module. The header of a file says what it takes and returns."""

from functools import cache
from pathlib import Path


@cache
def query(name: str) -> str:
    """The text of `{name}.sql`."""
    return (Path(__file__).parent / f"{name}.sql").read_text()
