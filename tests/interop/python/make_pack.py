"""Makes a hostile pack from a seed; check_demo.py is its judge.

    python make_pack.py FOLDER --seed 7 [--lines 400] [--edge]

All that JSON allows and people do: any Unicode, odd escapes, numbers that no
double holds, every field with a wrong type, repeats in every shape, agreements
that begin or end today. `--edge` adds lines on which packs/README leaves room.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import json
import random
import re
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from judge import BODY_BYTES_MAX, CATEGORIES, OUTSIDE, URGENCIES, Number, canonical

TEXTS = (
    "plain words", "naïve café", "cafe\u0301 nai\u0308ve", "👩‍👩‍👧‍👦 𝔘𝔫𝔦 🏴󠁧󠁢󠁳󠁣󠁴󠁿", "\u202etfel ot thgir\u202c", "\u2066isolated\u2069 \u200f\u200e",
    "nul \u0000 inside", "\u0001\u001f\u007f\u0080\u009f", "a\u2028b\u2029c", "\ufeffbom", "\ufffe\uffff\U0010ffff", "\\u0000 \\n \"quoted\" / \\",
    "<script>alert(1)</script>", "'; DROP TABLE concerns; --", "${jndi:ldap://x.invalid}", "../../../etc/passwd", "%s%n%x {0} {{7*7}}",
    "שלום עולם", "مرحبا بالعالم", "Z̴̧̛̲̈́͝a̷̡̓l̸̨͗g̵̢̈́o̶̡͐" * 5, "日本語テキスト", "ﬀ ﬁ Å Å ẛ̣", "\t tab \r\n line", "1e309", "null", "x" * 5000, "",
)  # fmt: skip
BLANKS = ("", " ", "\t\r\n", "\u00a0\u2003", "\u3000", "\u2028\u2029", "\u0085\u000b\u000c", "\u001c\u001f")
NUMBERS = (
    "0", "-0", "-0.0", "1E5", "1e+05", "1.0", "1.50", "9007199254740993", "-9007199254740993", "123456789012345678901234567890",
    "0.1000000000000000055511151231257827", "1e308", "5e-324", "1e-400", "3.0e-7", "1e21", "1e20", "100000000000000000000", "2.5E-1",
)  # fmt: skip
GOOD_CHI, BAD_CHI = ("0101011237", "0211165794", "2902240056", "2902240058", "2902240049"), ("0101010000", "123", "010101123x", "٠١٠١٠١١٢٣٧")
AGENCIES = (  # id, behaviour, roles
    ("police-9.north", "acknowledges", ("duty",)), ("nhs.upland-2", "slow", ("duty", "child-protection.7")),
    ("sw_3-ardness", "acknowledges", ("duty", "named-person")), ("SW_3-ardness", "acknowledges", ("duty",)),
    ("a", "acknowledges", ("b",)), ("q" * 64, "slow", ("r" * 40,)), ("school-12.b", "silent", ("named-person",)),
    ("0help-0", "silent", ("duty", "second")), ("ooh-1", "acknowledges", ("duty",)), ("lonely.org", "acknowledges", ("duty",)),
)  # fmt: skip
INBOXES = [f"{agency}/{role}" for agency, _, roles in AGENCIES for role in roles]


class Generator:
    """One pack; the same seed and day give the same bytes."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.serial = 0
        self.sent: list[dict[str, Any]] = []

    # --- the directory ---

    def world(self, today: datetime.date) -> dict[str, Any]:
        one = datetime.timedelta(days=1)
        everyone = [agency for agency, _, _ in AGENCIES if agency != "lonely.org"]

        def agreement(name: str, begins: datetime.date, ends: datetime.date) -> dict[str, Any]:
            return {
                "id": name, "title": f"Agreement {name}", "parties": everyone, "classes": ["child_protection", "wellbeing"],
                "lawful_bases": ["public_task", "vital_interests"], "valid_from": begins.isoformat(),
                "valid_to": ends.isoformat(), "review_by": ends.isoformat(),
            }  # fmt: skip

        agencies: list[dict[str, Any]] = [
            {
                "id": agency, "kind": "other", "name": f"{self.pick(TEXTS[:5])} {agency}"[:60], "area": "isle.1", "behaviour": behaviour,
                "inboxes": [{"role": role, "phone": "0131 496 0000", "calendar": "24x7"} for role in roles],
            }
            for agency, behaviour, roles in AGENCIES
        ]  # fmt: skip
        agencies[2]["inboxes"][0]["deputy"] = "sw_3-ardness/named-person"
        agencies[2]["inboxes"][1]["deputy"] = "school-12.b/named-person"
        agencies[6]["inboxes"][0]["deputy"] = "sw_3-ardness/duty"
        return {
            "exchange": "cairn.example/isle-1.test",
            "areas": [{"id": "isle.1", "catch_all": "sw_3-ardness/duty", "out_of_hours": "ooh-1/duty",
                       "senior": {"post": "head", "phone": "0131 496 0001"}}],
            "agencies": agencies,
            "agreements": [
                agreement("good", today - 400 * one, today + 400 * one), agreement("ends-today", today - one, today),
                agreement("starts-today", today, today + one), agreement("ended", today - 9 * one, today - one),
                agreement("not-yet", today + one, today + 9 * one),
            ],
        }  # fmt: skip

    # --- documents ---

    def pick(self, things: Any) -> Any:
        return self.chance.choice(list(things))

    def value(self, depth: int = 0) -> Any:
        """Any JSON at all."""
        kind = self.chance.randrange(8 if depth < 3 else 5)
        if kind < 5:
            return (None, self.pick((True, False)), Number(self.pick(NUMBERS)), self.pick(TEXTS), self.pick(TEXTS[:9]))[kind]
        if kind == 5:
            return [self.value(depth + 1) for _ in range(self.chance.randrange(4))]
        return {self.pick(TEXTS[:20]): self.value(depth + 1) for _ in range(self.chance.randrange(5))}

    def document(self) -> dict[str, Any]:
        """A good one, with words from everywhere."""
        self.serial += 1
        sender = self.pick(agency for agency, _, _ in AGENCIES if agency != "lonely.org")
        others = [inbox for inbox in INBOXES if not inbox.startswith("lonely.org/")]
        return {
            "kind": "concern", "reference": f"{self.pick(TEXTS[:5])}/{self.serial}", "from": sender,
            "to": self.chance.sample(others, self.chance.randint(1, 5)), "urgency": self.pick(URGENCIES),
            "class": "wellbeing", "agreement": self.pick(("good", "good", "ends-today", "starts-today")), "lawful_basis": "public_task",
            "created_at": "2026-11-16T06:00:42Z", "occurred_at": "2026-11-15T07:56:42+01:00", "exercise": self.pick((True, False)),
            "purpose": self.pick(TEXTS[:5]), "action_requested": self.pick(TEXTS[:5]),
            "concern": {"category": self.pick(sorted(CATEGORIES)), "secondary": ["made_up"], "narrative": self.pick(TEXTS)},
            "child": {"identifiers": [{"scheme": "chi-synthetic", "value": self.pick(GOOD_CHI)}], "given_names": self.pick(TEXTS)},
        }  # fmt: skip

    def variant(self, d: dict[str, Any]) -> None:
        """Changes that never refuse, some of which are flagged."""
        case = self.chance.randrange(16)
        child, concern = d["child"], d["concern"]
        if case == 0:
            d[self.pick(("purpose", "action_requested"))] = self.pick(BLANKS)
        elif case == 1:
            d[self.pick(("purpose", "action_requested", "concern", "child", "people", "told", "reporter"))] = self.value()
        elif case == 2:
            d[self.pick(("kind", "reply_to", "urgency", "created_at", "occurred_at", "exercise"))] = self.value()
        elif case == 3:
            d["urgency"] = self.pick(("Urgent", "immediate ", "whenever", *TEXTS[:20]))
        elif case == 4:
            d.pop(self.pick(("urgency", "purpose", "action_requested", "kind", "created_at", "exercise")))
        elif case == 5:
            concern["category"] = self.pick(("neglect ", "Neglect", "sibling_harm", *TEXTS[:9]))
        elif case == 6:
            child["identifiers"].append({"scheme": "chi-synthetic", "value": self.pick(BAD_CHI)})
        elif case == 7:
            d["child"] = {"identifiers": self.pick(([], None, [{}], "x", {})), "family_name": self.pick((*BLANKS, "Ó Néill"))}
        elif case == 8:
            nested: Any = Number("1")
            for level in range(60 - 2):
                nested = [nested] if level % 2 else {self.pick(TEXTS[:9]): nested}
            d["deep"] = nested
        elif case == 9:
            d.update({f"{text}{self.serial}": self.value() for text in self.chance.sample(TEXTS, 6)})
        elif case == 10:
            d["to"] += self.chance.sample(d["to"], 1) + [d["to"][0]]
        elif case == 11:
            d["numbers"] = [Number(number) for number in NUMBERS]
        elif case == 12:
            d["reply_to"] = self.pick((*INBOXES, "no-such/inbox", "not an inbox", ""))
        elif case == 13:
            d["kind"], d["created_at"], d["occurred_at"] = "made.up-kind", "at tea time", "2026-13-45T99:99"
        elif case == 14:
            d["urgency"], d["agreement"] = self.pick(("immediate", "urgent", "??")), self.pick(("ended", "not-yet", "none", None, 7))
        elif case == 15:
            d["to"] = [f"{d['from']}/{next(r for a, _, r in AGENCIES if a == d['from'])[0]}", "a/b"]

    def refused(self, d: dict[str, Any]) -> None:
        """Changes for which a good document is refused."""
        d["urgency"] = self.pick(("prompt", "routine", "information"))
        case = self.chance.randrange(6)
        if case == 0:
            d["to"].insert(self.chance.randrange(2), self.pick(("no-such/duty", "a/duty", "A/b", "a", "", "a/b/", "a//b", " a/b", "\u0000")))
        elif case == 1:
            d["agreement"] = self.pick(("ended", "not-yet", "none", "Good", " good", "", None, ["good"], {}, True))
        elif case == 2:
            d["class"] = self.pick(("notification", "", None, "y" * 300, ["wellbeing"], {"wellbeing": 1}))
        elif case == 3:
            d["lawful_basis"] = self.pick(("consent", "", None, ["public_task"], False))
        elif case == 4:
            d["to"].append("lonely.org/duty")
        else:
            self.fill(d, 1)

    @staticmethod
    def fill(d: dict[str, Any], past: int) -> None:
        """Pads the body to its limit, or to so many bytes past it."""
        d["padding"] = ""
        body = {name: value for name, value in d.items() if name not in OUTSIDE}
        d["padding"] = "x" * (BODY_BYTES_MAX + past - len(canonical(body)))

    # --- lines ---

    def text(self, value: Any) -> str:
        """JSON as somebody else's program might write it."""
        if isinstance(value, Number):
            return value.text
        if isinstance(value, str):
            plain = json.dumps(value, ensure_ascii=self.chance.random() < 0.3)
            return re.sub(r"(?<!\\)/", lambda m: self.pick(("/", "\\/")), plain) if self.chance.random() < 0.2 else plain
        space = self.pick(("", "", " ", "\t", "  \r"))
        if isinstance(value, list):
            return f"[{space}{f',{space}'.join(map(self.text, value))}{space}]"
        if isinstance(value, dict):
            pairs = [f"{self.text(key)}{space}:{self.text(inner)}" for key, inner in value.items()]
            self.chance.shuffle(pairs)
            return f"{{{f'{space},'.join(pairs)}{space}}}"
        return json.dumps(value)

    def broken(self, d: dict[str, Any]) -> bytes:
        """Lines that are no concern document."""
        name = self.pick(("from", "reference", "to"))
        d[name] = self.pick((None, True, Number("7"), "", [], {}, [None], ["a/b", Number("1")], {"a/b": "a/b"}, " "))
        good = self.text(self.document())
        twice = good.replace("{", '{"a":{"k":1,"\\u006b":2},', 1)
        cases: tuple[Any, ...] = (
            self.text(d), good[: self.chance.randrange(1, len(good) - 1)], f"[{good}]", good + "{}", "", "null", '"text"', twice,
            good.replace("{", '{"n":NaN,', 1), good.replace("{", '{"n":-Infinity,', 1), good.replace("{", '{"n":01,', 1),
            good.replace("{", '{"s":"\\ud800",', 1), good.replace("{", '{"s":"\\udc00\\ud800",', 1), good.replace("{", "{'s':1,", 1),
            good.encode().replace(b"{", b'{"s":"\xff",', 1), good.encode().replace(b"{", b'{"s":"\xed\xa0\x80",', 1),
            good.encode().replace(b"{", b'{"s":"\x00",', 1), good.encode("utf-16"), good.replace("{", "{/**/", 1), good[:-1] + ",}",
        )  # fmt: skip
        made = self.pick(cases)
        return (made.encode() if isinstance(made, str) else made).replace(b"\n", b"\\n")

    def repeat(self) -> dict[str, Any]:
        """The same again, however written; or nearly the same."""
        d = copy.deepcopy(self.pick(self.sent))
        case = self.chance.randrange(8)
        if case == 0:
            self.chance.shuffle(d["to"])
        elif case == 1:
            d["to"].append(d["to"][-1])
        elif case == 2:
            d[self.pick(("purpose", "urgency", "class", "created_at", "agreement", "reply_to", "kind"))] = "changed"
        elif case == 3:
            d["extra"] = self.value()
        elif case == 4:
            d["to"] = ["a/b", "no-such/inbox"]
        elif case == 5:
            self.fill(d, 1)
        return d

    def lines(self, count: int) -> list[bytes]:
        made: list[bytes] = []
        while len(made) < count:
            document, kind = self.document(), self.chance.random()
            if kind < 0.15 and self.sent:
                document = self.repeat()
            elif kind < 0.25:
                made.append(self.broken(document))
                continue
            elif kind < 0.37:
                if self.chance.random() < 0.4:  # refused first, then put right: judged again
                    wrong = copy.deepcopy(document)
                    self.refused(wrong)
                    made.append(self.text(wrong).encode())
                else:
                    self.refused(document)
            elif kind < 0.39:
                self.fill(document, 0)
            else:
                self.variant(document)
            self.sent.append(document)
            made.append(self.text(document).encode())
        return made

    def edges(self) -> list[bytes]:
        """Where packs/README leaves room, so that a difference is a question first."""
        out = []
        for change in (
            {"from": "nobody-1"}, {"reference": "r" * 513}, {"to": ["a/b", *(f"a/b{n}" for n in range(64))]}, {"n": Number("1e400")},
            {"child": {"identifiers": [{"scheme": "x", "value": Number("5")}]}}, {"digits": [Number("1." + "0" * 270_000)]},
            {"to": ["a/b"] * 300}, {"deep": json.loads("[" * 150 + "]" * 150)}, {"agreement": "good", "class": "wellbeing" + " "},
        ):  # fmt: skip
            out.append(self.text({**self.document(), **change}).encode())
        return [*out, b"\xef\xbb\xbf" + self.text(self.document()).encode()]


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes a hostile pack from a seed.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--lines", type=int, default=400)
    parser.add_argument("--edge", action="store_true")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    made = Generator(args.seed)
    world = made.world(datetime.datetime.now(ZoneInfo("Europe/London")).date())
    lines = made.lines(args.lines) + (made.edges() if args.edge else [])
    (args.folder / "agencies.json").write_text(json.dumps(world, indent=1, ensure_ascii=False), "utf-8")
    (args.folder / "concerns.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))


if __name__ == "__main__":
    main()
