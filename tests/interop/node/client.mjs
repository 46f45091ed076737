// A system of an agency, in Node: sends, receives, acknowledges and proves over
// mutual TLS. Everything that the exchange says is checked before it is believed.
//
//   node client.mjs send FOLDER DOCUMENT.json [--receipt FILE.tlog-proof]
//   node client.mjs receive FOLDER --one [--to DIR] [--wait SECONDS]
//   node client.mjs ack FOLDER ENTRY INBOX --name NAME --post POST
//   node client.mjs prove FOLDER RECEIPT.tlog-proof   (leaf in RECEIPT.opening.json)
//
// Prints one JSON object. Exit 1 on any refusal or failed check, its reason on
// standard error; 2 on wrong usage.

import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";
import * as wire from "./wire.mjs";

const { insist } = wire;
const DEADLINE_MS = 10_000;
const OUTSIDE_THE_BODY = [
  "kind",
  "reference",
  "from",
  "to",
  "reply_to",
  "urgency",
  "class",
  "agreement",
  "lawful_basis",
  "created_at",
  "occurred_at",
  "exercise",
];

// ---- The system's folder ----

function unPem(text, label) {
  const [, inner] =
    new RegExp(`^-----BEGIN ${label}-----\\n([A-Za-z0-9+/=\\s]+)-----END ${label}-----\\s*$`).exec(text) ?? [];
  insist(inner, `not a ${label} file`);
  const bytes = Buffer.from(inner, "base64");
  insist(bytes.length === 32, `a ${label} has 32 bytes`);
  return bytes;
}

