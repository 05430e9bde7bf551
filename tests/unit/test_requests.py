"""Every field of an order wrong in every way: a stable code, the field's name, and no way past."""

import contextlib
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.errors import ApiError
from orders.http.errors import status_of
from orders.json_in import NUMBER
from orders.ledger.statements import NewOrder
from orders.order_in import check_ahead, checked, parse_amend, parse_batch, parse_order
from routing.gates import Gates
from routing.mock import tokens

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MARKET = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1.5"}
LIMIT = {**MARKET, "type": "limit", "limitPrice": "200"}
SNIPER = {**MARKET, "type": "sniper"}


def take(body: bytes | str | dict[str, Any], *, now: datetime = NOW) -> NewOrder:
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    new = checked(parse_order(raw), account_id=1, idempotency_key=None, now=now)
    check_ahead(new.expires_at, now)
    return new


def refused(body: bytes | str | dict[str, Any]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        take(body)
    assert status_of(caught.value) in (400, 422)
    return caught.value


WRONG_TYPES: list[Any] = [None, True, [], {}, [1], {"a": 1}]
NUMBERS_OUT_OF_REACH = ["NaN", "sNaN", "Infinity", "-Infinity", "-1", "-0", "0", "0.0", "0e5", "1e400", "1e-400"]
NOT_NUMBERS = ["", " ", "1,5", "0x10", "abc", "1 2", "１．５x", "1\u0000", "--1", "1e"]
TEXTS = ["", "a\u0000b", "\u0000", "x" * 65]


def cases() -> list[tuple[dict[str, Any], str, Any, str]]:
    """(a valid order, field, wrong value, expected code)."""
    bad = "VALIDATION_FAILED"
    found: list[tuple[dict[str, Any], str, Any, str]] = []
    for field in ("tokenIn", "tokenOut"):
        found += [(MARKET, field, value, bad) for value in [*WRONG_TYPES, 1, 1.5, "", "x" * 65]]
        unknown = [
            "DOGE",
            "SOL ",
            " SOL",
            "SO L",
            "a\u0000b",
            tokens.SOL.mint.lower(),
            "ＳＯＬ",
            "\ud83d\ude00",
            "'; --",
        ]
        found += [(MARKET, field, value, "UNKNOWN_TOKEN") for value in unknown]
    too_fine, too_much = "0.0000000001", "18446744073.709551616"
    numbers = [*NUMBERS_OUT_OF_REACH, *NOT_NUMBERS]
    found += [
        (MARKET, "amount", value, bad) for value in [*WRONG_TYPES, *numbers, -1, 0, -0.0, too_fine, too_much, 10**30]
    ]
    prices = [*numbers, "1e19", "1e-19", "0." + "0" * 17 + "11", "1" + "0" * 70, -1, 0, 10**19]
    found += [(LIMIT, "limitPrice", value, bad) for value in [*WRONG_TYPES[1:], *prices]]
    found += [(LIMIT, "limitPrice", None, bad), (MARKET, "limitPrice", "1", bad), (SNIPER, "limitPrice", "1", bad)]
    found += [
        (MARKET, "type", value, bad) for value in [*WRONG_TYPES, 1, "", "Market", "stop", "market\u0000", "x" * 9999]
    ]
    bps = [*WRONG_TYPES, -1, 5001, 10**30, 0.5, 50.5, "50", ""]
    found += [(MARKET, "slippageBps", value, bad) for value in bps]
    impact = [*WRONG_TYPES[1:], -1, 10_001, 2**63, 0.5, "50"]
    found += [(SNIPER, "maxPriceImpactBps", value, bad) for value in impact]
    found += [(MARKET, "maxFeeLamports", value, bad) for value in [*WRONG_TYPES[1:], 0, -1, 10**12 + 1, 0.5, "50"]]
    found += [(MARKET, "clientOrderId", value, bad) for value in [*WRONG_TYPES[1:], 1, *TEXTS, "a\nb", "a\x7fb"]]
    conditions = [*WRONG_TYPES[1:], 1, "", "gt", "GTE"]
    found += [(LIMIT, "triggerCondition", value, bad) for value in conditions]
    found += [(MARKET, "triggerCondition", "gte", bad), (SNIPER, "triggerCondition", "lte", bad)]
    times = [*WRONG_TYPES[1:], 1, "", "tomorrow", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-06-01"]
    times += ["2026-06-01T00:00:00", "2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z", "2027-06-01T00:00:00Z"]
    times += ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-06-01T00:00:00+99:00", "a\u0000"]
    found += [(MARKET, "expiresAt", value, bad) for value in times]
    triggers: list[Any] = [True, [], 1, "x", {"kind": "moon"}, {"kind": None}, {"kind": 1}, {"nope": 1}]
    triggers += [{"kind": "liquidity"}, {"kind": "volume"}, {"kind": "token_launch", "minLiquidity": "1"}]
    triggers += [
        {"kind": "liquidity", "minLiquidity": "1", "volumeFactor": "2"},
        {"kind": "volume", "minLiquidity": "1"},
    ]
    triggers += [{"kind": "liquidity", "minLiquidity": number} for number in NUMBERS_OUT_OF_REACH]
    triggers += [{"kind": "volume", "volumeFactor": number} for number in NUMBERS_OUT_OF_REACH]
    found += [(SNIPER, "trigger", value, bad) for value in triggers]
    found += [(MARKET, "trigger", {"kind": "token_launch"}, bad), (LIMIT, "trigger", {}, bad)]
    found += [(MARKET, "nope", 1, bad), (MARKET, "amount ", "1", bad), (MARKET, "\u0000", 1, bad), (MARKET, "", 1, bad)]
    return found


@pytest.mark.parametrize(("order", "field", "value", "code"), cases())
def test_a_wrong_field_is_named(order: dict[str, Any], field: str, value: Any, code: str) -> None:
    error = refused({**order, field: value})

    assert error.code == code
    assert len(error.message) < 500
    if field in OrderFields and field != "trigger":
        assert list(error.details) == [field]
    elif field == "trigger":
        assert next(iter(error.details)).split(".")[0] in ("trigger", "kind", "nope")
    body = error.body("request")["error"]
    assert body["retryable"] is False and body["requestId"] == "request"
    json.dumps(body)


OrderFields = {
    "tokenIn",
    "tokenOut",
    "amount",
    "type",
    "slippageBps",
    "clientOrderId",
    "expiresAt",
    "limitPrice",
    "triggerCondition",
    "trigger",
    "maxPriceImpactBps",
    "maxFeeLamports",
}


@pytest.mark.parametrize("field", ["tokenIn", "tokenOut", "amount"])
def test_what_is_missing_is_named(field: str) -> None:
    error = refused({name: value for name, value in MARKET.items() if name != field})

    assert error.code == "VALIDATION_FAILED" and list(error.details) == [field]


def test_a_limit_order_without_a_price_is_refused() -> None:
    assert list(refused({**MARKET, "type": "limit"}).details) == ["limitPrice"]


NOT_JSON = [
    b"",
    b" ",
    b"{",
    b"}",
    b"nope",
    b"{'tokenIn': 'SOL'}",
    b'{"tokenIn": "SOL",}',
    b'{"tokenIn": "SOL"} {}',
    b'{"amount": NaN}',
    b'{"amount": Infinity}',
    b'{"amount": -Infinity}',
    b'{"amount": 01}',
    b'{"amount": 1.}',
    b'{"amount": +1}',
    b'\xef\xbb\xbf{"tokenIn": "SOL"}',
    b'{"tokenIn": "\xff\xfe"}',
    b'{"tokenIn": "\\ud800"}',
    b'{"clientOrderId": "\\udfff\\ud800"}',
    b'{"tokenIn": "\x00"}',
    b'{"tokenIn": "a\nb"}',
    b'{"tokenIn": "\\x41"}',
    b"\x00",
    '{"tokenIn": "SOL"}'.encode("utf-16"),
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", NOT_JSON, ids=lambda body: repr(body[:24]))
def test_what_is_no_json_is_refused(body: bytes) -> None:
    error = refused(body)

    assert error.code in ("INVALID_JSON", "VALIDATION_FAILED") and status_of(error) == 400
    json.dumps(error.body("request"))


@pytest.mark.parametrize("body", ["null", "1", '"SOL"', "[]", "true", '[{"tokenIn": "SOL"}]'])
def test_what_is_no_object_is_refused(body: str) -> None:
    assert refused(body).code == "VALIDATION_FAILED"


@pytest.mark.parametrize(
    "number", ["1e400", "-1e400", "1e-400", "1E+999999", "-0", "0", "-0.0", "9" * 400, "0." + "1" * 400]
)
def test_numbers_that_no_chain_can_carry(number: str) -> None:
    """As bare JSON numbers, which `json.dumps` cannot write."""
    error = refused(f'{{"tokenIn": "SOL", "tokenOut": "USDC", "amount": {number}}}')

    assert list(error.details) == ["amount"] or error.code == "INVALID_JSON"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"tokenIn": "BONK", "tokenIn": "SOL", "tokenOut": "USDC", "amount": "1"}', "tokenIn"),
        ('{"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1", "amount": "1"}', "amount"),
        ('{"tokenIn": "SOL", "tokenOut": "USDC", "amount": "x", "amount": "2"}', "amount"),
        ('{"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1", "\\u0061mount": "2"}', "amount"),
        # The escaped colon of the client's id stands for the colon of the key that was dropped.
        ('{"tokenIn":"SOL","tokenOut":"USDC","amount":"1","amount":"2","clientOrderId":"\\u003a"}', "amount"),
        (
            json.dumps(SNIPER)[:-1] + ', "trigger": {"kind": "volume", "volumeFactor": 2, "volumeFactor": 3}}',
            "volumeFactor",
        ),
    ],
)
def test_a_key_that_stands_twice_is_named(body: str, field: str) -> None:
    error = refused(body)

    assert (error.code, list(error.details)) == ("VALIDATION_FAILED", [field])
    assert "twice" in error.message


