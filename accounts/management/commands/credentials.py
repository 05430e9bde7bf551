"""`manage.py credentials reset`: the way back in for whoever can reach the database and the data folder."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.credentials import renew


class Command(BaseCommand):
    help = "Sets the administrator's password anew, replaces the two first keys and writes credentials.json."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=["reset"])

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            file = renew(settings.DATA_DIR)
        except OSError as error:
            raise CommandError(
                f"{settings.DATA_DIR} cannot be written ({error.strerror}): nothing has changed"
            ) from None
        self.stdout.write(f"the new password and keys are in {file}")
