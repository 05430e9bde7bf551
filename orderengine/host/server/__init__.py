"""The web process's server: uvicorn with bounds on what a connection may send, hold and wait for.

Every figure is a setting (`bounds.Bounds`, docs/security.md). The bounds apply to every route and before any key is
looked up, because a client without a key can open a connection, too.
"""
