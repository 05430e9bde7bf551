"""SQL statements: one `.sql` file each, the ledger's beside this module. The header of a file says what it takes and returns."""

from functools import cache
from pathlib import Path


@cache
def query(name: str, folder: Path = Path(__file__).parent) -> str:
    """The text of `{name}.sql`."""
    return (folder / f"{name}.sql").read_text()
