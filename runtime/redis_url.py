"""One address of a Redis server in the two forms that clients read.

redis-py, and with it Channels, writes a Unix socket `unix:///folder/socket?db=0`. kombu, and with it Celery and Flower,
writes the same `redis+socket:///folder/socket?virtual_host=0`. TCP addresses are the same in both.
"""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit

CLIENT, KOMBU = "unix", "redis+socket"
DATABASE = {CLIENT: "db", KOMBU: "virtual_host"}
"""The query's name for the number of the database."""
PLAIN = "/+@="
"""They mean themselves in a path. Flower reads a path as it stands, so nothing is encoded without need."""


def for_client(url: str) -> str:
    """The form of redis-py. Addresses that are not a Unix socket are returned unchanged."""
    return _rewritten(url, KOMBU, CLIENT)


def for_kombu(url: str) -> str:
    """The form of kombu. Addresses that are not a Unix socket are returned unchanged."""
    return _rewritten(url, CLIENT, KOMBU)


def of_socket(path: str, database: int = 0) -> str:
    """The address of a Unix socket, in the form of redis-py; `path` may hold any character."""
    return f"{CLIENT}://{quote(path, safe=PLAIN)}?{DATABASE[CLIENT]}={database}"


def _rewritten(url: str, source: str, target: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != source:
        return url
    query = [(DATABASE[target] if name == DATABASE[source] else name, value) for name, value in parse_qsl(parts.query)]
    return f"{target}://{parts.netloc}{parts.path}" + (f"?{urlencode(query)}" if query else "")
