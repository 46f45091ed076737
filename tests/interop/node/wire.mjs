// What Cairn's clients must be able to compute, written from the .proto comments
// and the C2SP and RFC texts: signing, sealing, the ledger's proofs. Nothing here
// touches the network or the disk, but to load the .proto files.

import crypto from "node:crypto";
import { fileURLToPath } from "node:url";
import protoLoader from "@grpc/proto-loader";
import { CipherSuite, HkdfSha256 } from "@hpke/core";
import { Chacha20Poly1305 } from "@hpke/chacha20poly1305";
import { XWing } from "@hpke/hybridkem-x-wing";

export const STATEMENT_TYPE = "application/vnd.cairn.statement.v1";
export const CHANGE_TYPE = "application/vnd.cairn.directory.v1";
export const SUITE = "X-Wing/HKDF-SHA256/ChaCha20Poly1305";

const SIGNING = 1;
const SEALING = 2;
// Of a body in its RFC 8785 form, and of one as another sender may carry it.
const BODY_MAX = 262_144;
const CARRIED_MAX = 524_288;
const PADDING = 256;
const TAG = 16;
const LEAF = 89;

// Something is not what it claims to be: a proof, a signature, a seal, a key.
export class Untrue extends Error {}

export function insist(condition, what) {
  if (!condition) throw new Untrue(what);
}

// ---- The contract ----

const PROTO = process.env.CAIRN_PROTO ?? fileURLToPath(new URL("../../../proto", import.meta.url));

export const contract = protoLoader.loadSync(
  ["audit", "directory", "exchange", "ledger", "statement"].map((name) => `cairn/v1/${name}.proto`),
  { includeDirs: [PROTO], keepCase: true, longs: String, enums: String, bytes: Buffer, defaults: true, oneofs: true },
);

// A message's bytes. What is signed or hashed is encoded here once and kept.
export const encode = (type, message) => Buffer.from(contract[`cairn.v1.${type}`].serialize(message));

export const decode = (type, bytes) => contract[`cairn.v1.${type}`].deserialize(bytes);

// ---- Bytes, hashes, JSON ----