@pytest.mark.parametrize("name", ["a:b", "::", 'q"q', "\\", "é:\u2028"])
def test_colons_and_escapes_are_no_keys(name: str) -> None:
    for ascii_only in (True, False):
        body = json.dumps({**MARKET, "clientOrderId": name}, ensure_ascii=ascii_only)
        assert take(body).client_order_id == name


def test_a_batch_of_two_lists_is_refused() -> None:
    for body in (b'{"orders": [{}], "orders": [{}]}', b'{"orders": [{}], "\\u006frders": [{}]}'):
        with pytest.raises(ApiError) as caught:
            parse_batch(body)
        assert list(caught.value.details) == ["orders"]
    assert len(parse_batch(b'{"orders": [{"orders": 1, "x": "\\n"}]}')) == 1, "that is the order's own fault"


ONLY_PYTHON_READS = [
    "1_000",
    "\uff11\uff10",
    "\u0663",
    "+1",
    " 1",
    "1 ",
    "1\n",
    "\t1",
    "01",
    "1.",
    ".5",
    "1e",
    "1e+",
    "Infinity",
]


@pytest.mark.parametrize("number", ONLY_PYTHON_READS)
def test_a_number_in_a_text_is_written_as_json_writes_it(number: str) -> None:
    for body, field in (
        ({**MARKET, "amount": number}, "amount"),
        ({**LIMIT, "limitPrice": number}, "limitPrice"),
        ({**SNIPER, "trigger": {"kind": "volume", "volumeFactor": number}}, "trigger.volumeFactor"),
    ):
        assert list(refused(body).details) == [field]
    with pytest.raises(ApiError) as caught:
        parse_amend(msgspec.json.encode({"amount": number}))
    assert list(caught.value.details) == ["amount"]


