"""Feeds the sample vendor of `examples/` through the real inbox, and compares what becomes of it with what must.

Statements go to the inbox topic as a foreign system would send them, and dead letters are read from theirs; all else is
asked of the application, as at every door. Each
wave is sent once the one before has settled. All of it may be said again: nothing new comes of it.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel

from events.errors import RefusalError
from events.kafka_clients import new_consumer, new_producer
from events.ports.loss_cases import DecisionContent
from events.principal import Principal, PrincipalRole
from events.terms import PersonId, ReportId, Serial, VendorId
from events.topics import dead_letters, inbox
from infra.parts import open_application
from infra.problem import Problem
from infra.settings import Settings
from portal.application import Application
from portal.policy_file.reader import policy_in
from workflows.policy import Policy

SCRIPT = Path(__file__).parents[1] / "examples" / "sample_vendor.py"
DOOR = "sample"
SETTLE_SECONDS = 180.0
LOOK_SECONDS = 0.25
HEADERS = [("content-type", b"application/cloudevents+json")]

Stands = dict[str, dict[str, int]]
Moved = Callable[[str, dict[str, int]], None]


class Sample(BaseModel):
    """What the script made."""

    vendor: VendorId
    policy: Policy
    statements: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    after: list[Stands]
    answers: dict[str, str]
    dead_letter_counts: dict[str, int]


class Result(BaseModel):
    """What became of it; `unmet` says in words where that is not what must."""

    expected_met: bool
    reports: int
    outcomes: dict[str, int]
    first_replacement_seconds: float
    total_seconds: float
    unmet: list[str]


async def make(folder: Path) -> Sample:
    """Have the script make its files. Raises Problem where there is no script, or it fails."""
    if not SCRIPT.exists():
        raise Problem("no-sample", f"There is no {SCRIPT}: the sample vendor comes with the source only.")
    command = (sys.executable, str(SCRIPT), str(folder))
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    if process.returncode:
        said = errors.decode(errors="replace").strip().splitlines()
        raise Problem("no-sample", f"The sample vendor could not be made ({said[-1] if said else process.returncode}).")
    expected = json.loads((folder / "expected.json").read_text())
    return Sample(
        vendor=expected["vendor"],
        policy=policy_in((folder / "policy.yaml").read_text(), "policy.yaml"),
        statements=_lines(folder / "statements.jsonl"),
        decisions=_lines(folder / "decisions.jsonl"),
        after=expected["after"],
        answers=expected["decisions"],
        dead_letter_counts=expected["dead_letters"],
    )


async def feed(settings: Settings, sample: Sample, moved: Moved) -> Result:
    """Feed all waves; `moved` is told the wave and how many cases stand where, whenever that changed."""
    async with open_application(settings) as application:
        await application.add_vendor(_desk(sample.vendor), sample.policy)
        first = asyncio.create_task(_first_replacement(application, sample.vendor))
        answers: dict[str, str] = {}
        try:
            for wave, must in enumerate(sample.after):
                await _send(settings, application, sample, wave)
                answers |= await _decide(application, sample, wave)
                title = f"wave {wave + 1} of {len(sample.after)}"
                stands = await _settled(application, sample.vendor, must, title, moved)
            dead_letter_counts = await _dead_letter_counts(settings, sample)
            seconds = await first if stands else 0.0
        finally:
            first.cancel()
    unmet = _unmet(sample, stands, answers, dead_letter_counts)
    reports = sum(row["event"]["type"].endswith("loss.reported.v1") for row in sample.statements)
    return Result(
        expected_met=not unmet,
        reports=reports,
        outcomes=_totals(stands),
        first_replacement_seconds=round(seconds, 2),
        total_seconds=round(_since_start(), 2),
        unmet=unmet,
    )


def _desk(vendor: VendorId) -> Principal:
    """The vendor's own people, who set it up and give codes to holders."""
    roles = (PrincipalRole.ADMINISTRATOR, PrincipalRole.BACK_OFFICE)
    return Principal(vendor=vendor, subject=PersonId("desk"), roles=roles, door=DOOR)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _since_start() -> float:
    return time.time() - psutil.Process().create_time()


async def _send(settings: Settings, application: Application, sample: Sample, wave: int) -> None:
    for row in sample.statements:
        if row["wave"] == wave and row.get("by_code"):
            row["event"]["data"] |= await _code(application, sample.vendor, row["key"])
    async with new_producer(settings.bootstrap) as producer:
        sent = [
            await producer.send(
                inbox(sample.vendor), json.dumps(row["event"]).encode(), key=row["key"].encode(), headers=HEADERS
            )
            for row in sample.statements
            if row["wave"] == wave
        ]
        await asyncio.gather(*sent)


