"""Blocks, validity, finality, faults: what a node says and what the chain does, block by block."""

import base64
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from tests.localnet.node import Localnet
from tests.localnet.wallets import Wallet


def test_the_last_valid_block_takes_it_and_the_next_does_not(localnet: Localnet) -> None:
    wallet = Wallet(localnet)
    latest = wallet.latest()
    last = latest["lastValidBlockHeight"]
    in_time, late = (wallet.payment(lamports, latest["blockhash"]) for lamports in (1, 2))
    height = localnet.rpc("getBlockHeight", {"commitment": "processed"})
    localnet.tick(last - 1 - height)
    wallet.send(in_time)
    localnet.tick()
    assert wallet.status(in_time)["confirmationStatus"] == "processed"
    wallet.send(late)
    localnet.tick()
    assert localnet.rpc("getBlockHeight", {"commitment": "processed"}) == last + 1
    assert wallet.status(late) is None
    assert localnet.rpc("isBlockhashValid", latest["blockhash"], {"commitment": "processed"})["value"] is False


def test_a_slot_is_no_height(localnet: Localnet) -> None:
    def gap() -> int:
        config = {"commitment": "processed"}
        return int(localnet.rpc("getSlot", config)) - int(localnet.rpc("getBlockHeight", config))

    before = gap()
    localnet.tick(40)
    assert gap() == before + 2


def test_two_equal_payments_are_one_transaction_and_a_memo_makes_them_two(localnet: Localnet) -> None:
    wallet = Wallet(localnet)
    blockhash = wallet.latest()["blockhash"]
    equal = [wallet.payment(1, blockhash) for _ in range(2)]
    apart = [wallet.payment(1, blockhash, memo=f"order/{n}") for n in range(2)]
    assert len({str(each.signatures[0]) for each in equal}) == 1
    assert len({str(each.signatures[0]) for each in apart}) == 2
    for each in (*equal, *apart):
        wallet.send(each)
    localnet.tick(2)
    assert localnet.control("state")["queued"] == 0
    found = localnet.rpc("getSignaturesForAddress", str(wallet.key.pubkey()))
    assert sorted(each["memo"] or "" for each in found) == ["", "[7] order/0", "[7] order/1"]
    # Page by page, also where one block is on two of them.
    names = [each["signature"] for each in found]
    pages = [{"before": before, "limit": 1} for before in (None, *names[:2])]
    asked = [localnet.rpc("getSignaturesForAddress", str(wallet.key.pubkey()), page) for page in pages]
    assert [page[0]["signature"] for page in asked] == names


def test_what_landed_lands_no_second_time(localnet: Localnet) -> None:
    wallet = Wallet(localnet)
    payment = wallet.payment(5)
    balance = localnet.rpc("getBalance", str(wallet.key.pubkey()))["value"]
    for _ in range(3):
        wallet.send(payment)
        localnet.tick()
    assert localnet.rpc("getBalance", str(wallet.key.pubkey()))["value"] == balance - 5_000
    assert wallet.send(payment, skipPreflight=False)["message"].endswith("AlreadyProcessed")


