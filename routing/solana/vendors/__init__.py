"""The vendors' trade APIs as venues ask them: quotes, and swaps that they propose. Nothing here signs or trusts."""
