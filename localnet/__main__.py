"""`python -m localnet DIRECTORY`: a local Solana on loopback.

It prints one line of JSON, the addresses of what it serves, once it answers; SIGTERM and Ctrl-C end it.
"""

import argparse
import asyncio
import json
import os
import socket
import sys
from pathlib import Path

import uvicorn

from localnet.chain import Chain
from localnet.genesis import genesis, programs
from localnet.server import Server


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m localnet", description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path, help="where the chain is kept")
    parser.add_argument(
        "--port",
        type=int,
        default=0,
        help="of HTTP and WebSocket; the next one is served, too, for "
        "clients that look for the WebSocket there (default: any that is free)",
    )
    parser.add_argument("--slot-ms", type=int, default=400, help="between two blocks; 0: blocks by command only")
    parser.add_argument("--finalized-after", type=int, default=1, help="blocks until one is final (default: 1)")
    parser.add_argument("--seed", type=int, default=1, help="of the prices' wandering")
    parser.add_argument("--hold", action="store_true", help="prices do not wander by themselves")
    parser.add_argument("--requests-per-s", type=float, default=0, help="rate limit of each trade API; 0: none")
    parser.add_argument("--info", type=Path, help="a file that gets the addresses, as JSON")
    return parser.parse_args()


def listeners(port: int) -> list[socket.socket]:
    """Two neighbouring ports of loopback. Raises `OSError` where a port that was asked for is taken."""
    for _ in range(50):
        first = _bound(port)
        try:
            return [first, _bound(first.getsockname()[1] + 1)]
        except OSError:
            first.close()
            if port:
                raise
    raise OSError("no two neighbouring ports are free")


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(("127.0.0.1", port))
    except OSError:
        made.close()
        raise
    return made


def addresses(port: int, chain: Chain) -> dict[str, str]:
    base = f"http://127.0.0.1:{port}"
    return {
        "rpcUrl": base,
        "wsUrl": f"ws://127.0.0.1:{port}",
        "raydiumUrl": f"{base}/raydium",
        "jupiterUrl": f"{base}/jupiter/swap/v2",
        "controlUrl": f"{base}/control",
        "genesisHash": chain.genesis_hash,
    }


async def run(options: argparse.Namespace) -> None:
    chain = Chain(options.directory, programs=programs(), genesis=genesis, finalized_after=options.finalized_after)
    application = Server(
        chain,
        slot_s=options.slot_ms / 1000,
        seed=options.seed,
        wander=not options.hold,
        requests_per_s=options.requests_per_s,
    )
    config = uvicorn.Config(application, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    sockets = listeners(options.port)
    serving = asyncio.create_task(server.serve(sockets))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        found = json.dumps(addresses(sockets[0].getsockname()[1], chain))
        if options.info:
            new = options.info.with_suffix(".new")
            new.write_text(found)
            os.replace(new, options.info)
        print(found, flush=True)
    await serving


def main() -> int:
    try:
        asyncio.run(run(arguments()))
    except OSError as error:
        print(f"localnet: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