async def _code(application: Application, vendor: VendorId, serial: str) -> dict[str, str]:
    """The code that the desk gives to the holder of a machine that replaces another; fed again, none is needed."""
    with suppress(RefusalError):
        return {"activation_code": (await application.activation_code(_desk(vendor), Serial(serial))).code}
    return {}


async def _decide(application: Application, sample: Sample, wave: int) -> dict[str, str]:
    answers: dict[str, str] = {}
    for one in sample.decisions:
        if one["wave"] != wave:
            continue
        async with application.views(_desk(sample.vendor)) as views:  # as they are now
            case = await views.case_of_report(sample.vendor, ReportId(one["report"]))
            known = await views.line(sample.vendor, case) if case else None
        if case is None or known is None:
            answers[one["decision"]] = "no case"
            continue
        said = {k: v for k, v in one.items() if k not in ("wave", "report", "by")}
        content = DecisionContent.model_validate({**said, "on": known.material})
        person = Principal(vendor=sample.vendor, subject=one["by"], roles=(PrincipalRole.SUPERVISOR,), door=DOOR)
        try:
            await application.decide(person, case, content)
            answers[one["decision"]] = "taken"
        except RefusalError as refusal:
            answers[one["decision"]] = refusal.code
    return answers


async def _settled(application: Application, vendor: VendorId, must: Stands, wave: str, moved: Moved) -> Stands:
    """Where the cases stand, once that is what must be or has gone beyond (fed again), or after a bounded wait."""
    deadline = time.monotonic() + SETTLE_SECONDS
    before: dict[str, int] | None = None
    while True:
        async with application.views(_desk(vendor)) as views:
            stands = await views.stands_by_holder(vendor)
        totals = _totals(stands)
        if totals != before:
            before = totals
            moved(wave, totals)
        if all(_reached(stands.get(holder, {}), cases) for holder, cases in must.items()):
            return stands
        if time.monotonic() > deadline:
            return stands
        await asyncio.sleep(LOOK_SECONDS)


RANK = (
    *("reported", "blocking", "waiting", "replacing", "awaiting_approval", "escalated", "awaiting_target", "watching"),
    *("resurfaced", "reinstating", "stuck", "closed"),
)
"""What passes by itself stands before what waits for somebody."""


def _reached(stands: dict[str, int], must: dict[str, int]) -> bool:
    """Whether a holder's cases are at least as far as they must be: fed again, they are further from the first wave."""

    def ranks(cases: dict[str, int]) -> list[int]:
        return sorted(RANK.index(one.partition(":")[0]) for one, count in cases.items() for _ in range(count))

    have, need = ranks(stands), ranks(must)
    return len(have) >= len(need) and all(h >= n for h, n in zip(have[-len(need) :], need, strict=True))


def _totals(stands: Stands) -> dict[str, int]:
    totals: Counter[str] = Counter()
    for cases in stands.values():
        totals.update(cases)
    return dict(sorted(totals.items()))


async def _dead_letter_counts(settings: Settings, sample: Sample) -> Counter[str]:
    """The dead letters by code, each place once; waits, bounded, until there are as many as must be."""
    consumer = new_consumer(settings.bootstrap, dead_letters(sample.vendor))
    said: dict[str, tuple[str, str]] = {}
    deadline = time.monotonic() + settings.hold_seconds + 30
    async with consumer:
        while sum(_by_code(said).values()) < sum(sample.dead_letter_counts.values()) and time.monotonic() < deadline:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    headers = dict(record.headers)
                    number = json.loads(record.value)["id"]
                    said[number] = (number, headers["lostfound-code"].decode())
    return _by_code(said)


def _by_code(said: dict[str, tuple[str, str]]) -> Counter[str]:
    return Counter(code for _, code in said.values())


async def _first_replacement(application: Application, vendor: VendorId) -> float:
    """The seconds since the command was typed until the views had a replacement."""
    while True:
        async with application.views(_desk(vendor)) as views:
            if await views.has_replacement(vendor):
                return _since_start()
        await asyncio.sleep(0.05)


def _unmet(sample: Sample, stands: Stands, answers: dict[str, str], dead_letter_counts: Counter[str]) -> list[str]:
    must = sample.after[-1]
    holders = sorted(must.keys() | stands.keys())
    unmet = [
        f"cases of {holder}: {stands.get(holder, {})} instead of {must.get(holder, {})}"
        for holder in holders
        if stands.get(holder) != must.get(holder)
    ]
    unmet += [
        f"decision {name}: {answers.get(name)} instead of {answer}"
        for name, answer in sample.answers.items()
        if answers.get(name) != answer
    ]
    if dict(dead_letter_counts) != {code: count for code, count in sample.dead_letter_counts.items() if count}:
        unmet.append(f"dead letters: {dict(dead_letter_counts)} instead of {sample.dead_letter_counts}")
    return unmet
