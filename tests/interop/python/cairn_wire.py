"""Cairn's formats, read and written from their specifications alone.

What a stranger must trust is little: the .proto comments, C2SP (signed-note,
tlog-checkpoint, tlog-proof), RFC 9162, RFC 9180 with X-Wing. Nothing here comes
from Cairn's own code, so an error that Cairn makes with itself on both sides
shows here. (The C2SP half, which does not know Cairn, is in c2sp.py.)

    python cairn_wire.py --vectors ../../golden/vectors.json
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ed25519, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from c2sp import Tree, Vkey, Wrong, leaf_hash, need, open_note, prefixed, sha256
from c2sp import strict_base64, verify_consistency, verify_ed25519, verify_inclusion

STATEMENT_TYPE = "application/vnd.cairn.statement.v1"
DIRECTORY_TYPE = "application/vnd.cairn.directory.v1"
SUITE_NAME = "X-Wing/HKDF-SHA256/ChaCha20Poly1305"
SIGNING, SEALING = 1, 2
ENC_BYTES, WRAPPED_BYTES, PUBLIC_BYTES, LEAF_BYTES = 1120, 48, 1216, 89
SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)

# --- entries: proto/cairn/v1/ledger.proto ---


@dataclass(frozen=True)
class Leaf:
    """Version 1, entry id, nanoseconds, commitments to facts and to detail."""

    entry_id: bytes
    at: int
    facts: bytes
    detail: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Leaf:
        need(len(raw) == LEAF_BYTES and raw[0] == 1, "leaf: not 89 bytes of version 1")
        return cls(raw[1:17], int.from_bytes(raw[17:25], "big"), raw[25:57], raw[57:])


def commitment(opening: bytes, content: bytes) -> bytes:
    need(len(opening) == 32, "commitment: an opening is 32 bytes")
    key = sha256(b"cairn/commitment/v1")[:16]
    return hmac.digest(key, opening + prefixed(content), "sha256")


# --- signatures and keys: statement.proto ---


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def key_id(kind: int, public: bytes) -> bytes:
    return sha256(b"cairn/key/v1\x00", bytes([kind]), public)[:8]


def verify_dsse(key: bytes, signature: Any, payload: bytes, payload_type: str) -> None:
    """`signature` is a cairn.v1.Signature: it must also name the key that it is by."""
    need(signature.key_id == key_id(SIGNING, key), f"{payload_type}: key id of another key")
    verify_ed25519(key, signature.signature, pae(payload_type, payload), payload_type)


def content_tag(secret: bytes, request_id: bytes, canonical: bytes) -> bytes:
    return hmac.digest(secret, b"cairn/tag/v1" + request_id + canonical, "sha256")


def tag_key_id(secret: bytes) -> bytes:
    return sha256(b"cairn/tag-key/v1", secret)[:8]


def request_id(secret: bytes, sender: str, reference: str) -> bytes:
    """As the Rust client does; any client may choose its own way."""
    text = b"cairn/request/v1" + prefixed(sender.encode()) + prefixed(reference.encode())
    return hmac.digest(secret, text, "sha256")[:16]


def request_key(secret: bytes, agency: str, request: bytes) -> bytes:
    return hmac.digest(secret, b"cairn/request-key/v1" + prefixed(agency.encode()) + request, "sha256")


def pem_secret(path: Path, label: str) -> bytes:
    """The 32 bytes of a key file of ours."""
    match = re.fullmatch(f"-----BEGIN {label}-----\n(.*)\n-----END {label}-----\n?", path.read_text(), re.DOTALL)
    if not match:
        raise Wrong(f"{path.name}: no {label}")
    raw = strict_base64(match[1].replace("\n", ""))
    need(len(raw) == 32, f"{path.name}: not 32 bytes")
    return raw


# --- sealing: X-Wing HPKE around a content key ---


def xwing_private(seed: bytes) -> tuple[Any, bytes]:
    """The private key of a 32-byte seed, and its 1,216 public bytes."""
    expanded = hashlib.shake_256(seed).digest(96)
    pq = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    ec = x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
    public = pq.public_key().public_bytes_raw() + ec.public_key().public_bytes_raw()
    return hpke.MLKEM768X25519PrivateKey(pq, ec), public


def xwing_public(raw: bytes) -> Any:
    need(len(raw) == PUBLIC_BYTES, "sealing key: not 1,216 bytes")
    pq = mlkem.MLKEM768PublicKey.from_public_bytes(raw[:1184])
    return hpke.MLKEM768X25519PublicKey(pq, x25519.X25519PublicKey.from_public_bytes(raw[1184:]))


def key_commitment(content_key: bytes) -> bytes:
    return sha256(b"cairn/content-key/v1", content_key)


def wrap_info(exchange: str, sender: str, request: bytes, receiver: str, kid: bytes, committed: bytes) -> bytes:
    """HPKE `info`. `receiver` is the receiving agency, or the agreement of a review key."""
    parts = (exchange.encode(), sender.encode(), request, receiver.encode(), kid, committed)
    return b"cairn/seal/v1" + b"".join(map(prefixed, parts))


def wrap(content_key: bytes, public: bytes, info: bytes) -> tuple[bytes, bytes]:
    """(enc, wrapped)."""
    message = SUITE.encrypt(content_key, xwing_public(public), info=info)
    return message[:ENC_BYTES], message[ENC_BYTES:]


def unwrap(enc: bytes, wrapped: bytes, seed: bytes, info: bytes, committed: bytes) -> bytes:
    """The content key, held to its commitment: an AEAD alone does not bind it."""
    need(len(enc) == ENC_BYTES and len(wrapped) == WRAPPED_BYTES, "wrap: wrong length")
    try:
        content_key = SUITE.decrypt(enc + wrapped, xwing_private(seed)[0], info=info)
    except (InvalidTag, ValueError) as error:
        raise Wrong("wrap: does not open") from error
    need(key_commitment(content_key) == committed, "wrap: not the content key that was committed to")
    return content_key


def seal_body(content_key: bytes, nonce: bytes, body: bytes) -> bytes:
    plain = prefixed(body)
    return ChaCha20Poly1305(content_key).encrypt(nonce, plain + bytes(-len(plain) % 256), None)


def open_body(content_key: bytes, nonce: bytes, ciphertext: bytes) -> bytes:
    try:
        plain = ChaCha20Poly1305(content_key).decrypt(nonce, ciphertext, None)
    except (InvalidTag, ValueError) as error:
        raise Wrong("body: does not open") from error
    need(len(plain) >= 256 and len(plain) % 256 == 0, "body: not padded to 256")
    size = int.from_bytes(plain[:4], "big")
    need(len(plain) == -(-(size + 4) // 256) * 256, "body: its length is not the padding's")
    need(not any(plain[4 + size :]), "body: padding that is not zero")
    return plain[4 : 4 + size]


def check_seal(statement: Any, body: Any) -> None:
    """That the sealed body is the one the statement was signed with."""
    seal = statement.seal
    need(seal.suite == SUITE_NAME, "seal: another suite")
    need(seal.body_sha256 == sha256(body.nonce, body.ciphertext), "seal: another body")


def open_wrapped(statement: Any, wrap_: Any, committed: bytes, seed: bytes) -> bytes:
    """The content key from one wrap; its context is the statement that carries it."""
    digest = sha256(wrap_.enc, wrap_.wrapped)
    named = (wrap_.inbox, wrap_.agreement, wrap_.key_id, digest)
    listed = [(w.inbox, w.agreement, w.key_id, w.sha256) for w in statement.seal.wraps]
    need(named in listed, "seal: a wrap that the statement does not name")
    need(wrap_.key_id == key_id(SEALING, xwing_private(seed)[1]), "wrap: for another key")
    receiver = wrap_.inbox.rpartition("/")[0] or wrap_.agreement
    info = wrap_info(statement.exchange, getattr(statement, "from"), statement.request_id, receiver, wrap_.key_id, committed)
    return unwrap(wrap_.enc, wrap_.wrapped, seed, info, committed)


# --- self-test ---


def proof_of(tree: Tree, index: int, start: int, end: int) -> list[bytes]:
    """RFC 9162 section 2.1.3.1, to have something to verify."""
    if end - start == 1:
        return []
    middle = start + (1 << (end - start - 1).bit_length() - 1)
    if index < middle:
        return proof_of(tree, index, start, middle) + [tree.range(middle, end)]
    return proof_of(tree, index, middle, end) + [tree.range(start, middle)]


def extension_of(tree: Tree, old: int, start: int, end: int, known: bool) -> list[bytes]:
    """RFC 9162 section 2.1.4.1."""
    if old == end:
        return [] if known else [tree.range(start, end)]
    middle = start + (1 << (end - start - 1).bit_length() - 1)
    if old <= middle:
        return extension_of(tree, old, start, middle, known) + [tree.range(middle, end)]
    return extension_of(tree, old, middle, end, False) + [tree.range(start, middle)]


def refuses(call: Callable[..., Any], *args: Any) -> None:
    try:
        call(*args)
    except Wrong:
        return
    raise Wrong(f"{call.__name__} took what is wrong")


def check_public() -> int:
    """The roots of RFC 6962's own test tree, the note of Go's sumdb, all proofs to size 17."""
    leaves = [b"", b"\0", b"\x10", b" !", b"01", b"@ABC", b"PQRSTUVW", b"`abcdefghijklmno"]
    root8 = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    need(Tree(leaves).root(8).hex() == root8, "the root of eight leaves")
    vkey = Vkey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    said = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    line = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    need(open_note(f"{said}\n— PeterNeumann {line}\n".encode(), vkey) == said, "the note of sumdb")
    refuses(open_note, f"{said[1:]}\n— PeterNeumann {line}\n".encode(), vkey)
    tree, other, done = Tree([bytes([n]) for n in range(17)]), sha256(b"other"), 3
    for size in range(1, 18):
        for n in range(size):
            path, leaf = proof_of(tree, n, 0, size), leaf_hash(bytes([n]))
            verify_inclusion(n, size, leaf, path, tree.root(size))
            refuses(verify_inclusion, n, size, other, path, tree.root(size))
            refuses(verify_inclusion, n, size, leaf, path + [other], tree.root(size))
            proof = extension_of(tree, n, 0, size, True) if n else []
            verify_consistency(n, size, tree.root(n), tree.root(size), proof)
            if n:
                refuses(verify_consistency, n, size, tree.root(n), other, proof)
                refuses(verify_consistency, n, size, other, tree.root(size), proof)
            done += 2
    return done


def check_dsse(v: dict[str, Any]) -> None:
    seed, payload = bytes.fromhex(v["seed_hex"]), bytes.fromhex(v["payload_hex"])
    private = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    encoded = pae(v["payload_type"], payload)
    need(private.public_key().public_bytes_raw().hex() == v["public_key_hex"], "public key")
    need(encoded.hex() == v["pae_hex"], "pre-authentication encoding")
    need(private.sign(encoded).hex() == v["signature_hex"], "signature")
    verify_ed25519(bytes.fromhex(v["public_key_hex"]), bytes.fromhex(v["signature_hex"]), encoded, "dsse")


def check_key_id(v: dict[str, Any]) -> None:
    if "secret_hex" in v:
        need(tag_key_id(bytes.fromhex(v["secret_hex"])).hex() == v["key_id_hex"], "id of a secret")
        return
    seed = bytes.fromhex(v["seed_hex"])
    if v["kind_byte"] == SIGNING:
        public = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    else:
        public = xwing_private(seed)[1]
    need(sha256(public).hex() == v["public_key_sha256_hex"], "public key")
    need(key_id(v["kind_byte"], public).hex() == v["key_id_hex"], "key id")


def check_sealed(v: dict[str, Any]) -> None:
    """Opens each wrap with its seed, and seals anew what this side would seal."""
    need(v["suite"] == SUITE_NAME, "suite")
    key, nonce = bytes.fromhex(v["content_key_hex"]), bytes.fromhex(v["nonce_hex"])
    cipher, body = strict_base64(v["ciphertext_base64"]), v["body_utf8"].encode()
    committed, request = key_commitment(key), bytes.fromhex(v["request_id_hex"])
    need(committed.hex() == v["key_commitment_hex"], "content-key commitment")
    need(sha256(nonce, cipher).hex() == v["body_digest_hex"], "digest of the sealed body")
    need(open_body(key, nonce, cipher) == body and seal_body(key, nonce, body) == cipher, "body")
    for r in v["recipients"]:
        seed, enc, wrapped = bytes.fromhex(r["seed_hex"]), strict_base64(r["enc_base64"]), bytes.fromhex(r["wrapped_hex"])
        public = xwing_private(seed)[1]
        kid = key_id(SEALING, public)
        info = wrap_info(v["exchange"], v["sender"], request, r["agency"], kid, committed)
        need(sha256(public).hex() == r["public_key_sha256_hex"] and kid.hex() == r["key_id_hex"], "sealing key")
        need(info.hex() == r["info_hex"], "info")
        need(sha256(enc, wrapped).hex() == r["wrap_digest_hex"], "digest of a wrap")
        need(unwrap(enc, wrapped, seed, info, committed) == key, "content key")
        refuses(unwrap, enc, wrapped, seed, info + b"\0", committed)
        need(unwrap(*wrap(key, public, info), seed, info, committed) == key, "own wrap")


def check_keyed(v: dict[str, Any]) -> None:
    """Content tags, request ids and request keys, told apart by their fields."""
    raw = {name[:-4]: bytes.fromhex(value) for name, value in v.items() if name.endswith("_hex")}
    if "tag" in raw:
        need(content_tag(raw["secret"], raw["request_id"], v["canonical_body_utf8"].encode()) == raw["tag"], "tag")
    elif "request_key" in raw:
        need(request_key(raw["exchange_secret"], v["agency"], raw["request_id"]) == raw["request_key"], "request key")
    else:
        need(request_id(raw["secret"], v["from"], v["reference"]) == raw["request_id"], "request id")


def check_commitment(v: dict[str, Any]) -> None:
    need(sha256(b"cairn/commitment/v1")[:16].hex() == v["hmac_key_hex"], "published constant")
    made = commitment(bytes.fromhex(v["opening_hex"]), bytes.fromhex(v["content_hex"]))
    need(made.hex() == v["commitment_hex"], "commitment")


CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "dsse": check_dsse, "key_ids": check_key_id, "seal": check_sealed, "content_tag": check_keyed,
    "request_id": check_keyed, "request_key": check_keyed, "commitment": check_commitment,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description="Checks every test vector with code of its own.")
    parser.add_argument("--vectors", type=Path, required=True)
    vectors = json.loads(parser.parse_args().vectors.read_text("utf-8"))
    vectors.pop("about", None)
    need(set(vectors) == set(CHECKS), f"vectors that nobody checks: {set(vectors) ^ set(CHECKS)}")
    passed, failed = check_public(), 0
    for name, group in vectors.items():
        for number, vector in enumerate(group if isinstance(group, list) else [group]):
            try:
                CHECKS[name](vector)
                passed += 1
            except (Wrong, KeyError, ValueError) as error:
                failed += 1
                print(f"FAILED {name}[{number}]: {error!r}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
