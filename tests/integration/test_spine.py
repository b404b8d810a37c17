"""One loss, from a foreign client to a signed replacement: all services and roles as real processes."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import structlog
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet
from typer.testing import CliRunner

from events.terms import CaseId, LicenceId, Serial, VendorId
from infra.main import app
from infra.wiring import prepare
from projections.read.queries import Queries, open_queries
from tests.chaos.independent import name_of
from tests.foreign import BackOffice, Reader, now
from tests.services import Services

pytestmark = pytest.mark.integration


def invoked(words: tuple[str, ...], env: dict[str, str], stdin: str) -> subprocess.CompletedProcess[str]:
    """Run `lostfound` with these words in this process; what it sets for its whole process is set back."""
    before = structlog.get_config()
    try:
        done = CliRunner().invoke(app, words, input=stdin, env=env, catch_exceptions=False)
    finally:
        structlog.configure(**before)
    return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)


class Installation:
    """A running installation, asked through its command line only."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.bootstrap = services.settings.bootstrap
        self.dsn = services.settings.dsn
        self.env = services.settings.environment()

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run `lostfound` with these words: in a thread, because a command has an event loop of its own."""
        thread = ThreadPoolExecutor(1)
        try:
            return thread.submit(invoked, words, self.env, stdin).result(60)
        finally:
            thread.shutdown(wait=False)

    def ask(self, *words: str) -> Any:
        """What a command answers as JSON."""
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    async def until(self, holds: Callable[[Queries], Awaitable[bool]]) -> None:
        """Return once that holds of the views; they are asked from within, for a command takes a second."""
        async with asyncio.timeout(60):
            while True:
                async with open_queries(self.dsn) as views:  # one instant
                    if await holds(views):
                        return
                await asyncio.sleep(0.1)

    async def knows(self, vendor: str, serial: str) -> None:
        """Return once a container is in the views: one that may take a replacement is then at hand."""

        async def holds(views: Queries) -> bool:
            return await views.container(VendorId(vendor), Serial(serial)) is not None

        await self.until(holds)

    async def stand(self, vendor: str, status: str, count: int = 1) -> list[dict[str, Any]]:
        """The vendor's cases as the command line lists them, once so many stand there."""

        async def holds(views: Queries) -> bool:
            return sum(case.status == status for case in await views.cases(VendorId(vendor))) == count

        await self.until(holds)
        cases: list[dict[str, Any]] = self.ask("case", "list", "--vendor", vendor, "--status", status)
        return cases

    def add_vendor(self, name: str, *policy: str) -> BackOffice:
        """A vendor, and its back-office system."""
        assert self.ask("vendor", "add", name, *policy) == {
            "vendor": name,
            "added": True,
            "inbox": f"lostfound.{name}.inbox",
        }
        return BackOffice(self.bootstrap, name)