@given(st.from_regex(NUMBER, fullmatch=True))
def test_python_s_json_reads_the_same_numbers(number: str) -> None:
    json.loads(number)
    with contextlib.suppress(ApiError):
        assert take({**MARKET, "amount": number}).amount == Decimal(number)


@pytest.mark.parametrize("bps", [50.0, "5e1", "50.00"])
def test_an_integral_float_is_the_integer_it_means(bps: Any) -> None:
    body = f'{{"tokenIn": "SOL", "tokenOut": "USDC", "amount": 1, "slippageBps": {bps}}}'
    assert take(body).slippage_bps == 50
    assert parse_amend(f'{{"slippageBps": {bps}}}'.encode()).slippage_bps == 50


@pytest.mark.parametrize("bps", ["0.5", "50.000001", "1e400", "1e-400", "-1.0", "5001.0"])
def test_another_float_is_no_integer(bps: str) -> None:
    error = refused(f'{{"tokenIn": "SOL", "tokenOut": "USDC", "amount": 1, "slippageBps": {bps}}}')
    assert list(error.details) == ["slippageBps"]


@given(st.text(max_size=66))
def test_a_name_has_no_control_characters_wherever_they_stand(name: str) -> None:
    bad = not 1 <= len(name) <= 64 or any(ord(c) < 0x20 or ord(c) == 0x7F for c in name)
    if bad:
        assert list(refused({**MARKET, "clientOrderId": name}).details) == ["clientOrderId"]
    else:
        assert take({**MARKET, "clientOrderId": name}).client_order_id == name


