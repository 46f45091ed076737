"""C2SP and RFC 9162, read from their specifications: what any log is checked with.

Signed notes, checkpoints, `.tlog-proof` receipts and Merkle trees over SHA-256.
Not a line of it knows Cairn.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519


class Wrong(Exception):
    """Something does not verify. The text says what."""


def need(condition: object, what: str) -> None:
    """Raises unless the condition holds; `assert` would vanish under -O."""
    if not condition:
        raise Wrong(what)


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def prefixed(part: bytes) -> bytes:
    """Behind its 4-byte big-endian length, so that no two splits look alike."""
    return struct.pack(">I", len(part)) + part


def strict_base64(text: str) -> bytes:
    """RFC 4648 with padding, and only the one spelling of each value."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Wrong("not base64") from error
    need(base64.b64encode(raw).decode() == text, "base64 that is not canonical")
    return raw


# --- Merkle tree: RFC 9162 section 2.1 ---


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\x00", leaf)


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01", left, right)


class Tree:
    """All the leaves; gives the root at any size, by the RFC's own recursion."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.hashes = [leaf_hash(leaf) for leaf in leaves]
        self._whole: dict[tuple[int, int], bytes] = {}

    def range(self, start: int, end: int) -> bytes:
        """MTH(D[start:end]). Whole, aligned subtrees are kept: they never change."""
        width = end - start
        if width == 0:
            return sha256()
        if width == 1:
            return self.hashes[start]
        keep = width & (width - 1) == 0 and start % width == 0
        if keep and (start, end) in self._whole:
            return self._whole[start, end]
        middle = start + (1 << (width - 1).bit_length() - 1)
        root = node_hash(self.range(start, middle), self.range(middle, end))
        if keep:
            self._whole[start, end] = root
        return root

    def root(self, size: int) -> bytes:
        need(0 <= size <= len(self.hashes), "a tree larger than its leaves")
        return self.range(0, size)


def verify_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> None:
    """RFC 9162 section 2.1.3.2, for a leaf hash."""
    need(0 <= index < size, "inclusion: index outside the tree")
    fn, sn, r = index, size - 1, leaf
    for p in path:
        need(sn != 0, "inclusion: proof too long")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0 and r == root, "inclusion: the path does not lead to the root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """RFC 9162 section 2.1.4.2."""
    need(0 <= old <= new, "consistency: the tree shrank")
    if old == new or old == 0:
        need(not proof, "consistency: a proof where none can be")
        need(old_root == (new_root if old == new else sha256()), "consistency: another root")
        return
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    need(path, "consistency: no proof")
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        need(sn != 0, "consistency: proof too long")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0 and fr == old_root and sr == new_root, "consistency: not an extension")


def verify_ed25519(key: bytes, signature: bytes, message: bytes, what: str) -> None:
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise Wrong(f"{what}: bad signature") from error


# --- C2SP: signed-note, tlog-checkpoint, tlog-proof ---


@dataclass(frozen=True)
class Vkey:
    """`<name>+<8 hex key id>+<base64(type || key)>`, Ed25519 (type 0x01) only."""

    name: str
    key_id: bytes
    key: bytes

    @classmethod
    def parse(cls, text: str) -> Vkey:
        fields = text.strip("\n").split("+", 2)
        need(len(fields) == 3, "vkey: three fields")
        name, hexid, encoded = fields
        raw = strict_base64(encoded)
        need(len(raw) == 33 and raw[0] == 1, "vkey: not an Ed25519 note key")
        need(name and not re.search(r"[\s+]", name), "vkey: bad name")
        key_id = sha256(name.encode(), b"\n", raw)[:4]
        need(hexid == key_id.hex(), "vkey: its id is not that of its key")
        return cls(name, key_id, raw[1:])


def open_note(note: bytes, vkey: Vkey) -> str:
    """The text of a signed note, once the signature of `vkey` on it is good."""
    try:
        whole = note.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Wrong("note: not UTF-8") from error
    need(not re.search(r"[\x00-\x09\x0b-\x1f]", whole), "note: a control character")
    head, gap, tail = whole.rpartition("\n\n")
    text = head + "\n"
    need(gap and tail.endswith("\n"), "note: no signatures")
    good = False
    for line in tail[:-1].split("\n"):
        match = re.fullmatch("— ([^ +]+) ([A-Za-z0-9+/=]+)", line)
        if not match:
            raise Wrong("note: a line that is no signature")
        raw = strict_base64(match[2])
        if (match[1], raw[:4]) == (vkey.name, vkey.key_id):
            verify_ed25519(vkey.key, raw[4:], text.encode(), "note")
            good = True
    need(good, "note: not signed by this key")
    return text


@dataclass(frozen=True)
class Checkpoint:
    """A tree head whose signature was good."""

    size: int
    root: bytes
    note: bytes

    @classmethod
    def open(cls, note: bytes, vkey: Vkey) -> Checkpoint:
        """Verifies first, reads after."""
        lines = open_note(note, vkey)[:-1].split("\n")
        need(len(lines) >= 3 and all(lines), "checkpoint: three lines")
        need(lines[0] == vkey.name, "checkpoint: another origin")
        need(re.fullmatch("0|[1-9][0-9]*", lines[1]), "checkpoint: bad size")
        root = strict_base64(lines[2])
        need(len(root) == 32, "checkpoint: bad root")
        return cls(int(lines[1]), root, note)


@dataclass(frozen=True)
class TlogProof:
    """A `.tlog-proof` receipt; nothing in it holds before `verify`."""

    index: int
    path: tuple[bytes, ...]
    note: bytes

    @classmethod
    def parse(cls, raw: bytes) -> TlogProof:
        head, gap, note = raw.partition(b"\n\n")
        need(gap, "tlog-proof: no checkpoint")
        lines = head.decode("ascii", "replace").split("\n")
        need(lines.pop(0) == "c2sp.org/tlog-proof@v1", "tlog-proof: bad header")
        if lines and lines[0].startswith("extra "):
            strict_base64(lines.pop(0)[6:])
        match = re.fullmatch("index (0|[1-9][0-9]*)", lines.pop(0) if lines else "")
        if not match:
            raise Wrong("tlog-proof: no index")
        path = tuple(strict_base64(line) for line in lines)
        need(len(path) <= 63 and all(len(h) == 32 for h in path), "tlog-proof: bad hash")
        return cls(int(match[1]), path, note)

    def verify(self, leaf: bytes, vkey: Vkey) -> Checkpoint:
        checkpoint = Checkpoint.open(self.note, vkey)
        verify_inclusion(self.index, checkpoint.size, leaf_hash(leaf), self.path, checkpoint.root)
        return checkpoint
