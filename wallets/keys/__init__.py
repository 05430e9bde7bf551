"""Secrets of wallets: the only code that reads one.

Order workers sign with them, the command `wallets` makes and imports them; import-linter keeps everybody else out. A secret
lives inside of a `LocalSigner` or a `Vault` from the moment it is read: no function that may raise has one as a local
variable, so no traceback shows one, not even one with locals.
"""
