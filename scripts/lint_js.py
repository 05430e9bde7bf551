"""Lints the JavaScript with the ESLint of package-lock.json; says so and passes where Node is missing or too old."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

BASE = Path(__file__).resolve().parent.parent
MODULES = BASE / "node_modules"
MARK = MODULES / ".orderengine"
OLDEST_NODE = (20, 19)
"""What `engines` in package.json asks for, as far as it matters here."""


def lacking() -> str:
    """Why it cannot run here; "" when it can."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "there is no Node"
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
    found = tuple(int(part) for part in re.findall(r"\d+", said)[:2])
    return "" if found >= OLDEST_NODE else f"Node {said.strip()} is older than {OLDEST_NODE[0]}.{OLDEST_NODE[1]}"


def installed() -> str:
    """Installs what the lock names, once; "" or why that failed."""
    wanted = hashlib.sha256((BASE / "package-lock.json").read_bytes()).hexdigest()
    if MARK.exists() and MARK.read_text() == wanted:
        return ""
    done = subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=BASE, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit {done.returncode}"]
        return f"npm cannot install it ({said[0]})"
    MARK.write_text(wanted)
    return ""


def main() -> int:
    if why := lacking() or installed():
        print(f"eslint: {why}, skipped")
        return 0
    code = subprocess.run([MODULES / ".bin" / "eslint", "--max-warnings", "0", "."], cwd=BASE, check=False).returncode
    if not code:
        version = json.loads((MODULES / "eslint" / "package.json").read_text())["version"]
        print(f"eslint {version}: ok")
    return code


if __name__ == "__main__":
    sys.exit(main())
