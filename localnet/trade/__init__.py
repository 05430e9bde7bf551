"""The vendors' trade APIs in their wire shapes: they quote the chain's pools and build transactions for them."""
