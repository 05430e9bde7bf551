"""A new chain's accounts: tokens at their mainnet addresses, a faucet, and the pools of both programs."""

import math
from dataclasses import dataclass
from decimal import Decimal

from solders.account import Account
from solders.pubkey import Pubkey
from solders.token.associated import get_associated_token_address
from solders.token.state import Mint

from localnet.accounts import config_data, config_of, lp_mint, observation, owned, pool_data, token_account
from localnet.addresses import SYSTEM, TOKEN, TOKEN_2022, TOKEN_PROGRAMS
from localnet.chain import Chain
from localnet.factory import KINDS, MAKER, Kind
from localnet.formats import CPMM, FORMATS, Format
from localnet.meta import is_token_account
from localnet.program import assembled
from localnet.route import PROGRAM as ROUTER
from localnet.route_program import assembled as router

SUPPLY = 10**18
FAUCET_LAMPORTS = 10**18
PROGRAM_LAMPORTS = 10**9
LP_DECIMALS = 9
OPENED_AT = 1_700_000_000
"""Unix time at which the first pools opened: long ago."""
MINT_BYTES = 82
"""Without extensions."""


@dataclass(frozen=True)
class Token:
    symbol: str
    mint: Pubkey
    decimals: int

    def units(self, amount: Decimal | str) -> int:
        return int(Decimal(amount).scaleb(self.decimals))


USDC = Token("USDC", Pubkey.from_string("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"), 6)
SOL = Token("SOL", Pubkey.from_string("So11111111111111111111111111111111111111112"), 9)
JUP = Token("JUP", Pubkey.from_string("JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN"), 6)
BONK = Token("BONK", Pubkey.from_string("DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263"), 5)
NEW = Token("NEW", Pubkey.from_string("BvfLMhjxiFGmQ5PKaykzpSMLdgKWZmQYh88JX33gqB8K"), 6)
"""Has no pool until it is launched."""
TOKENS = {token.symbol: token for token in (USDC, SOL, JUP, BONK, NEW)}
BY_MINT = {token.mint: token for token in TOKENS.values()}
RATES = {"RAYDIUM": 2_500, "METEORA": 2_000_000}
"""Trade fees in the program's own units: 25 and 20 basis points."""
POOLS = (
    (SOL, USDC, "80000", "8000000"),
    (JUP, USDC, "6000000", "3000000"),
    (BONK, USDC, "200000000000", "4000000"),
)
"""Base, quote, and what each side holds at the start, at Raydium; Meteora's pools are `DEPTH` as deep."""
DEPTH = {"RAYDIUM": Decimal(1), "METEORA": Decimal("0.7")}


def programs() -> dict[Pubkey, bytes]:
    return {**{format_.program: assembled(format_) for format_ in FORMATS.values()}, ROUTER: router()}


def genesis(chain: Chain) -> None:
    chain.put(chain.faucet.pubkey(), owned(FAUCET_LAMPORTS, b"", SYSTEM))
    for token in TOKENS.values():
        mint = Mint(chain.faucet.pubkey(), SUPPLY, token.decimals, True, None)
        chain.put(token.mint, owned(PROGRAM_LAMPORTS, bytes(mint), TOKEN))
    for venue, format_ in FORMATS.items():
        chain.put(config_of(format_), owned(PROGRAM_LAMPORTS, config_data(RATES[venue]), format_.program))
        for base, quote, of_base, of_quote in POOLS:
            sides = (Decimal(of_base) * DEPTH[venue], Decimal(of_quote) * DEPTH[venue])
            reserves = base.units(sides[0]), quote.units(sides[1])
            make_pool(chain, venue, (base, quote), reserves, opens_at=OPENED_AT)


def make_token(chain: Chain, token: Token, kind: str = "good") -> None:
    """A mint of one of `factory.KINDS`."""
    made = KINDS[kind]
    chain.put(token.mint, owned(PROGRAM_LAMPORTS, made.mint(token.decimals), made.program))
    chain.store.note("token", str(token.mint), [token.symbol, token.decimals, kind])
    _name(token)
    if made.hoarded:
        give(chain, MAKER, token, made.hoarded)