@given(st.sampled_from("\n\r\x00\x1f\x7f\x0b\x0c\t"), st.text(min_size=1, max_size=60), st.integers(0, 60))
def test_a_control_character_is_found_in_every_name(control: str, name: str, at: int) -> None:
    text = name[:at] + control + name[at:]
    assert refused({**MARKET, "clientOrderId": text}).code == "VALIDATION_FAILED"
    for field in ("tokenIn", "tokenOut"):
        assert refused({**MARKET, field: text}).code in ("VALIDATION_FAILED", "UNKNOWN_TOKEN")
    for known in ("SOL", tokens.SOL.mint):
        assert refused({**MARKET, "tokenIn": known + control}).code == "UNKNOWN_TOKEN"


@pytest.mark.parametrize("text", ["\\ud800", "\\udfff\\ud800", "a\\uDBFFb", "\\ude00"])
def test_a_lone_surrogate_is_named_as_such(text: str) -> None:
    error = refused(f'{{"tokenIn": "{text}", "tokenOut": "USDC", "amount": 1}}')
    assert error.code == "INVALID_JSON" and "surrogate" in error.message
    with pytest.raises(ApiError, match="surrogate"):
        parse_batch(f'{{"orders": [{{"tokenIn": "{text}"}}]}}'.encode())


@pytest.mark.parametrize("token_in", ["SOL", "sol", "Sol", tokens.SOL.mint])
@pytest.mark.parametrize("token_out", ["USDC", "usdc", tokens.USDC.mint])
def test_a_token_goes_by_symbol_or_mint(token_in: str, token_out: str) -> None:
    taken = take({**MARKET, "tokenIn": token_in, "tokenOut": token_out})

    assert (taken.token_in, taken.token_out) == (tokens.SOL.mint, tokens.USDC.mint)


NEWS = {"tokenIn": "USDC", "tokenOut": "NEW", "amount": "10", "type": "sniper", "clientOrderId": "a"}


@pytest.mark.parametrize(
    ("body", "digest"),
    [
        (MARKET, "b2b436cd17cd88da05377ee719830ac6e9b403d6e118067917493bcc2b3ffd7c"),
        (NEWS, "21687372aeb398a0552021e8864ce3eee86843c7f00f75026675cf7e7b24aef8"),
        (LIMIT, "9cf0a806c9bc9b10cf6c5c6707b87795ebaa3286ab17b401531a28a5a36510ef"),
    ],
)
def test_a_request_that_was_first_sent_to_the_version_before_is_known_again(body: dict[str, Any], digest: str) -> None:
    """The digests are what commit e8c9eff stored, whose orders named symbols."""
    assert take(body).request_hash.hex() == digest


UNKNOWN = "Gh9ZwEmdLJ8DscKNTkTqPbNwLNNBjuSzaG9Vp2KGtKJr"


def test_who_waits_for_a_launch_may_name_a_mint_that_nobody_knows() -> None:
    assert take({**NEWS, "tokenOut": UNKNOWN}).token_out == UNKNOWN


@pytest.mark.parametrize(
    "changes",
    [
        {"tokenOut": UNKNOWN[:30]},
        {"tokenOut": "0" + UNKNOWN[1:]},
        {"tokenOut": "1" * 45},
        {"tokenOut": UNKNOWN, "trigger": {"kind": "volume", "volumeFactor": "2"}},
        {"tokenOut": UNKNOWN, "trigger": {"kind": "liquidity", "minLiquidity": "2"}},
        {"tokenOut": UNKNOWN, "type": "market"},
        {"tokenOut": "USDC", "tokenIn": UNKNOWN},
    ],
)
def test_nobody_else_may(changes: dict[str, Any]) -> None:
    assert refused({**NEWS, **changes}).code == "UNKNOWN_TOKEN"


