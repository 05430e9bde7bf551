"""Where people look at a transaction in their browser, by mode."""

from urllib.parse import quote

EXPLORER = "https://explorer.solana.com/tx/{signature}"


def address(mode: str, rpc_url: str = "") -> str:
    """With `{signature}` in it; "" for the mock and on paper, whose transactions no explorer knows.

    `rpc_url` is told to the explorer for a localnet only: another node's address may hold a key.
    """
    match mode:
        case "localnet":
            return f"{EXPLORER}?cluster=custom&customUrl={quote(rpc_url, safe='')}"
        case "devnet":
            return f"{EXPLORER}?cluster=devnet"
        case "mainnet":
            return EXPLORER
    return ""


MEANINGS = {
    "mock": "Venues and chain are pretended: nothing is signed.",
    "localnet": "Real signed transactions on a Solana of this engine's own. Its money is worth nothing.",
    "devnet": "Real signed transactions on Solana's devnet. Its money is worth nothing.",
    "mainnet": "Real money.",
}
"""Each mode in one sentence, for whoever sees its name."""
ON_PAPER = "On paper: live quotes, simulated landings. Nothing is signed, and the money is worth nothing."


def meaning(mode: str) -> str:
    return MEANINGS.get(mode, ON_PAPER)
