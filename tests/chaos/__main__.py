"""`make chaos`: the fault suite with a printed seed, one line a fault; exit code 1 on a violation.

make chaos ARGS="--seed 7"                     replay a run
make chaos ARGS="--short"                      the selection for CI
make chaos ARGS="--fault redis_frozen"         one fault (may be given several times); --list names them
"""

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.arena import Arena
from tests.chaos.faults import FAULTS, SHAPES
from tests.chaos.trial import HEADER, Fault, run


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--fault", action="append", default=[], choices=list(FAULTS), metavar="NAME")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep the data and logs of a run without violations too")
    return parser.parse_args()


async def trials(faults: list[Fault], seed: int, folder: Path) -> int:
    broken = 0
    print(HEADER, flush=True)
    for shape in SHAPES.values():
        mine = [each for each in faults if each.shape == shape.name]
        if not mine:
            continue
        if shape.missing:
            print(f"{', '.join(each.name for each in mine)}: skipped, this machine lacks {shape.missing}", flush=True)
            continue
        port = int(os.environ.get("PORT", "0")) or None
        async with Arena(shape, random.Random(seed), folder / shape.name, port).running() as arena:
            reported: set[str] = set()
            for each in mine:
                # A fault's dice depend on the seed and its name alone, so that it replays by itself.
                result = await run(each, arena, random.Random(f"{seed}:{each.name}"))
                fresh = [found for found in result.violations if found not in reported]
                reported.update(fresh)
                broken += len(fresh)
                print(result.line(), flush=True)
                for found in fresh[:8]:
                    print(f"    {found}", flush=True)
    return broken


def main() -> int:
    options = arguments()
    if options.list:
        for each in FAULTS.values():
            about = (each.inject.__doc__ or each.name.replace("_", " ")).partition("\n")[0]
            print(f"{each.name:<28} {'short' if each.short else '':<6} {about}")
        return 0
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    chosen = [
        each
        for each in FAULTS.values()
        if (each.name in options.fault if options.fault else each.short or not options.short)
    ]
    root = Path(os.environ.get("DATA_DIR") or tempfile.mkdtemp(prefix="orderengine-chaos-"))
    folder = root / f"{seed}-{int(time.time())}"
    folder.mkdir(parents=True, mode=0o755)
    print(f"seed {seed}: {len(chosen)} faults, data in {folder}", flush=True)
    started = time.monotonic()
    broken = asyncio.run(trials(chosen, seed, folder))
    print(f"{len(chosen)} faults, {broken} violations, {time.monotonic() - started:.0f} s, seed {seed}", flush=True)
    if not broken and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
