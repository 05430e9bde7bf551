"""Jupiter's program over both pools, on the virtual machine itself."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.token.state import Mint
from solders.transaction import VersionedTransaction

from localnet import pools
from localnet.accounts import config_data, config_of, observation, owned, pool_data, token_account
from localnet.addresses import TOKEN
from localnet.formats import CPMM, DAMM_V2, Format
from localnet.genesis import programs
from localnet.route import ERRORS, PROGRAM, Ends, Step, route

RATES = {CPMM.name: 2_500, DAMM_V2.name: 2_000_000}
RESERVES = 50_000 * 10**9, 8_000_000 * 10**6
HELD = 10**15
AMOUNT = 7 * 10**9 + 3


@dataclass
class Bench:
    svm: LiteSVM
    payer: Keypair
    mints: tuple[Pubkey, Pubkey]
    wallets: tuple[Pubkey, Pubkey]

    def hold(self) -> None:
        for address, mint in zip(self.wallets, self.mints, strict=True):
            self.svm.set_account(address, token_account(mint, self.payer.pubkey(), HELD))
        for format_ in (CPMM, DAMM_V2):
            self._pool(format_)

    def _pool(self, format_: Format) -> None:
        config = config_of(format_)
        pool = format_.pool(config, *self.mints)
        vaults = (format_.vault(pool, self.mints[0]), format_.vault(pool, self.mints[1]))
        rate = RATES[format_.name]
        data = pool_data(
            format_,
            config=config,
            mints=self.mints,
            vaults=vaults,
            programs=(TOKEN, TOKEN),
            decimals=(9, 6),
            rate=rate,
        )
        for vault, mint, amount in zip(vaults, self.mints, RESERVES, strict=True):
            self.svm.set_account(vault, token_account(mint, format_.authority[0], amount))
        self.svm.set_account(pool, owned(10**9, data, format_.program))
        self.svm.set_account(config, owned(10**9, config_data(rate), format_.program))
        self.svm.set_account(observation(pool), owned(10**9, bytes(100), format_.program))

    def ends(self) -> Ends:
        return Ends(self.payer.pubkey(), self.wallets, self.mints, (TOKEN, TOKEN))

    def step(self, format_: Format, bps: int = 10_000) -> Step:
        pool = pools.find(self.svm.get_account, format_, *self.mints)
        assert pool is not None
        return Step(format_, pool.swap(0, 0, self.payer.pubkey(), *self.wallets), bps)

    def pays(self, format_: Format, amount: int) -> int:
        pool = pools.find(self.svm.get_account, format_, *self.mints)
        assert pool is not None
        return pool.pays(amount)

    def send(self, instruction: Instruction) -> Any:
        message = MessageV0.try_compile(self.payer.pubkey(), [instruction], [], self.svm.latest_blockhash())
        done = self.svm.send_transaction(VersionedTransaction(message, [self.payer]))
        self.svm.expire_blockhash()
        return done

    def swap(self, quoted: int, slippage_bps: int, steps: Sequence[Step]) -> Any:
        return self.send(route(self.ends(), AMOUNT, quoted, slippage_bps, steps))

    def gained(self) -> tuple[int, int]:
        """Base units of both tokens."""
        held = [self.svm.get_account(address) for address in self.wallets]
        sold, bought = (int.from_bytes(each.data[64:72], "little") - HELD for each in held if each is not None)
        return sold, bought


@pytest.fixture(scope="module")
def made() -> Bench:
    svm, payer = LiteSVM().with_transaction_history(0), Keypair()
    for address, elf in programs().items():
        svm.add_program(address, elf)
    svm.airdrop(payer.pubkey(), 10**12)
    mints = (Pubkey.new_unique(), Pubkey.new_unique())
    for mint, decimals in zip(mints, (9, 6), strict=True):
        svm.set_account(mint, owned(10**9, bytes(Mint(payer.pubkey(), 10**18, decimals, True, None)), TOKEN))
    return Bench(svm, payer, mints, (Pubkey.new_unique(), Pubkey.new_unique()))


@pytest.fixture
def bench(made: Bench) -> Bench:
    made.hold()
    return made


def code(done: Any) -> int | None:
    """The program's error; None: it succeeded."""
    return int(done.err().err.code) if hasattr(done, "err") else None


