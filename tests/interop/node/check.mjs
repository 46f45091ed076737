// Checks the foreign client against the golden vectors, and a running exchange
// through it.
//
//   node check.mjs [--vectors vectors.json] [--exchange FOLDER]
//
// FOLDER is a system's, of an agency with a `duty` inbox, itself party to the
// agreement `<agency>-agreement`. The last line is `N passed, 0 failed`; any
// failure exits 1.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import * as client from "./client.mjs";
import * as wire from "./wire.mjs";

let [passed, failed] = [0, 0];

// Runs one check. Gives what it gives, or undefined where it failed.
async function check(name, run) {
  try {
    const result = await run();
    passed += 1;
    console.log(`ok    ${name}`);
    return result;
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}: ${error.reason ?? ""} ${error.stack ?? error}`);
    return undefined;
  }
}

const untrue = (run) => assert.throws(run, wire.Untrue);
const untrueLater = (run) => assert.rejects(run, wire.Untrue);

// A copy with one bit turned.
function altered(bytes, at = bytes.length - 1) {
  const copy = Buffer.from(bytes);
  copy[at] ^= 1;
  return copy;
}

const unhex = (text) => Buffer.from(text, "hex");
const same = (bytes, hexadecimal) => assert.equal(bytes.toString("hex"), hexadecimal);

const PKCS8_HEAD = unhex("302e020100300506032b657004220420");
const signingKeyOf = (seed) =>
  crypto.createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: "der", type: "pkcs8" });

// ---- The golden vectors: one entry for each part of the file ----

const parts = {
  dsse: (list) =>
    list.map((vector) => [
      `signs ${vector.payload_type}`,
      () => {
        const payload = unhex(vector.payload_hex);
        const key = signingKeyOf(unhex(vector.seed_hex));
        const raw = wire.rawPublic(key);
        same(raw, vector.public_key_hex);
        same(wire.pae(vector.payload_type, payload), vector.pae_hex);
        const signature = wire.sign(vector.payload_type, payload, key);
        same(signature.signature, vector.signature_hex);
        assert(wire.signedBy(raw, vector.payload_type, payload, signature));
        assert(!wire.signedBy(raw, vector.payload_type, altered(payload), signature));
        assert(!wire.signedBy(raw, `${vector.payload_type}x`, payload, signature));
        const forged = { ...signature, signature: altered(signature.signature, 0) };
        assert(!wire.signedBy(raw, vector.payload_type, payload, forged));
      },
    ]),

  key_ids: (list) =>
    list.map((vector) => [
      `names a key: ${vector.kind}`,
      async () => {
        if (vector.kind === "agency secret") return same(wire.secretId(unhex(vector.secret_hex)), vector.key_id_hex);
        const seed = unhex(vector.seed_hex);
        const signing = vector.kind === "signing";
        assert(signing || vector.kind === "sealing");
        assert.equal(vector.kind_byte, signing ? 1 : 2);
        const raw = signing ? wire.rawPublic(signingKeyOf(seed)) : (await wire.sealingPair(seed)).publicKey;
        same(wire.sha256(raw), vector.public_key_sha256_hex);
        same(signing ? wire.signingKeyId(raw) : wire.sealingKeyId(raw), vector.key_id_hex);
      },
    ]),

  seal: (vector) => [
    ["opens the sealed body", () => openVector(vector)],
    ...vector.recipients.map((recipient) => [
      `unwraps for ${recipient.agency}, wrapped by ${recipient.wrapped_by}`,
      () => unwrapVector(vector, recipient),
    ]),
  ],

  content_tag: (list) =>
    list.map((vector) => [
      "tags a body",
      () => {
        const body = Buffer.from(vector.canonical_body_utf8);
        assert.equal(wire.canonical(JSON.parse(body)), vector.canonical_body_utf8);
        const { tag } = wire.contentTag(unhex(vector.secret_hex), unhex(vector.request_id_hex), body);
        same(tag, vector.tag_hex);
      },
    ]),

  request_id: (list) =>
    list.map((vector) => [
      "derives a request id",
      () => same(wire.requestId(unhex(vector.secret_hex), vector.from, vector.reference), vector.request_id_hex),
    ]),

  request_key: (list) =>
    list.map((vector) => [
      "derives a request key",
      () => {
        const secret = unhex(vector.exchange_secret_hex);
        const fields = [wire.prefixed(vector.agency), unhex(vector.request_id_hex)];
        same(wire.hmac(secret, "cairn/request-key/v1", ...fields), vector.request_key_hex);
      },
    ]),

  commitment: (list) =>
    list.map((vector) => [
      `commits to ${vector.content_hex.length / 2} bytes`,
      () => {
        same(wire.commitmentKey, vector.hmac_key_hex);
        same(wire.commit(unhex(vector.opening_hex), unhex(vector.content_hex)), vector.commitment_hex);
      },
    ]),
};

function openVector(vector) {
  const [nonce, ciphertext] = [unhex(vector.nonce_hex), Buffer.from(vector.ciphertext_base64, "base64")];
  const contentKey = unhex(vector.content_key_hex);
  assert.equal(vector.suite, wire.SUITE);
  same(wire.keyCommitment(contentKey), vector.key_commitment_hex);
  same(wire.bodyDigest(nonce, ciphertext), vector.body_digest_hex);
  assert.equal(wire.openBody(contentKey, { nonce, ciphertext }).toString(), vector.body_utf8);
  untrue(() => wire.openBody(contentKey, { nonce, ciphertext: altered(ciphertext) }));
  untrue(() => wire.openBody(altered(contentKey), { nonce, ciphertext }));
}

async function unwrapVector(vector, recipient) {
  const context = { exchange: vector.exchange, from: vector.sender, request_id: unhex(vector.request_id_hex) };
  const commitment = unhex(vector.key_commitment_hex);
  const pair = await wire.sealingPair(unhex(recipient.seed_hex));
  same(wire.sha256(pair.publicKey), recipient.public_key_sha256_hex);
  same(pair.id, recipient.key_id_hex);
  same(wire.wrapInfo(context, recipient.agency, pair.id, commitment), recipient.info_hex);
  const wrap = {
    inbox: `${recipient.agency}/duty`,
    key_id: pair.id,
    enc: Buffer.from(recipient.enc_base64, "base64"),
    wrapped: unhex(recipient.wrapped_hex),
  };
  same(wire.wrapDigest(wrap), recipient.wrap_digest_hex);
  same(await wire.unwrapKey(context, wrap, commitment, pair), vector.content_key_hex);
  await untrueLater(() => wire.unwrapKey(context, { ...wrap, inbox: "another/duty" }, commitment, pair));
  await untrueLater(() => wire.unwrapKey(context, wrap, altered(commitment), pair));
  await untrueLater(() => wire.unwrapKey({ ...context, from: "another" }, wrap, commitment, pair));
  await untrueLater(() => wire.unwrapKey(context, { ...wrap, enc: altered(wrap.enc) }, commitment, pair));
}

async function checkVectors(file) {
  const { about, ...vectors } = JSON.parse(fs.readFileSync(file, "utf8"));
  const known = () => assert.deepEqual(Object.keys(vectors).sort(), Object.keys(parts).sort());
  await check("knows every part of the vectors", known);
  for (const [name, vector] of Object.entries(vectors)) {
    for (const [title, run] of parts[name]?.(vector) ?? []) await check(title, run);
  }
}

// ---- The client's own code, against the texts it was written from ----

const split = (size) => 2 ** Math.floor(Math.log2(size - 1));

// RFC 9162 section 2.1.1, 2.1.3.1 and 2.1.4.1, word for word.
const treeOf = (leaves) => {
  if (leaves.length === 0) return wire.sha256("");
  if (leaves.length === 1) return wire.leafHash(leaves[0]);
  const k = split(leaves.length);
  return wire.nodeHash(treeOf(leaves.slice(0, k)), treeOf(leaves.slice(k)));
};

const pathOf = (m, leaves) => {
  if (leaves.length === 1) return [];
  const k = split(leaves.length);
  return m < k
    ? [...pathOf(m, leaves.slice(0, k)), treeOf(leaves.slice(k))]
    : [...pathOf(m - k, leaves.slice(k)), treeOf(leaves.slice(0, k))];
};

const subproof = (m, leaves, whole) => {
  if (m === leaves.length) return whole ? [] : [treeOf(leaves)];
  const k = split(leaves.length);
  return m <= k
    ? [...subproof(m, leaves.slice(0, k), whole), treeOf(leaves.slice(k))]
    : [...subproof(m - k, leaves.slice(k), false), treeOf(leaves.slice(0, k))];
};

const leaves = Array.from({ length: 18 }, (_, n) => Buffer.from(`leaf ${n}`));
const headOf = (size) => ({ size: BigInt(size), root: treeOf(leaves.slice(0, size)) });

// Every proof one hash short, one too long, and with one hash altered.
const spoilt = (proof) => [
  [...proof, Buffer.alloc(32)],
  ...(proof.length > 0 ? [proof.slice(0, -1)] : []),
  ...proof.map((hash, n) => proof.with(n, altered(hash))),
];

function checkInclusions() {
  for (let size = 1; size <= leaves.length; size += 1) {
    for (let index = 0; index < size; index += 1) {
      const proof = pathOf(index, leaves.slice(0, size));
      wire.checkInclusion(BigInt(index), headOf(size), leaves[index], proof);
      const refuses = (bad) => untrue(() => wire.checkInclusion(BigInt(index), headOf(size), leaves[index], bad));
      spoilt(proof).forEach(refuses);
      untrue(() => wire.checkInclusion(BigInt(index), headOf(size), Buffer.from("another"), proof));
      const swollen = { ...headOf(size), size: BigInt(2 * size) };
      untrue(() => wire.checkInclusion(BigInt(index), swollen, leaves[index], proof));
    }
    untrue(() => wire.checkInclusion(BigInt(size), headOf(size), leaves[0], []));
  }
}

function checkConsistencies() {
  for (let size = 1; size <= leaves.length; size += 1) {
    for (let old = 1; old <= size; old += 1) {
      const proof = subproof(old, leaves.slice(0, size), true);
      wire.checkConsistency(headOf(old), headOf(size), proof);
      for (const bad of spoilt(proof)) untrue(() => wire.checkConsistency(headOf(old), headOf(size), bad));
      const rewritten = { size: BigInt(old), root: altered(headOf(old).root) };
      untrue(() => wire.checkConsistency(rewritten, headOf(size), proof));
      const swollen = { ...headOf(size), size: BigInt(2 * size) };
      untrue(() => wire.checkConsistency(headOf(old), swollen, proof));
    }
    untrue(() => wire.checkConsistency(headOf(size), headOf(size - 1), []));
  }
}

// RFC 8785, sections 3.2.2 and 3.2.3.
function checkCanonical() {
  const sample = String.raw`{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
    "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}`;
  const expected = String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`;
  assert.equal(wire.canonical(JSON.parse(sample)), expected);
  const order = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\ud83d\ude00", "\ufb33"];
  const unordered = Object.fromEntries([...order].reverse().map((key) => [key, 0]));
  assert.deepEqual(wire.canonical(unordered), `{${order.map((key) => `${JSON.stringify(key)}:0`).join(",")}}`);
  untrue(() => wire.canonical({ text: "\ud800" }));
  untrue(() => wire.canonical(JSON.parse("[1e999]")));
}

// The example of the Go package golang.org/x/mod/sumdb/note, where the format comes from.
function checkNote() {
  const vkey = wire.parseVkey("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
  const text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
  const line =
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
  assert.equal(wire.openNote(`${text}\n${line}`, vkey), text);
  untrue(() => wire.openNote(`${text}x\n\n${line}`, vkey));
  untrue(() => wire.openNote(`${text}\n`, vkey));
  untrue(() => wire.openNote(text, vkey));
  untrue(() => wire.openNote(`${text}\n${line}`, { ...vkey, id: altered(vkey.id) }));
  untrue(() => wire.parseVkey("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"));
}

async function checkSealing() {
  const [first, second] = await Promise.all([1, 2].map(() => wire.sealingPair(crypto.randomBytes(32))));
  const context = { exchange: "x", from: "a", request_id: crypto.randomBytes(16) };
  for (const length of [2, 251, 252, 253]) {
    const plain = Buffer.from(JSON.stringify("x".repeat(length - 2)));
    const { seal, body } = await wire.seal(context, plain, [{ inbox: "b/duty", public_key: first.publicKey }]);
    assert.equal(body.ciphertext.length, 16 + (length <= 252 ? 256 : 512));
    const statement = wire.decode("Statement", wire.encode("Statement", { ...context, seal }));
    const sent = wire.decode("SealedBody", wire.encode("SealedBody", body));
    assert.deepEqual(await wire.open(statement, sent, "b/duty", first), plain);
    await untrueLater(() => wire.open(statement, sent, "b/duty", second));
    const swapped = { ...sent, ciphertext: altered(sent.ciphertext) };
    await untrueLater(() => wire.open(statement, swapped, "b/duty", first));
    const contentKey = await wire.unwrapKey(statement, sent.wraps[0], seal.key_commitment, first);
    await checkRewrap(statement, sent, contentKey, second, plain);
    await checkDoubleDealing(statement, sent, contentKey, first);
  }
}

// A sender who shows another body, or hands out another key, than the one it signed for.
async function checkDoubleDealing(statement, sent, contentKey, pair) {
  const other = wire.sealBody(contentKey, sent.nonce, Buffer.from("{}"));
  await untrueLater(() => wire.open(statement, { ...sent, ciphertext: other }, "b/duty", pair));
  const holder = { inbox: "b/duty", public_key: pair.publicKey };
  const { key_commitment } = statement.seal;
  const wrap = await wire.wrapKey(statement, crypto.randomBytes(32), holder, key_commitment);
  await untrueLater(() => wire.unwrapKey(statement, wrap, key_commitment, pair));
}

// The next owner opens with a wrap that a later statement brought.
async function checkRewrap(statement, sent, contentKey, pair, plain) {
  const context = { exchange: "x", from: "b", request_id: crypto.randomBytes(16) };
  const wrap = await wire.wrapKey(context, contentKey, { inbox: "c/duty", agreement: "", public_key: pair.publicKey });
  const digest = { inbox: "c/duty", agreement: "", key_id: wrap.key_id, sha256: wire.wrapDigest(wrap) };
  const by = { ...context, seal: { wraps: [digest] } };
  assert.deepEqual(await wire.open(statement, sent, "c/duty", pair, [{ statement: by, wraps: [wrap] }]), plain);
  const unsigned = { ...context, seal: { wraps: [] } };
  await untrueLater(() => wire.open(statement, sent, "c/duty", pair, [{ statement: unsigned, wraps: [wrap] }]));
}

async function checkOwnCode() {
  await check("verifies every inclusion proof of every tree up to 18 leaves, and no spoilt one", checkInclusions);
  await check("verifies every consistency proof of every tree up to 18 leaves, and no spoilt one", checkConsistencies);
  await check("writes JSON as RFC 8785 does", checkCanonical);
  await check("opens a signed note of another maker", checkNote);
  await check("opens what it seals and rewraps, and nothing altered", checkSealing);
}

// ---- A whole round through a running exchange ----

const documentFor = (agency, reference) => ({
  kind: "concern",
  reference,
  from: agency,
  to: [`${agency}/duty`],
  urgency: "routine",
  class: "wellbeing",
  agreement: `${agency}-agreement`,
  lawful_basis: "public_task",
  created_at: "2026-11-20T09:30:00Z",
  purpose: "to try it",
  action_requested: "none",
  concern: { category: "other", narrative: "A made-up concern. Fàilte → 😀" },
  exercise: true,
});

const refusedAs = (code, run) =>
  assert.rejects(run, (error) => {
    assert(error instanceof client.Refused, error);
    assert.equal(error.reason, code.toUpperCase());
    assert.equal(error.code, code);
    return true;
  });

const stateOf = async (system, entry) => {
  const { deliveries } = await client.call(system.stubs.exchange, "GetConcern", { entry });
  assert.equal(deliveries.length, 1);
  return deliveries[0].state;
};

async function listed(system, entry) {
  for (let page_token = ""; ; ) {
    const page = await client.call(system.stubs.exchange, "ListDeliveries", { page_size: 2, page_token });
    const found = page.incoming.find((incoming) => incoming.entry === entry);
    if (found || page.next_page_token === "") return found;
    page_token = page.next_page_token;
  }
}

async function sendAndReceive(system, document, to) {
  const inbox = document.to[0];
  const sent = await check("sends a sealed concern and verifies its receipt", async () => {
    const first = await client.send(system, document);
    assert.equal(first.duplicate, false);
    assert.equal(first.facts.type, "ENTRY_TYPE_CONCERN");
    assert.deepEqual(first.facts.inboxes, document.to);
    return first;
  });
  if (!sent) return undefined;
  const { entry } = sent;
  await check("says the same envelope again: the very same receipt", async () => {
    const again = await client.submit(system, sent.envelope);
    assert.equal(again.duplicate, true);
    assert(wire.encode("Receipt", again.receipt).equals(wire.encode("Receipt", sent.receipt)));
  });
  const waiting = await check("finds it among the pages of what waits", async () => {
    const found = await listed(system, entry);
    assert(found);
    return found;
  });
  await check("receives it, opens it, and says stored", async () => {
    assert.equal(await stateOf(system, entry), "DELIVERY_STATE_QUEUED");
    const wanted = (incoming) => incoming.entry === entry;
    const received = await client.receiveOne(system, { wanted, to });
    assert.equal(received.inbox, inbox);
    assert.deepEqual(received.document, document);
    assert(received.incoming.statement.equals(waiting.statement));
    assert.deepEqual(JSON.parse(fs.readFileSync(path.join(to, fs.readdirSync(to)[0]))).document, document);
    assert.equal(await stateOf(system, entry), "DELIVERY_STATE_STORED");
    assert.equal(await listed(system, entry), undefined);
  });
  await check("believes no altered delivery", () => refusesAltered(system, waiting));
  return sent;
}

async function refusesAltered(system, whole) {
  const keys = await client.signingKeys(system);
  await client.openIncoming(system, whole, keys);
  const { body, signature } = whole;
  const [wrap] = body.wraps;
  const spoilt = [
    { statement: altered(whole.statement) },
    { signature: { ...signature, signature: altered(signature.signature, 0) } },
    { signing_key: altered(whole.signing_key) },
    { leaf: altered(whole.leaf) },
    { facts: altered(whole.facts) },
    { facts_opening: altered(whole.facts_opening) },
    { entry: (BigInt(whole.entry) + 1n).toString() },
    { inbox_number: (BigInt(whole.inbox_number) + 1n).toString() },
    { tlog_proof: altered(whole.tlog_proof, whole.tlog_proof.length - 8) },
    { body: { ...body, ciphertext: altered(body.ciphertext) } },
    { body: { ...body, nonce: altered(body.nonce) } },
    { body: { ...body, wraps: [{ ...wrap, wrapped: altered(wrap.wrapped) }] } },
    { body: { ...body, wraps: [] } },
  ];
  for (const part of spoilt) await untrueLater(() => client.openIncoming(system, { ...whole, ...part }, keys));
}

async function acknowledgeAndProve(system, { entry, receipt }, inbox) {
  await check("an acknowledgement without a person is refused", () =>
    refusedAs("person_required", () => client.acknowledge(system, entry, inbox, { post: "duty social worker" })),
  );
  await check("acknowledges as a named person", async () => {
    const person = { name: "A. Example", post: "duty social worker", simulated: true };
    const said = await client.acknowledge(system, entry, inbox, person);
    assert.equal(said.facts.type, "ENTRY_TYPE_ACKNOWLEDGEMENT");
    assert.equal(said.facts.answers, entry);
    assert.equal(await stateOf(system, entry), "DELIVERY_STATE_ACKNOWLEDGED");
  });
  await check("proves the receipt under the newest checkpoint, and no altered one", async () => {
    const { older, newer, hashes } = await client.prove(system, receipt.tlog_proof, receipt.leaf);
    assert(newer.size > older.size && hashes.length > 0);
    const rewritten = { ...older, root: altered(older.root) };
    untrue(() => wire.checkConsistency(rewritten, newer, hashes));
    untrue(() => wire.checkConsistency(older, newer, hashes.with(0, altered(hashes[0]))));
    untrue(() => wire.openTlogProof(receipt.tlog_proof, altered(receipt.leaf), system.vkey));
    const forger = { ...system.vkey, key: altered(system.vkey.key) };
    untrue(() => wire.openTlogProof(receipt.tlog_proof, receipt.leaf, forger));
  });
}

async function sayAgain(system, document, { receipt, envelope }) {
  await check("sends the same document sealed anew: the very same receipt", async () => {
    const again = await client.send(system, document);
    assert(!again.envelope.equals(envelope));
    assert.equal(again.duplicate, true);
    assert(wire.encode("Receipt", again.receipt).equals(wire.encode("Receipt", receipt)));
  });
  await check("a changed document under the same reference is refused", async () => {
    await refusedAs("request_id_conflict", () => client.send(system, { ...document, purpose: "another" }));
    await refusedAs("request_id_conflict", () => client.send(system, { ...document, urgency: "urgent" }));
  });
}

// What a careless or hostile system might send.
async function refusesForgeries(system, document) {
  const fresh = { ...document, reference: `${document.reference}-forged` };
  const parts = wire.decode("Envelope", await client.concernEnvelope(system, fresh));
  const submit = (change) => () => client.submit(system, wire.encode("Envelope", { ...parts, ...change }));
  const { signature, body } = parts;
  const forged = { ...signature, signature: altered(signature.signature, 0) };
  await check("a forged signature is refused", () => refusedAs("forged_signature", submit({ signature: forged })));
  const unknown = { ...signature, key_id: altered(signature.key_id) };
  await check("an unknown key is refused", () => refusedAs("unknown_key", submit({ signature: unknown })));
  const swapped = { ...body, ciphertext: altered(body.ciphertext) };
  await check("a swapped body is refused", () => refusedAs("seal_mismatch", submit({ body: swapped })));
  const stranger = { ...system, exchange: "cairn.example/elsewhere" };
  const elsewhere = client.stepEnvelope(stranger, "0", document.to[0], { stored: {} });
  await check("a statement for another exchange is refused", () =>
    refusedAs("wrong_exchange", () => client.submit(system, elsewhere)),
  );
}

async function checkExchange(folder) {
  const system = await check("opens the system's folder", () => client.openSystem(folder));
  if (!system) return;
  const to = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-node-"));
  try {
    const document = documentFor(system.agency, `NODE-${crypto.randomUUID()}`);
    const sent = await sendAndReceive(system, document, to);
    if (!sent) return;
    await acknowledgeAndProve(system, sent, document.to[0]);
    await sayAgain(system, document, sent);
    await refusesForgeries(system, document);
  } finally {
    system.close();
    fs.rmSync(to, { recursive: true });
  }
}

const { values } = parseArgs({ options: { vectors: { type: "string" }, exchange: { type: "string" } } });
try {
  await checkOwnCode();
  if (values.vectors) await checkVectors(values.vectors);
  if (values.exchange) await checkExchange(values.exchange);
} catch (error) {
  failed += 1;
  console.log(`FAIL  ${error.stack ?? error}`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
