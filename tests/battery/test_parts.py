"""The battery's own parts: a fault that is ordered comes once, and a run without them is none."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ops.program import ROOT
from tests.battery import power, profile, report
from tests.battery.case import RARE, ZEROS, Findings
from tests.battery.diary import Diary
from tests.battery.evidence import read_diary
from tests.battery.orders import MISSING_POINTS, POINTS, Fate, Orders, Swallowed
from tests.battery.passing import passed
from tests.battery.plan import as_request, dated, deed
from tests.battery.run import Run
from tests.battery.specimen import REQUEST, figures_of
from tests.battery.tiers import TIERS


def test_each_order_is_carried_out_once_however_many_come_by(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    orders.give("K7", "soft", 1)
    first, second = Fate(Orders(tmp_path)), Fate(Orders(tmp_path))

    with pytest.raises(Swallowed):
        first.meet("K7")
    second.meet("K7")

    assert orders.done() == {("K7", "soft"): 1}
    assert orders.waiting() == 0


def test_an_order_for_one_point_kills_nobody_at_another(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    orders.give("K10", "hard", 1)
    Fate(orders).meet("K1")  # K10 begins like K1
    assert orders.withdraw() == ["K10.000001.hard"]


def test_a_hard_death_is_signal_9_of_the_process_itself(tmp_path: Path) -> None:
    Orders(tmp_path).give("K5", "hard", 1)
    program = (
        "import sys, pathlib; from tests.battery.orders import Fate, Orders;"
        "Fate(Orders(pathlib.Path(sys.argv[1]))).meet('K5'); print('alive')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, b"")


def test_a_seed_gives_the_same_plan_and_only_requests_that_are_valid() -> None:
    for number in range(1, 400):
        planned = deed(7, number)
        assert planned == deed(7, number)
        as_request(planned.kind, dated(planned))
    assert [deed(7, n) for n in range(1, 20)] != [deed(8, n) for n in range(1, 20)]


def test_every_crash_point_of_the_reference_is_there_or_named_as_missing() -> None:
    assert {*POINTS, *MISSING_POINTS} == {f"K{number}" for number in range(1, 19)}


def test_the_diary_goes_on_where_a_crash_has_torn_it(tmp_path: Path) -> None:
    path = tmp_path / "client.jsonl"
    start = {"op": "start", "id": "po_1", "kind": "payout"}
    diary = Diary(path)
    diary.write({**start, "phase": "asked", "request": REQUEST})
    with path.open("a") as file:
        file.write('{"op": "start", "id": "po_1", "kind": "pay')

    diary.close()
    again = Diary(path)
    assert again.of("po_1").request == REQUEST
    assert not again.of("po_1").acknowledged
    again.write({**start, "phase": "answered", "answer": {"ok": True, "existed": False}})
    again.close()

    assert read_diary(path)["po_1"].acknowledged
    assert all(json.loads(line) for line in path.read_text().splitlines())


class BrokenRun(Run):
    """A run that a bug stops before it has begun."""

    async def _start(self) -> None:
        raise RuntimeError("no wallet could be opened")


async def test_a_run_that_breaks_down_comes_to_a_report_and_fails(tmp_path: Path) -> None:
    run = BrokenRun(tmp_path / "part-001", TIERS["power"], 1, lambda _: None)
    told = report.figures(run.site, await run.live())
    assert "no wallet could be opened" in told["broken"][0]
    assert not passed(told)


def test_a_run_that_is_clean_passes_and_one_that_broke_down_does_not() -> None:
    clean = figures_of(Findings())
    assert passed(clean)
    assert not passed({**clean, "broken": ["it never came to rest"]})
    assert not passed({**clean, "invariants": {"INV-08": 1}})
    for name in ZEROS:
        assert not passed({**clean, name: 1})
    for name in RARE:
        assert passed({**clean, name: 3})
        assert not passed({**clean, name: 4})
    assert passed({**clean, "payments_attempted": 20_000, "unexpected_end": 10})
    assert not passed({**clean, "payments_attempted": 20_000, "unexpected_end": 11})
    assert not passed({**clean, "invariants": {}}), "nobody has checked it"
    assert not passed({**clean, "in_case_resolved": 61}), "people have done its work"
    assert not passed({**clean, "clean_unknown": {"blind": 16}}), "likewise at one bank"
    for name in ("silent_K", "faults_missed"):
        assert not passed({**clean, name: ["K7"]}), "a run without its faults proves nothing"
    assert not passed({**clean, "hard_kills": 1_000}), "no process was killed at K1"
    assert passed({**clean, "max_time_to_detect": 61.0, "detected_late": 1})
    assert not passed({**clean, "max_time_to_detect": 61.0, "detected_late": 2})
    assert not passed({**clean, "max_time_to_detect": 301.0, "detected_late": 1})


def test_the_parts_of_a_run_are_added_up() -> None:
    part = {
        **figures_of(Findings()),
        **{"tier": "release", "seed": 1, "hard_kills": 50, "time_to_drain": 3.0, "commit": "a"},
        **{"soft_kills": 2_500, "sigstops": 10, "pauses": 20, "proxy_faults": {"late": 80}},
        **{"db_restarts": 10, "server_restarts": 10, "faults_by_id": {"D2": 9}},
        "other_kills": {"bank_kills": 10, "worker_kills": 7, "gateway_kills": 3},
        "per_K": {"K1": {"hard": 2, "soft": 3}},
    }
    other = {**part, "doubled": 1, "time_to_drain": 9.0, "commit": "b"}
    whole = report.merged([part, other, other], planned=20)
    assert (whole["parts"], whole["parts_planned"], whole["commit"]) == (3, 20, "a+b")
    assert whole["faults_missed"] == []
    spared = {**part, "sigstops": 7, "faults_missed": []}
    assert report.merged([spared], planned=20)["faults_missed"] == []
    assert report.merged([spared] * 20, planned=20)["faults_missed"] == ["sigstops"]
    whole = report.merged([part, other], planned=20)
    assert (whole["hard_kills"], whole["doubled"], whole["time_to_drain"]) == (100, 1, 9.0)
    assert whole["per_K"] == {"K1": {"hard": 4, "soft": 6}}
    assert not passed(whole)
    assert report.lacking(part) == set()
    del part["clean_payouts"]
    assert report.lacking(part) == {"clean_payouts"}


def test_what_a_stopped_worker_was_about_to_send_comes_before_a_miss_is_a_proof() -> None:
    """No fence helps against a send whose bytes are under way; the lag has to cover it."""
    assert profile.LAG_SECONDS > profile.FROZEN_SECONDS


def test_the_parts_of_a_tier_are_at_least_the_tier() -> None:
    for tier in TIERS.values():
        share = tier.part()
        assert share.payments * tier.parts >= tier.payments
        assert share.hard_kills * tier.parts >= tier.hard_kills


@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_nothing_is_doubled_or_lost_whatever_is_killed_cut_or_lied_about(tmp_path: Path) -> None:
    """The smoke tier: K1-K14, K16, K+, P1-P16, W1-W5, D1, T1, N1 against INV-01 to INV-30."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.battery", "--seed", "1", "--home", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-6_000:]
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told["payments_attempted"] == TIERS["smoke"].payments
    assert told["faults_missed"] == []
    assert told["db_restarts"] > 0
    assert set(told["per_K"]) == set(POINTS)
    assert told["silent_K"] == []


