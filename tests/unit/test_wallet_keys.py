"""Keys of wallets: what they are read from, what is refused, and that nothing shows them."""

import base64
import copy
import json
import pickle
import traceback
from pathlib import Path

import base58
import pytest
from solders.keypair import Keypair
from solders.signature import Signature

from wallets.keys import files, sealed
from wallets.keys.local import KeyRefused, LocalSigner, of_bytes, of_text
from wallets.keys.sealed import EncryptionKey, Sealed, Vault

PAIR = Keypair()
TEXTS = {
    "array": json.dumps([*bytes(PAIR)]).encode(),
    "array over lines": json.dumps([*bytes(PAIR)], indent=1).encode() + b"\n",
    "base58": base58.b58encode(bytes(PAIR)),
    "base58 of the seed": base58.b58encode(bytes(PAIR)[:32]) + b"\n",
}
BAD = {
    "nothing": b"",
    "no base58": b"0OIl",
    "too short": b"[1, 2, 3]",
    "too large numbers": json.dumps([256] * 64).encode(),
    "no numbers": b'["a"]',
    "open": b"[1, 2",
    "deep": b"[" * 100_000,
    "another public key": json.dumps([*bytes(PAIR)[:32], *bytes(Keypair())[32:]]).encode(),
    "UTF-16": "[1]".encode("utf-16"),
}


def closed_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    file = folder / "key.json"
    file.write_bytes(content)
    file.chmod(mode)
    return file


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_it_is_read_in_every_form_and_signs(tmp_path: Path, text: bytes) -> None:
    signer = files.read(closed_file(tmp_path, text))
    assert signer.address == str(PAIR.pubkey())
    assert Signature.from_bytes(await signer.sign(b"message")).verify(PAIR.pubkey(), b"message")


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_is_no_key_is_refused(tmp_path: Path, text: bytes) -> None:
    assert of_text(text) is None
    with pytest.raises(KeyRefused, match="holds no key"):
        files.read(closed_file(tmp_path, text))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o777, 0o610, 0o601])
def test_a_file_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(KeyRefused, match="chmod 600"):
        files.read(closed_file(tmp_path, TEXTS["array"], mode))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyRefused, match="cannot be read"):
        files.read(tmp_path / "none.json")
    with pytest.raises(KeyRefused, match="is no file"):
        files.read(closed(tmp_path / "folder"))


def closed(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    return folder


def test_a_written_file_is_closed_and_overwrites_none(tmp_path: Path) -> None:
    signer, file = LocalSigner.generate(), tmp_path / "keys" / "one.json"
    files.write(file, signer.array)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert files.read(file).address == signer.address
    with pytest.raises(KeyRefused, match="cannot be written"):
        files.write(file, LocalSigner.generate().array)
    assert files.read(file).address == signer.address


def test_solana_cli_reads_what_is_written(tmp_path: Path) -> None:
    signer, file = LocalSigner.generate(), tmp_path / "one.json"
    files.write(file, signer.array)
    assert str(Keypair.from_json(file.read_text()).pubkey()) == signer.address


def test_a_sealed_key_opens_for_its_own_wallet_only() -> None:
    vault, signer = Vault([key()]), LocalSigner.generate()
    kept = vault.seal(signer, "cluster")
    assert signer.exported()[:32] not in kept.ciphertext
    assert vault.open(kept, signer.address, "cluster").exported() == signer.exported()
    changed = Sealed(kept.key_id, kept.nonce, kept.ciphertext[:-1] + bytes([kept.ciphertext[-1] ^ 1]))
    for wrong in (
        (kept, signer.address, "another cluster"),
        (kept, LocalSigner.generate().address, "cluster"),
        (changed, signer.address, "cluster"),
    ):
        with pytest.raises(KeyRefused, match="was changed, or is another wallet's"):
            vault.open(*wrong)
    with pytest.raises(KeyRefused, match=f"has no key {kept.key_id}"):
        Vault([key()]).open(kept, signer.address, "cluster")


def key() -> EncryptionKey:
    made = EncryptionKey.of_text(sealed.made().encode())
    assert made is not None
    return made


def test_the_first_key_seals_and_all_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old, new = sealed.made(), sealed.made()
    signer = LocalSigner.generate()
    monkeypatch.setenv(sealed.VARIABLE, old)
    kept = Vault.of_environment().seal(signer, "c")
    monkeypatch.delenv(sealed.VARIABLE)
    file = tmp_path / "keys"
    file.write_text(f"{new}\n{old}\n")
    monkeypatch.setenv(sealed.FILE_VARIABLE, str(file))
    vault = Vault.of_environment()
    assert vault.open(kept, signer.address, "c").address == signer.address
    again = vault.seal(signer, "c")
    assert again.key_id == vault.newest != kept.key_id
    monkeypatch.setenv(sealed.VARIABLE, new)
    assert Vault.of_environment().open(again, signer.address, "c").address == signer.address


def test_without_a_key_nothing_is_sealed_and_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(sealed.VARIABLE, raising=False)
    with pytest.raises(KeyRefused, match=sealed.VARIABLE):
        Vault.of_environment().seal(LocalSigner.generate(), "c")
    for bad in ("short", base64.b64encode(bytes(16)).decode(), sealed.made() + ",x"):
        monkeypatch.setenv(sealed.VARIABLE, bad)
        with pytest.raises(KeyRefused, match=r"key \d is no base64 of 32 bytes"):
            Vault.of_environment()


def forms_of(pair: bytes) -> list[str]:
    """Every way in which a text might show a secret."""
    seed = pair[:32]
    shown = [base58.b58encode(pair).decode(), base58.b58encode(seed).decode(), seed.hex(), str([*seed])[1:-1]]
    return [*shown, base64.b64encode(seed).decode()[:-2], repr(seed)[2:-1], str([*seed]).replace(" ", "")[1:-1]]


def test_a_signer_shows_its_address_only() -> None:
    signer = LocalSigner(PAIR)
    shown = f"{signer!r} {signer!s} {vars(signer) if hasattr(signer, '__dict__') else ''} {key()!r}"
    assert signer.address in shown and not any(form in shown for form in forms_of(bytes(PAIR)))
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copied(signer)
    assert of_bytes(signer.exported()) is not None


@pytest.mark.parametrize(
    ("text", "mode"),
    [(TEXTS["array"][:-1], 0o600), (TEXTS["base58"] + b"0", 0o600), (TEXTS["array"], 0o644)],
    ids=["cut", "longer", "open to others"],
)
def test_no_traceback_shows_a_key_even_with_locals(tmp_path: Path, text: bytes, mode: int) -> None:
    file = closed_file(tmp_path, text, mode)
    with pytest.raises(KeyRefused) as raised:
        files.read(file)
    shown = shown_by(raised.value)
    assert not [form for form in (*forms_of(bytes(PAIR)), str(text)[2:40]) if form in shown]


def test_no_traceback_shows_an_encryption_key(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = sealed.made()
    monkeypatch.setenv(sealed.VARIABLE, f"{secret},broken")
    with pytest.raises(KeyRefused) as raised:
        Vault.of_environment()
    shown = shown_by(raised.value)
    assert secret not in shown and repr(base64.b64decode(secret))[2:-1] not in shown


def shown_by(error: BaseException) -> str:
    """What the error and the local variables of the engine's frames say, as Sentry and debuggers write them."""
    found = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = [frame for frame in found.stack if f"{Path.cwd()}/wallets/" in frame.filename]
    assert frames and found.__context__ is None or found.__suppress_context__
    return "\n".join([str(error), *(str(frame.locals) for frame in frames)])
