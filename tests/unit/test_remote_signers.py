"""A wallet whose key is at HashiCorp Vault, through solana-keychain: a server with Vault's answers on loopback."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.signature import Signature

from routing.signer import SigningFailed
from tests.serving import Asked, Said, serving
from wallets.keys import remote
from wallets.keys.local import KeyRefused

TOKEN = "hvs.the-token-of-vault"


class Vault:
    """Signs with its key what comes with the token."""

    def __init__(self) -> None:
        self.pair, self.asked, self.url = Keypair(), 0, ""
        self.signs_with = self.pair

    def answer(self, asked: Asked) -> Said:
        self.asked += 1
        known = asked.headers["X-Vault-Token"] == TOKEN and asked.path == "/v1/transit/sign/trading"
        signature = bytes(self.signs_with.sign_message(base64.b64decode(json.loads(asked.body)["input"])))
        said = {"data": {"signature": f"vault:v1:{base64.b64encode(signature).decode()}"}} if known else {}
        return Said(json.dumps(said).encode(), 200 if known else 403, {"Content-Type": "application/json"})


@pytest.fixture
def vault() -> Iterator[Vault]:
    made = Vault()
    with serving(made.answer) as made.url:
        yield made


def described(folder: Path, vault: Vault, *, mode: int = 0o600, **fields: Any) -> Path:
    values = {
        "backend": "vault",
        "api_base_url": vault.url,
        "token": TOKEN,
        "key_name": "trading",
    }
    file = folder / "signer.json"
    file.write_text(json.dumps(values | fields))
    file.chmod(mode)
    return file


async def test_the_service_signs_and_the_token_is_not_shown(tmp_path: Path, vault: Vault) -> None:
    address = str(vault.pair.pubkey())
    signer = await remote.connect(described(tmp_path, vault), address)
    signature = Signature.from_bytes(await signer.sign(b"message"))
    assert signature.verify(vault.pair.pubkey(), b"message") and signer.address == address
    assert TOKEN not in repr(signer)


async def test_a_signature_of_another_key_is_refused(tmp_path: Path, vault: Vault) -> None:
    signer = await remote.connect(described(tmp_path, vault), str(vault.pair.pubkey()))
    vault.signs_with = Keypair()
    with pytest.raises(SigningFailed, match="does not sign"):
        await signer.sign(b"message")
    assert vault.asked == 1


async def test_a_service_that_refuses_or_is_away_fails_without_its_credentials(tmp_path: Path, vault: Vault) -> None:
    address = str(vault.pair.pubkey())
    signer = await remote.connect(described(tmp_path, vault, token="wrong-" + TOKEN), address)
    with pytest.raises(SigningFailed) as refused:
        await signer.sign(b"message")
    assert TOKEN not in str(refused.value) and refused.value.__context__ is None
    away = await remote.connect(described(tmp_path, vault, api_base_url="http://127.0.0.1:9"), address)
    with pytest.raises(SigningFailed):
        await away.sign(b"message")


@pytest.mark.parametrize(
    ("fields", "mode", "said"),
    [
        ({"backend": "nobody"}, 0o600, "backend is one of"),
        ({"nonsense": 1}, 0o600, "is not accepted"),
        ({"backend": "aws-kms"}, 0o600, "aws-kms extra"),
        ({}, 0o644, "chmod 600"),
    ],
)
async def test_a_description_that_is_not_understood_is_refused(
    tmp_path: Path, vault: Vault, fields: dict[str, Any], mode: int, said: str
) -> None:
    with pytest.raises(KeyRefused, match=said) as refused:
        await remote.connect(described(tmp_path, vault, mode=mode, **fields), str(vault.pair.pubkey()))
    assert TOKEN not in str(refused.value)