class TypedInstallation(Installation):
    """One whose commands are processes of their own, as for a person who types them."""

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run `lostfound` with these words."""
        command, env = [sys.executable, "-m", "infra.main", *words], os.environ | self.env
        return subprocess.run(command, env=env, input=stdin, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
async def lostfound(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with Services(tmp_path_factory.mktemp("spine"), hold_seconds=2, lease_sweep_seconds=1) as services:
        await prepare(services.settings, lambda _: None)
        await services.start("worker", "projector", "inbox")
        yield Installation(services)


@pytest.fixture
def typed(lostfound: Installation) -> TypedInstallation:
    """The same installation, asked as a person asks it."""
    return TypedInstallation(lostfound.services)


def holding(text: str, folder: Path) -> Iterator[Path]:
    """The files in a folder that hold a text; services make and remove some meanwhile."""
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file() and text.encode() in path.read_bytes():
                yield path


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
async def test_a_reported_loss_becomes_a_blocked_original_and_a_signed_replacement(
    lostfound: Installation, typed: TypedInstallation
) -> None:
    office = typed.add_vendor("first")
    office.stock("3-1", "h-1", licences=2)
    office.flush()
    await lostfound.knows("first", "3-1-s")
    office.report("R-1", "3-1")
    office.flush()

    (line,) = await lostfound.stand("first", "watching")

    case = typed.ask("case", "show", line["case_id"], "--vendor", "first")
    names = [name_of(fact["type"]) for fact in case["history"]]
    assert names == ["loss.reported", "scope.known", "case.decided", "replacing.begun", "watch.begun"]
    assert (case["target"], case["holder"]) == ("3-1-s", "h-1")
    blacklist = lostfound.ask("blacklist", "show", "--vendor", "first")
    assert [(one["serial"], one["case_id"]) for one in blacklist] == [("3-1", line["case_id"])]
    assert lostfound.ask("container", "show", "3-1", "--vendor", "first")["status"] == "blocked"

    licence = lostfound.ask("licence", "show", "L-3-1-1", "--vendor", "first")
    assert [(one["generation"], one["serial"], one["effective"]) for one in licence["generations"]] == [
        (1, "3-1", False),
        (2, "3-1-s", True),
    ]
    file = licence["generations"][1]["file"]
    keys = KeySet.import_key_set(json.loads(lostfound.run("vendor", "jwks", "first").stdout))
    claims = json.loads(jws.deserialize_compact(file, keys, algorithms=["EdDSA"]).payload)
    assert (claims["sub"], claims["container"], claims["generation"]) == ("L-3-1-1", "3-1-s", 2)
    place = file.index(".") + 40
    changed = file[:place] + ("A" if file[place] != "A" else "B") + file[place + 1 :]
    with pytest.raises(BadSignatureError):
        jws.deserialize_compact(changed, keys, algorithms=["EdDSA"])

    refused = typed.run("case", "show", "none", "--vendor", "first")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "[unknown_case]" in refused.stderr


async def test_a_stolen_computer_is_replaced_by_the_one_whose_holder_types_the_code(lostfound: Installation) -> None:
    office = lostfound.add_vendor("coded")
    old, new = ({"board": f"b-{name}", "disk": f"d-{name}"} for name in ("old", "new"))
    issued = {"licence": "L-1", "product": "cad", "ticket": "T-1", "issued": now()}
    asked = {"serial": "A-1", "occurred": now(), "how": "activation"}
    office.state("container.registered", "A-1", serial="A-1", kind="act", holder="h-1", fingerprint=old)
    office.state("licence.issued", "A-1", serial="A-1", **issued)
    office.flush()
    await lostfound.knows("coded", "A-1")
    early = lostfound.run("activation", "code", "A-1", "--vendor", "coded")
    lostfound.ask("report", "A-1", "--kind", "act", "--reason", "computer_stolen", "--vendor", "coded")
    await lostfound.stand("coded", "awaiting_target")

    printed = lostfound.run("activation", "code", "A-1", "--vendor", "coded")
    again = lostfound.ask("activation", "code", "A-1", "--vendor", "coded")
    code = printed.stdout.strip()
    office.state("container.contacted", "A-1", contact="C-1", fingerprint=old, activation_code=code, **asked)
    office.state("container.contacted", "A-1", contact="C-2", fingerprint=new, **asked)
    office.state("container.contacted", "A-1", contact="C-3", fingerprint=new, activation_code=code, **asked)
    office.flush()
    (line,) = await lostfound.stand("coded", "watching")

    assert (early.returncode, "[no_case]" in early.stderr) == (1, True)
    assert (again["code"], again["cases"], again["tries_left"]) == (code, [line["case_id"]], 5)
    assert "Good once, and until 5 wrong tries" in printed.stderr
    case = lostfound.ask("case", "show", line["case_id"], "--vendor", "coded")
    assert case["target"] == "A-1"
    assert "case.sighted" in [name_of(fact["type"]) for fact in case["history"]]
    kept = {path.parent.name.rpartition("-")[0] for path in holding(code, lostfound.services.settings.data_dir)}
    assert kept == {"lostfound.coded.inbox"}  # what the vendor's system sent


async def test_access_data_are_set_by_a_link_and_signed_in_with_from_an_origin(lostfound: Installation) -> None:
    office = lostfound.add_vendor("clouded")
    office.state("container.registered", "C-1", serial="C-1", kind="cloud", holder="h-1")
    office.flush()
    await lostfound.knows("clouded", "C-1")
    of, password = ("C-1", "--vendor", "clouded"), "a password that is long\n"
    token = lostfound.run("access", "link", *of).stdout.strip()

    done = lostfound.run("access", "set", *of, "--token", token, stdin=password)
    home = lostfound.run("access", "sign-in", *of, "--origin", "home", stdin=password)
    wrong = [lostfound.run("access", "sign-in", *of, stdin="not the password at all\n") for _ in range(6)]
    stranger = lostfound.run("access", "sign-in", *of, stdin=password)
    again = lostfound.run("access", "sign-in", *of, "--origin", "home", stdin=password)

    assert (done.returncode, home.returncode, again.returncode) == (0, 0, 0)
    assert home.stdout.strip() != again.stdout.strip() != ""
    assert [("[bad_access_data]" in one.stderr, "[locked_out]" in one.stderr) for one in wrong] == [
        *[(True, False)] * 5,
        (False, True),
    ]
    assert (stranger.returncode, "[locked_out]" in stranger.stderr) == (1, True)


async def test_the_command_line_verifies_a_licence_file_and_refuses_a_changed_one(
    lostfound: Installation, tmp_path: Path
) -> None:
    office = lostfound.add_vendor("verified")
    office.stock("3-1", "h-1")
    office.report("R-1", "3-1")
    office.flush()
    await lostfound.stand("verified", "watching")
    file = lostfound.run("licence", "show", "L-3-1-1", "--file", "--vendor", "verified").stdout.strip()
    jwks = tmp_path / "jwks.json"
    jwks.write_text(lostfound.run("vendor", "jwks", "verified").stdout)

    good = lostfound.run("licence", "verify", "-", "--jwks", str(jwks), stdin=file)
    bad = lostfound.run("licence", "verify", "-", "--jwks", str(jwks), stdin=file[:-5] + "AAAAA")
    other = lostfound.run("licence", "verify", "-", stdin=file)

    assert (good.returncode, good.stdout[:5]) == (0, "Good:")
    assert bad.returncode == other.returncode == 1
    assert "[bad_signature]" in bad.stderr


async def test_the_same_report_five_times_at_once_through_two_connections_is_one_case(lostfound: Installation) -> None:
    office, second = lostfound.add_vendor("repeated"), BackOffice(lostfound.bootstrap, "repeated")
    office.stock("3-1", "h-1")
    office.flush()
    for connection in (office, second, office, second, office):
        connection.report("R-1", "3-1")
    office.flush()
    second.flush()

    (line,) = await lostfound.stand("repeated", "watching")

    case = lostfound.ask("case", "show", line["case_id"], "--vendor", "repeated")
    assert [name_of(fact["type"]) for fact in case["history"]].count("loss.reported") == 1
    assert len(case["replacements"]) == 1


async def test_two_reports_of_one_container_at_once_are_one_case(lostfound: Installation) -> None:
    office, second = lostfound.add_vendor("joined"), BackOffice(lostfound.bootstrap, "joined")
    office.stock("3-1", "h-1")
    office.flush()
    office.report("R-1", "3-1")
    second.report("R-2", "3-1", reason="stolen")
    office.flush()
    second.flush()

    (line,) = await lostfound.stand("joined", "watching")

    async def both_known(views: Queries) -> bool:
        case = await views.case(VendorId("joined"), CaseId(line["case_id"]))
        return case is not None and len(case.state["reports"]) == 2

    await lostfound.until(both_known)
    case = lostfound.ask("case", "show", line["case_id"], "--vendor", "joined")
    assert set(case["state"]["reports"]) == {"R-1", "R-2"}
    assert len(case["replacements"]) == 1


async def test_a_bad_record_goes_to_the_dead_letters_and_the_next_one_is_handled(lostfound: Installation) -> None:
    office = lostfound.add_vendor("rubbish")
    office.send(b"k", b"\xff not json")
    office.send(b"k", None)
    office.send(None, b"{}")
    office.report("R-0", "unknown")
    office.stock("3-1", "h-1")
    office.report("R-1", "3-1")
    office.flush()

    await lostfound.stand("rubbish", "watching")

    reader = Reader(lostfound.bootstrap, "lostfound.rubbish.dead-letters")
    dead = await asyncio.to_thread(reader.until, 4)
    reader.close()
    codes = {headers["lostfound-code"].decode(): value for _, _, value, headers in dead}
    assert set(codes) == {"not_json", "tombstone", "no_key", "unknown_container"}
    assert codes["not_json"] == b"\xff not json"
    assert all(headers["lostfound-sentence"] for _, _, _, headers in dead)


async def test_a_report_that_came_before_its_container_is_held_until_it_is_known(lostfound: Installation) -> None:
    office = lostfound.add_vendor("early")
    office.report("R-1", "3-1")
    office.flush()
    office.stock("3-1", "h-1")
    office.flush()

    assert len(await lostfound.stand("early", "watching")) == 1


async def test_a_lease_that_ran_out_is_stated_by_the_schedule(lostfound: Installation) -> None:
    office = lostfound.add_vendor("leased")
    office.state("container.registered", "3-1", serial="3-1", kind="dongle", holder="h-1")
    lease = {"check_in": {"unit": "day", "count": 1}, "grace_days": 1}
    old = {"serial": "3-1", "product": "cad", "ticket": "T-1", "issued": "2026-01-01T09:00:00Z", "lease": lease}
    office.state("licence.issued", "3-1", licence="L-1", **old)
    office.flush()

    async def lapsed(views: Queries) -> bool:
        return [one.lease_stage for one in await views.licence(VendorId("leased"), LicenceId("L-1"))] == ["lapsed"]

    await lostfound.until(lapsed)


async def test_one_vendor_sees_nothing_of_another(lostfound: Installation) -> None:
    office = lostfound.add_vendor("private")
    lostfound.add_vendor("curious")
    office.stock("3-1", "h-1")
    office.report("R-1", "3-1")
    office.flush()
    (line,) = await lostfound.stand("private", "watching")

    for words in (("case", "show", line["case_id"]), ("container", "show", "3-1"), ("licence", "show", "L-3-1-1")):
        assert lostfound.run(*words, "--vendor", "curious").returncode == 1
    assert lostfound.ask("case", "list", "--vendor", "curious") == []
    assert lostfound.ask("blacklist", "show", "--vendor", "curious") == []


async def test_a_supervisor_approves_and_later_rules_on_a_container_that_reported_in(
    lostfound: Installation, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"supervisors": ["ann"], "rules": [{"mode": "manual", "watch_days": 30}]}')
    office = lostfound.add_vendor("manual", "--policy", str(policy))
    office.stock("3-1", "h-1")
    office.report("R-1", "3-1")
    office.flush()

    case = (await lostfound.stand("manual", "awaiting_approval"))[0]["case_id"]
    denied = lostfound.run("case", "approve", case, "--by", "eve", "--vendor", "manual")
    stale = lostfound.run("case", "approve", case, "--by", "ann", "--on", "1", "--vendor", "manual")
    approved = lostfound.ask("case", "approve", case, "--by", "ann", "--decision", "D-1", "--vendor", "manual")
    await lostfound.stand("manual", "watching")
    again = lostfound.ask("case", "approve", case, "--by", "ann", "--decision", "D-1", "--vendor", "manual")
    other = lostfound.run("case", "approve", case, "--by", "eve", "--decision", "D-1", "--vendor", "manual")
    office.state("container.contacted", "3-1", contact="C-1", serial="3-1", occurred=now())
    office.flush()
    await lostfound.stand("manual", "resurfaced")
    lostfound.ask("case", "verdict", case, "used_after_loss", "--by", "ann", "--vendor", "manual")
    (closed,) = await lostfound.stand("manual", "closed")

    assert denied.returncode == 1
    assert "[not_a_supervisor]" in denied.stderr
    assert "[stale]" in stale.stderr
    assert (approved["decision"], approved["on"]) == ("D-1", 3)
    assert (again["decision"], again["on"]) == ("D-1", 3)  # what it was made on, and not what is newest by now
    assert "[decision_id_taken]" in other.stderr
    assert closed["outcome"] == "used_after_loss"
    history = lostfound.ask("case", "show", case, "--vendor", "manual")["history"]
    names = [name_of(fact["type"]) for fact in history]
    assert names == [
        *("loss.reported", "scope.known", "case.decided", "decision.denied", "decision.denied", "case.approved"),
        *("replacing.begun", "watch.begun", "case.resurfaced", "case.ruled", "case.closed"),
    ]


async def test_an_adopted_policy_decides_by_what_was_shown(lostfound: Installation, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("supervisors: [ann]\nrules:\n- mode: hybrid\n  limits: {evidence: [police_report]}\n")
    office = lostfound.add_vendor("shown")
    assert lostfound.ask("policy", "adopt", str(policy), "--vendor", "shown") == {
        "vendor": "shown",
        "policy_version": 2,
    }
    for serial in ("3-1", "3-2"):
        office.stock(serial, "h-1")
    office.flush()

    async def is_known(views: Queries) -> bool:
        found = [await views.licence(VendorId("shown"), LicenceId(f"L-{serial}-1")) for serial in ("3-1", "3-2")]
        return all(found)

    await lostfound.until(is_known)
    with_it = lostfound.ask("report", "3-1", "--reason", "lost", "--evidence", "police_report", "--vendor", "shown")
    without = lostfound.ask("report", "3-2", "--reason", "lost", "--vendor", "shown")

    assert (with_it["status"], without["status"]) == ("watching", "awaiting_approval")
    history = lostfound.ask("case", "show", without["case"], "--vendor", "shown")["history"]
    decided = next(fact["data"] for fact in history if name_of(fact["type"]) == "case.decided")
    assert (decided["reasons"], decided["policy_version"]) == (["evidence is missing: police_report"], 2)
    told = lostfound.run("found", "3-1", "--report", "F-1", "--vendor", "shown").stdout
    assert told == (
        f"Statement F-1 says that 3-1 was found; case {with_it['case']} takes it in.\n"
        f"`lostfound case show {with_it['case']} --vendor shown` says what it waits for now.\n"
    )
    await lostfound.stand("shown", "resurfaced")
    again = lostfound.ask("found", "3-1", "--report", "F-1", "--vendor", "shown")
    assert (again["statement"], again["cases"]) == ("found", [])  # the same number is the same statement
    in_force = lostfound.run("policy", "show", "--vendor", "shown").stdout
    assert lostfound.run("policy", "check", "-", stdin=in_force).returncode == 0


async def test_rebuilt_views_equal_those_in_use(lostfound: Installation) -> None:
    report = lostfound.ask("views", "rebuild")

    assert report["equal"]
    assert report["records"] > 0
    assert report["tables"]["cases"]["rebuilt"]["rows"] > 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("case", "show", "none"), "unknown_case"),
        (("licence", "show", "none"), "unknown_licence"),
        (("container", "show", "none"), "unknown_container"),
        (("case", "list", "--vendor", "nobody"), "unknown_vendor"),
        (("licence", "verify", "/no/such/file"), "unreadable_file"),
    ],
)
def test_what_is_not_known_is_told_in_a_sentence(lostfound: Installation, words: tuple[str, ...], code: str) -> None:
    done = lostfound.run(*words)

    assert done.returncode == 1
    assert f"[{code}]" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_log_of_all_this_breaches_no_invariant(lostfound: Installation) -> None:
    audited = lostfound.run("audit", "invariants", "--under-way", "1")

    assert audited.returncode == 0, audited.stdout
