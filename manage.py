#!/usr/bin/env python
import os
import sys
import warnings

if __name__ == "__main__":
    # What a shell sets for other projects must not keep these commands from working.
    os.environ["DJANGO_SETTINGS_MODULE"] = "orderengine.settings"
    if os.environ.get("PYTHONWARNINGS"):
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
    from django.core.management import execute_from_command_line

    # A module's name has no hyphen, a command's may: `dead-letters`.
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        sys.argv[1] = sys.argv[1].replace("-", "_")
    execute_from_command_line(sys.argv)
