"""`python -m tests.security.sockets URL KEY…`: throws nonsense at the WebSocket endpoints of a running engine.

Two accounts' keys; orders of the first are asked for with the second's. Prints what was tried; exits 1 when the engine
crashed, closed with an unexpected code or showed an order to the wrong account.
"""

import asyncio
import json
import random
import sys
from collections import Counter
from uuid import uuid4

import httpx
import websockets
from websockets.asyncio.client import connect
from websockets.typing import Origin

CLOSED = {1000, 1002, 1003, 1005, 1006, 1007, 1009, 1012, 1013, 4401, 4404, 4408, 4429}
"""1006: the server refused the handshake or cut a client that broke the protocol."""
ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1"}


def paths(order_id: str, rng: random.Random) -> list[str]:
    return [
        f"/ws/{order_id}",
        f"/ws/{order_id}?after={rng.choice(['0', '-1', '1e9', '99999999999999999999', '%00', 'x', '٣'])}",
        "/ws/orders",
        f"/ws/orders?ticket={rng.choice(['', 'x' * 5000, '%00', str(uuid4())])}",
        f"/ws/{uuid4()}",
        f"/ws/{rng.choice(['%00', '..', 'orders/', 'x' * 3000, order_id.upper() + 'g', '%F0%9F%92%A3', order_id + '/'])}",
        f"/ws/quotes/{rng.choice(['SOL-USDC', 'A-B', '-', '%00', 'x' * 500, 'SOL%2FUSDC', 'sol-usdc', 'a.b-c*?'])}",
        "/nothing",
    ]


def frames(rng: random.Random) -> list[str | bytes]:
    return [
        rng.randbytes(rng.randint(0, 3000)),
        "x" * rng.choice([1, 1000, 65_535, 65_537, 200_000]),
        json.dumps({"type": rng.choice(["subscribe", "snapshot", None, {}, []]), "orderId": "*"}),
        "[" * 20_000,
        "\x00\ud7ff\U0010ffff",
        b"",
    ]


async def attack(
    url: str, path: str, headers: dict[str, str], origin: str | None, rng: random.Random
) -> tuple[str, list[str]]:
    """How it ended, and what was received."""
    received: list[str] = []
    try:
        async with connect(
            url + path, additional_headers=headers, origin=Origin(origin) if origin else None, open_timeout=20
        ) as socket:
            for frame in rng.sample(frames(rng), rng.randint(0, 4)):
                await socket.send(frame)
            async with asyncio.timeout(rng.choice([0.05, 0.3, 1.0])):
                async for message in socket:
                    received.append(str(message))
            return str(socket.close_code), received
    except TimeoutError:
        return "left", received
    except websockets.ConnectionClosed as closed:
        return str(closed.rcvd.code if closed.rcvd else 1006), received
    except websockets.InvalidStatus as refused:
        return f"http {refused.response.status_code}", received
    except (websockets.WebSocketException, OSError, ValueError) as error:
        return type(error).__name__, received


async def main(base: str, mine: str, theirs: str, tries: int, seed: int) -> int:
    url = base.replace("http", "ws", 1)
    orders = set()
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {mine}"}, timeout=30) as client:
        for _ in range(20):
            answer = await client.post(f"{base}/api/orders/execute", json=ORDER)
            orders.add(answer.json()["orderId"])
    ends: Counter[str] = Counter()
    leaks = 0
    credentials = [
        {"Authorization": f"Bearer {theirs}"},
        {"Authorization": f"Bearer {theirs}"},
        {"Authorization": "Bearer " + "x" * 4000},
        {"Authorization": "\xff\xfe"},
        {"Cookie": "sessionid=" + "a" * 32},
        {},
    ]

    async def one(n: int) -> None:
        nonlocal leaks
        mind = random.Random(seed * 1_000_003 + n)
        path = mind.choice(paths(mind.choice(sorted(orders)), mind))
        origin = mind.choice([None, None, base, "https://evil.example", "null"])
        end, received = await attack(url, path, mind.choice(credentials), origin, mind)
        ends[end] += 1
        leaks += sum(any(order_id in text for order_id in orders) for text in received)

    for start in range(0, tries, 50):
        await asyncio.gather(*(one(n) for n in range(start, min(tries, start + 50))))
    alive = httpx.get(f"{base}/healthz", timeout=30).status_code == 200
    unexpected = {
        end: n for end, n in ends.items() if end.isdigit() and int(end) not in CLOSED or end.startswith("http 5")
    }
    print(f"{tries} sockets (seed {seed}): {dict(ends.most_common())}")
    print(f"messages with another account's orders: {leaks}; unexpected ends: {unexpected}; engine answers: {alive}")
    return 0 if alive and not leaks and not unexpected else 1


if __name__ == "__main__":
    base, mine, theirs, *more = sys.argv[1:]
    sys.exit(
        asyncio.run(main(base, mine, theirs, int(more[0]) if more else 2000, int(more[1]) if len(more) > 1 else 1))
    )
