"""The examples of the REST and WebSocket guides do what the guides say."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.conftest import chromium, flags
from tests.engine import BASE_DIR, Engine

OWN = "http://127.0.0.1:8000"
LIMIT_S = 180


def examples(page: str, language: str, engine: Engine) -> str:
    """The page's blocks of a language, one after the other, speaking with this engine."""
    text = (BASE_DIR / "docs" / page).read_text()
    blocks = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert blocks
    return "\n".join(blocks).replace(OWN, engine.url)


SAID = {"rest.md": r"^accepted ", "websocket.md": r"^\d+ confirmed"}
"""By the scripts of a page. Before it is confirmed an attempt may have been repeated."""


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl(engine: Engine, tmp_path: Path) -> None:
    script = "set -eu\n" + examples("rest.md", "sh", engine)
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    for said in (
        '"status":"cancelled"',
        "VALIDATION_FAILED",
        "SAME_TOKEN",
        '"expectedOut"',
        '"limitPrice":"170"',
        '"expectedIn"',
    ):
        assert said in done.stdout


@pytest.mark.parametrize("page", ["rest.md", "websocket.md"])
def test_python(engine: Engine, tmp_path: Path, page: str) -> None:
    script = examples(page, "python", engine)
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(SAID[page], done.stdout, re.MULTILINE), done.stdout


@pytest.mark.skipif(chromium() is None, reason="no Chromium here to run JavaScript")
@pytest.mark.parametrize("name", ["rest.md", "websocket.md"])
def test_javascript(engine: Engine, name: str) -> None:
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=flags())
        page = browser.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.goto(engine.url)
        page.evaluate(f"async () => {{ {examples(name, 'js', engine)} }}")
        browser.close()
    assert any(re.match(SAID[name], text) for text in said), said


def test_links_lead_somewhere() -> None:
    for page in (BASE_DIR / "docs").glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
