"""Who may decide what, and what becomes of it."""

from typing import Any

from tests.machine.case_oracle.records import UNDECIDED, Case
from tests.machine.case_oracle.unloss import Unloss


class Decisions(Unloss):
    """Takes decisions."""

    def denials(self, case: Case, action: str, by: str, stale: bool, more: dict[str, Any]) -> tuple[set[str], set[str]]:
        """Why a decision must be denied, and why it may be besides."""
        deny, may = set(), set()
        if by not in self.policy["supervisors"]:
            deny.add("not_a_supervisor")
        if by == case.holder or by in case.reporters:
            (deny if action == "approve" else may).add("own_case")
        stands = {
            **dict.fromkeys(("approve", "reject", "ask"), UNDECIDED),
            **{
                "meet": ("watching",),
                "cancel": (*UNDECIDED, "waiting"),
                "rule": ("resurfaced", "reinstating", "stuck"),
            },
            **dict.fromkeys(("resume", "give_up"), ("stuck",)),
        }[action]
        if case.status not in stands or (action == "meet" and not case.condition):
            deny |= {"nothing_to_decide"} | ({"too_late"} if action == "cancel" else set())
        if action == "rule":
            unreplaced = more["verdict"] == "found" and case.target is None
            if case.status == "reinstating" and unreplaced:  # it is being reinstated already
                deny.add("nothing_to_decide")
            if case.status == "stuck" and (case.stuck_in != "reinstating" or unreplaced or more.get("reinstate")):
                deny.add("nothing_to_decide")
        if stale:
            deny.add("stale")
        if case.status == "escalated" and by not in case.escalated_to and self._decides_instead(case, action):
            (deny if action == "approve" else may).add("not_escalated_to")
        if action == "approve":
            if by == case.first:
                deny.add("same_supervisor")
            if case.beyond and not more.get("goodwill"):
                deny.add("beyond_quota")
            if more.get("goodwill") and by not in self.grantors(case):
                deny.add("no_goodwill")
            if more.get("condition") and case.only_watches:
                deny.add("no_condition")
            elif more.get("condition") and case.row.recovery not in ("next", "reissue"):
                may.add("no_condition")
        if action == "cancel" and case.target is not None:  # a stop-gap was issued: it may be said to be found
            deny.add("too_late")
        needs = ("replacing", "reinstating")
        again = action == "meet" or (action == "resume" and case.stuck_in in needs and case.target is not None)
        if again and case.replacement_lost:
            deny.add("replacement_lost")
        if action == "rule" and more.get("reinstate"):
            if case.replacement_lost:
                deny.add("replacement_lost")
            if not case.licences or case.status == "reinstating":
                may.add("nothing_to_decide")
        return deny, may

    def _decides_instead(self, case: Case, action: str) -> bool:
        """Whether one of those whom a case was escalated to may decide it so; else whoever else may, may."""
        graces = self.grantors(case) if case.beyond else None
        return any(
            one in self.policy["supervisors"]
            and one not in {case.holder, *case.reporters}
            and (action != "approve" or (one != case.first and one in (graces or [one])))
            for one in case.escalated_to
        )

    def decide(self, case: Case, action: str, by: str, decision: str, more: dict[str, Any]) -> None:
        """A decision that was taken."""
        case.decisions[decision] = True
        match action:
            case "approve" if case.four_eyes and (case.first is None or case.first in case.reporters):
                case.first = by
                case.first_condition = (bool(more.get("condition")), more.get("condition_days"))
            case "approve":
                case.approved, case.overtaken = True, False
                own = (bool(more.get("condition")), more.get("condition_days"))
                case.condition, case.condition_days = case.first_condition if case.first and not own[0] else own
                self._block(case)
            case "reject":
                self._close(case, "rejected")
            case "cancel":
                self._close(case, "cancelled")
            case "meet":
                case.condition = False
                self._issue(case)
            case "rule":
                unreplaced = more["verdict"] == "found" and case.target is None and case.kind != "cloud"
                if more.get("reinstate") or unreplaced:
                    self._withdraw(case)
                else:
                    self._close(case, more["verdict"])
            case "resume":
                back, case.stuck_in, case.release_until = case.stuck_in, None, None
                if "found" in case.missed and back != "reinstating":
                    case.status = "watching"
                    self._heed(case)
                    return
                if back == "replacing" and case.overtaken:
                    back = "blocking"  # a person decides before anything is issued
                if back == "replacing":
                    case.status = back
                    self._heed(case)
                    if case.status != back:
                        return
                {"blocking": self._block, "replacing": self._issue, "reinstating": self._withdraw}[str(back)](case)
            case "give_up":
                self._close(case, "given_up")