@pytest.mark.parametrize("other", ["SOL", "sol", tokens.SOL.mint])
def test_a_token_is_not_sold_for_itself(other: str) -> None:
    error = refused({**MARKET, "tokenOut": other})

    assert (error.code, status_of(error), list(error.details)) == ("SAME_TOKEN", 422, ["tokenOut"])


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("1.5", "1.5"),
        (1.5, "1.5"),
        (2, "2"),
        ("1e3", "1000"),
        ("0.000000001", "0.000000001"),
        ("1.50000000000", "1.5"),
        ("18446744073.709551615", "18446744073.709551615"),
    ],
)
def test_an_amount_is_text_or_number(amount: Any, expected: str) -> None:
    assert take({**MARKET, "amount": amount}).amount == Decimal(expected)


def test_a_number_keeps_the_digits_it_was_written_with() -> None:
    body = '{"tokenIn": "SOL", "tokenOut": "USDC", "amount": 18446744073.709551615}'

    assert take(body).amount == Decimal("18446744073.709551615")


@pytest.mark.parametrize(("name", "length"), [("a" * 64, 64), ("ключ-é-😀", None), (" spaced ", None), ("null", None)])
def test_a_client_order_id_is_kept_as_it_is(name: str, length: int | None) -> None:
    assert take({**MARKET, "clientOrderId": name}).client_order_id == name


def test_an_expiry_is_a_moment_in_any_zone() -> None:
    taken = take({**MARKET, "expiresAt": "2026-01-01T03:00:00+02:00"})

    assert taken.expires_at == NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (MARKET, {**MARKET, "amount": 1.5}, True),
        (MARKET, {**MARKET, "amount": "1.500"}, True),
        (MARKET, {**MARKET, "tokenIn": tokens.SOL.mint}, True),
        (MARKET, {**MARKET, "type": "market", "slippageBps": 50}, True),
        (MARKET, {**MARKET, "clientOrderId": None}, True),
        (LIMIT, {**LIMIT, "limitPrice": "200.0"}, True),
        (LIMIT, {**LIMIT, "triggerCondition": "gte"}, True),
        (SNIPER, {**SNIPER, "trigger": {}}, True),
        (SNIPER, {**SNIPER, "trigger": {"kind": "token_launch"}}, True),
        (
            {**SNIPER, "trigger": {"kind": "volume", "volumeFactor": "2"}},
            {**SNIPER, "trigger": {"kind": "volume", "volumeFactor": "2.0"}},
            True,
        ),
        ({**MARKET, "expiresAt": "2026-01-01T02:00:00Z"}, {**MARKET, "expiresAt": "2026-01-01T03:00:00+01:00"}, True),
        (MARKET, {**MARKET, "amount": "1.6"}, False),
        (MARKET, {**MARKET, "slippageBps": 51}, False),
        (MARKET, {**MARKET, "tokenOut": "BONK"}, False),
        (MARKET, {**MARKET, "expiresAt": "2026-06-01T00:00:00Z"}, False),
        (MARKET, {**MARKET, "maxPriceImpactBps": 10}, False),
        (LIMIT, {**LIMIT, "triggerCondition": "lte"}, False),
    ],
)
def test_what_counts_as_the_same_request(first: dict[str, Any], second: dict[str, Any], same: bool) -> None:
    assert (take(first).request_hash == take(second).request_hash) is same


def test_a_field_that_came_later_leaves_the_hash_of_requests_without_it() -> None:
    """Both versions run at the same time, and a client may send its request again to the other one."""
    assert take(MARKET).request_hash.hex() == "b2b436cd17cd88da05377ee719830ac6e9b403d6e118067917493bcc2b3ffd7c"
    assert take({**MARKET, "maxFeeLamports": 10_000}).request_hash != take(MARKET).request_hash


def test_only_a_market_order_starts_at_once() -> None:
    assert [take(order).resting for order in (MARKET, LIMIT, SNIPER)] == [False, True, True]
    assert take(LIMIT).trigger_condition == "gte"
    assert take(SNIPER).trigger_kind == "token_launch"


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'{"orders": []}',
        b'{"orders": {}}',
        b'{"orders": null}',
        b'{"orders": [{}], "more": 1}',
        b'{"orders": [' + b",".join([b"{}"] * 101) + b"]}",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_wrong_batch_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        parse_batch(body)
    assert caught.value.code == "VALIDATION_FAILED"


