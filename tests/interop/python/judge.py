"""What an honest exchange does with each line of a pack, judged a second time.

Reads `agencies.json` and `concerns.jsonl` with its own strict JSON and applies
packs/README in its order. It never reads `expected.json` by itself:

    python judge.py PACK [--today 2026-11-22] [--expected PACK/expected.json]
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import rfc8785

BODY_BYTES_MAX = 262_144
REFERENCE_BYTES_MAX, RECIPIENTS_MAX = 512, 64  # statement.proto
URGENCIES = ("immediate", "urgent", "prompt", "routine", "information")
OUTSIDE = (
    "kind", "reference", "from", "to", "reply_to", "urgency", "class", "agreement",
    "lawful_basis", "created_at", "occurred_at", "exercise",
)  # fmt: skip
# Cairn's code list `category`, version 1.
CATEGORIES = frozenset(
    """
    neglect physical_abuse emotional_abuse sexual_abuse child_sexual_exploitation
    child_criminal_exploitation trafficking online_harm harmful_sexual_behaviour
    child_on_child_harm fgm honour_based_forced_marriage faith_or_belief_abuse
    fabricated_or_induced_illness radicalisation
    missing self_harm_or_suicide child_mental_health child_substance_use
    absence_from_education not_brought_to_appointments bullying_or_hate
    serious_harmful_behaviour young_carer private_fostering unaccompanied_asylum_seeking
    disability_related
    domestic_abuse parental_substance_use parental_mental_ill_health
    parental_learning_disability person_posing_risk_in_household
    services_finding_it_hard_to_engage home_conditions housing_or_poverty
    non_recent_abuse community_or_place other
    """.split()
)


class Malformed(Exception):
    """Not a concern document."""


class Number:
    """A JSON number as it was written, so that no digit is lost on the way to a comparison."""

    def __init__(self, text: str) -> None:
        self.text = text

    def spelt(self) -> tuple[str, int]:
        """Digits and exponent: `1E5` is `1e+5`, but not `100000` and not `1.0e5`."""
        digits, _, exponent = self.text.lower().partition("e")
        return digits, int(exponent or 0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and self.spelt() == other.spelt()

    def __hash__(self) -> int:
        return hash(self.spelt())

    def __repr__(self) -> str:
        return self.text


def strict_object(raw: bytes) -> dict[str, Any]:
    """One UTF-8 JSON object, each key once, at any depth; else `Malformed`."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise Malformed("a key given twice")
        return made

    def no_constant(name: str) -> Any:
        raise Malformed(f"{name} is not JSON")

    try:
        value = json.loads(
            raw.decode("utf-8"), object_pairs_hook=once, parse_constant=no_constant, parse_int=Number, parse_float=Number
        )
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise Malformed(str(error)) from error
    if not isinstance(value, dict):
        raise Malformed("not an object")
    try:
        canonical(value)
    except rfc8785.CanonicalizationError as error:
        raise Malformed(f"no canonical form: {error}") from error
    return value


def canonical(value: Any) -> bytes:
    """RFC 8785: every number is a double in it, whatever was written."""

    def doubles(part: Any) -> Any:
        if isinstance(part, Number):
            return float(part.text)
        if isinstance(part, dict):
            return {key: doubles(inner) for key, inner in part.items()}
        return [doubles(inner) for inner in part] if isinstance(part, list) else part

    return rfc8785.dumps(doubles(value))


