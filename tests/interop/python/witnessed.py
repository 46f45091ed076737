"""A witness and a cosigned receipt, looked at from outside: by hand and by tlog-scales.

    witnessed.py receipt FILE.tlog-proof MIRROR LOG_VKEY_FILE WITNESS_VKEY_FILE
    witnessed.py log-vkey LOG_SEED_HEX
    witnessed.py witness URL CA.pem WITNESS_VKEY_FILE LOG_SEED_HEX

`receipt` checks that the checkpoint of a receipt is cosigned (C2SP tlog-cosignature, Ed25519) and
that the leaf of its entry is under it. `witness` is a small ledger of its own, signed and cosigned
without Cairn's code, that asks a witness as tlog-witness has it, and then forks.
"""

from __future__ import annotations

import base64
import dataclasses
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from c2sp import TlogProof, Tree, need, sha256, strict_base64, verify_ed25519
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import PlainEd25519Signer, Vkey
from tlog_scales.tlog import Checkpoint, InclusionProof

ORIGIN = "log.example/python"


def by_hand(note: str, vkey: Vkey) -> int:
    """The time of the one good line of a witness, by the specification alone."""
    text, _, lines = note.rpartition("\n\n")
    text += "\n"
    key_id = sha256(vkey.name.encode(), b"\n\x04", vkey.pubkey)[:4]
    need(key_id == vkey.key_id.to_bytes(4), "the key id of the witness")
    found = []
    for line in lines.splitlines():
        dash, name, encoded = line.split(" ")
        raw = strict_base64(encoded)
        if (dash, name, raw[:4]) == ("—", vkey.name, key_id):
            need(len(raw) == 4 + 8 + 64, "a cosignature is 76 bytes")
            seconds = int.from_bytes(raw[4:12])
            message = f"cosignature/v1\ntime {seconds}\n{text}"
            verify_ed25519(vkey.pubkey, raw[12:], message.encode(), "cosignature")
            found.append(seconds)
    need(len(found) == 1, f"{len(found)} lines of the witness")
    return found[0]


def receipt(proof: str, mirror: str, log: str, witness: str) -> None:
    parsed = TlogProof.parse(Path(proof).read_bytes())
    note = parsed.note.decode()
    witness_key = Vkey.from_string(Path(witness).read_text().strip())
    seconds = by_hand(note, witness_key)
    need(abs(time.time() - seconds) < 300, "cosigned just now")
    head = Checkpoint.from_text(note)
    head.verify(Vkey.from_string(Path(log).read_text().strip()))
    head.verify(witness_key)
    for at, line in enumerate(head.signatures):
        if witness_key.match(line):
            later = (seconds + 1).to_bytes(8) + line.payload[8:]
            moved = dataclasses.replace(line, payload=later)
            lines = [*head.signatures[:at], moved, *head.signatures[at + 1 :]]
            try:
                dataclasses.replace(head, signatures=lines).verify(witness_key)
            except InvalidSignature:
                break
    else:
        need(False, "tlog-scales takes a line with another time")
    reader = TilesReader(LocalBackend(Path(mirror)))
    reader.get_checkpoint()
    leaf = reader.get_entry(parsed.index)
    hashes = InclusionProof(parsed.index, head.size, list(parsed.path))
    hashes.check(sha256(b"\x00", leaf), head.root_hash)
    print(f"entry {parsed.index}: cosigned by {witness_key.name} under {head.size} entries")


def witness(url: str, ca: str, vkey_file: str, seed: str) -> None:
    vkey = Vkey.from_string(Path(vkey_file).read_text().strip())
    signer = PlainEd25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)))
    context = ssl.create_default_context(cafile=ca)
    true, other = [Tree([f"{one}{at}".encode() for at in range(3)]) for one in ("a", "b")]

    def ask(old: int, tree: Tree, size: int, *proof: bytes) -> tuple[int, str, str]:
        note = Checkpoint.make_signed(ORIGIN, size, tree.root(size), [signer]).serialize()
        lines = "".join(base64.b64encode(part).decode() + "\n" for part in proof)
        body = f"old {old}\n{lines}\n{note}".encode()
        request = urllib.request.Request(f"{url}/add-checkpoint", data=body, method="POST")
        try:
            with urllib.request.urlopen(request, context=context, timeout=20) as answer:
                return answer.status, answer.read().decode(), note
        except urllib.error.HTTPError as error:
            kind = error.headers["Content-Type"]
            need(error.code != 409 or kind == "text/x.tlog.size", f"409 with {kind}")
            return error.code, error.read().decode(), note

    status, lines, note = ask(0, true, 2)
    need(status == 200, f"the first: {status} {lines}")
    by_hand(note + lines, vkey)
    Checkpoint.from_text(note + lines).verify(vkey)
    need(ask(0, true, 2)[:2] == (409, "2\n"), "it says its size")
    need(ask(2, other, 2)[0] == 422, "a fork of the same size")
    need(ask(2, other, 3, other.hashes[2])[0] == 422, "a longer fork")
    status, lines, note = ask(2, true, 3, true.hashes[2])
    need(status == 200, f"the next: {status} {lines}")
    by_hand(note + lines, vkey)
    need(ask(2, true, 2)[:2] == (409, "3\n"), "never back")
    shown = f"{url}/{sha256(ORIGIN.encode()).hex()}/checkpoint"
    with urllib.request.urlopen(shown, context=context, timeout=20) as answer:
        need(answer.read().decode() == note + lines, "it shows another checkpoint than it cosigned")
    print(f"{vkey.name}: cosigns what goes on, and no fork")


def log_vkey(seed: str) -> None:
    signer = PlainEd25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)))
    print(signer.vkey.serialize())


if __name__ == "__main__":
    {"receipt": receipt, "witness": witness, "log-vkey": log_vkey}[sys.argv[1]](*sys.argv[2:])
