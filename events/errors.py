"""What the product says when it cannot do what was asked: a stable code, and a sentence with what to do next."""

from collections.abc import Callable, Mapping
from enum import StrEnum


class Code(StrEnum):
    """The stable codes of refusals; clients may rely on them."""

    NOT_JSON = "not_json"
    NOT_CLOUDEVENT = "not_cloudevent"
    TOMBSTONE = "tombstone"
    NO_KEY = "no_key"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"
    FILE_TYPE = "file_type"
    FILE_DAMAGED = "file_damaged"
    UNKNOWN_FILE = "unknown_file"
    INFLATES_TOO_FAR = "inflates_too_far"
    UNKNOWN_TYPE = "unknown_type"
    INVALID_DATA = "invalid_data"
    INVALID_LOSS = "invalid_loss"
    KIND_MISMATCH = "kind_mismatch"
    UNKNOWN_VENDOR = "unknown_vendor"
    VENDOR_EXISTS = "vendor_exists"
    UNKNOWN_CONTAINER = "unknown_container"
    UNKNOWN_CASE = "unknown_case"
    UNKNOWN_DEAD_LETTER = "unknown_dead_letter"
    ANOTHER_RECORD = "another_record"
    UNKNOWN_LICENCE = "unknown_licence"
    NO_FILE = "no_file"
    CONTAINER_FULL = "container_full"
    HOLDER_IS_AN_ADDRESS = "holder_is_an_address"
    CONTRADICTS_INVENTORY = "contradicts_inventory"
    NO_LICENCE = "no_licence"
    LICENCE_ENDED = "licence_ended"
    LIES_AHEAD = "lies_ahead"
    BUSY = "busy"
    TOO_MANY_WAITING = "too_many_waiting"
    INTERNAL_ERROR = "internal_error"
    REPORT_ID_TAKEN = "report_id_taken"
    DECISION_ID_TAKEN = "decision_id_taken"
    NO_CASE = "no_case"
    ROLE_MISSING = "role_missing"
    NOT_A_SUPERVISOR = "not_a_supervisor"
    OWN_CASE = "own_case"
    NOTHING_TO_DECIDE = "nothing_to_decide"
    STALE = "stale"
    SAME_SUPERVISOR = "same_supervisor"
    NOT_ESCALATED_TO = "not_escalated_to"
    BEYOND_QUOTA = "beyond_quota"
    NO_GOODWILL = "no_goodwill"
    NO_CONDITION = "no_condition"
    TOO_LATE = "too_late"
    REPLACEMENT_LOST = "replacement_lost"
    BAD_LINK = "bad_link"
    BAD_ACCESS_DATA = "bad_access_data"
    LOCKED_OUT = "locked_out"
    FINGERPRINT_MISMATCH = "fingerprint_mismatch"
    ACTIVATION_CODE_MISSING = "activation_code_missing"
    ACTIVATION_CODE_WRONG = "activation_code_wrong"
    GENERATION_MISSING = "generation_missing"
    MACHINE_STOLEN = "machine_stolen"
    SUPERSEDED = "superseded"
    ENDED = "ended"
    BLOCKED = "blocked"
    RELEASE_AWAITED = "release_awaited"
    GENERATION_CONFLICT = "generation_conflict"
    GENERATION_EXHAUSTED = "generation_exhausted"
    NOT_BLOCKED = "not_blocked"
    BAD_SIGNATURE = "bad_signature"
    EXPIRED = "expired"
    LOG_DAMAGED = "log_damaged"
    NEWER_RELEASE = "newer_release"
    INSTALLATION = "installation"
    NOT_DAMAGED = "not_damaged"
    NOT_SET_ASIDE = "not_set_aside"
    UNKNOWN_POSITION = "unknown_position"
    POLICY_TOO_LARGE = "policy_too_large"
    UNREADABLE_POLICY = "unreadable_policy"
    UNREADABLE_FILE = "unreadable_file"


class RefusalError(Exception):
    """A refusal that is final for this input.

    `str()` is the sentence: what is wrong, in words that are true at every door. `parameters` are the values that it is
    about; a door makes of code and parameters what is to be done next, in words of its own.
    """

    def __init__(self, code: Code, sentence: str, **parameters: str | int) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.parameters: Mapping[str, str | int] = parameters

    def __reduce__(self) -> tuple[Callable[..., "RefusalError"], tuple[object, ...]]:
        return _made_again, (type(self), self.code, self.sentence, self.parameters)


def _made_again(
    kind: type[RefusalError], code: Code, sentence: str, parameters: Mapping[str, str | int]
) -> RefusalError:
    return kind(code, sentence, **parameters)


class NotYetKnownError(RefusalError):
    """A refusal that a fact still under way may turn around: hold the input for a while and ask again."""