export const sha256 = (...parts) => {
  const hash = crypto.createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

export const hmac = (key, ...parts) => {
  const mac = crypto.createHmac("sha256", key);
  for (const part of parts) mac.update(part);
  return mac.digest();
};

// Each field behind its 4-byte big-endian length.
export const prefixed = (...fields) =>
  Buffer.concat(
    fields.flatMap((field) => {
      const bytes = Buffer.from(field);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );

// RFC 4648 section 4, with no second spelling of the same bytes.
function base64(text) {
  const bytes = Buffer.from(text, "base64");
  insist(bytes.toString("base64") === text, "not base64");
  return bytes;
}

// RFC 8785. JavaScript's own numbers, string escapes and UTF-16 order are the ones it asks for.
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const members = Object.keys(value).sort();
    return `{${members.map((key) => `${canonical(key)}:${canonical(value[key])}`).join(",")}}`;
  }
  insist(typeof value !== "number" || Number.isFinite(value), "a number past a double's range");
  insist(typeof value !== "string" || value.isWellFormed(), "a lone surrogate");
  return JSON.stringify(value);
}

// ---- Signing (DSSE over Ed25519) ----

export const pae = (type, payload) => {
  const head = `DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
};

const keyId = (kind, publicKey) =>
  sha256("cairn/key/v1", Buffer.from([0, kind]), publicKey).subarray(0, 8);

export const signingKeyId = (publicKey) => keyId(SIGNING, publicKey);
export const sealingKeyId = (publicKey) => keyId(SEALING, publicKey);

// The 32 bytes of the public half of a private or public key object.
export const rawPublic = (key) =>
  Buffer.from(crypto.createPublicKey(key).export({ format: "jwk" }).x, "base64url");

const publicOf = (raw) =>
  crypto.createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: raw.toString("base64url") }, format: "jwk" });

const verifies = (raw, message, signature) =>
  raw.length === 32 && signature.length === 64 && crypto.verify(null, message, publicOf(raw), signature);

export const sign = (type, bytes, privateKey) => ({
  key_id: signingKeyId(rawPublic(privateKey)),
  signature: crypto.sign(null, pae(type, bytes), privateKey),
});

// Whether `signature` is by the 32-byte key `raw`, key id included.
export const signedBy = (raw, type, bytes, signature) =>
  signature.key_id.equals(signingKeyId(raw)) && verifies(raw, pae(type, bytes), signature.signature);

// ---- An agency's secret ----

export const secretId = (secret) => sha256("cairn/tag-key/v1", secret).subarray(0, 8);

export const requestId = (secret, from, reference) =>
  hmac(secret, "cairn/request/v1", prefixed(from, reference)).subarray(0, 16);

export const contentTag = (secret, request, body) => ({
  key_id: secretId(secret),
  tag: hmac(secret, "cairn/tag/v1", request, body),
});

// ---- Sealing ----

const suite = new CipherSuite({ kem: new XWing(), kdf: new HkdfSha256(), aead: new Chacha20Poly1305() });
const NOTHING = new Uint8Array(0);

// The HPKE library reads the whole memory behind a small Buffer, which Node shares
// among many; so it is given copies that have theirs alone.
const alone = (bytes) => new Uint8Array(bytes);

export const keyCommitment = (contentKey) => sha256("cairn/content-key/v1", contentKey);
export const bodyDigest = (nonce, ciphertext) => sha256(nonce, ciphertext);
export const wrapDigest = (wrap) => sha256(wrap.enc, wrap.wrapped);

// `context` is of the statement that carries the wrap: {exchange, from, request_id}.
// `holder` is the receiving agency, or the agreement of a review key.
export const wrapInfo = (context, holder, id, commitment) =>
  Buffer.concat([
    Buffer.from("cairn/seal/v1"),
    prefixed(context.exchange, context.from, context.request_id, holder, id, commitment),
  ]);

const holderOf = ({ inbox, agreement }) => (inbox ? inbox.split("/")[0] : agreement);

export async function sealingPair(seed) {
  const pair = await suite.kem.generateKeyPairDerand(alone(seed));
  const publicKey = Buffer.from(await suite.kem.serializePublicKey(pair.publicKey));
  return { privateKey: pair.privateKey, publicKey, id: sealingKeyId(publicKey) };
}

export async function wrapKey(context, contentKey, holder, commitment = keyCommitment(contentKey)) {
  const { inbox, agreement, public_key } = holder;
  const id = sealingKeyId(public_key);
  const info = wrapInfo(context, holderOf(holder), id, commitment);
  const recipientPublicKey = await suite.kem.deserializePublicKey(alone(public_key));
  const sender = await suite.createSenderContext({ recipientPublicKey, info: alone(info) });
  const wrapped = Buffer.from(await sender.seal(alone(contentKey), NOTHING));
  return { inbox, agreement, key_id: id, enc: Buffer.from(sender.enc), wrapped };
}

export async function unwrapKey(context, wrap, commitment, pair) {
  insist(wrap.key_id.equals(pair.id), "the wrap is for another key");
  const info = wrapInfo(context, holderOf(wrap), wrap.key_id, commitment);
  let contentKey;
  try {
    const parameters = { recipientKey: pair.privateKey, enc: alone(wrap.enc), info: alone(info) };
    const opener = await suite.createRecipientContext(parameters);
    contentKey = Buffer.from(await opener.open(alone(wrap.wrapped), NOTHING));
  } catch {
    throw new Untrue("the wrap does not open");
  }
  insist(contentKey.length === 32, "the content key is not 32 bytes");
  insist(keyCommitment(contentKey).equals(commitment), "the content key is not the one committed to");
  return contentKey;
}

function pad(body) {
  const length = 4 + body.length;
  return Buffer.concat([prefixed(body), Buffer.alloc((PADDING - (length % PADDING)) % PADDING)]);
}

function unpad(plain) {
  insist(plain.length > 0 && plain.length % PADDING === 0, "the padding is not whole");
  const end = 4 + plain.readUInt32BE(0);
  insist(end - 4 <= CARRIED_MAX && end <= plain.length, "the body's length is wrong");
  insist(plain.subarray(end).every((byte) => byte === 0), "the padding is not zeros");
  return plain.subarray(4, end);
}

export function sealBody(contentKey, nonce, body) {
  const cipher = crypto.createCipheriv("chacha20-poly1305", contentKey, nonce, { authTagLength: TAG });
  return Buffer.concat([cipher.update(pad(body)), cipher.final(), cipher.getAuthTag()]);
}

// A body in its RFC 8785 form, sealed for `keys` ({inbox, agreement, public_key}):
// the statement's `Seal` and the envelope's `SealedBody`.
export async function seal(context, body, keys) {
  insist(body.length <= BODY_MAX, "the body is too large");
  const [contentKey, nonce] = [crypto.randomBytes(32), crypto.randomBytes(12)];
  const ciphertext = sealBody(contentKey, nonce, body);
  const wraps = [];
  for (const key of keys) wraps.push(await wrapKey(context, contentKey, key));
  const digests = wraps.map((wrap) => ({
    inbox: wrap.inbox,
    agreement: wrap.agreement,
    key_id: wrap.key_id,
    sha256: wrapDigest(wrap),
  }));
  return {
    seal: {
      suite: SUITE,
      body_sha256: bodyDigest(nonce, ciphertext),
      key_commitment: keyCommitment(contentKey),
      wraps: digests,
    },
    body: { nonce, ciphertext, wraps },
  };
}

export function openBody(contentKey, { nonce, ciphertext }) {
  insist(nonce.length === 12 && ciphertext.length >= TAG, "there is no sealed body");
  const opener = crypto.createDecipheriv("chacha20-poly1305", contentKey, nonce, { authTagLength: TAG });
  opener.setAuthTag(ciphertext.subarray(-TAG));
  try {
    return unpad(Buffer.concat([opener.update(ciphertext.subarray(0, -TAG)), opener.final()]));
  } catch (error) {
    throw error instanceof Untrue ? error : new Untrue("the body was altered");
  }
}

// Whether the signed statement vouches for this wrap.
const vouched = (statement, wrap) =>
  statement.seal?.wraps.some(
    (digest) =>
      digest.inbox === wrap.inbox &&
      digest.agreement === wrap.agreement &&
      digest.key_id.equals(wrap.key_id) &&
      digest.sha256.equals(wrapDigest(wrap)),
  );

// The body's bytes, for the inbox that holds `pair`. `rewrapped` are later statements
// that brought wraps of the same content key, oldest first, as [{statement, wraps}].
export async function open(statement, body, inbox, pair, rewrapped = []) {
  insist(statement.seal && body, "there is no sealed body");
  insist(statement.seal.suite === SUITE, "another suite");
  insist(bodyDigest(body.nonce, body.ciphertext).equals(statement.seal.body_sha256), "the body was swapped");
  const carriers = [{ statement, wraps: body.wraps }, ...rewrapped].reverse();
  let failed = new Untrue("no wrap for this inbox");
  for (const { statement: by, wraps } of carriers) {
    for (const wrap of wraps.filter((each) => each.inbox === inbox)) {
      try {
        insist(vouched(by, wrap), "the statement does not vouch for the wrap");
        return openBody(await unwrapKey(by, wrap, statement.seal.key_commitment, pair), body);
      } catch (error) {
        if (!(error instanceof Untrue)) throw error;
        failed = error;
      }
    }
  }
  throw failed;
}

// ---- Leaf and commitments ----

export const commitmentKey = sha256("cairn/commitment/v1").subarray(0, 16);

export const commit = (opening, content) => hmac(commitmentKey, opening, prefixed(content));

export function parseLeaf(leaf) {
  insist(leaf.length === LEAF && leaf[0] === 1, "not a leaf of version 1");
  return {
    id: leaf.subarray(1, 17),
    at: leaf.readBigUInt64BE(17),
    facts: leaf.subarray(25, 57),
    detail: leaf.subarray(57, 89),
  };
}

// ---- Signed notes and checkpoints (C2SP) ----

// "<name>+<8 hex>+<base64(0x01 || 32-byte key)>"
export function parseVkey(text) {
  const [, name, hex, key] = /^([^+\s]+)\+([0-9a-f]{8})\+(\S+)$/u.exec(text.trim()) ?? [];
  insist(name, "not a verifier key");
  const typed = base64(key);
  insist(typed.length === 33 && typed[0] === 1, "not an Ed25519 verifier key");
  const id = sha256(name, "\n", typed).subarray(0, 4);
  insist(id.toString("hex") === hex, "the verifier key's id is wrong");
  return { name, id, key: typed.subarray(1) };
}

// The text of a signed note, if the key signed it. Lines of keys we do not know are passed over.
export function openNote(note, vkey) {
  const whole = Buffer.from(note).toString("utf8");
  insist(Buffer.from(whole).equals(Buffer.from(note)), "the note is not UTF-8");
  const split = whole.lastIndexOf("\n\n");
  insist(split >= 0 && whole.endsWith("\n"), "not a signed note");
  const text = whole.slice(0, split + 1);
  let signed = false;
  for (const line of whole.slice(split + 2, -1).split("\n")) {
    const [, name, signature] = /^\u2014 ([^+\s]+) (\S+)$/u.exec(line) ?? [];
    insist(name, "not a signature line");
    const bytes = base64(signature);
    if (name !== vkey.name || !bytes.subarray(0, 4).equals(vkey.id)) continue;
    insist(verifies(vkey.key, Buffer.from(text), bytes.subarray(4)), "the note's signature is wrong");
    signed = true;
  }
  insist(signed, "the key did not sign the note");
  return text;
}

const number = (text) => {
  insist(/^(0|[1-9][0-9]{0,18})$/.test(text), "not a number");
  return BigInt(text);
};

const treeHash = (text) => {
  const hash = base64(text);
  insist(hash.length === 32, "not a hash");
  return hash;
};

export function openCheckpoint(note, vkey) {
  const [origin, size, root] = openNote(note, vkey).split("\n");
  insist(origin === vkey.name, "a checkpoint of another ledger");
  return { origin, size: number(size), root: treeHash(root) };
}

// ---- Merkle proofs (RFC 9162 section 2.1) ----

export const leafHash = (leaf) => sha256(Buffer.from([0]), leaf);
export const nodeHash = (left, right) => sha256(Buffer.from([1]), left, right);

// Section 2.1.3.2: the root that this inclusion proof leads to.
export function rootOfInclusion(index, size, hash, path) {
  insist(index >= 0n && index < size, "the entry is not in a tree of that size");
  let [fn, sn, root] = [index, size - 1n, hash];
  for (const sibling of path) {
    insist(sn !== 0n, "the inclusion proof is too long");
    if (fn & 1n || fn === sn) {
      root = nodeHash(sibling, root);
      while (!(fn & 1n) && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      root = nodeHash(root, sibling);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  insist(sn === 0n, "the inclusion proof is too short");
  return root;
}

export const checkInclusion = (index, checkpoint, leaf, path) =>
  insist(
    rootOfInclusion(index, checkpoint.size, leafHash(leaf), path).equals(checkpoint.root),
    "the inclusion proof leads to another root",
  );

// Section 2.1.4.2, with the two cases it leaves out: an empty older tree and equal trees.
export function checkConsistency(older, newer, proof) {
  insist(older.size <= newer.size, "the newer tree is smaller");
  if (older.size === newer.size || older.size === 0n) {
    const same = older.size === 0n || older.root.equals(newer.root);
    insist(proof.length === 0 && same, "two trees of one size differ");
    return;
  }
  const powerOfTwo = (older.size & (older.size - 1n)) === 0n;
  const path = powerOfTwo ? [older.root, ...proof] : [...proof];
  insist(path.length > 0, "the consistency proof is empty");
  let [fn, sn] = [older.size - 1n, newer.size - 1n];
  while (fn & 1n) [fn, sn] = [fn >> 1n, sn >> 1n];
  let [fr, sr] = [path[0], path[0]];
  for (const hash of path.slice(1)) {
    insist(sn !== 0n, "the consistency proof is too long");
    if (fn & 1n || fn === sn) {
      [fr, sr] = [nodeHash(hash, fr), nodeHash(hash, sr)];
      while (!(fn & 1n) && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      sr = nodeHash(sr, hash);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  insist(sn === 0n, "the consistency proof is too short");
  insist(fr.equals(older.root), "the older tree is another one");
  insist(sr.equals(newer.root), "the newer tree does not extend the older");
}

// ---- Receipts (C2SP tlog-proof) ----

// A `.tlog-proof` for this leaf, verified: which entry, under which checkpoint.
export function openTlogProof(file, leaf, vkey) {
  const text = Buffer.from(file).toString("utf8");
  const split = text.indexOf("\n\n");
  insist(split >= 0, "not a tlog-proof");
  const lines = text.slice(0, split).split("\n");
  insist(lines.shift() === "c2sp.org/tlog-proof@v1", "not a tlog-proof");
  if (lines[0]?.startsWith("extra ")) base64(lines.shift().slice(6));
  const [, index] = /^index (\S+)$/.exec(lines.shift() ?? "") ?? [];
  insist(index !== undefined, "the tlog-proof names no entry");
  const note = Buffer.from(text.slice(split + 2));
  const checkpoint = openCheckpoint(note, vkey);
  const entry = number(index);
  checkInclusion(entry, checkpoint, leaf, lines.map(treeHash));
  return { entry, checkpoint };
}

// That leaf, facts and proof of an entry belong together. Gives the leaf's parts,
// the facts and the checkpoint.
export function checkEntry({ entry, tlog_proof, leaf, facts, facts_opening }, vkey) {
  const proved = openTlogProof(tlog_proof, leaf, vkey);
  insist(proved.entry === BigInt(entry), "the proof is of another entry");
  const parts = parseLeaf(leaf);
  insist(commit(facts_opening, facts).equals(parts.facts), "the leaf commits to other facts");
  return { leaf: parts, facts: decode("Facts", facts), checkpoint: proved.checkpoint };
}
