"""Base58 in the Bitcoin alphabet, as Solana writes addresses and signatures."""

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

# Ten digits at a time: one division of a long number yields ten digits, and what is left fits a machine word.
_CHUNK = 58**10
_FOUR = 58**4
_TWO = 58**2
_PAIRS = [high + low for high in ALPHABET for low in ALPHABET]


def encode(data: bytes) -> str:
    """Every leading zero byte becomes a leading `1`; 64 bytes give 64 to 88 characters."""
    number = int.from_bytes(data, "big")
    chunks: list[str] = []
    while number:
        number, chunk = divmod(number, _CHUNK)
        high, low = divmod(chunk, _FOUR)
        first, middle = divmod(high, _FOUR)
        chunks.append(
            _PAIRS[first] + _PAIRS[middle // _TWO] + _PAIRS[middle % _TWO] + _PAIRS[low // _TWO] + _PAIRS[low % _TWO]
        )
    chunks.reverse()
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(chunks).lstrip("1")


def is_address(text: str) -> bool:
    """Whether it is the address of an account: 32 bytes."""
    try:
        return 32 <= len(text) <= 44 and len(decode(text)) == 32
    except ValueError:
        return False


def decode(text: str) -> bytes:
    """Raises `ValueError` for a character outside the alphabet."""
    number = 0
    for character in text:
        number = number * 58 + ALPHABET.index(character)
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
