"""What an engine costs that nobody uses: CPU of every process over thirty seconds, memory of each."""

import time

from benchmarks.consumption import spent
from benchmarks.engines import running
from benchmarks.figures import Figure


def run(quick: bool) -> list[Figure]:
    seconds = 10 if quick else 30
    with running() as engine:
        before = engine.cpu()
        time.sleep(seconds)
        cpu = spent(before, engine.cpu())
        memory = engine.memory()
    scale = 30 / seconds
    total = sum(cpu.values()) * scale
    return [
        Figure("idle.cpu", "idle, all processes, 30 s", total, "CPU-s"),
        *(Figure(f"idle.cpu.{name}", f"idle: {name}", value * scale, "CPU-s") for name, value in cpu.items()),
        Figure("idle.memory", "idle: memory, all processes", sum(memory.values()) / 1024, "MiB"),
        *(Figure(f"idle.memory.{name}", f"idle: memory of {name}", kib / 1024, "MiB") for name, kib in memory.items()),
    ]
