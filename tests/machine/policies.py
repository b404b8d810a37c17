"""Policies that ask for everything that a policy can ask for, as data."""

from typing import Any

SUPERVISORS = ["ann", "bob", "cy", "dora"]
USUAL = {"watch_days": 60, "stop_gap_days": 20}


def policy(*rules: dict[str, Any]) -> dict[str, Any]:
    """A policy of these rules, with what all of them share."""
    return {"policy_version": 1, "supervisors": SUPERVISORS, "rules": [USUAL | rule for rule in rules]}


POLICIES: dict[str, dict[str, Any]] = {
    "automatic": policy({"mode": "automatic"}),
    "automatic with a wait and a delayed measure": policy(
        {"mode": "automatic", "wait_hours": 48},
        {
            "mode": "automatic",
            "wait_hours": 24,
            "kinds": ["dongle"],
            "measures": ["withdrawal", {"measure": "blacklisting", "delay_hours": 36}],
        },
    ),
    "automatic with its own verdicts": policy(
        {"mode": "automatic", "resurfaced": {"found": "found", "returned": "damaged"}, "match": "two"}
    ),
    "automatic with measures for what is worse alone": policy(
        {"mode": "automatic", "measures": []},
        {"mode": "automatic", "kinds": ["dongle"], "reasons": ["stolen"], "measures": ["withdrawal"]},
        {"mode": "automatic", "kinds": ["act"], "reasons": ["hardware_replaced"], "measures": ["withdrawal"]},
        {"mode": "automatic", "kinds": ["act"], "reasons": ["computer_stolen"], "measures": ["deactivation"]},
        {"mode": "automatic", "kinds": ["cloud"], "reasons": ["stolen"], "measures": ["blacklisting"]},
    ),
    "manual": policy({"mode": "manual"}),
    "manual with deadlines": policy(
        {
            "mode": "manual",
            "approval": {"due_hours": 72, "remind_hours": 24, "undecided": "escalate", "escalate_to": ["cy"]},
        },
        {"mode": "manual", "kinds": ["cloud"], "approval": {"due_hours": 48, "undecided": "reject"}},
        {"mode": "automatic", "kinds": ["act"], "reasons": ["same_hardware"], "match": "all"},
    ),
    "manual with four eyes": policy({"mode": "manual", "four_eyes_above_cents": 100_000}),
    "hybrid with a quota": policy(
        {
            "mode": "hybrid",
            "quota": {"per": "holder", "recoveries": 1, "term_days": 30, "goodwill": ["bob"]},
            "limits": {"contact_after_loss": False},
        }
    ),
    "hybrid with a quota per licence and a wait": policy(
        {
            "mode": "hybrid",
            "quota": {"per": "licence", "recoveries": 1, "term_days": 90},
            "limits": {"evidence": ["police_report"]},
            "wait_hours": 24,
            "approval": {"due_hours": 240, "undecided": "keep_waiting"},
            "four_eyes_above_cents": 100_000,
        }
    ),
    "hybrid with two of each product": policy(
        {
            "mode": "hybrid",
            "quota": {"per": "product", "recoveries": 2, "term_days": 30},
            "limits": {"contact_after_loss": False},
        }
    ),
    "hybrid with several of each licence, container and holder": policy(
        {
            "mode": "hybrid",
            "quota": {"per": "licence", "recoveries": 2, "term_days": 60},
            "limits": {"contact_after_loss": False},
        },
        {"mode": "hybrid", "kinds": ["act"], "quota": {"per": "holder", "recoveries": 3, "term_days": 20}},
        {"mode": "hybrid", "kinds": ["cloud"], "quota": {"per": "container", "recoveries": 2, "term_days": 40}},
    ),
    "hybrid with pots": policy(
        {"mode": "hybrid", "quota": {"per": "holder", "recoveries": 2, "term_days": 60, "pot": "all"}},
        {
            "mode": "hybrid",
            "kinds": ["act"],
            "quota": {"per": "holder", "recoveries": 1, "term_days": 60, "goodwill": ["bob"]},
            "limits": {"contact_after_loss": False},
        },
        {
            "mode": "hybrid",
            "kinds": ["cloud"],
            "quota": {"per": "product", "recoveries": 3, "term_days": 60, "pot": "all"},
        },
    ),
    "hybrid with two quotas in one loss": policy(
        {"mode": "hybrid", "quota": {"per": "container", "recoveries": 2, "term_days": 30}},
        {
            "mode": "hybrid",
            "products": ["cad"],
            "quota": {"per": "product", "recoveries": 2, "term_days": 30, "pot": "cad", "goodwill": ["ann", "cy"]},
            "limits": {"contact_after_loss": False},
        },
        {
            "mode": "hybrid",
            "products": ["cam"],
            "quota": {"per": "holder", "recoveries": 1, "term_days": 60, "goodwill": ["bob", "cy"]},
            "limits": {"contact_after_loss": False},
        },
    ),
    "hybrid with two quotas in one pot": policy(
        {
            "mode": "hybrid",
            "products": ["cad"],
            "quota": {"per": "holder", "recoveries": 3, "term_days": 60, "goodwill": ["ann"]},
            "limits": {"contact_after_loss": False, "value_above_cents": 150_000},
            "approval": {"due_hours": 72, "undecided": "escalate", "escalate_to": ["cy"]},
        },
        {
            "mode": "hybrid",
            "products": ["cam"],
            "quota": {"per": "holder", "recoveries": 2, "term_days": 20, "goodwill": ["bob"]},
            "limits": {"contact_after_loss": False, "evidence": ["police_report"]},
            "approval": {"due_hours": 48, "undecided": "keep_waiting"},
        },
        {"mode": "automatic"},
    ),
    "manual for one product and hybrid for another": policy(
        {"mode": "manual", "products": ["cam"]},
        {
            "mode": "hybrid",
            "quota": {"per": "holder", "recoveries": 1, "term_days": 60, "goodwill": ["bob"]},
            "limits": {"contact_after_loss": False},
        },
    ),
    "hybrid without measures": policy(
        {
            "mode": "hybrid",
            "measures": [],
            "quota": {"per": "product", "recoveries": 3, "term_days": 60, "pot": "all"},
            "limits": {"contact_after_loss": False},
            "automatic_after_rejection": True,
        },
        {"mode": "automatic", "measures": [], "kinds": ["cloud"], "wait_hours": 24},
        {
            "mode": "hybrid",
            "measures": [],
            "reasons": ["damaged", "computer_stolen"],
            "quota": {"per": "licence", "recoveries": 1, "term_days": 60, "pot": "all"},
            "limits": {"contact_after_loss": False},
        },
    ),
    "hybrid with limits": policy(
        {
            "mode": "hybrid",
            "limits": {
                "value_above_cents": 150_000,
                "losses": {"more_than": 1, "term_days": 90},
                "evidence": ["police_report"],
                "holder_only": True,
            },
            "wait_hours": 12,
            "match": "any",
        }
    ),
}
