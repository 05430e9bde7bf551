"""How the admin writes dates, by language: Django reads `{language}/formats.py`."""
