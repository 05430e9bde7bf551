"""Books of an account that has traded much: how long positions and the account's sums take, without checkpoints and with them."""

import time

import httpx

from benchmarks.consumption import spent
from benchmarks.engines import BenchEngine, running
from benchmarks.figures import Figure, percentile

MANY = 1_000_000
LOOKS = 30
MAX_S = 1_800
EVERY = 10_000
"""`CHECKPOINT_FILLS`."""
TRADED = """
INSERT INTO orders_order (id, account_id, request_hash, type, token_in, token_out, amount, slippage_bps, status, seq, epoch,
    attempts, resting, created_at, updated_at, finished_at, tx_hash, amount_in, amount_out, executed_price, fee, venue, mode)
SELECT overlay(gen_random_uuid()::text placing '0190a0b0' from 1 for 8)::uuid,
    (SELECT id FROM accounts_account WHERE name = 'demo'), '', 'market', CASE WHEN buys THEN %(usdc)s ELSE %(sol)s END,
    CASE WHEN buys THEN %(sol)s ELSE %(usdc)s END, 1, 50, 'confirmed', 5, 1, 1, false,
    at, at, at, 'signature-' || n, gives, takes, takes / gives, 0.4, 'RAYDIUM', 'mock'
FROM generate_series(1, %(many)s) AS n
CROSS JOIN LATERAL (SELECT now() - interval '400 days' + n * interval '30 s' AS at, n %% 2 = 0 AS buys) t
CROSS JOIN LATERAL (SELECT CASE WHEN buys THEN 150.123456 ELSE 1 END + n %% 97 / 1000.0 AS gives,
    CASE WHEN buys THEN 1.01 ELSE 150.654321 END + n %% 89 / 1000.0 AS takes) p
"""
SOL, USDC = "So11111111111111111111111111111111111111112", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"


def run(quick: bool) -> list[Figure]:
    # Half a step follows the newest checkpoint, as it does on average.
    many = (20_000 if quick else MANY) + EVERY // 2
    with running(CHECKPOINT_FILLS=str(EVERY)) as engine:
        engine.control("stopProcess", "engine:dbsync")
        engine.database.execute(TRADED, {"many": many, "sol": SOL, "usdc": USDC})
        engine.database.execute("VACUUM ANALYZE orders_order")
        without = took(engine, "/api/positions", 1)
        whole = answer(engine, "/api/positions")
        engine.control("startProcess", "engine:dbsync")
        before, started = engine.cpu(), time.monotonic()
        until_written(engine, many // EVERY)
        seconds, cpu = time.monotonic() - started, spent(before, engine.cpu())["dbsync"]
        figures = {path: took(engine, path, LOOKS) for path in ("/api/positions", "/api/account")}
        same = answer(engine, "/api/positions") == whole
    medians = ", ".join(f"{path} {percentile(times, 50):.0f} ms" for path, times in figures.items())
    print(f"  {many:,} fills: {without[0]:,.0f} ms; with checkpoints {medians}; written in {seconds:.0f} s", flush=True)
    of = f"of an account with {many:,} fills"
    return [
        Figure("books.without", f"positions {of}, all folded", without[0], "ms"),
        *(
            Figure(f"books.{path[5:]}", f"GET {path} {of}, p50", percentile(times, 50), "ms", at_most=500)
            for path, times in figures.items()
        ),
        Figure("books.differ", "positions from checkpoints that differ from all folded", not same, at_most=0),
        Figure("books.written", f"checkpoints {of}: all are there after", seconds, "s"),
        Figure("books.cpu", "checkpoints: CPU of dbsync, a fill", cpu * 1e6 / many, "µs"),
    ]


def asked(engine: BenchEngine, path: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {engine.key}"}
    return httpx.get(engine.engine.url + path, headers=headers, timeout=300).raise_for_status()


def took(engine: BenchEngine, path: str, times: int) -> list[float]:
    """In ms."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        asked(engine, path)
        found.append((time.perf_counter() - began) * 1000)
    return found


def answer(engine: BenchEngine, path: str) -> list[dict[str, object]]:
    """Without what prices say, which move."""
    moving = ("price", "value", "unrealised")
    return [
        {name: value for name, value in each.items() if name not in moving}
        for each in asked(engine, path).json()["positions"]
    ]


def until_written(engine: BenchEngine, checkpoints: int) -> None:
    end = time.monotonic() + MAX_S
    while engine.row("SELECT count(*) FROM books_checkpoint")[0] < checkpoints:
        if time.monotonic() > end:
            raise TimeoutError(f"not within {MAX_S} s")
        time.sleep(0.5)