def test_every_deliberate_bug_still_applies_and_says_what_has_to_catch_it() -> None:
    """A patch that no longer applies has to be made anew on the code as it is now."""
    mutants = power.mutants()
    assert len(mutants) >= 40
    for mutant in mutants:
        assert re.search(r"INV-\d\d|" + "|".join(ZEROS), mutant.says), mutant.name
        power.apply(mutant, ROOT, only_check=True)


def test_a_deliberate_bug_in_sql_is_in_a_function_that_no_later_revision_replaces() -> None:
    """Else it is in nobody's way: what is never called cannot be caught."""
    revisions = sorted((ROOT / "ledger/migrations/sql").glob("*.sql"))
    made = {file.name: re.findall(r"function (\w+)\(", file.read_text()) for file in revisions}
    for mutant in power.mutants():
        for name, line in re.findall(
            r"^\+\+\+ b/ledger/migrations/sql/(\S+)\n@@ -(\d+)",
            mutant.patch.read_text(),
            re.MULTILINE,
        ):
            before = (
                (ROOT / "ledger/migrations/sql" / name).read_text().splitlines()[: int(line) + 3]
            )
            function = re.findall(
                r"^create (?:or replace )?function (\w+)\(", "\n".join(before), re.MULTILINE
            )[-1]
            later = [
                each for each, functions in made.items() if each > name and function in functions
            ]
            assert not later, f"{mutant.name}: {function} is made anew in {later}"


def test_a_patch_for_other_code_is_named_and_not_tried(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("something else\n")
    patch = tmp_path / "old.patch"
    patch.write_text(
        "It was another time: lost\n--- a/other.py\n+++ b/other.py\n@@ -1 +1 @@\n-gone\n+back\n"
    )
    with pytest.raises(power.DoesNotApply, match=r"old\.patch no longer applies"):
        power.apply(power.Mutant("old", "lost", patch), tmp_path)
