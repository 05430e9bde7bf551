"""Of a failed start the line is shown that says why."""

from pathlib import Path

import pytest

from orderengine.host import reason


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "LOG: start\nFATAL:  could not write to file: No space left on device\nLOG:  checkpoint complete: wrote 3",
            "No space",
        ),
        ("Error: cannot open an HTTP server\nFor help, use /x/supervisord -h", "cannot open an HTTP server"),
        ("Usage: celery\nError: No such option: --x\nTry 'celery worker --help' for help.", "No such option"),
        (
            'Traceback (most recent call last):\n  File "/x.py", line 1\nValueError: PORT must be a number\n',
            "PORT must",
        ),
        (
            '{"event": "it fails", "exception": "Traceback\\nRuntimeError: the reason"}\n{"event": "stopped"}',
            "the reason",
        ),
        ("FATAL:  role is missing\nFATAL:  the database system is starting up", "role is missing"),
        ("one\ntwo", "two"),
    ],
)
def test_the_telling_line_is_found(text: str, why: str) -> None:
    assert why in reason.of(text)


def test_only_what_this_start_wrote_counts(tmp_path: Path) -> None:
    file = tmp_path / "web.log"
    file.write_text("FATAL: of yesterday\n")
    logs = reason.Logs(tmp_path)
    assert logs.reason("web") == f"see {file}" == logs.reason("web")
    with file.open("a") as stream:
        stream.write("ERROR: of today\ngoing down\n")
    assert logs.reason("web") == "ERROR: of today"
    file.write_text("Cannot go on\n")
    assert logs.reason("web") == "Cannot go on", "the log was begun anew"
