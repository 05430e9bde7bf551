"""Tokens, and what pairs may use, in the admin. Importing the modules registers their pages."""

from routing.admin import permits, tokens

__all__ = ["permits", "tokens"]