def test_a_transaction_that_reverts_is_recorded_and_pays(localnet: Localnet) -> None:
    wallet = Wallet(localnet, "1")
    payment = wallet.payment(1)
    own, balance = str(wallet.key.pubkey()), 10**9
    too_much = wallet.signed([paid_away(wallet, 5 * 10**9)])
    refused = wallet.send(too_much, skipPreflight=False)
    assert refused["code"] == -32002 and refused["data"]["err"] == {"InstructionError": [0, {"Custom": 1}]}
    wallet.send(too_much)
    wallet.send(payment)
    localnet.tick(2)
    assert wallet.status(too_much)["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert wallet.status(payment)["err"] is None
    assert localnet.rpc("getBalance", own)["value"] == balance - 10_000
    told = localnet.rpc("getTransaction", str(too_much.signatures[0]), {"maxSupportedTransactionVersion": 1})
    assert told["meta"]["err"] and told["meta"]["fee"] == 5_000


def paid_away(wallet: Wallet, lamports: int) -> Instruction:
    other = Keypair().pubkey()
    return transfer(TransferParams(from_pubkey=wallet.key.pubkey(), to_pubkey=other, lamports=lamports))


def test_the_recent_cache_forgets_and_the_history_does_not(localnet: Localnet) -> None:
    wallet = Wallet(localnet)
    payment = wallet.payment(1)
    wallet.send(payment)
    localnet.tick()
    assert wallet.status(payment, history=False) is not None
    localnet.tick(400)
    assert wallet.status(payment, history=False) is None
    assert wallet.status(payment)["confirmationStatus"] == "finalized"
    assert wallet.send(payment) == str(payment.signatures[0])
    localnet.tick(2)
    assert len(localnet.rpc("getSignaturesForAddress", str(wallet.key.pubkey()))) == 1


def test_what_is_too_large_or_wrongly_signed_is_refused(localnet: Localnet) -> None:
    wallet = Wallet(localnet)
    payment = wallet.payment(1, memo="m" * 1_100)
    assert "too large" in wallet.send(payment)["message"]
    other = VersionedTransaction.populate(wallet.payment(1).message, [wallet.payment(2).signatures[0]])
    assert wallet.send(other)["code"] == -32003
    assert localnet.rpc("sendTransaction", "no base64!", {"encoding": "base64"})["code"] == -32602
    assert localnet.control("state")["queued"] == 0


def test_commitments_follow_each_other(start_localnet: Callable[..., Localnet]) -> None:
    """As on a cluster whose blocks are final 31 blocks later."""
    node = start_localnet(hold="", finalized_after="31")
    wallet = Wallet(node)
    payment = wallet.payment(1)
    wallet.send(payment)
    seen = []
    for _ in range(33):
        node.tick()
        seen.append(wallet.status(payment)["confirmationStatus"])
    assert seen == ["processed"] + ["confirmed"] * 30 + ["finalized"] * 2
    fresh = wallet.latest("processed")["blockhash"]
    early = wallet.payment(2, fresh)
    assert wallet.send(early, skipPreflight=False, preflightCommitment="finalized")["message"].endswith(
        "BlockhashNotFound"
    )
    assert isinstance(wallet.send(early, skipPreflight=False, preflightCommitment="processed"), str)


def test_a_fork_takes_back_what_was_not_final(start_localnet: Callable[..., Localnet]) -> None:
    node = start_localnet(hold="", finalized_after="31")
    wallet = Wallet(node)
    node.tick(31)
    own = str(wallet.key.pubkey())
    kept = wallet.payment(1)
    wallet.send(kept)
    node.tick()
    balance, height = node.rpc("getBalance", own)["value"], node.control("state")["height"]
    lost = wallet.payment(2)
    wallet.send(lost)
    node.tick(3)
    assert wallet.status(lost)["confirmationStatus"] == "confirmed"
    assert node.control("fault", fault="fork", count=3) == {"blocks": 3}
    assert node.control("state")["height"] == height
    assert wallet.status(lost) is None and wallet.status(kept) is not None
    assert node.rpc("getBalance", own)["value"] == balance
    assert node.rpc("getTransaction", str(lost.signatures[0]), {"maxSupportedTransactionVersion": 1}) is None
    wallet.send(lost)
    node.tick(2)
    assert wallet.status(lost) is not None, "its block hash is older than the fork: it may land again"


class TestFaults:
    def test_drop(self, localnet: Localnet) -> None:
        wallet = Wallet(localnet)
        payment = wallet.payment(1)
        localnet.control("fault", fault="drop", count=1)
        assert wallet.send(payment) == str(payment.signatures[0])
        localnet.tick(3)
        assert wallet.status(payment) is None
        wallet.send(payment)
        localnet.tick()
        assert wallet.status(payment) is not None

    def test_delay(self, localnet: Localnet) -> None:
        wallet = Wallet(localnet)
        payment = wallet.payment(1)
        localnet.control("fault", fault="delay", count=1)
        wallet.send(payment)
        localnet.tick(4)
        assert wallet.status(payment) is None
        localnet.tick()
        assert wallet.status(payment) is not None

    def test_land_then_timeout(self, localnet: Localnet) -> None:
        wallet = Wallet(localnet)
        payment = wallet.payment(1)
        localnet.control("fault", fault="land_then_timeout", count=1)
        text = base64.b64encode(bytes(payment)).decode()
        body = {"jsonrpc": "2.0", "id": 1, "method": "sendTransaction", "params": [text, {"encoding": "base64"}]}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(localnet.addresses["rpcUrl"], json=body, timeout=0.5)
        localnet.tick()
        assert wallet.status(payment)["err"] is None

    def test_refuse(self, localnet: Localnet) -> None:
        wallet = Wallet(localnet)
        payment = wallet.payment(1)
        localnet.control("fault", fault="refuse", count=1)
        assert wallet.send(payment)["code"] == -32002
        localnet.tick(2)
        assert wallet.status(payment) is None

    def test_lag(self, localnet: Localnet) -> None:
        """The answer shows by its slot that its node is behind."""
        wallet = Wallet(localnet)
        payment = wallet.payment(1)
        wallet.send(payment)
        localnet.tick(3)
        slot = localnet.rpc("getEpochInfo", {"commitment": "finalized"})["absoluteSlot"]
        localnet.control("fault", fault="lag", count=1)
        signature = str(payment.signatures[0])
        behind = localnet.rpc("getSignatureStatuses", [signature], {"searchTransactionHistory": True})
        assert behind["value"] == [None] and behind["context"]["slot"] < slot
        again = localnet.rpc("getSignatureStatuses", [signature], {"searchTransactionHistory": True})
        assert again["value"][0] is not None and again["context"]["slot"] >= slot

    def test_null_history(self, localnet: Localnet) -> None:
        wallet = Wallet(localnet)
        payment = wallet.payment(1)
        wallet.send(payment)
        localnet.tick(2)
        localnet.control("fault", fault="null_history", count=2)
        answers = [
            localnet.rpc("getTransaction", str(payment.signatures[0]), {"maxSupportedTransactionVersion": 1})
            for _ in range(3)
        ]
        assert [answer is None for answer in answers] == [True, True, False]

    @pytest.mark.parametrize(
        "body", [{"fault": "flood"}, {"fault": "drop", "count": -1}, {"fault": "drop", "count": "1"}, {}]
    )
    def test_what_is_no_fault_is_refused(self, localnet: Localnet, body: dict[str, object]) -> None:
        answer = httpx.post(f"{localnet.addresses['controlUrl']}/fault", json=body)
        assert answer.status_code == 400 and answer.json()["error"]
        assert localnet.control("state")["faults"] == {}


def test_what_was_reported_survives_kill_9(start_localnet: Callable[..., Localnet], tmp_path: Path) -> None:
    node = start_localnet(tmp_path, hold="")
    wallet = Wallet(node)
    landed = [wallet.payment(n) for n in range(1, 6)]
    for payment in landed:
        wallet.send(payment)
    node.tick()
    assert all(wallet.status(payment) for payment in landed)
    queued = wallet.payment(100)
    wallet.send(queued)
    own = str(wallet.key.pubkey())
    before = node.rpc("getBalance", own)["value"], node.addresses["genesisHash"], node.control("state")["height"]
    node.stop(9)
    again = start_localnet(tmp_path, hold="")
    wallet.node = again
    assert all(wallet.status(payment) for payment in landed)
    assert (again.rpc("getBalance", own)["value"], again.addresses["genesisHash"]) == before[:2]
    assert again.control("state")["height"] == before[2] + 1
    assert wallet.status(queued) is None, "what was only queued is lost with its node"
    wallet.send(queued)
    again.tick()
    assert wallet.status(queued)["err"] is None
    for payment in landed:
        wallet.send(payment)
    again.tick()
    assert len(again.rpc("getSignaturesForAddress", own)) == 6
