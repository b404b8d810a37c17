"""What else can happen to containers and cases: each story writes its facts into a world, as far as `steps` says."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from events.backend_facts import (
    AccessLapsed,
    AccessOffered,
    AccessSet,
    ActivationReturned,
    ContainerActivated,
    ContainerReinstated,
    DelegationGiven,
    DelegationRevoked,
    LeaseDueSoon,
    LeaseLapsed,
    LeaseOverdue,
    LicenceChanged,
    LicenceEnded,
    LicenceIssued,
    LicenceRenewed,
    LicenceSuperseded,
    MeasureConfirmed,
    MeasureDelivered,
    MeasureLifted,
    MeasureOrdered,
    MeasureUnconfirmable,
    RecordSetAside,
    RecoveryFreed,
    RecoveryReserved,
    SessionsEnded,
)
from events.case_facts import BackendFacts, LicenceInScope, QuotaAnswer
from events.envelope import INSTALLATION
from events.evidence import EvidenceFile, MediaType
from events.lease import Interval, Lease, Unit
from events.measure_subject import Subject
from events.ports.licensing_backend import Reservation
from events.ports.loss_cases import Evidence
from events.terms import (
    Action,
    Aim,
    CaseId,
    Cause,
    HolderId,
    Kind,
    Measure,
    PersonId,
    PotName,
    Reason,
    Serial,
    VendorId,
    Verdict,
)
from tests.worlds import COUNTED, EYES, MANUAL, POLICY, QUOTA, STEPS, Life, World, told
from workflows.commands import (
    Bring,
    Elapsed,
    Failed,
    Held,
    LoseReplacement,
    NoTarget,
    Offered,
    Overtaken,
    Reinstated,
    Replaced,
    Settled,
    Withdrawn,
)

Story = Callable[..., None]


def activate(world: World, vendor: VendorId, number: int, steps: int = STEPS) -> None:
    """An activation with a licence that is renewed and runs out; one case is given up, the next binds it anew, until
    it is given back."""
    serial, name, holder = Serial(f"6-{number}"), f"L-a{number}", HolderId(f"h-a{number}")
    of = (world, vendor)
    computer = {"kind": Kind.ACT, "reason": Reason.HARDWARE_REPLACED}
    life = Life(*of, CaseId(f"a-{number}"), serial, holder, **computer)  # type: ignore[arg-type]
    other = Life(*of, CaseId(f"b-{number}"), serial, holder, **computer)  # type: ignore[arg-type]
    machine = {"board": "b"}
    lease = {"licence": name, "generation": 1, "serial": serial, "due": world.at, "expires": world.at}
    renewed = {"licence": name, "generation": 1, "serial": serial, "issued": world.at, "expires": world.at}
    off, black = life.measure(Measure.DEACTIVATION), life.measure(Measure.BLACKLISTING)
    told(
        steps,
        lambda: (
            life.registers(serial),
            life.backend(serial, life.licence(name, 1, serial, borrowed_until=world.at)),
        ),
        lambda: life.backend(serial, LeaseDueSoon.model_validate(lease)),
        lambda: life.backend(
            serial, LicenceRenewed.model_validate({**renewed, "file": "a file"}), LeaseOverdue.model_validate(lease)
        ),
        lambda: (other.reports(f"R-b{number}"), other.assessed(name), other.orders(Measure.DEACTIVATION)),
        lambda: (
            other.command(Failed(code="not_blocked", cause="a cause")),
            other.decides("D-1", Action.GIVE_UP),
            other.backend(
                serial,
                MeasureLifted.model_validate(other.measure(Measure.DEACTIVATION)),
                LeaseLapsed.model_validate(lease),
            ),
        ),
        lambda: (
            life.reports(f"R-a{number}"),
            life.assessed(name),
            life.orders(Measure.DEACTIVATION, Measure.BLACKLISTING),
        ),
        lambda: (
            life.blocked(),
            life.backend(
                serial,
                MeasureDelivered.model_validate(off),
                MeasureConfirmed.model_validate({**off, "by": "receipt/C-1"}),
                ActivationReturned(contact="C-1", serial=serial, generation=1, receipt="a receipt"),
            ),
        ),
        lambda: (
            life.backend(serial, ContainerActivated(serial=serial, generation=2, fingerprint=machine, case=life.case)),
            life.replaces(serial, name),
        ),
        lambda: (
            life.command(Elapsed(at=world.at + timedelta(days=366), policy=POLICY)),
            life.backend(
                serial,
                MeasureUnconfirmable.model_validate(black),
                ActivationReturned(contact="C-2", serial=serial, generation=2, receipt="a receipt"),
            ),
        ),
    )


def open_access(world: World, vendor: VendorId, number: int, steps: int = STEPS) -> None:
    """A cloud container whose access data are set, stolen and rotated, then forgotten and reset."""
    serial, holder = Serial(f"7-{number}"), HolderId(f"h-c{number}")
    of = (world, vendor)
    stolen = Life(
        *of, CaseId(f"d-{number}"), serial, holder, kind=Kind.CLOUD, reason=Reason.STOLEN, aim=Aim.ACCESS_DATA
    )
    forgot = Life(*of, CaseId(f"f-{number}"), serial, holder, kind=Kind.CLOUD, reason=Reason.FORGOTTEN)
    old = stolen.measure(Measure.BLACKLISTING)
    told(
        steps,
        lambda: stolen.registers(serial),
        lambda: stolen.backend(
            serial,
            AccessOffered(serial=serial, generation=1, case=None, until=world.at),
            AccessSet(serial=serial, generation=1),
        ),
        lambda: (stolen.reports(f"R-d{number}"), stolen.assessed()),
        lambda: (
            stolen.backend(serial, SessionsEnded(serial=serial, case=stolen.case, sessions=3)),
            stolen.orders(Measure.BLACKLISTING),
            stolen.blocked(),
        ),
        lambda: (
            stolen.backend(serial, AccessOffered(serial=serial, generation=2, case=stolen.case, until=world.at)),
            stolen.command(Replaced(target=serial, at=world.at, policy=POLICY)),
        ),
        lambda: stolen.backend(serial, AccessSet(serial=serial, generation=2)),
        lambda: (
            stolen.backend(
                serial,
                MeasureDelivered.model_validate(old),
                MeasureConfirmed.model_validate({**old, "by": "contact/C-9"}),
            ),
            stolen.command(Settled()),
        ),
        lambda: (
            forgot.reports(f"R-f{number}"),
            forgot.assessed(),
            forgot.blocked(),
            forgot.backend(serial, AccessOffered(serial=serial, generation=3, case=forgot.case, until=world.at)),
            forgot.command(NoTarget(at=world.at, tickets=())),
        ),
        lambda: (
            forgot.backend(serial, AccessSet(serial=serial, generation=3)),
            forgot.command(Offered(serial=serial), Replaced(target=serial, at=world.at, policy=POLICY)),
            stolen.backend(
                serial,
                AccessOffered(serial=serial, generation=4, case=stolen.case, until=world.at),
                AccessLapsed(serial=serial, generation=4, case=stolen.case),
            ),
        ),
    )


def mend(world: World, vendor: VendorId, number: int, steps: int = STEPS) -> None:
    """A damaged dongle: stuck, resumed and bridged; it comes back, is stuck again, and the case is given up."""
    serial, spare, name = Serial(f"8-{number}"), Serial(f"9-{number}"), f"L-m{number}"
    of = (world, vendor)
    life = Life(*of, CaseId(f"m-{number}"), serial, HolderId(f"h-m{number}"), reason=Reason.DAMAGED)
    told(
        steps,
        lambda: life.registers(serial, spare),
        lambda: life.backend(serial, life.licence(name, 1, serial)),
        lambda: (life.reports(f"R-m{number}"), life.assessed(name)),
        lambda: life.command(Failed(code="not_blocked", cause="a cause")),
        lambda: (life.decides("D-1", Action.RESUME), life.orders(Measure.WITHDRAWAL), life.blocked()),
        lambda: life.replaces(spare, name, stop_gap=True),
        lambda: life.sighted("returned/1", Cause.RETURNED),
        lambda: life.command(Failed(code="generation_conflict", cause="a cause")),
        lambda: (
            life.decides("D-2", Action.GIVE_UP),
            life.backend(serial, MeasureLifted.model_validate(life.measure(Measure.WITHDRAWAL))),
        ),
    )


def reject(world: World, vendor: VendorId, number: int, steps: int = STEPS) -> None:
    """A container whose loss a supervisor rejects."""
    serial, name = Serial(f"5-{number}"), f"L-r{number}"
    life = Life(world, vendor, CaseId(f"r-{number}"), serial, HolderId(f"h-r{number}"), MANUAL)
    told(
        steps,
        lambda: (life.registers(serial), life.backend(serial, life.licence(name, 1, serial))),
        lambda: (life.reports(f"R-r{number}"), life.assessed(name)),
        lambda: life.decides("D-1", Action.REJECT),
    )


def ponder(world: World, vendor: VendorId, number: int, steps: int = STEPS) -> None:
    """Two supervisors approve, too late and on a condition, after evidence was asked for and given."""
    serial, spare, name = Serial(f"10-{number}"), Serial(f"11-{number}"), f"L-e{number}"
    life = Life(world, vendor, CaseId(f"e-{number}"), serial, HolderId(f"h-e{number}"), EYES)
    photo = EvidenceFile(sha256="5f" * 32, media_type=MediaType.JPEG, size=181_204)
    given = Evidence(statement="evidence/1", by="crm", evidence=("photo",), files=(photo,))

    def elapsed(hours: int) -> Elapsed:
        return Elapsed(at=world.at + timedelta(hours=hours), policy=POLICY)

    told(
        steps,
        lambda: (life.registers(serial, spare), life.backend(serial, life.licence(name, 1, serial))),
        lambda: (life.reports(f"R-e{number}"), life.assessed(name)),
        lambda: life.command(elapsed(25), elapsed(49)),
        lambda: life.decides("D-1", Action.ASK, by="bob", evidence=("photo",)),
        lambda: (
            life.command(Bring(evidence=given, at=world.at, policy=POLICY)),
            life.decides("D-2", Action.APPROVE, by="bob", condition="the invoice", condition_days=7),
        ),
        lambda: (
            life.decides("D-3", Action.APPROVE, by="eve", condition="the police report", condition_days=14),
            life.orders(Measure.BLACKLISTING),
            life.blocked(),
        ),
        lambda: (life.command(elapsed(25)), life.replaces(spare, name, stop_gap=True)),
        lambda: (
            life.decides("D-4", Action.MEET),
            life.replaces(spare, name, old=2, source=spare),
        ),
        lambda: (
            life.command(elapsed(366 * 24)),
            life.backend(serial, MeasureUnconfirmable.model_validate(life.measure(Measure.BLACKLISTING))),
        ),
    )


def spend(world: World, vendor: VendorId, number: int, steps: int = STEPS) -> None:
    """A holder with one recovery a year: the first loss is none, the second uses it up, the third is goodwill."""
    holder, of = HolderId(f"h-s{number}"), (world, vendor)
    first, second, spares = Serial(f"12-{number}"), Serial(f"13-{number}"), Serial(f"14-{number}")
    more, one, two = Serial(f"15-{number}"), f"L-s{number}", f"L-t{number}"
    none = Life(*of, CaseId(f"s-{number}"), first, holder, QUOTA)
    used = Life(*of, CaseId(f"t-{number}"), first, holder, QUOTA)
    beyond = Life(*of, CaseId(f"u-{number}"), second, holder, QUOTA)

    def reserves(life: Life, name: str) -> None:
        told = RecoveryReserved(case=life.case, serial=life.serial, subjects=(f"holder/{holder}",), ordinal=1, limit=1)
        life.backend(life.serial, told)
        life.assessed(name, reservation=Reservation(at=world.at, ordinal=1, limit=1))

    def waits(life: Life) -> None:
        life.orders(Measure.BLACKLISTING)
        life.blocked()

    def goes_on(life: Life) -> None:
        life.command(Elapsed(at=world.at + timedelta(hours=25), policy=POLICY))

    told(
        steps,
        lambda: (
            none.registers(first, second, spares, more),
            none.backend(first, none.licence(one, 1, first)),
            none.backend(second, none.licence(two, 1, second)),
        ),
        lambda: (none.reports(f"R-s{number}"), reserves(none, one), waits(none)),
        lambda: (
            none.sighted("found/1", Cause.FOUND),
            none.backend(
                first,
                MeasureLifted.model_validate(none.measure(Measure.BLACKLISTING)),
                RecoveryFreed(case=none.case, serial=first),
            ),
        ),
        lambda: (used.reports(f"R-t{number}", none.case), reserves(used, one), waits(used)),
        lambda: (goes_on(used), used.replaces(spares, one)),
        lambda: (
            beyond.reports(f"R-u{number}"),
            beyond.assessed(two, reservation=Reservation(at=world.at, ordinal=None, limit=1)),
        ),
        lambda: beyond.decides("D-1", Action.APPROVE, by="bob", goodwill=True),
        lambda: waits(beyond),
        lambda: (goes_on(beyond), beyond.replaces(more, two)),
    )


def find(world: World, vendor: VendorId, number: int, steps: int = STEPS, confirmed: bool = False) -> None:
    """A lost dongle is found; its replacement is withdrawn, and the original is good again. `confirmed`: it was met, so
    its blacklisting is confirmed and not lifted."""
    serial, spare, name = Serial(f"16-{number}"), Serial(f"17-{number}"), f"L-f{number}"
    life = Life(world, vendor, CaseId(f"g-{number}"), serial, HolderId(f"h-f{number}"))
    gone = {
        "case": life.case,
        "measure": Measure.WITHDRAWAL,
        "subject": Subject(Aim.LICENCE, name, 2),
        "serial": spare,
    }
    told(
        steps,
        lambda: (life.registers(serial, spare), life.backend(serial, life.licence(name, 1, serial))),
        lambda: (life.reports(f"R-g{number}"), life.assessed(name)),
        lambda: (life.orders(Measure.BLACKLISTING), life.blocked()),
        lambda: life.replaces(spare, name),
        lambda: (
            life.sighted("found/1", Cause.FOUND),
            life.decides("D-1", Action.RULE, verdict=Verdict.FOUND, reinstate=True),
        ),
        lambda: life.backend(spare, MeasureOrdered.model_validate({**gone, "effective": world.at})),
        lambda: (
            life.backend(
                spare,
                MeasureDelivered.model_validate(gone),
                MeasureConfirmed.model_validate({**gone, "by": "contact/C-2"}),
            ),
            life.command(Withdrawn(), Held(cause="container D-1 is blocked by case c-2 too", at=world.at)),
        ),
        lambda: (
            life.backend(spare, LicenceSuperseded(licence=name, generation=2, serial=spare, case=life.case)),
            life.backend(
                serial,
                MeasureConfirmed.model_validate({**life.measure(Measure.BLACKLISTING), "by": "contact/C-1"})
                if confirmed
                else MeasureLifted.model_validate(life.measure(Measure.BLACKLISTING)),
                ContainerReinstated(serial=serial, generation=2, case=life.case),
                _reinstated(life, name),
            ),
        ),
        lambda: life.command(Reinstated(serial=serial)),
    )


def _reinstated(life: Life, name: str) -> LicenceIssued:
    return life.licence(name, 3, life.serial, case=life.case, file="a file")


def lose_twice(world: World, vendor: VendorId, number: int, steps: int = STEPS) -> None:
    """The replacement is lost too: a second case tells the first."""
    serial, spare, third, name = Serial(f"18-{number}"), Serial(f"19-{number}"), Serial(f"20-{number}"), f"L-x{number}"
    of, holder = (world, vendor), HolderId(f"h-x{number}")
    first = Life(*of, CaseId(f"x-{number}"), serial, holder)
    second = Life(*of, CaseId(f"y-{number}"), spare, holder)
    told(
        steps,
        lambda: (first.registers(serial, spare, third), first.backend(serial, first.licence(name, 1, serial))),
        lambda: (first.reports(f"R-x{number}"), first.assessed(name)),
        lambda: (first.orders(Measure.BLACKLISTING), first.blocked()),
        lambda: first.replaces(spare, name),
        lambda: (
            second.reports(f"R-y{number}"),
            first.command(LoseReplacement(to=second.case), Overtaken(by=second.case, at=world.at, policy=POLICY)),
        ),
        lambda: second.assessed(name, generation=2),
        lambda: (second.orders(Measure.BLACKLISTING), second.blocked()),
        lambda: second.replaces(third, name, old=2),
    )


def divide(world: World, vendor: VendorId, number: int, steps: int = STEPS) -> None:
    """A dongle with licences under two rules counts in the quota of each."""
    serial, spare, holder = Serial(f"21-{number}"), Serial(f"22-{number}"), HolderId(f"h-v{number}")
    one, two = f"L-v{number}", f"L-w{number}"
    life = Life(world, vendor, CaseId(f"v-{number}"), serial, holder, QUOTA)
    plain = {"generation": 1, "ticket": "T-v", "value_cents": 10_000}
    scope = tuple(
        LicenceInScope.model_validate({"licence": name, "product": product} | plain)
        for name, product in ((one, QUOTA), (two, COUNTED))
    )
    facts = BackendFacts(serial=serial, kind=Kind.DONGLE, holder=holder, last_contact=None, licences=scope)
    counted = {"case": life.case, "serial": serial, "ordinal": 1, "term_days": 365}
    answers = (QuotaAnswer(ordinal=1, limit=1), QuotaAnswer(ordinal=1, limit=2))

    def reserves() -> None:
        life.backend(
            serial,
            RecoveryReserved.model_validate({**counted, "subjects": (f"holder/{holder}",), "limit": 1}),
            RecoveryReserved.model_validate(
                {**counted, "subjects": (f"container/{serial}",), "limit": 2, "pot": PotName("sim")}
            ),
        )
        life.assessed(facts=facts, reservation=Reservation.of(world.at, answers))

    told(
        steps,
        lambda: life.registers(serial, spare),
        lambda: life.backend(serial, life.licence(one, 1, serial), life.licence(two, 1, serial, product=COUNTED)),
        lambda: (life.reports(f"R-v{number}", rules_version=2), reserves()),
        lambda: (life.orders(Measure.BLACKLISTING), life.blocked()),
        lambda: (
            life.sighted("found/1", Cause.FOUND),
            life.backend(
                serial,
                MeasureLifted.model_validate(life.measure(Measure.BLACKLISTING)),
                RecoveryFreed(case=life.case, serial=serial),
            ),
        ),
    )


def change(world: World, vendor: VendorId, number: int, steps: int = STEPS) -> None:
    """The terms of a licence change, and then contracts end, of one in a revision that says another time."""
    serial, one, two = Serial(f"23-{number}"), f"L-end{number}", f"L-over{number}"
    life = Life(world, vendor, CaseId(f"e-{number}"), serial, HolderId(f"h-e{number}"))

    def ends(name: str, revision: int) -> LicenceEnded:
        return LicenceEnded(licence=name, generation=1, serial=serial, revision=revision, ended=world.at)

    told(
        steps,
        lambda: (life.registers(serial), life.backend(serial, life.licence(one, 1, serial))),
        lambda: life.backend(serial, life.licence(two, 1, serial)),
        lambda: life.backend(
            serial,
            LicenceChanged(
                licence=one,
                generation=1,
                serial=serial,
                revision=2,
                product=QUOTA,
                value_cents=7,
                lease=Lease(check_in=Interval(unit=Unit.WEEK), grace_days=3),
                borrowed_until=world.at,
            ),
        ),
        lambda: life.backend(serial, ends(one, 1)),
        lambda: life.backend(serial, ends(one, 3), ends(two, 1)),
    )


STORIES: tuple[Story, ...] = (activate, open_access, mend, reject, ponder, spend, find, lose_twice, divide, change)
"""Together with `World.lose` they hold every fact of the catalogue."""


def tell_all(world: World, vendor: VendorId, number: int) -> None:
    """Write every story into a world."""
    for story in STORIES:
        story(world, vendor, number)


def set_aside(world: World) -> None:
    """An operator sets a record aside that stands nowhere in a generated log."""
    place = {"partition": 7, "offset": 1, "digest": "00" * 32}
    aside = RecordSetAside(**place, code="log_unreadable", why="it was none of ours", by=PersonId("ann"))
    world.say(INSTALLATION, "installation", None, aside)


def delegate(world: World, vendor: VendorId) -> None:
    """A reseller acts for two holders and no longer does; another one's delegation is revoked before it is given."""
    said: dict[str, Any] = {"by": "crm", "on_behalf_of": "corp:auth0|5f7c", "door": "inbox", "received": world.at}
    ends = world.at + timedelta(days=365)
    who: dict[str, Any] = {"delegate": "corp:seller|7", "holders": ("h-1", "h-2"), "until": ends}
    given = DelegationGiven(delegation="G-1", **who, **said)
    late = given.model_copy(update={"delegation": "G-2", "holders": ("h-3",), "on_behalf_of": None})
    world.say(vendor, "vendor", None, given, *(DelegationRevoked(delegation=one, **said) for one in ("G-1", "G-2")))
    world.say(vendor, "vendor", None, late)


def whole(vendor: VendorId) -> World:
    """A world with every fact of the catalogue."""
    world = World()
    set_aside(world)
    world.add_vendor(vendor)
    delegate(world, vendor)
    world.lose(vendor, 1, waits=True, again=True)
    tell_all(world, vendor, 1)
    return world
