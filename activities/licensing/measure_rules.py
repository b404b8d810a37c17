"""Blocking measures as they stand, and what their confirmations say: pure functions."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from events.measure_life import OPEN
from events.measure_subject import Subject
from events.ports.licensing_backend import CaseKey
from events.terms import CaseId, Measure, MeasureState, Serial, VendorId


def as_subject(found: Subject | str) -> Subject:
    """A subject, as it is or as the driver gives it."""
    return Subject.parse(found) if isinstance(found, str) else found


@dataclass(frozen=True, slots=True)
class Standing:
    """A measure that stands; `serial` is the container that has what it aims at, `container_generation` the one of
    that container's generations that has it."""

    case_id: CaseId
    measure: Measure
    subject: Subject
    serial: Serial
    state: MeasureState
    container_generation: int = 1

    def __post_init__(self) -> None:  # the driver gives the bare words
        object.__setattr__(self, "measure", Measure(self.measure))
        object.__setattr__(self, "subject", as_subject(self.subject))
        object.__setattr__(self, "state", MeasureState(self.state))

    def key(self, vendor: VendorId) -> CaseKey:
        """Its case."""
        return CaseKey(vendor=vendor, case=self.case_id, serial=self.serial)

    def about(self) -> dict[str, object]:
        """What every fact about it says."""
        return {"case": self.case_id, "measure": self.measure, "subject": self.subject, "serial": self.serial}


def is_settled(confirmed: Iterable[Standing], measures: Iterable[Standing], issued: Collection[Subject]) -> bool:
    """Whether these confirmations of a case's measures say that all is removed, or given back: all that was lost, or
    all that was issued for it, each by itself. `measures` are all of the case, `issued` the subjects of what was issued
    for it. A blacklisting says no such thing: it is confirmed by a container that was refused.
    """
    open_ = {(one.measure, one.subject in issued) for one in measures if one.state in OPEN}
    said = {(one.measure, one.subject in issued) for one in confirmed if one.measure is not Measure.BLACKLISTING}
    return bool(said - open_)
