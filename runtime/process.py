"""What every log line of this process says of it."""

ABOUT: dict[str, str] = {}
