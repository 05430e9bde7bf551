"""Venues and chain of Solana, the same code for every cluster: addresses alone differ."""
