"""Each rule's absence is noticed: the code is changed, and a test that names the rule fails.

A copy of the two packages gets one change; a few tests of the copy must then fail, and do pass
without it. A change that no longer finds its place in the code fails, too.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES, DOORS = "tests/agent/test_unlock_rules.py", "tests/agent/test_doors.py"
FRIENDS, STRATEGIES = "tests/agent/test_false_friends.py", "tests/agent/test_strategies.py"
NUMBERS = "tests/agent/test_unlock_numbers.py"
OWNERS, AUTHORITY = "tests/agent/test_supervisor.py", "tests/agent/test_authority.py"
EVIDENCE = "tests/agent/test_evidence.py"
CREDITS = "tests/codec/test_credits.py"
FILES = (
    RULES, NUMBERS, DOORS, FRIENDS, STRATEGIES, CREDITS, OWNERS, AUTHORITY, EVIDENCE,
    "tests/agent/world.py", "tests/agent/matrix.py", "tests/agent/stories.py",
    "tests/codec/pair.py",
)  # fmt: skip
EARLY = """\
        self._check_deadline()
        self._scope.deadline = math.inf
"""
JUDGED = "            ending = await self._judged(client, question)\n"
RETRY = """\
            if ending.result == WRONG_CODE:
                await self._configs.refresh()
                return await self._act(session)
