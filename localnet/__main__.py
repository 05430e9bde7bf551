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
from typing import Any

import uvicorn

from localnet.chain import Chain
from localnet.genesis import genesis, programs
from localnet.server import Server

PORTS_OF_NODE = 2


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
    parser.add_argument("--nodes", type=int, default=1, help="each at two ports of its own, one after the other")
    parser.add_argument("--slot-ms", type=int, default=400, help="between two blocks; 0: blocks by command only")
    parser.add_argument("--finalized-after", type=int, default=1, help="blocks until one is final (default: 1)")
    parser.add_argument("--seed", type=int, default=1, help="of the prices' wandering")
    parser.add_argument("--hold", action="store_true", help="prices do not wander by themselves")
    parser.add_argument("--requests-per-s", type=float, default=0, help="rate limit of each trade API; 0: none")
    parser.add_argument(
        "--genesis", help="what it says its genesis hash is, for tests of programs that ask which cluster they are on"
    )
    parser.add_argument("--info", type=Path, help="a file that gets the addresses, as JSON")
    return parser.parse_args()


def listeners(port: int, count: int) -> list[socket.socket]:
    """So many neighbouring ports of loopback. Raises `OSError` where a port that was asked for is taken."""
    for _ in range(50):
        found = [_bound(port)]
        first = found[0].getsockname()[1]
        try:
            for further in range(1, count):
                found.append(_bound(first + further))
            return found
        except OSError:
            for each in found:
                each.close()
            if port:
                raise
    raise OSError(f"no {count} neighbouring ports are free")


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(("127.0.0.1", port))
    except OSError:
        made.close()
        raise
    return made


def addresses(ports: list[int], chain: Chain) -> dict[str, Any]:
    """`ports`: of each node."""
    bases = [f"http://127.0.0.1:{port}" for port in ports]
    base = bases[0]
    return {
        "rpcUrl": base,
        "wsUrl": f"ws://127.0.0.1:{ports[0]}",
        "rpcUrls": bases,
        "raydiumUrl": f"{base}/raydium",
        "jupiterUrl": f"{base}/jupiter/swap/v2",
        "controlUrl": f"{base}/control",
        "genesisHash": chain.genesis_hash,
    }


async def run(options: argparse.Namespace) -> None:
    chain = Chain(
        options.directory,
        programs=programs(),
        genesis=genesis,
        finalized_after=options.finalized_after,
        genesis_hash=options.genesis,
    )
    sockets = listeners(options.port, options.nodes * PORTS_OF_NODE)
    ports = [each.getsockname()[1] for each in sockets]
    application = Server(
        chain,
        nodes={port: place // PORTS_OF_NODE for place, port in enumerate(ports)},
        slot_s=options.slot_ms / 1000,
        seed=options.seed,
        wander=not options.hold,
        requests_per_s=options.requests_per_s,
    )
    config = uvicorn.Config(application, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        found = json.dumps(addresses(ports[::PORTS_OF_NODE], chain))
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