def test_the_orders_of_a_batch_are_looked_at_one_by_one() -> None:
    assert [bytes(raw) for raw in parse_batch(b'{"orders": [{"a": 1}, null, "x"]}')] == [b'{"a": 1}', b"null", b'"x"']


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount": None}, "amount"),
        ({"amount": "x"}, "amount"),
        ({"limitPrice": None}, "limitPrice"),
        ({"slippageBps": None}, "slippageBps"),
        ({"slippageBps": 5001}, "slippageBps"),
        ({"expiresAt": 1}, "expiresAt"),
        ({"tokenIn": "SOL"}, "tokenIn"),
    ],
)
def test_a_wrong_amendment_is_named(body: dict[str, Any], field: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_amend(msgspec.json.encode(body))
    assert list(caught.value.details) == [field]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*sorted(OrderFields), "nope"]), json_values))
def test_whatever_is_sent_is_taken_or_refused(fields: dict[str, Any]) -> None:
    try:
        taken = take(json.dumps({**MARKET, **fields}))
    except ApiError as error:
        assert status_of(error) in (400, 422)
    else:
        assert (taken.amount or taken.percent or 0) > 0


@given(st.binary(max_size=200))
def test_whatever_bytes_are_sent_are_refused(body: bytes) -> None:
    with pytest.raises(ApiError):
        take(body)


@pytest.fixture
def on_a_chain(settings: Any) -> None:
    settings.EXECUTION_MODE = "localnet"


def test_a_sniper_asks_for_gates_where_there_is_a_chain(on_a_chain: None) -> None:
    asked = {"maxTopHoldersBps": 3000, "minPoolSize": "5000.0", "minPoolAge": "PT1M", "transferHook": False}
    taken = take({**SNIPER, "gates": asked})
    assert taken.gates == Gates(
        max_top_holders_bps=3000, min_pool_size=Decimal(5000), min_pool_age=timedelta(minutes=1), transfer_hook=False
    )
    same = take({**SNIPER, "gates": {**asked, "minPoolSize": 5e3, "minPoolAge": "PT60S"}})
    assert same.request_hash == taken.request_hash
    assert take({**SNIPER, "gates": {**asked, "maxTopHoldersBps": 3001}}).request_hash != taken.request_hash


@pytest.mark.parametrize(
    ("gates", "field"),
    [
        ([], "gates"),
        ({"mintAuthority": 1}, "gates.mintAuthority"),
        ({"maxTopHoldersBps": 10_001}, "gates.maxTopHoldersBps"),
        ({"minLpBurntBps": -1}, "gates.minLpBurntBps"),
        ({"minPoolSize": "-1"}, "gates.minPoolSize"),
        ({"minPoolSize": "NaN"}, "gates.minPoolSize"),
        ({"minPoolAge": "1 hour"}, "gates.minPoolAge"),
        ({"timeout": "P400D"}, "gates.timeout"),
        ({"topHolders": 1}, "gates"),
    ],
)
def test_a_wrong_gate_is_named(on_a_chain: None, gates: Any, field: str) -> None:
    error = refused({**SNIPER, "gates": gates})
    assert error.code == "VALIDATION_FAILED" and list(error.details) == [field], error.details


def test_gates_belong_to_snipers_and_to_chains(settings: Any) -> None:
    assert list(refused({**SNIPER, "gates": {}}).details) == ["gates"]
    settings.EXECUTION_MODE = "localnet"
    assert list(refused({**MARKET, "gates": {}}).details) == ["gates"]


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({**MARKET, "type": "stop"}, "type", "must be one of limit, market, sniper"),
        ({**MARKET, "timeInForce": "IOC"}, "timeInForce", "must be one of fok, gtc, ioc"),
        (
            {**MARKET, "exits": [{"kind": "stop"}]},
            "exits[0].kind",
            "must be one of stopLoss, takeProfit, timeLimit, trailing",
        ),
        (
            {**MARKET, "exits": [{"kind": "stopLoss", "at": 1}]},
            "exits[0]",
            "unknown field `at`; known: activateAtBps, after, atBps,",
        ),
        ({**MARKET, "side": "buy"}, "side", "unknown field `side`; known: activationPrice, allowFarPrice, amount,"),
        ({**MARKET, "trigger": {"kind": "x"}}, "trigger.kind", "must be one of liquidity, token_launch, volume"),
    ],
)
def test_a_refusal_says_what_may_stand_there(body: dict[str, Any], field: str, said: str) -> None:
    [message] = refused(body).details[field]
    assert message.startswith(said)