"""
NONSENSE = ("SyntaxError", "ImportError", "ModuleNotFoundError", "NameError", "UnboundLocalError")


@dataclass(frozen=True)
class Mutant:
    """A rule that is missing: what to change where, and the tests that must notice."""

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]
    test: str


MUTANTS = (
    Mutant(
        "retry after the write", "bleagent/unlock.py",
        (
            ("return mendable and not self._sending and", "return mendable and"),
            ("if not self.committed:\n                    raise\n", "raise\n"),
        ),
        f"{RULES}::test_a_write_that_fails_at_the_commit_point_is_never_tried_again",
    ),
    Mutant(
        "deadline not checked before the last fragment", "bleagent/unlock.py",
        (("                self._check_deadline()\n                self._still_allowed()\n",
          "                self._still_allowed()\n"),),
        f"{RULES}::test_a_gateway_that_slept_between_two_fragments_does_not_write_the_last",
    ),
    Mutant(
        "deadline checked before the commit to disk only", "bleagent/unlock.py",
        (
            ("        self._check_deadline()  # an fsync", "        # an fsync"),
            ("                self._check_deadline()\n", ""),
            (
                "        self._sending = True\n",
                f"        self._sending = True\n{EARLY}",
            ),
        ),
        f"{RULES}::test_a_commit_that_outlasts_the_deadline_writes_nothing",
    ),
    Mutant(
        "permission not asked for again", "bleagent/unlock.py",
        (("                self._still_allowed()\n", ""),),
        f"{RULES}::test_who_may_no_longer_open_is_stopped_before_the_last_fragment",
    ),
    Mutant(
        "a wrong code is mended and tried again at once", "bleagent/unlock.py",
        ((JUDGED, JUDGED + RETRY),),
        f"{RULES}::test_a_code_that_is_out_of_date_is_fetched_anew_for_the_next_request_only",
    ),
    Mutant(
        "key not checked", "bleagent/doors.py",
        (("known.fingerprint != request.fingerprint", "not known.fingerprint"),),
        f"{DOORS}::test_a_key_with_another_request_is_turned_away",
    ),
    Mutant(
        "a second operation is not kept out", "bleagent/doors.py",
        (("        if request.lock in self._busy:\n", "        if False:\n"),),
        f"{DOORS}::test_of_two_requests_at_once_one_opens_and_one_leaves_no_trace",
    ),
    Mutant(
        "instruction not checked", "protocol/instruction.py",
        (("    if found != expected:\n", "    if found is None:\n"),),
        f"{STRATEGIES}::test_an_instruction_with_another_field_is_not_sent",
    ),
    Mutant(
        "result matched by the datapoint's id only", "protocol/verdict.py",
        (("            request.operation == OpenOperation.OPEN\n            and reply.central",
          "            True or reply.central"),),
        f"{FRIENDS}::test_a_stale_reply_of_the_visit_before_confirms_nothing",
    ),
    Mutant(
        "an answer counts before its command was handed over", "protocol/central.py",
        (("awaited is None or not awaited.handed_over or", "awaited is None or"),),
        f"{FRIENDS}::test_a_bolt_that_was_reported_closed_before_our_command_confirms_nothing",
    ),
    Mutant(
        "a record is taken for a result", "protocol/central.py",
        (("not awaited.handed_over or report.time is not None:", "not awaited.handed_over:"),),
        f"{FRIENDS}::test_a_record_of_an_opening_is_never_its_result",
    ),
    Mutant(
        "next_sn believed blindly", "protocol/numbers.py",
        (("plausible = self._last < next_sn <= min(self._last + MAX_NEXT_SN_STEP, end)",
          "plausible = self._last < next_sn <= end"),),
        f"{NUMBERS}::test_only_a_plausible_next_number_is_believed",
    ),
    Mutant(
        "a visit's numbers forget what was sealed", "bleagent/session.py",
        (("return 1 if mark >= MAX_SN_MARK else mark + 1", "return 1 + 0 * mark"),),
        f"{FRIENDS}::test_a_frame_of_an_earlier_visit_opens_nothing_on_ours",
    ),
    Mutant(
        "a check code without an answer is written again", "bleagent/check_code.py",
        (("            if not written:\n                raise\n", "            raise\n"),),
        f"{RULES}::test_a_check_code_that_the_lock_does_not_answer_is_not_written_twice",
    ),
    Mutant(
        "a check code leaves before its attempt is on disk", "bleagent/check_code.py",
        (("        await self._memory.begin_code(self._lock, Code", "        (self._lock, Code"),),
        f"{RULES}::test_the_attempt_is_on_disk_before_the_check_code_leaves_and_until_it_is_answered",
    ),
    Mutant(
        "sealed by us although two codes may hold", "bleagent/unlock.py",
        (("return False  # nobody knows which", "pass  # nobody knows which"),),
        f"{RULES}::test_with_two_codes_that_may_hold_nothing_is_sealed_by_us",
    ),
    Mutant(
        "whoever has the key is taken for the lock", "bleagent/session.py",
        (("    elif before != now:\n", "    elif before.major > 99:\n"),),
        f"{OWNERS}::test_the_first_proven_identity_is_pinned_and_another_is_not_operated",
    ),
    Mutant(
        "whoever waits longer goes before the door", "bleagent/waiting.py",
        (("one = min(self._uses, key=lambda use: use.priority)", "one = self._uses[0]"),),
        f"{OWNERS}::test_somebody_before_the_door_goes_before_whoever_waits_longer",
    ),
    Mutant(
        "a connection is used on after something was left half said", "bleagent/owner.py",
        (("                one.broken = True\n", "                one.broken = False\n"),),
        f"{OWNERS}::test_a_user_who_leaves_in_the_middle_of_something_takes_the_connection_along",
    ),
    Mutant(
        "an answer to another question is taken for ours", "bleagent/unlock.py",
        (("until, lambda one: one.question is question)", "until)"),),
        f"{OWNERS}::test_an_answer_to_another_question_on_the_same_connection_is_not_ours",
    ),
    Mutant(
        "what was heard before the command counts as its evidence", "bleagent/unlock.py",
        (("evidence_since(self._committed_at)", "evidence_since(0.0)"),),
        f"{EVIDENCE}::test_what_was_heard_before_our_command_left_is_no_evidence_about_it",
    ),
    Mutant(
        "a process that stood still goes on as if nothing had been", "bleagent/health/stall.py",
        (("            self._stalled_at = now\n", "            self._stalled_at = -1.0\n"),),
        f"{AUTHORITY}::test_a_process_that_stood_still_says_so_for_a_moment",
    ),
    Mutant(
        "record acknowledged before it is stored", "protocol/credits.py",
        (("            self._waiting.append(report)\n", "            self._open += 1\n"),),
        f"{CREDITS}::test_a_credit_is_earned_on_disk_and_not_on_the_air",
    ),
)  # fmt: skip


def copy(to: Path) -> None:
    """The two packages and the tests that are run on them."""
    for package in ("protocol", "bleagent"):
        shutil.copytree(ROOT / package, to / package)
    for name in FILES:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, to / name)
    (to / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")


def run(where: Path, *tests: str) -> tuple[int, str]:
    """Pytest's exit code and its words."""
    done = subprocess.run(  # noqa: S603 -- ourselves
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        cwd=where, env={"PYTHONPATH": str(where)}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_without_a_change_the_copy_passes(tmp_path: Path) -> None:
    copy(tmp_path)
    code, words = run(tmp_path, *dict.fromkeys(one.test for one in MUTANTS))
    assert code == 0, words


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name)
def test_a_rule_that_is_missing_is_noticed(mutant: Mutant, tmp_path: Path) -> None:
    copy(tmp_path)
    changed = tmp_path / mutant.file
    text = changed.read_text()
    for old, new in mutant.changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    changed.write_text(text)
    code, words = run(tmp_path, mutant.test)
    assert code == 1, words
    # A claim failed; it is not that the changed code means nothing.
    assert not [one for one in NONSENSE if one in words], words