@pytest.mark.parametrize("format_", [CPMM, DAMM_V2], ids=lambda each: each.name)
def test_a_route_sells_in_the_pool_it_names_and_pays_what_that_pays(bench: Bench, format_: Format) -> None:
    pays = bench.pays(format_, AMOUNT)
    done = bench.swap(pays, 0, [bench.step(format_)])
    assert code(done) is None, done
    assert bench.gained() == (-AMOUNT, pays)
    logs = done.logs()
    assert any(str(PROGRAM) in line and "invoke [1]" in line for line in logs)
    assert any(str(format_.program) in line and "invoke [2]" in line for line in logs)


def test_a_route_over_two_pools_sells_all_of_the_amount(bench: Bench) -> None:
    first = AMOUNT * 3_333 // 10_000
    pays = bench.pays(CPMM, first) + bench.pays(DAMM_V2, AMOUNT - first)
    assert pays > max(bench.pays(CPMM, AMOUNT), bench.pays(DAMM_V2, AMOUNT)) - 10**6
    assert code(bench.swap(pays, 0, [bench.step(CPMM, 3_333), bench.step(DAMM_V2, 6_667)])) is None
    assert bench.gained() == (-AMOUNT, pays)


@pytest.mark.parametrize(("bps", "kept"), [(0, 10_000), (50, 9_950), (10_000, 0)])
def test_less_than_the_quote_less_the_slippage_fails_it(bench: Bench, bps: int, kept: int) -> None:
    pays = bench.pays(DAMM_V2, AMOUNT)
    # The largest quote that it passes for is the one whose part, rounded down, is what is paid.
    most = 2**64 - 1 if kept == 0 else ((pays + 1) * 10_000 - 1) // kept
    if kept:
        assert code(bench.swap(most + 1, bps, [bench.step(DAMM_V2)])) == ERRORS.slippage_exceeded
        assert bench.gained() == (0, 0)
    assert code(bench.swap(most, bps, [bench.step(DAMM_V2)])) is None
    assert bench.gained() == (-AMOUNT, pays)


def test_what_it_does_not_know_it_refuses(bench: Bench) -> None:
    step = bench.step(CPMM)
    whole = route(bench.ends(), AMOUNT, 1, 0, [step])

    def other(at: int, value: int) -> Instruction:
        data = bytearray(whole.data)
        data[at] = value
        return Instruction(PROGRAM, bytes(data), whole.accounts)

    def account(place: int, key: Pubkey) -> Instruction:
        metas = list(whole.accounts)
        metas[place] = AccountMeta(key, metas[place].is_signer, metas[place].is_writable)
        return Instruction(PROGRAM, whole.data, metas)

    half = replace(step, bps=4_000)
    for refused, error in (
        (other(0, 1), ERRORS.unknown_instruction),
        (Instruction(PROGRAM, bytes(whole.data) + b"\0", whole.accounts), ERRORS.unknown_instruction),
        (other(25, 0xFF), ERRORS.invalid_slippage),
        (other(26, 1), ERRORS.missing_platform_fee_account),
        (other(28, 1), ERRORS.missing_platform_fee_account),
        (other(34, 0), ERRORS.swap_not_supported),
        (other(34, 77), ERRORS.invalid_route_plan),
        (other(37, 1), ERRORS.invalid_input_index),
        (other(38, 0), ERRORS.invalid_output_index),
        (route(bench.ends(), AMOUNT, 1, 0, []), ERRORS.empty_route),
        (route(bench.ends(), AMOUNT, 1, 0, [half]), ERRORS.not_enough_percent),
        (Instruction(PROGRAM, whole.data, whole.accounts[:-1]), ERRORS.not_enough_accounts),
        (account(7, bench.wallets[1]), ERRORS.invalid_output_account),
        (account(10, DAMM_V2.program), ERRORS.invalid_route_plan),
    ):
        assert code(bench.send(refused)) == error, refused.data
        assert bench.gained() == (0, 0)


def test_nobody_else_s_money_is_sold(bench: Bench) -> None:
    """The pool's program asks for the signature of who pays; the router has none to lend."""
    stranger = Keypair()
    bench.svm.set_account(bench.wallets[0], token_account(bench.mints[0], stranger.pubkey(), HELD))
    assert hasattr(bench.swap(1, 0, [bench.step(CPMM)]), "err")
    assert bench.gained() == (0, 0)
