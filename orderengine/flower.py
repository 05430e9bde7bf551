"""Starts Flower behind the administrator's name and password, which no command line shows."""

import json
import os
import sys
from pathlib import Path


def main() -> None:
    admin = json.loads((Path(os.environ["DATA_DIR"]) / "credentials.json").read_text())["admin"]
    os.environ["FLOWER_BASIC_AUTH"] = f"{admin['username']}:{admin['password']}"
    address = ["--address=127.0.0.1", f"--port={os.environ['FLOWER_PORT']}", "--url_prefix=flower"]
    os.execv(sys.executable, [sys.executable, "-m", "celery", "-A", "celery_app", "flower", *address])


if __name__ == "__main__":
    main()
