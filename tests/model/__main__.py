"""The command: many lives, one after another, until one of them breaks a rule.

python -m tests.model --lives 1000000 --seed 7
python -m tests.model --seed 7 --only 1234        # that life again, step by step
python -m tests.model --script 3,0,1,2            # a life by its script
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.model.dice import Dice
from tests.model.life import Life
from tests.model.verdict import breaches, facts_of

EVERY_SECONDS = 10.0


def main() -> int:
    """Live, and say how fast and how it went; 1 where a life broke a rule."""
    asked = _parser().parse_args()
    if asked.script is not None or asked.only is not None:
        dice = (
            Dice([int(number) for number in asked.script.split(",") if number])
            if asked.script is not None
            else Dice(seed=f"{asked.seed}/{asked.only}")
        )
        return _replay(Life(dice, zombies=not asked.no_zombies))
    return _many(asked)


def _many(asked: argparse.Namespace) -> int:
    lives, seed, broken = asked.lives, asked.seed, 0
    ends: Counter[str] = Counter()
    begun, shown = time.perf_counter(), time.perf_counter()
    cpu = time.process_time()
    for number in range(lives):
        life = Life(Dice(seed=f"{seed}/{number}"), zombies=not asked.no_zombies)
        wrong = life.live()
        if wrong:
            broken += 1
            sys.stdout.write(f"life {number} of seed {seed} broke a rule: {'; '.join(wrong)}\n")
            if not asked.keep_going:
                return _tell(life, wrong)
        ends[_end(life)] += 1
        if time.perf_counter() - shown > EVERY_SECONDS:
            shown = time.perf_counter()
            rate = (number + 1) / (shown - begun)
            sys.stdout.write(f"{number + 1} lives, {rate:.0f}/s\n")
            sys.stdout.flush()
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    for end, count in ends.most_common():
        sys.stdout.write(f"  {end:<16} {count}\n")
    sys.stdout.write(
        f"{lives} lives of seed {seed} in {seconds:.1f} s: {lives / seconds:.0f}/s,"
        f" {lives / cpu:.0f} a second of one core; {broken or 'no'} lives broke a rule\n"
    )
    return 1 if broken else 0


def _end(life: Life) -> str:
    facts = facts_of(life.books, life.bank, life.told, life.clock())
    return f"{life.run.state}{' (breach)' if breaches(facts) else ''}"


def _replay(life: Life) -> int:
    wrong = life.live()
    _tell(life, wrong)
    return 1 if wrong else 0


def _tell(life: Life, wrong: list[str]) -> int:
    for line in life.trace:
        sys.stdout.write(f"  {line}\n")
    script = ",".join(str(number) for number in life.dice.script)
    sys.stdout.write(f"{life.bank.character}\nscript: {script}\n")
    sys.stdout.writelines(f"{line}\n" for line in wrong or ["no rule was broken"])
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--lives", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of one life of the seed")
    parser.add_argument("--keep-going", action="store_true", help="count lives that break a rule")
    parser.add_argument("--script", help="numbers, parted by commas")
    parser.add_argument(
        "--no-zombies",
        action="store_true",
        help="no call is left standing, nor run again meanwhile",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
