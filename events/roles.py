"""What each role may do: one table, which the doors, `docs/roles.md` and the tests read.

It says what a role may ask for at all. Whether this person may do it to this container or case is for the rules of the
domain: a holder's container is their own, a decision is denied to whoever reported the loss.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from events.errors import Code, RefusalError
from events.principal import PrincipalRole

HOLDER, DELEGATE, BACK_OFFICE = PrincipalRole.HOLDER, PrincipalRole.DELEGATE, PrincipalRole.BACK_OFFICE
SUPERVISOR, AUDITOR, ADMINISTRATOR = PrincipalRole.SUPERVISOR, PrincipalRole.AUDITOR, PrincipalRole.ADMINISTRATOR


class Act(StrEnum):
    """What a principal can ask for."""

    REPORT_LOSS = "report a loss"
    GIVE_EVIDENCE = "give evidence for a loss"
    DECLARE_FOUND = "say that a container was found"
    TRY_MACHINE = "ask what can be done on a machine before a loss is reported"
    FETCH_CODE = "fetch an activation code, or the link for new access data"
    DELEGATE = "give and revoke a delegation, on its own or for the holders' organisation"
    SEE_OWN = "see containers and cases of the holder that it acts for"
    STATE_INVENTORY = "say what the inventory is, and that a container checked in or came back"
    SEE_ALL = "see all containers, licences and cases of the vendor"
    DECIDE = "decide on a case"
    AUDIT = "replay the history and have it checked"
    WRITE_POLICY = "adopt a policy"
    RUN_VENDOR = "add the vendor, and see to what its doors could not take"
    RUN_INSTALLATION = "rebuild the views, and see to what the log did not take or cannot be read in it"


MAY: Final[Mapping[Act, tuple[PrincipalRole, ...]]] = {
    Act.REPORT_LOSS: (HOLDER, DELEGATE, BACK_OFFICE),
    Act.GIVE_EVIDENCE: (HOLDER, DELEGATE, BACK_OFFICE),
    Act.DECLARE_FOUND: (HOLDER, DELEGATE, BACK_OFFICE),
    Act.TRY_MACHINE: (HOLDER, DELEGATE, BACK_OFFICE),
    Act.FETCH_CODE: (HOLDER, BACK_OFFICE),
    Act.DELEGATE: (BACK_OFFICE,),
    Act.SEE_OWN: (HOLDER, DELEGATE),
    Act.STATE_INVENTORY: (BACK_OFFICE,),
    Act.SEE_ALL: (BACK_OFFICE, SUPERVISOR, AUDITOR, ADMINISTRATOR),
    Act.DECIDE: (SUPERVISOR,),
    Act.AUDIT: (AUDITOR, ADMINISTRATOR),
    Act.WRITE_POLICY: (ADMINISTRATOR,),
    Act.RUN_VENDOR: (ADMINISTRATOR,),
    Act.RUN_INSTALLATION: (ADMINISTRATOR,),
}
"""Which roles may ask for it. A principal with several roles may do what any of them may."""


def may(roles: Iterable[PrincipalRole], act: Act) -> bool:
    """Whether somebody with these roles may ask for it."""
    return any(role in MAY[act] for role in roles)


def must_be_allowed(roles: Iterable[PrincipalRole], act: Act) -> None:
    """Refuse what none of these roles may ask for, and say which may."""
    held = tuple(roles)
    if not may(held, act):
        allowed = ", ".join(MAY[act])
        raise RefusalError(
            Code.ROLE_MISSING,
            f"the role {', '.join(held)} may not {act.value}; that needs one of {allowed}",
            roles=", ".join(held),
            act=act.value,
            allowed=allowed,
        )


def document() -> str:
    """The page docs/roles.md."""
    lines = [
        "# What each role may do",
        "",
        "Made from `events/roles.py`, by `lostfound roles --markdown`. A principal is who acts, as the door knows it:",
        "the vendor, the person or system, its roles, the door, and on whose behalf. Whoever has several roles may do",
        "what any of them may. Whether this person may do it to *this* container or case is for the domain's rules: a",
        "holder's containers are their own, and nobody decides on a loss that they reported.",
        "",
        "At the command line the person at the shell is taken at their word: `--role` and `--by` say who they are, and",
        "where a command has none it acts in the role that it is made for. Whoever may write to a vendor's inbox is a",
        "back-office system of it. Access data are set by whoever has the link, and a sign-in proves itself by its",
        "password.",
        "",
        f"| may | {' | '.join(role.value.replace('_', ' ') for role in PrincipalRole)} |",
        f"|---|{'---|' * len(PrincipalRole)}",
    ]
    for act, roles in MAY.items():
        marks = " | ".join("yes" if role in roles else "" for role in PrincipalRole)
        lines.append(f"| {act.value} | {marks} |")
    return "\n".join(lines) + "\n"
