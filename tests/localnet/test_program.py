"""The pool programs against Python's arithmetic, on the virtual machine itself."""

import random
from dataclasses import dataclass
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.token.state import Mint
from solders.transaction import VersionedTransaction

from localnet import pools
from localnet.accounts import config_data, config_of, observation, owned, pool_data, token_account
from localnet.addresses import TOKEN
from localnet.formats import CPMM, DAMM_V2, Format, amount_in, amount_out
from localnet.program import assembled

FORMATS = [CPMM, DAMM_V2]
RATE = {"CPMM": 2_500, "DAMM_V2": 2_000_000}
CASES = 1_000


@dataclass
class Bench:
    format: Format
    svm: LiteSVM
    payer: Keypair
    mints: tuple[Pubkey, Pubkey]
    vaults: tuple[Pubkey, Pubkey]
    wallets: tuple[Pubkey, Pubkey]

    def hold(self, vaults: tuple[int, int], wallets: tuple[int, int]) -> None:
        authority = self.format.authority[0]
        for addresses, owner, amounts in (
            (self.vaults, authority, vaults),
            (self.wallets, self.payer.pubkey(), wallets),
        ):
            for address, mint, amount in zip(addresses, self.mints, amounts, strict=True):
                self.svm.set_account(address, token_account(mint, owner, amount))

    def swap(self, amount: int, least: int, *, back: bool = False, exact_out: bool = False, **instead: Pubkey) -> Any:
        sold, bought = self.mints[back], self.mints[not back]
        pool = pools.find(self.svm.get_account, self.format, sold, bought)
        assert pool is not None
        wallets = self.wallets[back], self.wallets[not back]
        ix = pool.swap(amount, least, self.payer.pubkey(), *wallets, exact_out=exact_out)
        metas = list(ix.accounts)
        for role, address in instead.items():
            place = self.format.accounts.index(role)
            metas[place] = type(metas[place])(address, metas[place].is_signer, metas[place].is_writable)
        ix = type(ix)(ix.program_id, ix.data, metas)
        message = MessageV0.try_compile(self.payer.pubkey(), [ix], [], self.svm.latest_blockhash())
        done = self.svm.send_transaction(VersionedTransaction(message, [self.payer]))
        self.svm.expire_blockhash()
        return done

    def held(self, address: Pubkey) -> int:
        account = self.svm.get_account(address)
        assert account is not None
        return int.from_bytes(account.data[64:72], "little")


@pytest.fixture(scope="module", params=FORMATS, ids=lambda each: each.name)
def bench(request: pytest.FixtureRequest) -> Bench:
    format_: Format = request.param
    svm, payer = LiteSVM().with_transaction_history(0), Keypair()
    svm.add_program(format_.program, assembled(format_))
    svm.airdrop(payer.pubkey(), 10**12)
    mints = (Pubkey.new_unique(), Pubkey.new_unique())
    for mint, decimals in zip(mints, (9, 6), strict=True):
        svm.set_account(mint, owned(10**9, bytes(Mint(payer.pubkey(), 10**18, decimals, True, None)), TOKEN))
    config = config_of(format_)
    pool = format_.pool(config, *mints)
    vaults = (format_.vault(pool, mints[0]), format_.vault(pool, mints[1]))
    data = pool_data(
        format_,
        config=config,
        mints=mints,
        vaults=vaults,
        programs=(TOKEN, TOKEN),
        decimals=(9, 6),
        rate=RATE[format_.name],
    )
    svm.set_account(pool, owned(10**9, data, format_.program))
    svm.set_account(config, owned(10**9, config_data(RATE[format_.name]), format_.program))
    svm.set_account(observation(pool), owned(10**9, bytes(100), format_.program))
    made = Bench(format_, svm, payer, mints, vaults, (Pubkey.new_unique(), Pubkey.new_unique()))
    made.hold((50_000 * 10**9, 8_000_000 * 10**6), (10**15, 10**15))
    return made


def code(done: Any) -> int | None:
    """The program's error; None: it succeeded."""
    if not hasattr(done, "err"):
        return None
    error = done.err()
    return int(error.err.code)


def test_it_pays_what_the_arithmetic_says(bench: Bench) -> None:
    rng, format_ = random.Random(1), bench.format
    for _ in range(CASES):
        reserves = tuple(rng.choice((rng.randrange(1, 2**63), rng.randrange(1, 10**6))) for _ in range(2))
        amount = rng.choice((rng.randrange(1, 2**62), rng.randrange(1, 20_000)))
        back = rng.random() < 0.5
        bench.hold((reserves[0], reserves[1]), (2**62, 2**62) if not back else (0, 2**62))
        wallet = bench.wallets[not back]
        before = bench.held(wallet)
        done = bench.swap(amount, 0, back=back)
        wanted = amount_out(format_, amount, reserves[back], reserves[not back], RATE[format_.name])
        case = (amount, reserves, back, wanted)
        if wanted == 0 or reserves[back] + amount >= 2**64 or before + wanted >= 2**64:
            assert hasattr(done, "err"), case
        else:
            assert code(done) is None, (case, done.meta().logs() if hasattr(done, "meta") else done)
            assert bench.held(wallet) - before == wanted, case