def know_tokens(chain: Chain) -> None:
    """Those that were made before this process began."""
    for mint, (symbol, decimals, *_) in chain.store.notes("token").items():
        _name(Token(symbol, Pubkey.from_string(mint), decimals))


def kind_of(chain: Chain, mint: Pubkey) -> Kind:
    """What `make_token` made it; of any other mint what its program asks for."""
    noted = chain.store.notes("token").get(str(mint))
    if noted is not None and len(noted) > 2:
        return KINDS[noted[2]]
    account = chain.get(mint)
    return KINDS["harmless" if account is not None and account.owner == TOKEN_2022 else "good"]


def token_of(chain: Chain, mint: Pubkey) -> Token | None:
    """A mint of any client's goes by its address."""
    if known := BY_MINT.get(mint):
        return known
    account = chain.get(mint)
    if account is None or account.owner not in TOKEN_PROGRAMS or len(account.data) < MINT_BYTES:
        return None
    return None if is_token_account(account) else Token(str(mint), mint, account.data[44])


def _name(token: Token) -> None:
    # A symbol is nobody's own: the first that has it keeps it, and any mint goes by its address.
    TOKENS.setdefault(token.symbol, token)
    BY_MINT[token.mint] = token


def make_pool(
    chain: Chain,
    venue: str,
    tokens: tuple[Token, Token],
    reserves: tuple[int, int],
    *,
    opens_at: int = 0,
    lp_burnt_percent: int = 0,
) -> Pubkey:
    """A pool that holds so many base units of each; its address. `lp_burnt_percent`: of its LP tokens, where it has some."""
    format_ = FORMATS[venue]
    mints = (tokens[0].mint, tokens[1].mint)
    pool = format_.pool(config_of(format_), *mints)
    vaults = (format_.vault(pool, mints[0]), format_.vault(pool, mints[1]))
    authority = format_.authority[0]
    kinds = kind_of(chain, mints[0]), kind_of(chain, mints[1])
    for vault, mint, reserve, kind in zip(vaults, mints, reserves, kinds, strict=True):
        chain.put(vault, token_account(mint, authority, reserve, kind.program, kind.held + kind.vault))
    lp, sides = math.isqrt(reserves[0] * reserves[1]), (kinds[0].program, kinds[1].program)
    chain.put(pool, _pool_account(format_, tokens, vaults, sides, RATES[venue], opens_at, lp))
    if format_ is CPMM:
        left = Mint(authority, lp * (100 - lp_burnt_percent) // 100, LP_DECIMALS, True, None)
        chain.put(lp_mint(pool), owned(PROGRAM_LAMPORTS, bytes(left), TOKEN))
        chain.put(observation(pool), owned(PROGRAM_LAMPORTS, bytes(100), format_.program))
    return pool


def _pool_account(
    format_: Format,
    tokens: tuple[Token, Token],
    vaults: tuple[Pubkey, Pubkey],
    programs: tuple[Pubkey, Pubkey],
    rate: int,
    opens_at: int,
    lp: int,
) -> Account:
    data = pool_data(
        format_,
        config=config_of(format_),
        mints=(tokens[0].mint, tokens[1].mint),
        vaults=vaults,
        programs=programs,
        decimals=(tokens[0].decimals, tokens[1].decimals),
        rate=rate,
        opens_at=opens_at,
        lp=lp,
    )
    return owned(PROGRAM_LAMPORTS, data, format_.program)


def give(chain: Chain, owner: Pubkey, token: Token, amount: int) -> Pubkey:
    """Adds base units to the owner's associated account, out of nothing; its address."""
    kind = kind_of(chain, token.mint)
    address = get_associated_token_address(owner, token.mint, kind.program)
    held = chain.get(address)
    before = int.from_bytes(held.data[64:72], "little") if held else 0
    chain.put(address, token_account(token.mint, owner, before + amount, kind.program, kind.held))
    return address
