"""Recounts a whole `cairn demo --pack PACK --keep KEPT` without calling Cairn.

    python check_demo.py KEPT PACK [--json demo-output.json]

What each line should have become is judged from the pack alone (judge.py); what
did become of it is read from receipts, ledger mirror and received documents, with
own code for every format (cairn_wire.py, c2sp.py). Stops at the first thing that
does not add up and names it.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader

import cairn_wire as wire
from c2sp import Checkpoint, TlogProof, Tree, Vkey, Wrong, leaf_hash, need, sha256, strict_base64
from judge import OUTSIDE, Line, Malformed, Pack, strict_object

PROTO = Path(__file__).resolve().parents[3] / "proto"
CONCERN = 10  # ENTRY_TYPE_CONCERN


def message_classes() -> dict[str, Any]:
    """The messages of the .proto files, by name; protoc is the only other reader of them."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        files = [f"cairn/v1/{name}.proto" for name in ("statement", "ledger")]
        need(protoc.main(["", f"-I{PROTO}", f"--descriptor_set_out={out}", *files]) == 0, "protoc")
        described = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in described.file:
        pool.Add(file)
    names = [f"cairn.v1.{message.name}" for file in described.file for message in file.message_type]
    return {name.rpartition(".")[2]: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in names}


def path_number(parts: list[str]) -> int:
    """`x001/x234/067` is 1234067 (C2SP tlog-tiles)."""
    need(all(re.fullmatch("x[0-9]{3}", part) for part in parts[:-1]) and re.fullmatch("[0-9]{3}", parts[-1]), "tile path")
    return int("".join(part.lstrip("x") for part in parts))


def number_path(number: int) -> str:
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.insert(0, f"x{number % 1000:03}")
    return "/".join(groups)