def test_for_an_exact_output_it_takes_what_the_arithmetic_says(bench: Bench) -> None:
    rng, format_, rate = random.Random(2), bench.format, RATE[bench.format.name]
    taken_ = 0
    for _ in range(CASES):
        reserves = tuple(rng.choice((rng.randrange(1, 2**63), rng.randrange(1, 10**6))) for _ in range(2))
        back = rng.random() < 0.5
        wanted = rng.choice(
            (rng.randrange(1, 2**62), rng.randrange(1, 20_000), rng.randrange(1, reserves[not back] + 1))
        )
        bench.hold((reserves[0], reserves[1]), (2**62, 2**62))
        before = bench.held(bench.wallets[back]), bench.held(bench.wallets[not back])
        taken = amount_in(format_, wanted, reserves[back], reserves[not back], rate)
        most = 2**64 - 1 if taken is None or rng.random() < 0.5 else min(taken, 2**64 - 1)
        done = bench.swap(most, wanted, back=back, exact_out=True)
        case = (wanted, reserves, back, taken, most)
        if taken is None or taken > before[0] or reserves[back] + taken >= 2**64 or before[1] + wanted >= 2**64:
            assert hasattr(done, "err"), case
            continue
        taken_ += 1
        assert code(done) is None, (case, done.meta().logs() if hasattr(done, "meta") else done)
        assert before[0] - bench.held(bench.wallets[back]) == taken, case
        assert bench.held(bench.wallets[not back]) - before[1] == wanted, case
        # It is the inverse: nothing less would have paid that.
        paid = [amount_out(format_, each, reserves[back], reserves[not back], rate) for each in (taken - 1, taken)]
        assert paid[0] < wanted <= paid[1], case
    assert taken_ > CASES // 5


@pytest.mark.parametrize("back", [False, True])
def test_for_an_exact_output_it_takes_the_most_amount_or_fails(bench: Bench, back: bool) -> None:
    wanted, rate = (10**6, 10**9)[back], RATE[bench.format.name]
    reserves = (50_000 * 10**9, 8_000_000 * 10**6)
    bench.hold(reserves, (10**15, 10**15))
    taken = amount_in(bench.format, wanted, reserves[back], reserves[not back], rate)
    assert taken is not None
    assert code(bench.swap(taken - 1, wanted, back=back, exact_out=True)) == bench.format.slippage
    assert bench.held(bench.wallets[back]) == 10**15
    assert code(bench.swap(taken + 1, wanted, back=back, exact_out=True)) is None
    assert bench.held(bench.wallets[back]) == 10**15 - taken
    assert bench.held(bench.wallets[not back]) == 10**15 + wanted


@pytest.mark.parametrize("back", [False, True])
def test_it_pays_the_least_amount_or_fails(bench: Bench, back: bool) -> None:
    amount = (10**9, 10**6)[back]
    bench.hold((50_000 * 10**9, 8_000_000 * 10**6), (10**15, 10**15))
    pool = pools.find(bench.svm.get_account, bench.format, bench.mints[back], bench.mints[not back])
    assert pool is not None
    wanted = pool.pays(amount)
    assert code(bench.swap(amount, wanted + 1, back=back)) == bench.format.slippage
    assert bench.held(bench.wallets[not back]) == 10**15
    assert code(bench.swap(amount, wanted, back=back)) is None
    assert bench.held(bench.wallets[not back]) == 10**15 + wanted
    assert bench.held(bench.wallets[back]) == 10**15 - amount


@pytest.mark.parametrize("role", ["pool", "vault", "mint", "program", "config", "authority"])
def test_foreign_accounts_are_refused(bench: Bench, role: str) -> None:
    """A vault, a mint, a pool or a token program of somebody else: nothing moves."""
    bench.hold((50_000 * 10**9, 8_000_000 * 10**6), (10**15, 10**15))
    way = {"vault": ("vault_b", "vault_out"), "mint": ("mint_b", "mint_out"), "program": ("program_b", "program_out")}
    name = way[role][not bench.format.by_side] if role in way else role
    if name not in bench.format.accounts:
        pytest.skip(f"{bench.format.name} has no {role} account")
    foreign = Pubkey.new_unique()
    bench.svm.set_account(foreign, token_account(bench.mints[1], bench.payer.pubkey(), 10**15))
    if role == "authority":
        foreign = bench.payer.pubkey()
    assert hasattr(bench.swap(5 * 10**6, 0, **{name: foreign}), "err")
    assert bench.held(bench.wallets[1]) == 10**15 and bench.held(bench.vaults[1]) == 8_000_000 * 10**6


def test_a_closed_pool_does_not_trade(bench: Bench) -> None:
    pool = bench.format.pool(config_of(bench.format), *bench.mints)
    account = bench.svm.get_account(pool)
    assert account is not None
    known = pools.find(bench.svm.get_account, bench.format, *bench.mints)
    assert known is not None
    place, bits = bench.format.layout.closed
    data = bytearray(account.data)
    data[place] |= bits & 0x04 or 1
    bench.svm.set_account(pool, owned(account.lamports, bytes(data), account.owner))
    ix = known.swap(10**6, 0, bench.payer.pubkey(), *bench.wallets)
    message = MessageV0.try_compile(bench.payer.pubkey(), [ix], [], bench.svm.latest_blockhash())
    assert code(bench.svm.send_transaction(VersionedTransaction(message, [bench.payer]))) == bench.format.bad_accounts
    bench.svm.expire_blockhash()
    bench.svm.set_account(pool, account)
