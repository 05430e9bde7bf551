"""What every log line of this process says about it: `worker`, `executor`."""

ABOUT: dict[str, str] = {}
