"""A local Solana: a virtual machine behind JSON-RPC and subscriptions, pools that run as programs on it, and the vendors'
trade APIs beside it. A process of its own; it shares no code with the engine that trades on it."""