class Check:
    """One kept demo held against one pack."""

    def __init__(self, kept: Path, pack: Pack) -> None:
        self.kept, self.pack, self.done = kept, pack, Counter[str]()
        self.types = message_classes()
        self.vkey = Vkey.parse((kept / "log.vkey").read_text())
        self.summary = json.loads((kept / "summary.json").read_text())
        self.seeds: dict[str, bytes] = {}
        for path in sorted((kept / "keys").glob("*/*.key")):
            self.seeds[f"{path.parent.name}/{path.stem}"] = wire.pem_secret(path, "CAIRN X-WING SEED")
        self.signing: dict[bytes, tuple[str, bytes]] = {}
        if (kept / "directory.json").exists():
            for kid, key in json.loads((kept / "directory.json").read_text())["signing_keys"].items():
                self.signing[bytes.fromhex(kid)] = (key["agency"], strict_base64(key["public_key"]))
        self.entries: dict[int, Line] = {}
        self.entry_of: dict[int, int] = {}
        self.at: dict[int, int] = {}

    def all(self) -> None:
        self.counts()
        self.mirror()
        self.receipts()
        self.received()
        self.second_opinion()

    # --- the summary ---

    def counts(self) -> None:
        judged = self.pack.counts()
        more = {"receipts_verified": judged["accepted"]}
        for key, value in {**judged, **more}.items():
            said = self.summary.get(key)
            need(said == value and type(said) is type(value), f"summary: {key} is {said}, judged {value}")
            self.done["keys of the summary"] += 1
        need(set(self.summary) == {*judged, *more, "ledger", "seconds"}, f"summary: its keys are {sorted(self.summary)}")
        need(self.summary["seconds"] > 0, "summary: seconds")
        ledger = self.summary["ledger"]
        need(set(ledger) == {"origin", "size", "root", "verified"}, "summary: the keys of ledger")
        need(ledger["verified"] is True, "summary: ledger not verified")
        need(ledger["origin"] == self.vkey.name == self.pack.exchange, "summary: another origin")
        self.done["keys of the summary"] += 2

    # --- the ledger ---

    def mirror(self) -> None:
        folder, ledger = self.kept / "mirror", self.summary["ledger"]
        head = Checkpoint.open((folder / "checkpoint").read_bytes(), self.vkey)
        need((head.size, head.root.hex()) == (ledger["size"], ledger["root"]), "mirror: not the summary's size and root")
        self.leaves = [leaf for n in range(0, head.size, 256) for leaf in self.bundle(n // 256, min(256, head.size - n))]
        for leaf in self.leaves:
            wire.Leaf.parse(leaf)
        self.tree = Tree(self.leaves)
        need(self.tree.root(head.size) == head.root, "mirror: the leaves do not make the root")
        self.done["leaves"] += len(self.leaves)
        wanted, level = set(), 0
        while 256**level <= head.size:
            count = head.size // 256**level
            for n in range(-(-count // 256)):
                width = min(256, count - n * 256)
                wanted.add(f"tile/{level}/{number_path(n)}" + (f".p/{width}" if width < 256 else ""))
            level += 1
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        need(wanted <= there, f"mirror: no {sorted(wanted - there)[:1]}")
        for name in sorted(there - {"checkpoint"}):
            self.tile(folder, name)

    def bundle(self, number: int, width: int) -> list[bytes]:
        name = f"mirror/tile/entries/{number_path(number)}" + (f".p/{width}" if width < 256 else "")
        return self.split((self.kept / name).read_bytes(), width, name)

    @staticmethod
    def split(raw: bytes, width: int, name: str) -> list[bytes]:
        leaves = []
        while raw:
            size = int.from_bytes(raw[:2], "big")
            need(len(raw) >= 2 + size, f"{name}: cut short")
            leaves.append(raw[2 : 2 + size])
            raw = raw[2 + size :]
        need(len(leaves) == width, f"{name}: {len(leaves)} entries")
        return leaves

    def tile(self, folder: Path, name: str) -> None:
        """Every file of the mirror, recomputed from the leaves, partial ones of older sizes too."""
        parts = name.split("/")
        width = int(parts.pop()) if parts[-2].endswith(".p") else 256
        parts[-1] = parts[-1].removesuffix(".p")
        first, raw = path_number(parts[2:]) * 256, (folder / name).read_bytes()
        if parts[1] == "entries":
            need(self.split(raw, width, name) == self.leaves[first : first + width], f"{name}: other leaves")
            self.done["entry bundles"] += 1
            return
        unit = 256 ** int(parts[1])
        need((first + width) * unit <= len(self.leaves), f"{name}: past the end")
        made = b"".join(self.tree.range(n * unit, (n + 1) * unit) for n in range(first, first + width))
        need(raw == made, f"{name}: other hashes")
        self.done["tiles"] += 1

    def second_opinion(self) -> None:
        """tlog-scales: checkpoint, every tile, every leaf."""
        reader = TilesReader(LocalBackend(self.kept / "mirror"))
        head = reader.get_checkpoint()
        vkeys = importlib.import_module("tlog_scales.signing").Vkey
        head.verify(vkeys.from_string((self.kept / "log.vkey").read_text().strip()))
        need(reader.calculate_root_hash() == head.root_hash, "tlog-scales: another root")
        for index in range(head.size):
            leaf = reader.get_entry(index)
            need(leaf == self.leaves[index], f"tlog-scales: another leaf {index}")
            reader.get_inclusion_proof(index, head.size).check(leaf_hash(leaf), head.root_hash)
        self.done["leaves by tlog-scales"] += head.size

    # --- what the senders hold ---

    def receipts(self) -> None:
        wanted = set()
        for line in self.pack.lines:
            if line.verdict not in ("accepted", "duplicates"):
                continue
            stem = self.kept / "receipts" / line.sender / str(line.number)
            proof, opening = stem.with_suffix(".tlog-proof"), stem.with_suffix(".opening.json")
            wanted |= {proof, opening}
            need(proof.exists() and opening.exists(), f"line {line.number}: no receipt")
            if line.verdict == "duplicates":
                first = stem.with_name(str(line.original))
                need(proof.read_bytes() == first.with_suffix(".tlog-proof").read_bytes(), f"line {line.number}: other receipt")
                need(opening.read_bytes() == first.with_suffix(".opening.json").read_bytes(), f"line {line.number}: other opening")
                self.done["duplicates with the original receipt"] += 1
                continue
            try:
                self.receipt(line, proof.read_bytes(), json.loads(opening.read_text()))
            except Wrong as error:
                raise Wrong(f"line {line.number}: {error}") from error
        extra = {path for path in (self.kept / "receipts").rglob("*") if path.is_file()} - wanted
        need(not extra, f"receipts that nobody earned: {sorted(extra)[:1]}")

    def receipt(self, line: Line, raw: bytes, opening: dict[str, Any]) -> None:
        proof, index = TlogProof.parse(raw), opening["entry"]
        held = {name: strict_base64(value) for name, value in opening.items() if name != "entry"}
        need(proof.index == index and index not in self.entries, "receipt: of another entry")
        head = proof.verify(held["leaf"], self.vkey)
        need(self.tree.root(head.size) == head.root, "receipt: a checkpoint that the mirror does not extend")
        need(self.leaves[index] == held["leaf"], "receipt: not the mirror's leaf")
        leaf = wire.Leaf.parse(held["leaf"])
        need(wire.commitment(held["facts_opening"], held["facts"]) == leaf.facts, "receipt: other facts")
        need(wire.commitment(held["detail_opening"], held["envelope"]) == leaf.detail, "receipt: other envelope")
        self.entries[index], self.entry_of[line.number], self.at[index] = line, index, leaf.at
        self.done["receipts"] += 1
        self.facts(line, self.types["Facts"].FromString(held["facts"]))
        self.envelope(line, self.types["Envelope"].FromString(held["envelope"]))

    def facts(self, line: Line, facts: Any) -> None:
        need(facts.type == CONCERN and facts.sender == line.sender, "facts: type or sender")
        need(list(facts.inboxes) == line.recipients, "facts: inboxes")
        need(len(facts.inbox_numbers) == len(facts.inboxes), "facts: inbox numbers")
        need(facts.urgency == line.urgency and sorted(facts.flags) == line.flags, "facts: urgency or flags")
        need(facts.outside_agreement == line.outside_agreement, "facts: outside_agreement")
        named = "" if line.outside_agreement else line.document["agreement"]
        need(facts.agreement == named, "facts: agreement")
        need(facts.exercise == (line.document.get("exercise") is True), "facts: exercise")
        self.done["facts"] += 1

    def envelope(self, line: Line, envelope: Any) -> None:
        """Signature, seal and every wrap; what opens must be the line, and nothing but the line."""
        statement = self.types["Statement"].FromString(envelope.statement)
        need(statement.exchange == self.pack.exchange, "statement: another exchange")
        if self.signing:
            agency, key = self.signing[envelope.signature.key_id]
            need(agency == line.sender, "statement: signed by another agency")
            wire.verify_dsse(key, envelope.signature, envelope.statement, wire.STATEMENT_TYPE)
            self.done["statement signatures"] += 1
        need(sorted(statement.flags) == line.flags, "statement: flags")
        wire.check_seal(statement, envelope.body)
        digests = [(w.inbox, w.agreement, w.key_id, sha256(w.enc, w.wrapped)) for w in envelope.body.wraps]
        sealed = [(w.inbox, w.agreement, w.key_id, w.sha256) for w in statement.seal.wraps]
        need(digests == sealed, "seal: other wraps than the envelope's")
        wrapped = [w.inbox for w in envelope.body.wraps if w.inbox]
        need(set(line.recipients) <= set(wrapped) and len(wrapped) == len(set(wrapped)), "seal: a recipient without a wrap")
        committed, keys = statement.seal.key_commitment, set()
        for one in envelope.body.wraps:
            if one.inbox:
                need(one.inbox in self.seeds, f"keys: none for {one.inbox}")
                keys.add(wire.open_wrapped(statement, one, committed, self.seeds[one.inbox]))
                self.done["wraps opened"] += 1
        need(len(keys) == 1, "seal: one content key for all")
        body = wire.open_body(keys.pop(), envelope.body.nonce, envelope.body.ciphertext)
        whole = {**strict_object(body), **self.outside(statement)}
        need(whole == line.document, f"sealed document differs in {differing(whole, line.document)}")
        self.done["bodies opened"] += 1

    @staticmethod
    def outside(statement: Any) -> dict[str, Any]:
        """The fields of the document that the statement says in the open."""
        concern, said = statement.concern, {"from": getattr(statement, "from"), "to": list(statement.to)}
        for name in OUTSIDE:
            value = getattr(statement if name in ("reply_to", "created_at") else concern, name, "")
            if value:
                said[name] = value
        if statement.HasField("exercise"):
            said["exercise"] = statement.exercise
        return said

    # --- what the recipients got ---

    def received(self) -> None:
        concerns, feedback = Counter[tuple[Any, ...]](), Counter[tuple[Any, ...]]()
        notices: set[tuple[str, int]] = set()
        for path in sorted((self.kept / "received").glob("*/*.jsonl")):
            inbox = f"{path.parent.name}/{path.stem}"
            for raw in path.read_bytes().split(b"\n"):
                if raw == b"":
                    continue
                item = strict_object(raw)
                entry = int(item["entry"].text)
                need(item["inbox"] == inbox, f"{inbox}: entry {entry} is for {item['inbox']}")
                if item["type"] == "concern":
                    self.concern(inbox, entry, item)
                    concerns[inbox, entry] += 1
                elif item["type"] in ("review_asked", "refusal"):
                    need((inbox, entry) not in notices, f"{inbox}: notice {entry} twice")
                    notices.add((inbox, entry))
                    self.notice(inbox, item)
                else:
                    need(item["type"] == "feedback", f"{inbox}: a {item['type']}")
                    need(item["from"] == item["about"].partition("/")[0], f"{inbox}: feedback by another")
                    need(isinstance(item["body"], dict) and item["body"], f"{inbox}: feedback without a body")
                    feedback[inbox, int(item["answers"].text), item["about"]] += 1
        self.settle(concerns, feedback)

    def notice(self, inbox: str, item: dict[str, Any]) -> None:
        """What the exchange itself says: to a reviewer, or to the sender of what was refused."""
        need(item["urgency"] in ("immediate", "urgent"), f"{inbox}: a notice of what can wait")
        if item["type"] == "review_asked":
            line = self.entries.get(int(item["answers"].text))
            need(line is not None and line.outside_agreement, f"{inbox}: a review that nobody needs")
            need(item["from"] == line.sender, f"{inbox}: a review of another's")
            need(inbox == self.pack.reviewer[line.sender], f"{inbox}: is not the reviewer")
            need(line.document.get("exercise") is not True, f"{inbox}: a review of an exercise")
        self.done["notices"] += 1

    def concern(self, inbox: str, entry: int, item: dict[str, Any]) -> None:
        line = self.entries.get(entry)
        if line is None:
            raise Wrong(f"{inbox}: entry {entry} that nobody sent")
        need(item["from"] == line.sender and item["flags"] == line.flags, f"{inbox}: entry {entry}: from or flags")
        same = item["document"] == line.document
        need(same, f"{inbox}: entry {entry} (line {line.number}) differs in {differing(item['document'], line.document)}")
        self.done["received documents"] += 1

    def settle(self, concerns: Counter[tuple[Any, ...]], feedback: Counter[tuple[Any, ...]]) -> None:
        """None missing, none extra, none twice."""
        want, back = Counter[tuple[Any, ...]](), Counter[tuple[Any, ...]]()
        for entry, line in self.entries.items():
            reply = line.document.get("reply_to")
            own = self.pack.inboxes[line.sender]
            for inbox in line.recipients:
                if not self.pack.silent(inbox):
                    want[inbox, entry] += 1
                    if not self.pack.silent(line.sender):
                        back[reply if isinstance(reply, str) and reply in own else own[0], entry, inbox] += 1
        for what, got, due in (("concerns", concerns, want), ("feedback", feedback, back)):
            need(not due - got, f"{what} missing: {len(due - got)}, first {next(iter(due - got), None)}")
            need(not got - due, f"{what} extra: {len(got - due)}, first {next(iter(got - due), None)}")
        self.done["feedback"] += feedback.total()


def differing(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Names of the first fields that differ; a value may be personal, so no value is said."""
    names = [name for name in one.keys() | other.keys() if one.get(name, "absent") != other.get(name, "absent")]
    return ", ".join(sorted(map(repr, names))[:5]) or "presence"


def main() -> int:
    parser = argparse.ArgumentParser(description="Recounts a kept demo; exit 0 only if all adds up.")
    parser.add_argument("kept", type=Path)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--json", type=Path, help="what the demo printed")
    parser.add_argument("--today", type=datetime.date.fromisoformat, help="the day of the run, in London")
    args = parser.parse_args()
    done = Counter[str]()
    try:
        check = Check(args.kept, Pack(args.pack, args.today))
        done = check.done
        if args.json:
            need(json.loads(args.json.read_text()) == check.summary, "printed JSON is not summary.json")
        check.all()
        failure = ""
    except (Wrong, Malformed, KeyError, ValueError, OSError) as error:
        failure = f"FAILED: {error}" if isinstance(error, Wrong) else f"FAILED: {error!r}"
    for what, count in done.items():
        print(f"{count:8}  {what}")
    if failure:
        print(failure)
    print(f"{done.total()} passed, {1 if failure else 0} failed")
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
