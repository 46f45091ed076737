"""A client that knows nothing of Cairn but what the server tells it by reflection.

    python client.py send FOLDER DOCUMENT.json
    python client.py receive FOLDER [--one]
    python client.py ack FOLDER ENTRY INBOX --name NAME --post POST
    python client.py prove FOLDER

FOLDER is a system's: system.toml, ca.pem, tls.pem, tls.key, signing.key,
agency.secret, sealing/<role>.key, log.vkey. Receipts are kept in receipts/.
Prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import cairn_wire as wire
from c2sp import Checkpoint, TlogProof, Vkey, Wrong, need, sha256, verify_consistency
from judge import OUTSIDE, URGENCIES, Malformed, Pack, canonical, strict_object

RPC_SECONDS = 30
SERVICES = ("ExchangeService", "DirectoryService", "AuditService")


def say(**what: Any) -> None:
    print(json.dumps(what, ensure_ascii=False, default=str), flush=True)


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class System:
    """One system of one agency: its folder, its connection, its keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about = tomllib.loads((folder / "system.toml").read_text())
        self.vkey = Vkey.parse((folder / "log.vkey").read_text())
        self.secret = wire.pem_secret(folder / "agency.secret", "CAIRN AGENCY SECRET")
        key = load_pem_private_key((folder / "signing.key").read_bytes(), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise Wrong("signing.key: not Ed25519")
        self.signing, self.public = key, key.public_key().public_bytes_raw()
        self.signing_keys: dict[bytes, tuple[str, bytes]] = {}
        self.channel = self.connect()
        self.pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))
        self.methods = {
            method.name: method
            for service in SERVICES
            for method in self.pool.FindServiceByName(f"cairn.v1.{service}").methods
        }

    def connect(self) -> grpc.Channel:
        ca, key, chain = ((self.folder / name).read_bytes() for name in ("ca.pem", "tls.key", "tls.pem"))
        name, host = self.about["server_name"], self.about["server"].rpartition(":")[0]
        options = [("grpc.ssl_target_name_override", name)] if name != host else []
        return grpc.secure_channel(self.about["server"], grpc.ssl_channel_credentials(ca, key, chain), options)

    def message(self, name: str, /, **fields: Any) -> Any:
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(f"cairn.v1.{name}"))(**fields)

    def call(self, method: str, /, **fields: Any) -> Any:
        """A unary answer, or the iterator of a stream."""
        known = self.methods[method]
        kind = self.channel.unary_stream if known.server_streaming else self.channel.unary_unary
        stub = kind(
            f"/{known.containing_service.full_name}/{known.name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(known.output_type).FromString,
        )
        request = message_factory.GetMessageClass(known.input_type)(**fields)
        return stub(request) if known.server_streaming else stub(request, timeout=RPC_SECONDS)

    # --- saying things ---

    def statement(self, request: bytes, **fields: Any) -> Any:
        made = self.message("Statement", exchange=self.about["exchange"], system=self.about["system"], request_id=request, **fields)
        setattr(made, "from", self.about["agency"])
        return made

    def submit(self, statement: Any, body: Any = None) -> Any:
        """Signs exactly the bytes that travel, and believes the receipt only once it is verified."""
        raw = statement.SerializeToString()
        signature = self.message(
            "Signature",
            key_id=wire.key_id(wire.SIGNING, self.public),
            signature=self.signing.sign(wire.pae(wire.STATEMENT_TYPE, raw)),
        )
        envelope = self.message("Envelope", statement=raw, signature=signature, body=body).SerializeToString()
        answer = self.call("Submit", envelope=envelope)
        receipt = answer.receipt
        leaf = wire.Leaf.parse(receipt.leaf)
        proof = TlogProof.parse(receipt.tlog_proof)
        head = proof.verify(receipt.leaf, self.vkey)
        need(proof.index == receipt.entry, "receipt: of another entry")
        need(wire.commitment(receipt.facts_opening, receipt.facts) == leaf.facts, "receipt: other facts")
        if not answer.duplicate:  # a repeat's receipt is for the first envelope
            need(wire.commitment(receipt.detail_opening, envelope) == leaf.detail, "receipt: other envelope")
        facts = self.message("Facts")
        facts.ParseFromString(receipt.facts)
        need(facts.sender == self.about["agency"], "receipt: another sender")
        kept = self.folder / "receipts"
        kept.mkdir(exist_ok=True)
        (kept / f"{receipt.entry}.tlog-proof").write_bytes(receipt.tlog_proof)
        say(accepted=receipt.entry, duplicate=answer.duplicate, outside_agreement=answer.outside_agreement, size=head.size)
        return receipt

    def step(self, entry: int, inbox: str, what: str, **act: Any) -> Any:
        """A statement without a body. The same step again has the same request id: it counts once."""
        request = wire.request_id(self.secret, f"{self.about['agency']}/{what}", f"{entry} {inbox}")
        return self.submit(self.statement(request, answers=entry, inbox=inbox, **act))

    # --- who may be sealed to ---

    def learn_keys(self) -> None:
        """Every signing key of the directory: each signed itself, each later one is signed by an earlier one.

        That an agency's first key is its own nobody can see here: it is confirmed out of band.
        """
        after: dict[str, int] = {}
        revoked: set[bytes] = set()
        while True:
            page = self.call("ListChanges", page_size=1000, **after)
            for recorded in page.changes:
                after = {"after": recorded.entry}
                change = self.message("DirectoryChange")
                change.ParseFromString(recorded.change.change)
                if change.WhichOneof("change") == "key_revocation":
                    revoked.add(change.key_revocation.key_id)
                if change.WhichOneof("change") != "signing_key":
                    continue
                key = change.signing_key
                kid = wire.key_id(wire.SIGNING, key.public_key)
                others = {known for known, (agency, _) in self.signing_keys.items() if agency == key.agency} - revoked
                self.signing_keys[kid] = (key.agency, key.public_key)
                by = set(self.signers(recorded.change))
                need(kid in by, f"directory: a signing key of {key.agency} that did not sign itself")
                by_own = key.predecessor in by if key.predecessor else not others or by & others
                need(by_own, f"directory: a later key of {key.agency} that no earlier one signed")
            if not page.more:
                return

    def signers(self, signed: Any) -> dict[bytes, str]:
        """Key id and agency of each good signature on a directory change; a bad one is an error."""
        found = {}
        for signature in signed.signatures:
            need(signature.key_id in self.signing_keys, "directory: signed by a key that it does not have")
            agency, public = self.signing_keys[signature.key_id]
            wire.verify_dsse(public, signature, signed.change, wire.DIRECTORY_TYPE)
            found[signature.key_id] = agency
        return found

    def check_registered(self, key: Any) -> None:
        """The inbox's own agency, or every party of the agreement, must have signed for the key."""
        change = self.message("DirectoryChange")
        change.ParseFromString(key.registered.change)
        by, what = set(self.signers(key.registered).values()), key.inbox or key.agreement
        need(change.exchange == self.about["exchange"], f"{what}: a key for another exchange")
        need(key.key_id == wire.key_id(wire.SEALING, key.public_key), f"{what}: key id of another key")
        if key.inbox:
            sealing, agency = change.sealing_key, key.inbox.partition("/")[0]
            need((sealing.inbox, sealing.public_key) == (key.inbox, key.public_key), f"{what}: another key was signed for")
            need(agency in by, f"{what}: not signed by {agency}")
            need(sealing.valid_from <= time.time() < (sealing.valid_to or float("inf")), f"{what}: key not valid now")
        else:
            agreement = change.agreement
            need((agreement.id, agreement.review_key) == (key.agreement, key.public_key), f"{what}: another review key")
            need(set(agreement.parties) <= by, f"{what}: not signed by every party")

    # --- send ---

    def send(self, document: dict[str, Any]) -> None:
        need(document.get("from") == self.about["agency"], "from: not this system's agency")
        text = {name: document[name] for name in OUTSIDE if isinstance(document.get(name), str)}
        need("reference" in text and isinstance(document.get("to"), list), "no usable reference or to")
        body = {name: value for name, value in document.items() if name not in (*text, "to", "exercise")}
        plain = canonical(body)
        self.learn_keys()
        found = self.call("ResolveRecipients", to=document["to"], agreement=text.get("agreement", ""))
        need(not found.unknown, f"unknown_recipient: {list(found.unknown)}")
        for key in found.keys:
            self.check_registered(key)
        need(set(document["to"]) <= {key.inbox for key in found.keys if not key.deputy}, "no key for a recipient")
        request = wire.request_id(self.secret, text["from"], text["reference"])
        content_key, nonce = os.urandom(32), os.urandom(12)
        ciphertext, committed = wire.seal_body(content_key, nonce, plain), wire.key_commitment(content_key)
        wraps = [self.wrap(key, request, content_key, committed) for key in found.keys]
        names = ("kind", "reference", "urgency", "class", "agreement", "lawful_basis", "occurred_at")
        statement = self.statement(
            request,
            to=document["to"],
            reply_to=text.get("reply_to", ""),
            created_at=text.get("created_at", ""),
            flags=Pack.flags(document, text["urgency"] if text.get("urgency") in URGENCIES else "urgent"),
            concern=self.message("Concern", **{name: text.get(name, "") for name in names}),
            content_tag=self.message(
                "ContentTag", key_id=wire.tag_key_id(self.secret), tag=wire.content_tag(self.secret, request, plain)
            ),
            seal=self.message(
                "Seal",
                suite=wire.SUITE_NAME,
                body_sha256=sha256(nonce, ciphertext),
                key_commitment=committed,
                wraps=[self.digest(w) for w in wraps],
            ),
        )
        if isinstance(document.get("exercise"), bool):
            statement.exercise = document["exercise"]
        self.submit(statement, self.message("SealedBody", nonce=nonce, ciphertext=ciphertext, wraps=wraps))

    def wrap(self, key: Any, request: bytes, content_key: bytes, committed: bytes) -> Any:
        receiver = key.inbox.partition("/")[0] or key.agreement
        info = wire.wrap_info(self.about["exchange"], self.about["agency"], request, receiver, key.key_id, committed)
        enc, wrapped = wire.wrap(content_key, key.public_key, info)
        return self.message("Wrap", inbox=key.inbox, agreement=key.agreement, key_id=key.key_id, enc=enc, wrapped=wrapped)

    def digest(self, wrap: Any) -> Any:
        digest = sha256(wrap.enc, wrap.wrapped)
        return self.message("WrapDigest", inbox=wrap.inbox, agreement=wrap.agreement, key_id=wrap.key_id, sha256=digest)

    # --- receive ---

    def receive(self, one: bool) -> None:
        self.learn_keys()
        for item in self.incoming():
            statement, opened = self.open(item)
            if statement is None:
                say(entry=item.entry, inbox=item.inbox, attempt=item.attempt, notice=self.notice(item))
                self.step(item.entry, item.inbox, "stored", stored=self.message("Stored"))
                continue
            said = {name: value for name, value in self.fields(statement).items() if value}
            answers = statement.answers if statement.HasField("answers") else None
            said |= {"act": statement.WhichOneof("act"), "answers": answers}
            body = json.loads(opened) if opened else None
            say(entry=item.entry, inbox=item.inbox, attempt=item.attempt, statement=said, body=body)
            self.step(item.entry, item.inbox, "stored", stored=self.message("Stored"))
            if one:
                return

    def incoming(self) -> Iterator[Any]:
        """What waits; ends when the server says that all of it was offered."""
        for answer in self.call("Receive"):
            if answer.WhichOneof("item") == "alive":
                return
            yield answer.incoming

    @staticmethod
    def fields(statement: Any) -> dict[str, Any]:
        concern = statement.concern
        return {
            **{name: getattr(concern, name) for name in OUTSIDE if hasattr(concern, name)},
            "from": getattr(statement, "from"),
            "to": list(statement.to),
            "flags": list(statement.flags),
            "reply_to": statement.reply_to,
            "created_at": statement.created_at,
        }

    def signed(self, part: Any) -> Any:
        """The statement of an Incoming or a Rewrap, if its key is the directory's and its signature good."""
        statement = self.message("Statement")
        statement.ParseFromString(part.statement)
        known = self.signing_keys.get(part.signature.key_id)
        need(known == (getattr(statement, "from"), part.signing_key), f"entry {part.entry}: not signed by its sender")
        wire.verify_dsse(part.signing_key, part.signature, part.statement, wire.STATEMENT_TYPE)
        need(statement.exchange == self.about["exchange"], f"entry {part.entry}: for another exchange")
        return statement

    def open(self, item: Any) -> tuple[Any, bytes]:
        """Verifies proof, facts, signature and seal, and only then decrypts."""
        proof = TlogProof.parse(item.tlog_proof)
        proof.verify(item.leaf, self.vkey)
        leaf = wire.Leaf.parse(item.leaf)
        need(proof.index == item.entry and leaf.at == item.accepted_at, "incoming: the proof of another entry")
        need(wire.commitment(item.facts_opening, item.facts) == leaf.facts, "incoming: other facts")
        if self.notice(item):
            return None, b""
        statement = self.signed(item)
        if not item.HasField("body"):
            return statement, b""
        wire.check_seal(statement, item.body)
        seed = wire.pem_secret(self.folder / "sealing" / f"{item.inbox.partition('/')[2]}.key", "CAIRN X-WING SEED")
        offers = [(statement, w) for w in item.body.wraps]
        offers += [(self.signed(rewrap), w) for rewrap in item.rewraps for w in rewrap.wraps]
        need(all(w.inbox == item.inbox for _, w in offers), "incoming: a wrap of another inbox")
        keys = {wire.open_wrapped(by, w, statement.seal.key_commitment, seed) for by, w in offers}
        need(len(keys) == 1, "incoming: no wrap that opens")
        return statement, wire.open_body(keys.pop(), item.body.nonce, item.body.ciphertext)

    def notice(self, item: Any) -> str:
        """What the exchange itself says; nobody signs that, so its proof is all there is. Else empty."""
        facts = self.message("Facts")
        facts.ParseFromString(item.facts)
        name = facts.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number[facts.type].name
        return name if name in ("ENTRY_TYPE_ESCALATION", "ENTRY_TYPE_TOLD_BY_PHONE") else ""

    # --- prove ---

    def prove(self) -> None:
        """Every receipt's checkpoint must be a prefix of the ledger as it is now."""
        answer = self.call("GetCheckpoint")
        need(Vkey.parse(answer.vkey) == self.vkey, "the ledger's key is not the one we know")
        head = Checkpoint.open(answer.checkpoint, self.vkey)
        for path in sorted((self.folder / "receipts").glob("*.tlog-proof"), key=lambda path: int(path.stem)):
            proof = TlogProof.parse(path.read_bytes())
            old = Checkpoint.open(proof.note, self.vkey)
            hashes = self.call("GetConsistencyProof", old_size=old.size, new_size=head.size).hashes
            verify_consistency(old.size, head.size, old.root, head.root, list(hashes))
            say(receipt=proof.index, old_size=old.size, new_size=head.size, consistent=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("send", "receive", "ack", "prove"):
        commands.add_parser(name).add_argument("folder", type=Path)
    commands.choices["send"].add_argument("document", type=Path)
    commands.choices["receive"].add_argument("--one", action="store_true")
    ack = commands.choices["ack"]
    ack.add_argument("entry", type=int)
    ack.add_argument("inbox")
    for flag in ("--name", "--post"):
        ack.add_argument(flag, required=True)
    args = parser.parse_args()
    try:
        system = System(args.folder)
        if args.command == "send":
            system.send(strict_object(args.document.read_bytes()))
        elif args.command == "receive":
            system.receive(args.one)
        elif args.command == "ack":
            person = system.message("Person", name=args.name, post=args.post)
            system.step(args.entry, args.inbox, "acknowledged", acknowledgement=system.message("Acknowledgement", person=person))
        else:
            system.prove()
    except (Wrong, Malformed) as error:
        print(f"wrong: {error}", file=sys.stderr)
        return 1
    except grpc.RpcError as error:
        print(f"{error.code().name}: {error.details()}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