// The five `name = "value"` lines of system.toml; no more of TOML is needed.
const settings = (text) =>
  Object.fromEntries([...text.matchAll(/^(\w+)\s*=\s*"([^"\\]*)"\s*$/gm)].map(([, name, value]) => [name, value]));

// A system ready to speak: who it is, its keys, and a client for each service.
export async function openSystem(folder) {
  const read = (name) => fs.readFileSync(path.join(folder, name));
  const text = (name) => read(name).toString("utf8");
  const { exchange, agency, system, server, server_name } = settings(text("system.toml"));
  insist(exchange && agency && system && server && server_name, "system.toml lacks a setting");
  const sealing = new Map();
  for (const file of fs.readdirSync(path.join(folder, "sealing"))) {
    const seed = unPem(text(path.join("sealing", file)), "CAIRN X-WING SEED");
    sealing.set(`${agency}/${path.parse(file).name}`, await wire.sealingPair(seed));
  }
  const credentials = grpc.credentials.createSsl(read("ca.pem"), read("tls.key"), read("tls.pem"));
  const options = {
    "grpc.ssl_target_name_override": server_name,
    "grpc.default_authority": server_name,
    "grpc.max_receive_message_length": 64 * 1024 * 1024,
  };
  const services = grpc.loadPackageDefinition(wire.contract).cairn.v1;
  const stub = (name) => new services[name](server, credentials, options);
  const stubs = {
    exchange: stub("ExchangeService"),
    audit: stub("AuditService"),
    directory: stub("DirectoryService"),
  };
  return {
    exchange,
    agency,
    system,
    folder,
    sealing,
    signingKey: crypto.createPrivateKey(text("signing.key")),
    secret: unPem(text("agency.secret"), "CAIRN AGENCY SECRET"),
    vkey: wire.parseVkey(text("log.vkey")),
    stubs,
    close: () => Object.values(stubs).forEach((client) => client.close()),
  };
}

// ---- Calls and refusals ----

// The two messages of google.rpc that tell why a call was refused.
const rpc = protoLoader.fromJSON({
  nested: {
    Any: { fields: { type_url: { type: "string", id: 1 }, value: { type: "bytes", id: 2 } } },
    Status: { fields: { details: { rule: "repeated", type: "Any", id: 3 } } },
    ErrorInfo: {
      fields: {
        reason: { type: "string", id: 1 },
        domain: { type: "string", id: 2 },
        metadata: { keyType: "string", type: "string", id: 3 },
      },
    },
  },
}, { keepCase: true, defaults: true });

// The exchange said no, or did not answer. `reason` is of its ErrorInfo.
export class Refused extends Error {
  constructor(error) {
    const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
    const details = bytes ? rpc.Status.deserialize(bytes).details : [];
    const infos = details.filter((any) => any.type_url.endsWith("/google.rpc.ErrorInfo"));
    const info = infos.length === 1 ? rpc.ErrorInfo.deserialize(infos[0].value) : undefined;
    super(error.details ?? error.message);
    this.reason = info?.reason;
    this.code = info?.metadata?.code;
    this.status = grpc.status[error.code] ?? "UNKNOWN";
  }
}

export const call = (stub, method, request) =>
  new Promise((resolve, reject) => {
    stub[method](request, { deadline: Date.now() + DEADLINE_MS }, (error, answer) =>
      error ? reject(new Refused(error)) : resolve(answer),
    );
  });

// ---- Whose keys: the directory, believed only as far as it is signed ----

const hex = (bytes) => bytes.toString("hex");

// The signing keys of all systems, by key id. Each has signed its own registration,
// and one that names a predecessor has been signed by it too.
export async function signingKeys(system) {
  const keys = new Map();
  for (let after, more = true; more; ) {
    const page = await call(system.stubs.directory, "ListChanges", { after, page_size: 1000 });
    for (const { change: signed } of page.changes) {
      const { exchange, signing_key: key } = wire.decode("DirectoryChange", signed.change);
      insist(exchange === system.exchange, "a directory change of another exchange");
      if (!key) continue;
      insist(signedByRaw(signed, key.public_key), "a signing key did not sign its registration");
      if (key.predecessor.length > 0) {
        const before = keys.get(hex(key.predecessor));
        insist(before?.agency === key.agency, "a signing key's predecessor is not its agency's");
        insist(signedByRaw(signed, before.public_key), "a signing key's predecessor did not sign");
      }
      keys.set(hex(wire.signingKeyId(key.public_key)), key);
    }
    more = page.more && page.changes.length > 0;
    after = page.changes.at(-1)?.entry;
  }
  return keys;
}

const signedByRaw = ({ change, signatures }, raw) =>
  signatures.some((signature) => wire.signedBy(raw, wire.CHANGE_TYPE, change, signature));

function signedByAgency(signed, agency, keys) {
  return [...keys.values()].some((key) => key.agency === agency && signedByRaw(signed, key.public_key));
}

// That the change that registered a key holds that very key, signed by those who must.
function checkRecipientKey(system, key, keys) {
  const change = wire.decode("DirectoryChange", key.registered.change);
  insist(change.exchange === system.exchange, "a key of another exchange");
  insist(key.key_id.equals(wire.sealingKeyId(key.public_key)), "a sealing key's id is wrong");
  const { sealing_key: sealing, agreement } = change;
  if (key.inbox) {
    insist(sealing?.inbox === key.inbox && sealing.public_key.equals(key.public_key), "another key was registered");
    insist(signedByAgency(key.registered, key.inbox.split("/")[0], keys), "the inbox's agency did not sign its key");
  } else {
    const named = agreement?.id === key.agreement && agreement.review_key.equals(key.public_key);
    insist(named, "the agreement has another review key");
    const all = agreement.parties.every((party) => signedByAgency(key.registered, party, keys));
    insist(all, "not every party signed the agreement");
  }
}

// The keys to wrap for: every recipient's, their stand-ins', and the review key.
export async function recipientKeys(system, to, agreement) {
  const answer = await call(system.stubs.directory, "ResolveRecipients", { to, agreement });
  insist(answer.unknown.length === 0, `unknown recipient ${answer.unknown.join(", ")}`);
  const keys = await signingKeys(system);
  for (const key of answer.keys) checkRecipientKey(system, key, keys);
  for (const inbox of to) {
    insist(answer.keys.some((key) => key.inbox === inbox), `no sealing key for ${inbox}`);
  }
  return answer.keys;
}

// ---- Sending ----

// The statement as bytes, once, with its signature and body around them.
export function envelope(system, statement, body) {
  const bytes = wire.encode("Statement", {
    exchange: system.exchange,
    from: system.agency,
    system: system.system,
    ...statement,
  });
  const signature = wire.sign(wire.STATEMENT_TYPE, bytes, system.signingKey);
  return wire.encode("Envelope", { statement: bytes, signature, body });
}

// What a reader of the document would miss. The code lists and the check digit are
// left to fuller clients.
function flags(body, urgency) {
  const blank = (text) => typeof text !== "string" || text.trim() === "";
  const { identifiers = [], given_names, family_name } = body.child ?? {};
  const found = [];
  if (blank(body.purpose)) found.push("missing_purpose");
  if (blank(body.action_requested) && urgency !== "information") found.push("missing_action");
  if (identifiers.length === 0 && blank(given_names) && blank(family_name)) found.push("missing_child_identity");
  return found;
}

// A concern document as an envelope, sealed for everyone who may come to open it.
export async function concernEnvelope(system, document) {
  insist(document.from === system.agency, "the document is from another agency");
  const outside = Object.fromEntries(Object.entries(document).filter(([key]) => OUTSIDE_THE_BODY.includes(key)));
  const inside = Object.fromEntries(Object.entries(document).filter(([key]) => !OUTSIDE_THE_BODY.includes(key)));
  const { to, reply_to, created_at, exercise, from, ...concern } = outside;
  const request_id = wire.requestId(system.secret, from, concern.reference);
  const plain = Buffer.from(wire.canonical(inside));
  const keys = await recipientKeys(system, to, concern.agreement);
  const { seal, body } = await wire.seal({ exchange: system.exchange, from, request_id }, plain, keys);
  const statement = {
    request_id,
    to,
    reply_to,
    created_at,
    exercise,
    flags: flags(inside, concern.urgency),
    seal,
    content_tag: wire.contentTag(system.secret, request_id, plain),
    concern,
  };
  return envelope(system, statement, body);
}

// Submits an envelope and verifies the receipt. A repeat's receipt is of the envelope
// that was sent first, so only a first receipt can be held against this one.
export async function submit(system, bytes) {
  const { receipt, duplicate, outside_agreement } = await call(system.stubs.exchange, "Submit", { envelope: bytes });
  const { leaf, facts, checkpoint } = wire.checkEntry(receipt, system.vkey);
  insist(facts.sender === system.agency, "the receipt is another agency's");
  if (!duplicate) {
    insist(wire.commit(receipt.detail_opening, bytes).equals(leaf.detail), "the receipt is of another envelope");
  }
  return { entry: receipt.entry, receipt, facts, checkpoint, duplicate, outside_agreement };
}

export const send = async (system, document) => {
  const bytes = await concernEnvelope(system, document);
  return { envelope: bytes, ...(await submit(system, bytes)) };
};

// A step of a delivery: `act` is one member of Statement.act. Its request id follows
// from what it is about, so that saying it again brings the first receipt back.
export function stepEnvelope(system, entry, inbox, act) {
  const request_id = wire.requestId(system.secret, inbox, `${Object.keys(act)[0]}/${entry}`);
  return envelope(system, { request_id, answers: entry, inbox, ...act });
}

export const step = (system, entry, inbox, act) => submit(system, stepEnvelope(system, entry, inbox, act));

export const acknowledge = (system, entry, inbox, person) =>
  step(system, entry, inbox, { acknowledgement: { person } });

// ---- Receiving ----

function checkStatement(system, keys, { statement: bytes, signature, signing_key }) {
  const statement = wire.decode("Statement", bytes);
  insist(statement.exchange === system.exchange, "a statement for another exchange");
  const key = keys.get(hex(signature.key_id));
  insist(key?.agency === statement.from && key.system === statement.system, "signed with a key of someone else");
  insist(key.public_key.equals(signing_key), "the directory has another signing key");
  insist(wire.signedBy(key.public_key, wire.STATEMENT_TYPE, bytes, signature), "a forged signature");
  return statement;
}

// What the exchange itself says: nobody signs it, so its proof is all there is.
const NOTICES = ["ENTRY_TYPE_ESCALATION", "ENTRY_TYPE_TOLD_BY_PHONE"];

// An incoming statement, verified and opened, as the document its sender wrote.
export async function openIncoming(system, incoming, keys) {
  const { inbox, entry } = incoming;
  const { facts, checkpoint } = wire.checkEntry(incoming, system.vkey);
  if (NOTICES.includes(facts.type)) return { entry, inbox, kind: "notice", facts, checkpoint };
  const statement = checkStatement(system, keys, incoming);
  insist(facts.sender === statement.from, "the facts name another sender");
  const number = facts.inbox_numbers[facts.inboxes.indexOf(inbox)] ?? "0";
  insist(incoming.inbox_number === number, "the facts give another number in this inbox");
  const opened = { entry, inbox, kind: statement.act, from: statement.from, statement, facts, checkpoint };
  if (!incoming.body?.ciphertext.length) return opened;
  const rewrapped = incoming.rewraps.map((rewrap) => ({
    statement: checkStatement(system, keys, rewrap),
    wraps: rewrap.wraps,
  }));
  const pair = system.sealing.get(inbox);
  insist(pair, `no sealing key for ${inbox}`);
  const plain = await wire.open(statement, incoming.body, inbox, pair, rewrapped);
  return { ...opened, plain, document: documentOf(statement, JSON.parse(plain.toString("utf8"))) };
}

// What the sender left out stays out.
function documentOf(statement, body) {
  const { from, to, reply_to, created_at, exercise } = statement;
  const said = { ...(statement.concern ?? {}), from, to, reply_to, created_at };
  if (statement._exercise) said.exercise = exercise;
  return { ...Object.fromEntries(Object.entries(said).filter(([, value]) => value !== "")), ...body };
}

// The next incoming statement that `wanted` picks, within the time.
export const nextIncoming = (system, { wanted = () => true, waitMs = 30_000 } = {}) =>
  new Promise((resolve, reject) => {
    const stream = system.stubs.exchange.Receive({ inboxes: [] }, { deadline: Date.now() + waitMs });
    stream.on("data", ({ incoming }) => {
      if (!incoming || !wanted(incoming)) return;
      stream.cancel();
      resolve(incoming);
    });
    stream.on("error", (error) => reject(new Refused(error)));
    stream.on("end", () => reject(new wire.Untrue("the stream ended")));
  });

// The document on stable storage, readable by its owner alone.
function keep(directory, name, text) {
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = fs.openSync(path.join(directory, name), "w", 0o600);
  fs.writeSync(file, text);
  fs.fsyncSync(file);
  fs.closeSync(file);
  const holder = fs.openSync(directory, "r");
  fs.fsyncSync(holder);
  fs.closeSync(holder);
}

// Receives one statement; says `stored` once it is on this machine's disk.
export async function receiveOne(system, { to = path.join(system.folder, "received"), ...which } = {}) {
  const incoming = await nextIncoming(system, which);
  const opened = await openIncoming(system, incoming, await signingKeys(system));
  const { entry, inbox, kind, from, document } = opened;
  const shown = { entry, inbox, from, kind, document };
  keep(to, `${entry}-${inbox.replace("/", "-")}.json`, `${JSON.stringify(shown)}\n`);
  const { entry: stored } = await step(system, entry, inbox, { stored: {} });
  return { ...opened, incoming, shown: { ...shown, stored } };
}

// ---- Proving ----

// That what a receipt proves is still in the newest tree, and that this tree extends
// the one the receipt was given under. `leaf` is the receipt's, 89 bytes.
export async function prove(system, tlogProof, leaf) {
  const { entry, checkpoint: older } = wire.openTlogProof(tlogProof, leaf, system.vkey);
  const { checkpoint: note } = await call(system.stubs.audit, "GetCheckpoint", {});
  const newer = wire.openCheckpoint(note, system.vkey);
  const sizes = { old_size: older.size.toString(), new_size: newer.size.toString() };
  const consistency = await call(system.stubs.audit, "GetConsistencyProof", sizes);
  insist(consistency.new_size === sizes.new_size, "a proof to another size");
  wire.checkConsistency(older, newer, consistency.hashes);
  const wantedNow = { entry: entry.toString(), size: sizes.new_size };
  const inclusion = await call(system.stubs.audit, "GetInclusionProof", wantedNow);
  insist(inclusion.size === sizes.new_size, "a proof under another size");
  wire.checkInclusion(entry, newer, leaf, inclusion.hashes);
  return { entry, older, newer, hashes: consistency.hashes };
}

// ---- The command line ----

const describe = ({ size, root }) => ({ size: size.toString(), root: root.toString("base64") });

function writeReceipt(file, { envelope: bytes, receipt }) {
  fs.writeFileSync(file, receipt.tlog_proof);
  const parts = { entry: Number(receipt.entry), envelope: bytes };
  for (const name of ["leaf", "facts", "facts_opening", "detail_opening"]) parts[name] = receipt[name];
  const text = JSON.stringify(parts, (key, value) =>
    value?.type === "Buffer" ? Buffer.from(value.data).toString("base64") : value,
  );
  fs.writeFileSync(openingOf(file), `${text}\n`);
}

const openingOf = (receipt) => receipt.replace(/\.tlog-proof$/, "") + ".opening.json";

const commands = {
  async send(system, [document], { receipt }) {
    const sent = await send(system, JSON.parse(fs.readFileSync(document, "utf8")));
    if (receipt) writeReceipt(receipt, sent);
    const { entry, duplicate, outside_agreement, checkpoint } = sent;
    return { entry, duplicate, outside_agreement, checkpoint: describe(checkpoint) };
  },
  async receive(system, _, { to, wait }) {
    return (await receiveOne(system, { to, waitMs: Number(wait) * 1000 })).shown;
  },
  async ack(system, [entry, inbox], { name, post }) {
    const { entry: by, duplicate } = await acknowledge(system, entry, inbox, { name, post });
    return { entry: by, acknowledges: entry, inbox, duplicate };
  },
  async prove(system, [receipt]) {
    const { leaf } = JSON.parse(fs.readFileSync(openingOf(receipt), "utf8"));
    const proved = await prove(system, fs.readFileSync(receipt), Buffer.from(leaf, "base64"));
    const { entry, older, newer } = proved;
    return { entry: entry.toString(), older: describe(older), newer: describe(newer), verified: true };
  },
};

async function main() {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      one: { type: "boolean" },
      to: { type: "string" },
      wait: { type: "string", default: "30" },
      name: { type: "string", default: "" },
      post: { type: "string", default: "" },
      receipt: { type: "string" },
    },
  });
  const [command, folder, ...rest] = positionals;
  const wanted = { send: 1, receive: 0, ack: 2, prove: 1 }[command];
  if (folder === undefined || rest.length !== wanted || (command === "receive" && !values.one)) {
    console.error("usage: client.mjs send|receive|ack|prove FOLDER … (see the head of this file)");
    return 2;
  }
  let system;
  try {
    system = await openSystem(folder);
    console.log(JSON.stringify(await commands[command](system, rest, values)));
    return 0;
  } catch (error) {
    const reason = error instanceof Refused ? `${error.reason ?? "no reason given"} (${error.status}): ` : "";
    console.error(`${reason}${error.message}`);
    return 1;
  } finally {
    system?.close();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) process.exitCode = await main();
