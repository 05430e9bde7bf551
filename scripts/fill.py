"""Fills an engine's database as months of trading would: `python scripts/fill.py [ORDERS]`, a million by default.

Five events an order, nine in ten confirmed, some failed with their dead letters, a few thousand resting. For measuring the
admin and the API on a large database (DATA_DIR or DATABASE_URL say which); what is there already stays.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orderengine.settings")

import psycopg
from django.conf import settings

from orders.mints import OF_SYMBOL

ORDERS = """
INSERT INTO orders_order (
    id, account_id, client_order_id, request_hash, type, token_in, token_out, amount, slippage_bps,
    limit_price, trigger_condition, trigger_kind, status, seq, epoch, attempts, resting,
    venue, executed_price, amount_out, fee, tx_hash, failure_code, failure_message, created_at, updated_at, finished_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(hash, 1, 3) || '8' ||
        substr(hash, 4, 15))::uuid,
    %(account)s, name, decode(hash || hash, 'hex'), type, %(mints)s::jsonb ->> pair[1], %(mints)s::jsonb ->> pair[2],
    1 + n %% 17, 50,
    CASE WHEN type = 'limit' THEN 90 + n %% 30 END,
    CASE WHEN type = 'limit' THEN (ARRAY['gte', 'lte'])[1 + n %% 2] END,
    CASE WHEN type = 'sniper' THEN 'token_launch' END,
    status,
    CASE status WHEN 'pending' THEN 1 WHEN 'cancelled' THEN 2 ELSE 5 END,
    1,
    CASE status WHEN 'failed' THEN 3 WHEN 'confirmed' THEN 1 ELSE 0 END,
    status = 'pending',
    CASE WHEN filled THEN (ARRAY['RAYDIUM', 'METEORA'])[1 + (n / 3) %% 2] END,
    CASE WHEN filled THEN 100 END,
    CASE WHEN filled THEN 100 * (1 + n %% 17) END,
    CASE WHEN filled THEN 0.25 END,
    CASE WHEN filled THEN name END,
    CASE WHEN status = 'failed' THEN 'VENUE_UNAVAILABLE' END,
    CASE WHEN status = 'failed' THEN 'The venue did not answer.' END,
    at, at + took, CASE WHEN status <> 'pending' THEN at + took END
FROM (SELECT *, status = 'confirmed' AS filled FROM (
    SELECT n, 'fill-' || %(run)s || '-' || n AS name, md5('fill' || %(run)s || n) AS hash,
        now() - %(span)s * (1 - n::float / %(orders)s) * interval '1 second' AS at,
        (2 + (n::bigint * 7919 %% 1000) / 900.0) * interval '1 second' AS took,
        CASE WHEN n %% 10 < 7 THEN 'market' WHEN n %% 10 < 9 THEN 'limit' ELSE 'sniper' END AS type,
        string_to_array((ARRAY['SOL-USDC', 'USDC-SOL', 'JUP-USDC', 'BONK-SOL'])[1 + n %% 4], '-') AS pair,
        CASE WHEN n %% 10 >= 7 AND n %% 200 < 10 THEN 'pending' WHEN n %% 40 = 3 THEN 'failed'
             WHEN n %% 40 = 17 THEN 'cancelled' ELSE 'confirmed' END AS status
    FROM generate_series(%(first)s::int, %(last)s::int) AS n) AS drawn) AS made
"""
EVENTS = """
INSERT INTO orders_orderevent (order_id, seq, epoch, status, at, data)
SELECT id, n, 1,
    CASE WHEN n = seq THEN status ELSE (ARRAY['pending', 'routing', 'building', 'submitted'])[n] END,
    created_at + (updated_at - created_at) * (n - 1) / 4.0,
    CASE n WHEN 3 THEN '{"attempt": 1, "venue": "RAYDIUM", "reason": "only RAYDIUM answered",
            "quotes": [{"venue": "RAYDIUM", "netPrice": "100.05"}]}'::jsonb ELSE '{}' END
FROM orders_order, generate_series(1, seq) AS n WHERE client_order_id LIKE %(mine)s
"""
LETTERS = """
INSERT INTO orders_deadletter (order_id, epoch, reason, history, created_at, announced_at, resolved_at, resolved_by)
SELECT id, 1, failure_code,
    '[{"attempt": 3, "code": "VENUE_UNAVAILABLE", "message": "No answer.", "venue": "RAYDIUM", "permanent": false}]',
    finished_at, finished_at,
    CASE WHEN finished_at < now() - interval '10 minutes' THEN finished_at END,
    CASE WHEN finished_at < now() - interval '10 minutes' THEN 'fill' END
FROM orders_order WHERE status = 'failed' AND client_order_id LIKE %(mine)s
"""
TRANSACTIONS = """
INSERT INTO orders_transaction (
    signature, order_id, epoch, attempt, venue, payload, min_out, valid_until, created_at, resolution, resolved_at)
SELECT tx_hash, id, 1, 1, venue, '', amount_out * 0.995, finished_at, created_at, 'landed', finished_at
FROM orders_order WHERE status = 'confirmed' AND client_order_id LIKE %(mine)s
"""
SPAN_S = 30 * 86_400
STEP = 50_000


def main() -> None:
    orders = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    began = time.monotonic()
    with psycopg.connect(settings.DATABASE_URL, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        [(account,)] = connection.execute("SELECT id FROM accounts_account ORDER BY id LIMIT 1").fetchall()
        run = int(time.time())
        values = {"run": run, "mine": f"fill-{run}-%", "orders": orders, "span": SPAN_S, "account": account}
        values["mints"] = json.dumps(OF_SYMBOL)
        for first in range(1, orders + 1, STEP):
            connection.execute(ORDERS, values | {"first": first, "last": min(orders, first + STEP - 1)})
            print(f"\r{min(orders, first + STEP - 1):>9,} orders", end="", flush=True)
        for name, statement in (("events", EVENTS), ("transactions", TRANSACTIONS), ("dead letters", LETTERS)):
            made = connection.execute(statement, values).rowcount
            print(f"\n{made:>9,} {name}", end="", flush=True)
        connection.execute("VACUUM ANALYZE")
    print(f"\nin {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
