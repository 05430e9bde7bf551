"""The commands for a terminal, as a shell runs them: what they print for scripts, and how they end."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.engine import BASE_DIR, Engine

DONE, FAILED, REFUSED, UNREACHABLE = 0, 1, 2, 3


def command(engine: Engine, *arguments: str, url: str | None = None, key: str = "apiKey") -> list[str]:
    named = [sys.executable, "manage.py", *arguments, "--json", "--url", url or engine.url]
    return [*named, "--key", engine.credentials.get(key, key)]


@contextmanager
def watching(engine: Engine, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    named = command(engine, *arguments, "--watch")
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(named, cwd=BASE_DIR, env=os.environ, **pipes) as child:
        try:
            yield child
        finally:
            child.kill()


def run(engine: Engine, *arguments: str, url: str | None = None, key: str = "apiKey") -> tuple[int, Any, str]:
    """Exit code, what was printed as JSON, and what was complained of."""
    named = command(engine, *arguments, url=url, key=key)
    ended = subprocess.run(named, cwd=BASE_DIR, env=os.environ, capture_output=True, text=True, timeout=120)
    lines = [json.loads(line) for line in ended.stdout.splitlines() if line.strip()]
    return ended.returncode, lines, ended.stderr


def test_an_order_is_watched_to_its_end(engine: Engine) -> None:
    code, printed, complaint = run(engine, "order", "SOL", "USDC", "1.5", "--watch")
    assert code == DONE, complaint
    assert [line["status"] for line in printed if line.get("type") == "event"][-1] == "confirmed"


def test_an_exact_output_is_received(engine: Engine) -> None:
    asked = ("order", "USDC", "SOL", "--amount-out", "0.75", "--amount-in-max", "100000")
    code, printed, complaint = run(engine, *asked, "--watch")
    assert code == DONE, complaint
    confirmed = [line for line in printed if line.get("type") == "event"][-1]
    assert (confirmed["status"], confirmed["data"]["amountOut"]) == ("confirmed", "0.75")
    for wrong in (("order", "USDC", "SOL"), ("order", "USDC", "SOL", "1", "--amount-out", "2")):
        code, _, complaint = run(engine, *wrong)
        assert code == REFUSED and "--amount-out" in complaint


def test_a_limit_rests_is_listed_and_cancelled(engine: Engine) -> None:
    code, [placed], _ = run(engine, "order", "SOL", "USDC", "1", "--limit", "900", "--client-order-id", "mine")
    assert code == DONE and placed["clientOrderId"] == "mine"
    code, printed, _ = run(engine, "orders", placed["orderId"], "--cancel")
    assert code == DONE and printed[-1]["status"] == "cancelled"
    code, printed, _ = run(engine, "orders", "--status", "cancelled")
    assert code == DONE and placed["orderId"] in json.dumps(printed)


def test_a_plan_from_a_file_is_listed_shown_paused_and_cancelled(engine: Engine, tmp_path: Path) -> None:
    body = {"kind": "schedule", "tokenIn": "USDC", "tokenOut": "SOL", "sliceAmount": "10", "every": "P1D"}
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(body | {"startAt": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}))
    code, [made], complaint = run(engine, "plan", "--make", str(file))
    assert code == DONE and made["status"] == "active", complaint
    code, listed, _ = run(engine, "plan", "--limit", "1")
    assert code == DONE and [plan["planId"] for plan in listed] == [made["planId"]]
    for action, status in (("pause", "paused"), ("resume", "active"), ("cancel", "cancelled")):
        code, [changed], complaint = run(engine, "plan", made["planId"], f"--{action}")
        assert (code, changed["status"]) == (DONE, status), complaint
    code, [shown], _ = run(engine, "plan", made["planId"])
    assert code == DONE and shown == changed


def test_a_plan_for_people_and_what_is_refused(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    exits = [{"kind": "stopLoss", "price": "1"}, {"kind": "takeProfit", "price": "100000"}]
    body = {"kind": "bracket", "entry": False, "tokenIn": "SOL", "tokenOut": "USDC", "amount": "1", "exits": exits}
    file.write_text(json.dumps(body))
    words = [word for word in command(engine, "plan", "--make", str(file)) if word != "--json"]
    ended = subprocess.run(words, cwd=BASE_DIR, env=os.environ, capture_output=True, text=True, timeout=120)
    assert ended.returncode == DONE and "tp1" in ended.stdout and "100000" in ended.stdout, ended.stderr
    plan_id = ended.stdout.split()[0]
    assert run(engine, "plan", plan_id, "--pause")[0] == REFUSED
    assert run(engine, "plan", plan_id, "--cancel")[0] == DONE
    file.write_text(json.dumps(body | {"exits": []}))
    code, printed, complaint = run(engine, "plan", "--make", str(file))
    assert (code, printed) == (REFUSED, []) and "VALIDATION_FAILED" in complaint
    assert run(engine, "plan", "00000000-0000-0000-0000-000000000000")[0] == REFUSED
    for wrong, said in ((tmp_path / "none.json", "none.json"), (file, "JSON")):
        file.write_text("{")
        code, printed, complaint = run(engine, "plan", "--make", str(wrong))
        assert (code, printed) == (REFUSED, []) and said in complaint and "Traceback" not in complaint


def test_a_sniper_waits_for_its_launch(engine: Engine) -> None:
    code, [placed], _ = run(engine, "order", "USDC", "NEW", "10", "--snipe")
    assert code == DONE and placed["status"] == "pending"


def test_a_failed_order_is_a_dead_letter_to_requeue(engine: Engine) -> None:
    reason = "NO_ROUTE" if engine.mode == "mock" else "INSUFFICIENT_FUNDS"  # No wallet on a chain has any of it.
    code, printed, _ = run(engine, "order", "NEW", "USDC", "1", "--watch")
    assert code == FAILED and reason in json.dumps(printed)
    code, letters, _ = run(engine, "dead-letters", key="staffApiKey")
    assert code == DONE and reason in json.dumps(letters)
    code, _, _ = run(engine, "dead-letters", "requeue", "--all", key="staffApiKey")
    assert code == DONE


def test_quotes_of_a_pair(engine: Engine) -> None:
    code, printed, _ = run(engine, "quotes", "SOL-USDC")
    assert code == DONE and "best" in json.dumps(printed)


def test_quotes_are_watched_until_somebody_has_enough(engine: Engine) -> None:
    with watching(engine, "quotes", "SOL-USDC", "JUP-USDC") as child:
        assert child.stdout is not None
        lines = [json.loads(child.stdout.readline()) for _ in range(8)]
        assert {line["pair"] for line in lines[2:]} == {"SOL-USDC", "JUP-USDC"}
        child.send_signal(signal.SIGINT)
        rest, complaint = child.communicate(timeout=60)
        assert child.returncode == DONE and "stopped looking" in complaint and "Traceback" not in complaint
        assert all(json.loads(line) for line in rest.splitlines()), "nothing but JSON, to the end"


def test_a_reader_that_has_enough_ends_the_watching_quietly(engine: Engine) -> None:
    with watching(engine, "quotes", "SOL-USDC") as child:
        assert child.stdout is not None and child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.wait(60) == DONE
        assert "Error" not in child.stderr.read()


def test_every_order_of_the_account_is_watched(engine: Engine) -> None:
    seen: list[Any] = []
    with watching(engine, "orders", "--limit", "1") as child:
        assert child.stdout is not None
        listening = threading.Thread(target=lambda: seen.extend(map(json.loads, child.stdout or ())))
        listening.start()
        for _ in range(5):  # An order that is over before the feed is open is not in it.
            run(engine, "order", "SOL", "USDC", "1", "--watch")
            if any((line.get("type"), line.get("status")) == ("event", "confirmed") for line in seen):
                break
        else:
            raise AssertionError(seen)
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == DONE
        listening.join()


def test_what_is_refused_says_so_and_ends_with_two(engine: Engine) -> None:
    asked = (("order", "SOL", "DOGE", "1"), ("order", "SOL", "USDC", "-1"), ("quotes", "SOL-DOGE"))
    with ThreadPoolExecutor(2) as threads:
        ended = list(threads.map(lambda arguments: run(engine, *arguments), asked))
    assert [(code, bool(complaint)) for code, _, complaint in ended] == [(REFUSED, True)] * len(asked)
    assert run(engine, "orders", key="wrong")[0] == REFUSED


def test_an_engine_that_is_not_there_ends_with_three(engine: Engine) -> None:
    code, _, complaint = run(engine, "orders", url="http://127.0.0.1:9")
    assert code == UNREACHABLE and "127.0.0.1:9" in complaint
