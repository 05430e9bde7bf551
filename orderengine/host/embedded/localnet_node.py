"""The embedded Solana: the package `localnet` as a process on loopback, its chain in the data folder."""

import json
import sys
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from orderengine.host.embedded.place import free_ports, launch_command, private_folder, service_options

NODES = 2
"""Several, so that the engine meets nodes that disagree."""
PORTS_OF_NODE = 2
"""web3.js looks for a node's WebSocket at the next port."""
FROM_PORT = 899
"""From the engine's port to the node's: 8899, where Solana's tools look for a local node, for 8000."""


@dataclass(frozen=True)
class Localnet:
    """A chain of our own with several nodes. It keeps its ports while the engine runs, across restarts of the process."""

    folder: Path
    run_dir: Path
    port: int
    slot_ms: int
    seed: int

    @property
    def info(self) -> Path:
        """Where the process writes its addresses once it answers."""
        return self.run_dir / "localnet.json"

    @property
    def rpc_urls(self) -> list[str]:
        return [f"http://127.0.0.1:{self.port + PORTS_OF_NODE * n}" for n in range(NODES)]

    def command(self) -> list[str]:
        arguments = {"port": self.port, "nodes": NODES, "slot-ms": self.slot_ms, "seed": self.seed, "info": self.info}
        options = [f"--{name}={value}" for name, value in arguments.items()]
        command = [sys.executable, "-m", "localnet", *options, str(self.folder)]
        return launch_command(self.run_dir, "localnet", *service_options(), command=command)

    def prepare(self) -> None:
        self.info.unlink(missing_ok=True)

    def answers(self) -> bool:
        if not self.info.exists():
            return False
        connection = HTTPConnection("127.0.0.1", self.port, timeout=0.5)
        try:
            call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "getHealth"})
            connection.request("POST", "/", call, {"Content-Type": "application/json"})
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


def localnet(data_dir: Path, *, engine_port: int, slot_ms: int, seed: int) -> Localnet:
    """Raises `Unavailable` where no ports are free."""
    return Localnet(
        folder=private_folder(data_dir / "localnet"),
        run_dir=private_folder(data_dir / "run"),
        port=free_ports(NODES * PORTS_OF_NODE, engine_port + FROM_PORT),
        slot_ms=slot_ms,
        seed=seed,
    )
