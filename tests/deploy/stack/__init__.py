"""The whole server stack; runs only when its folder is named: `make deploy-test`."""