def says(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def chi_passes(value: Any) -> bool:
    """The check digit by Modulus 11 or by Modulus 10 (in use from February 2026)."""
    if not isinstance(value, str) or len(value) != 10 or not (value.isascii() and value.isdigit()):
        return False
    digits = [int(digit) for digit in value]
    eleven = 11 - sum(d * w for d, w in zip(digits, range(10, 1, -1), strict=False)) % 11
    doubled = [d * 2 - 9 * (d > 4) if n % 2 == 0 else d for n, d in enumerate(digits[:9])]
    return digits[9] == (0 if eleven == 11 else eleven) or digits[9] == -sum(doubled) % 10


@dataclass
class Line:
    """One line and what became of it."""

    number: int
    verdict: str  # accepted, duplicates, conflicts, malformed, or a refusal's code
    document: dict[str, Any] = field(default_factory=dict)
    urgency: str = ""
    flags: list[str] = field(default_factory=list)
    outside_agreement: bool = False
    original: int = 0  # of a duplicate: the line whose receipt comes back

    @property
    def sender(self) -> str:
        return str(self.document["from"])

    @property
    def recipients(self) -> list[str]:
        """As a set, in the order in which they were written."""
        return list(dict.fromkeys(self.document["to"]))


class Pack:
    """A pack's directory, and its lines judged in order."""

    def __init__(self, folder: Path, today: datetime.date | None = None) -> None:
        world = json.loads((folder / "agencies.json").read_text("utf-8"))
        self.today = (today or datetime.datetime.now(ZoneInfo("Europe/London")).date()).isoformat()
        self.exchange: str = world["exchange"]
        self.behaviour: dict[str, str] = {a["id"]: a["behaviour"] for a in world["agencies"]}
        areas = {area["id"]: area.get("reviewer") or area.get("catch_all") for area in world.get("areas", [])}
        # Who looks at what an agency sent outside any agreement.
        self.reviewer: dict[str, str | None] = {a["id"]: areas.get(a.get("area")) for a in world["agencies"]}
        self.inboxes: dict[str, list[str]] = {
            a["id"]: [f"{a['id']}/{inbox['role']}" for inbox in a["inboxes"]] for a in world["agencies"]
        }
        self.known = {inbox for inboxes in self.inboxes.values() for inbox in inboxes}
        self.agreements: dict[str, dict[str, Any]] = {a["id"]: a for a in world["agreements"]}
        self.accepted: dict[tuple[str, str], Line] = {}
        raw = (folder / "concerns.jsonl").read_bytes().split(b"\n")
        raw = raw[:-1] if raw[-1] == b"" else raw
        self.lines = [self.judge(number, line) for number, line in enumerate(raw, 1)]

    def silent(self, agency_or_inbox: str) -> bool:
        return self.behaviour[agency_or_inbox.partition("/")[0]] == "silent"

    def judge(self, number: int, raw: bytes) -> Line:
        try:
            document = strict_object(raw)
            sender, reference, to = (document.get(name) for name in ("from", "reference", "to"))
            if not (isinstance(sender, str) and sender in self.inboxes):
                raise Malformed("no usable from")
            if not (says(reference) and len(str(reference).encode()) <= REFERENCE_BYTES_MAX):
                raise Malformed("no usable reference")
            if not (isinstance(to, list) and to and all(isinstance(inbox, str) for inbox in to)):
                raise Malformed("no usable to")
            if len(set(to)) > RECIPIENTS_MAX:
                raise Malformed("more recipients than a statement carries")
        except Malformed:
            return Line(number, "malformed")
        line = Line(number, "", document)
        body = {name: value for name, value in document.items() if name not in OUTSIDE}
        before = self.accepted.get((sender, str(reference)))
        urgency = document.get("urgency")
        line.urgency = urgency if isinstance(urgency, str) and urgency in URGENCIES else "urgent"
        covered = self.covered(document)
        if len(canonical(body)) > BODY_BYTES_MAX:
            line.verdict = "body_too_large"
        elif before is not None:
            line.verdict = "duplicates" if self.same(document, before.document) else "conflicts"
            line.original = before.number
        elif not set(to) <= self.known:
            line.verdict = "unknown_recipient"
        elif not covered and line.urgency not in ("immediate", "urgent"):
            line.verdict = "no_agreement"
        else:
            line.verdict, line.outside_agreement = "accepted", not covered
            line.flags = self.flags(document, line.urgency)
            self.accepted[sender, str(reference)] = line
        return line

    @staticmethod
    def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
        """Recipients as a set, all else by the canonical form."""
        first, second = ({**document, "to": sorted(set(document["to"]))} for document in (one, other))
        return canonical(first) == canonical(second)

    def covered(self, document: dict[str, Any]) -> bool:
        """Whether the named agreement covers all of it today, its last day included."""
        named = document.get("agreement")
        agreement = self.agreements.get(named) if isinstance(named, str) else None
        if agreement is None:
            return False
        agencies = {document["from"], *(inbox.partition("/")[0] for inbox in document["to"])}
        return (
            agencies <= set(agreement["parties"])
            and document.get("class") in agreement["classes"]
            and document.get("lawful_basis") in agreement["lawful_bases"]
            and agreement["valid_from"] <= self.today <= agreement["valid_to"]
        )

    @staticmethod
    def flags(document: dict[str, Any], urgency: str) -> list[str]:
        def part(name: str) -> dict[str, Any]:
            value = document.get(name)
            return value if isinstance(value, dict) else {}

        child, category, stated = part("child"), part("concern").get("category"), document.get("urgency")
        listed = child.get("identifiers")
        identifiers = [i for i in listed if isinstance(i, dict)] if isinstance(listed, list) else []
        known = isinstance(category, str) and category in CATEGORIES and isinstance(stated, str) and stated in URGENCIES
        named = says(child.get("given_names")) or says(child.get("family_name"))
        found = {
            "unknown_code": not known,
            "missing_purpose": not says(document.get("purpose")),
            "missing_action": urgency != "information" and not says(document.get("action_requested")),
            "identifier_check_failed": any(
                i.get("scheme") == "chi-synthetic" and not chi_passes(i.get("value")) for i in identifiers
            ),
            "missing_child_identity": not named
            and not any(says(i.get("value")) or isinstance(i.get("value"), Number) for i in identifiers),
        }
        return sorted(flag for flag, raised in found.items() if raised)

    def counts(self) -> dict[str, Any]:
        """The keys of `expected.json`."""
        verdicts = Counter(line.verdict for line in self.lines)
        taken = [line for line in self.lines if line.verdict == "accepted"]
        deliveries = [(line.sender, inbox) for line in taken for inbox in line.recipients]
        answered = [(sender, inbox) for sender, inbox in deliveries if not self.silent(inbox)]
        closed = sum(not self.silent(sender) for sender, _ in answered)
        own = ("accepted", "duplicates", "conflicts", "malformed")
        return {
            "lines": len(self.lines),
            **{name: verdicts[name] for name in own},
            "refused": {code: count for code, count in verdicts.items() if code not in own},
            "flags": dict(Counter(flag for line in taken for flag in line.flags)),
            "by_urgency": dict(Counter(line.urgency for line in taken)),
            "outside_agreement": sum(line.outside_agreement for line in taken),
            "deliveries": len(deliveries),
            **{name: len(answered) for name in ("stored", "acknowledged", "decided", "feedback_sent")},
            "closed": closed,
            "open": len(deliveries) - closed,
        }


def main() -> int:
    parser = argparse.ArgumentParser(description="Judges each line of a pack and counts.")
    parser.add_argument("pack", type=Path)
    parser.add_argument("--today", type=datetime.date.fromisoformat)
    parser.add_argument("--expected", type=Path, help="compare with this file")
    args = parser.parse_args()
    counts = Pack(args.pack, args.today).counts()
    print(json.dumps(counts, indent=1, sort_keys=True))
    if args.expected is None:
        return 0
    expected = json.loads(args.expected.read_text("utf-8"))
    wrong = {key for key in counts.keys() | expected.keys() if counts.get(key) != expected.get(key)}
    print(f"{len(expected) - len(wrong)} passed, {len(wrong)} failed", *sorted(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
