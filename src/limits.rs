//! Every bound, in one place, with the assertions that hold them together.
//!
//! Holds: I10. Knows: nothing.

use std::time::Duration;

// --- what one statement may be ---

/// A body in its canonical form (RFC 8785), in bytes.
pub const BODY_BYTES_MAX: usize = 262_144;
/// A body as it is carried: numbers keep every digit they were written with, and
/// statement fields that could not be used outside travel along.
pub const CARRIED_BODY_BYTES_MAX: usize = 2 * BODY_BYTES_MAX;
/// A sealed body: the body, its length prefix, padding and the AEAD tag.
pub const SEALED_BODY_BYTES_MAX: usize = CARRIED_BODY_BYTES_MAX + 4 + PADDING_BYTES + 16;
/// Bodies are padded to a multiple of this before sealing, so that a length says little.
pub const PADDING_BYTES: usize = 256;
/// The signed part of a statement, in bytes.
pub const STATEMENT_BYTES_MAX: usize = 131_072;
/// A whole envelope, in bytes: statement, signature, sealed body and wraps.
pub const ENVELOPE_BYTES_MAX: usize = 1_048_576;
/// Recipients of one statement.
pub const RECIPIENTS_MAX: usize = 64;
/// The names of all recipients together, in bytes: they are in the facts.
pub const RECIPIENT_NAMES_BYTES_MAX: usize = 4_608;
/// Recipients as written, repeats included.
pub const TO_WRITTEN_MAX: usize = 1_024;
/// Wraps of one sealed body: recipients, deputies, out-of-hours inboxes, review keys.
pub const WRAPS_MAX: usize = 256;
/// Redirections and resealings of one delivery.
pub const REWRAPS_MAX: usize = 64;
/// A sender's own reference, in bytes of UTF-8.
pub const REFERENCE_BYTES_MAX: usize = 512;
/// A code of a code list, in bytes.
pub const CODE_BYTES_MAX: usize = 64;
/// An agency id, a system name or a role, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// A request id, in bytes, at least and at most.
pub const REQUEST_ID_BYTES_MIN: usize = 16;
/// See [`REQUEST_ID_BYTES_MIN`].
pub const REQUEST_ID_BYTES_MAX: usize = 64;
/// A line of a concern document file, in bytes; a longer one is malformed.
pub const DOCUMENT_LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How deep a concern document may nest.
pub const DOCUMENT_DEPTH_MAX: usize = 100;

// --- what one entry and one batch may be ---

/// Leaf and facts of one entry together, in bytes.
pub const LEAF_AND_FACTS_BYTES_MAX: usize = 8_192;
/// The detail of one entry, in bytes.
pub const DETAIL_BYTES_MAX: usize = ENVELOPE_BYTES_MAX;
/// Entries committed with one `fdatasync`.
pub const BATCH_ENTRIES_MAX: usize = 1_024;
/// Bytes committed with one `fdatasync`, trailer not counted.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What is kept in memory of batches that are durable: for the streams that ask next, and to know
/// which request ids they took.
pub const RECENT_BATCH_BYTES: usize = 2 * BATCH_BYTES_MAX;
/// A checkpoint (signed note), in bytes.
pub const CHECKPOINT_BYTES_MAX: usize = 16_384;
/// With less room than this in the journal and none for another segment, concerns are
/// put off while every other statement still goes in.
pub const RESERVE_BYTES: u64 = 2 * BATCH_BYTES_MAX as u64;
/// What the journal leaves of the disk when it makes a file of the length of a segment: for the
/// index, the marks and what recovery keeps aside.
pub const DISK_MARGIN_BYTES: u64 = 32 * 1024 * 1024;
/// What a sender is told to wait then.
pub const DISK_FULL_DELAY: Duration = Duration::from_secs(30);
/// A journal segment, in bytes, unless configured otherwise.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

// --- the index ---

/// Changes of the index in memory before they are written, in bytes; as much again may be on its
/// way to the disk. After a crash this is what is folded again.
pub const INDEX_RECENT_BYTES: usize = 16 * 1024 * 1024;
/// A block of the index before its last key is added, in bytes.
pub const INDEX_BLOCK_BYTES: usize = 4 * 1024;
/// A key of the index, in bytes.
pub const INDEX_KEY_BYTES_MAX: usize = 1_024;
/// Runs of one size that are merged into one.
pub const INDEX_RUNS_MERGED: usize = 4;
/// With so many runs the next full layer waits for a merge.
pub const INDEX_RUNS_MAX: usize = 48;
/// Of each run so much is kept in memory, in bytes: where the parts of it are.
pub const INDEX_TOP_BYTES: usize = 64 * 1024;
/// Of the pages that say where keys are, and which are certainly absent, so much is kept in memory,
/// in bytes.
pub const INDEX_WAY_BYTES: usize = 48 * 1024 * 1024;
/// What a way through a run reads at once, in bytes, when it is a long one.
pub const INDEX_READ_BYTES: usize = 256 * 1024;
/// How long a closed index may still be in use by the threads of its catalogue.
pub const INDEX_CLOSE_TIME_MAX: Duration = Duration::from_secs(5);
/// Of a run in the making so much may wait to be on the disk, in bytes.
pub const INDEX_UNSYNCED_BYTES: usize = 16 * 1024 * 1024;
/// Keys that a walk through the index takes at once.
pub const INDEX_WALK_MAX: usize = 256;
/// Keys that it looks at for that, those that are removed included.
pub const INDEX_WALK_KEYS_MAX: usize = 4_096;
/// Of the newest runs so much is verified whenever the index is opened, in bytes.
pub const INDEX_CHECKED_BYTES: u64 = 16 * 1024 * 1024;

/// What a rebuild reads ahead of what it folds: chunks, and entries and trailers in each.
pub const READ_AHEAD_CHUNKS: usize = 8;
/// See [`READ_AHEAD_CHUNKS`].
pub const READ_AHEAD_ENTRIES: usize = 512;

// --- waiting and watching ---

/// A TLS handshake.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);
/// Statements under way at once: being judged, waiting for the committer, or in its hands.
pub const STATEMENTS_MAX: usize = 4_096;
/// Beyond this many under way concerns are put off; the rest is for acknowledgements and other
/// steps.
pub const CONCERNS_MAX: usize = 3 * STATEMENTS_MAX / 4;
/// What all of them may hold together, in KiB.
pub const KIBIBYTES_MAX: usize = 64 * 1_024;
/// Statements of one agency under way at once.
pub const STATEMENTS_PER_AGENCY_MAX: usize = 512;
/// What they may hold together, in KiB.
pub const KIBIBYTES_PER_AGENCY_MAX: usize = 16 * 1_024;
/// Statements of one agency under way whatever others do.
pub const STATEMENTS_OF_ITS_OWN: usize = 16;
/// An agency that holds no more than this, in KiB, may have one of them.
pub const KIBIBYTES_OF_ITS_OWN: usize = 1_024;
/// Work waiting for the committer.
pub const COMMIT_QUEUE_MAX: usize = 2 * STATEMENTS_MAX;
/// A call that has not begun to answer by then is given up, whatever its caller asked;
/// what it submitted goes on.
pub const CALL_TIME_MAX: Duration = Duration::from_secs(120);

const _: () =
    assert!(ENVELOPE_BYTES_MAX > SEALED_BODY_BYTES_MAX + STATEMENT_BYTES_MAX + WRAPS_MAX * 1_300);
const _: () = assert!(BATCH_BYTES_MAX > 2 * DETAIL_BYTES_MAX);
const _: () = assert!((SEGMENT_BYTES as usize) > 2 * BATCH_BYTES_MAX);
const _: () = assert!(DETAIL_BYTES_MAX >= ENVELOPE_BYTES_MAX);
const _: () = assert!(STATEMENTS_OF_ITS_OWN < STATEMENTS_PER_AGENCY_MAX);
const _: () = assert!(STATEMENTS_PER_AGENCY_MAX < CONCERNS_MAX && CONCERNS_MAX < STATEMENTS_MAX);
const _: () = assert!(KIBIBYTES_PER_AGENCY_MAX * 1_024 > ENVELOPE_BYTES_MAX);

// --- questions ---

/// Entries that are looked at for one page of an answer.
pub const QUERY_ENTRIES_MAX: usize = 20_000;

// --- deadlines ---

/// A calendar that is closed for longer than this, in days, opens on the next day all the same.
pub const CLOSED_DAYS_MAX: usize = 120;
/// How often the exchange looks whether a rung is due.
pub const ESCALATION_INTERVAL: Duration = Duration::from_secs(1);
/// How long a member of the on-call staff may say to be dealing with a delivery.
pub const CARE_TIME_MAX: Duration = Duration::from_secs(12 * 3600);
/// How much longer than now a decision or the feedback may be given.
pub const EXTENSION_TIME_MAX: Duration = Duration::from_secs(28 * 24 * 3600);
/// As how many minutes a working day counts, of which a time of an inbox's own must be less.
pub const WORKING_DAY_MINUTES: u32 = 480;
/// Profiles under which one agreement is run.
pub const PROFILES_MAX: usize = 16;
/// Request ids that one manifest counts.
pub const MANIFEST_MAX: usize = 200;
/// Statements of one agency that manifests may have missing.
pub const MISSING_PER_AGENCY_MAX: u64 = 10_000;
/// Statements that should have come, and reviews, that are looked through for one answer.
pub const RAISED_LOOKED_AT: usize = 10_000;
/// Of each kind so many are listed.
pub const RAISED_SHOWN: usize = 1_000;
/// Of them at most so many of one agency, while there are others.
pub const RAISED_SHOWN_PER_AGENCY: usize = 100;
/// How often it is looked which agencies usually speak and do not.
pub const QUIET_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Entries of an agency that are looked at to see whether it spoke on a day.
pub const SPOKE_ENTRIES_MAX: usize = 2_000;
/// How far the clock of whoever says when something was may be ahead of ours.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5 * 60);
/// Days that one line of an inbox's days off may hold: a summer's holidays.
pub const CLOSED_SPAN_DAYS_MAX: usize = 60;
/// Lines of days off that an inbox may have.
pub const CLOSED_ON_MAX: usize = 64;
/// Rungs that are handed to the committer at once.
pub const RUNGS_AT_ONCE_MAX: usize = 256;

// --- connections ---

/// Open connections of one listener, handshakes included.
pub const CONNECTIONS_MAX: usize = 1_024;
/// Descriptors that connections never take: for the journal, the index, certificates and the
/// operators' port.
pub const DESCRIPTORS_KEPT: u64 = 128;
/// Open connections from one source address (of IPv6: from one /64).
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 128;
/// Requests in progress on one connection.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 128;
/// Streams that we reset before their peer did, at which the connection is ended.
pub const LOCAL_RESETS_MAX: usize = 256;
/// The headers of one request, in bytes as HTTP/2 counts them.
pub const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
/// What a peer may send on one connection before we have taken it, in bytes.
pub const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// What a peer may send on one request before we have taken it, in bytes.
pub const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// How often a connection is asked whether its peer is alive.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How long it may take to answer.
pub const KEEP_ALIVE_TIME_MAX: Duration = Duration::from_secs(10);
/// The pause after the operating system refused to accept a connection.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Opening a connection, TLS included, as a client.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// How long open requests may go on after we were told to stop.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a connection whose certificate is no longer valid may take to read why.
pub const FAREWELL_TIME_MAX: Duration = Duration::from_secs(1);
/// The longest that an open connection goes without a look at its certificate's end.
pub const VALIDITY_CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// A client's certificate that ends within this is named to the people who look.
pub const CERTIFICATE_ENDS_SOON: Duration = Duration::from_secs(30 * 24 * 3600);
/// And within this somebody must act.
pub const CERTIFICATE_ENDS_NOW: Duration = Duration::from_secs(14 * 24 * 3600);
/// A file of certificates, of a key or of revocations, in bytes.
pub const TRUST_FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

const _: () = assert!(CONNECTIONS_PER_ADDRESS_MAX < CONNECTIONS_MAX);
const _: () = assert!(CONNECTION_WINDOW_BYTES >= STREAM_WINDOW_BYTES);
const _: () = assert!(STREAM_WINDOW_BYTES as usize >= ENVELOPE_BYTES_MAX);
/// What a caller is told to wait when a queue is full.
pub const BUSY_DELAY: Duration = Duration::from_millis(250);
/// A statement that was offered and not stored is offered again on a live stream
/// after this long.
pub const REDELIVERY_INTERVAL: Duration = Duration::from_secs(30);
/// A Receive stream says that it is alive after this long without an item.
pub const ALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Older entries offered late that are remembered for the streams of one inbox; a stream that
/// missed more begins again.
pub const LATE_OFFERS_MAX: usize = 256;
/// Statements offered on one stream beyond what the client has read.
pub const STREAM_WINDOW: usize = 16;

// --- directory and questions ---

/// One change of the directory, in bytes.
pub const DIRECTORY_CHANGE_BYTES_MAX: usize = 65_536;
/// Signatures of one change: one for each party of the largest agreement.
pub const SIGNATURES_MAX: usize = 2_048;
/// Entries of a thread in one answer.
pub const THREAD_ENTRIES_MAX: usize = 1_000;
/// One gRPC message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// After this many bytes of bodies a page of deliveries ends.
pub const PAGE_BYTES: usize = 2 * 1024 * 1024;
/// Statements of one bulk submission under way at once.
pub const SUBMITS_AT_ONCE: usize = 128;
/// Of them so many are judged one after the other, by one core, before any of them is answered.
pub const SUBMITS_IN_HAND: usize = 8;
/// Or so many bytes of them.
pub const BYTES_IN_HAND: usize = 128 * 1024;

const _: () = assert!(SUBMITS_IN_HAND < SUBMITS_AT_ONCE);

const _: () = assert!(MESSAGE_BYTES_MAX > PAGE_BYTES + ENVELOPE_BYTES_MAX);
/// The longest a client waits between two tries of the same envelope.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(30);
/// One page of directory changes, as a client reads it.
pub const DIRECTORY_PAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often certificate and revocation files are looked at.
pub const TRUST_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Connections to the operators' port at once.
pub const OPERATORS_CONNECTIONS_MAX: usize = 32;
/// One request to the operators' port.
pub const OPERATORS_TIME_MAX: Duration = Duration::from_secs(10);

const _: () = assert!(DESCRIPTORS_KEPT > 2 * OPERATORS_CONNECTIONS_MAX as u64);

// --- the console, and who signs in there ---

/// Connections to the console at once; one address may hold a quarter of them.
pub const CONSOLE_CONNECTIONS_MAX: usize = 256;
/// People who may sign in, those whose time is over included.
pub const PEOPLE_MAX: usize = 2_000;
/// Sessions of one person at once; one more ends the oldest.
pub const SESSIONS_PER_PERSON_MAX: usize = 5;
/// How long an invitation's link is good.
pub const LINK_TIME_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long a person may look after giving the passphrase.
pub const SESSION_TIME_MAX: Duration = Duration::from_secs(12 * 3600);
/// How long a person may act after giving it.
pub const PROOF_TIME_MAX: Duration = Duration::from_secs(3600);
/// The longest that a person may be let in for at once.
pub const ACCESS_TIME_MAX: Duration = Duration::from_secs(400 * 24 * 3600);
/// A passphrase, in characters at least and in bytes at most (NIST SP 800-63B-4, one factor).
pub const PASSPHRASE_CHARS_MIN: usize = 15;
/// See [`PASSPHRASE_CHARS_MIN`].
pub const PASSPHRASE_BYTES_MAX: usize = 512;
/// Wrong passphrases for one name before it has to wait.
pub const WRONG_PASSPHRASES_MAX: u32 = 5;
/// How long it waits then; twice as long after each further one, up to a quarter of an hour.
pub const WRONG_PASSPHRASE_DELAY: Duration = Duration::from_secs(30);
/// See [`WRONG_PASSPHRASE_DELAY`].
pub const WRONG_PASSPHRASE_DELAY_MAX: Duration = Duration::from_secs(15 * 60);
/// Names that are watched for wrong passphrases at once.
pub const WRONG_NAMES_MAX: usize = 10_000;
/// Passphrases that wait to be looked at, of strangers and of those who are signed in.
pub const PASSPHRASES_WAITING_MAX: usize = 32;
/// What everybody beyond that is told to wait.
pub const PASSPHRASE_WAIT: Duration = Duration::from_secs(10);
/// How long a browser keeps the cookie of a session at most.
pub const COOKIE_TIME_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Live pages of one session.
pub const LIVE_PAGES_PER_SESSION_MAX: usize = 6;
/// How long a browser's connection may be without a request.
pub const BROWSER_IDLE_MAX: Duration = Duration::from_secs(120);
/// How old a deed may be that a page says was done just now.
pub const JUST_DONE_TIME: Duration = Duration::from_secs(10 * 60);
/// What a form posts, in bytes.
pub const FORM_BYTES_MAX: usize = 16 * 1024;
/// Rows of one page of a list.
pub const CONSOLE_ROWS_MAX: usize = 50;
/// Pages that keep themselves fresh at once.
pub const LIVE_PAGES_MAX: usize = 128;
/// How long a look at a concern by the same session is the same look.
pub const SAME_LOOK_TIME: Duration = Duration::from_secs(15 * 60);
/// Looks that are remembered for that.
pub const LOOKS_MAX: usize = 20_000;
/// Entries that a hand-over report reads.
pub const HANDOVER_ENTRIES_MAX: u64 = 100_000;
/// How often a page that keeps itself fresh may be told that something changed.
pub const LIVE_INTERVAL: Duration = Duration::from_secs(2);
/// An inbox that nobody listens for, and nobody asked for, is silent after this long.
pub const SILENT_AFTER: Duration = Duration::from_secs(5 * 60);

// --- the synthetic concern ---

/// How often one is sent.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(60);
/// How long one may take from its sealing to the answer.
pub const PROBE_TIME_MAX: Duration = Duration::from_secs(30);

const _: () = assert!(PROBE_TIME_MAX.as_secs() < PROBE_INTERVAL.as_secs());

// --- traces ---

/// Spans that wait for the collector; one more is lost, and counted.
pub const SPANS_WAITING_MAX: usize = 4_096;
/// Spans that are sent at once.
pub const SPANS_AT_ONCE_MAX: usize = 512;
/// How long some gather before they are sent.
pub const SPANS_INTERVAL: Duration = Duration::from_secs(1);
/// How long the collector may take for them.
pub const SPANS_TIME_MAX: Duration = Duration::from_secs(5);
/// How long it is left alone when it did not take them.
pub const SPANS_RETRY_DELAY: Duration = Duration::from_secs(10);
/// How often it is said that it does not.
pub const SPANS_LOST_SAID_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// How long the program's end waits for the last of them.
pub const SPANS_END_TIME_MAX: Duration = Duration::from_secs(2);

// --- notices to people ---

/// How often a channel looks whether there is something to tell.
pub const NOTIFY_INTERVAL: Duration = Duration::from_secs(1);
/// How long a channel that failed waits before it is tried again; twice as long each time.
pub const NOTIFY_DELAY_MIN: Duration = Duration::from_secs(5);
/// The longest that it waits; it never gives up.
pub const NOTIFY_DELAY_MAX: Duration = Duration::from_secs(5 * 60);
/// One attempt, from the connection to the answer.
pub const NOTIFY_TIME_MAX: Duration = Duration::from_secs(15);
/// Of the answer so much is read, in bytes.
pub const NOTIFY_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Notices of one channel that wait beside its place in the ledger; then it looks no further.
pub const NOTICES_WAITING_MAX: usize = 1_000;
/// The same, with those that wait for the hour, or for whoever is dealing with them.
pub const NOTICES_HELD_MAX: usize = 10_000;
/// Entries that a channel looks at at once.
pub const NOTIFY_LOOK_ENTRIES: u64 = 10_000;
/// Channels that an exchange may have.
pub const CHANNELS_MAX: usize = 32;

// --- witnesses ---

/// How often the exchange asks its witnesses.
pub const WITNESS_INTERVAL: Duration = Duration::from_secs(10);
/// A cosigned checkpoint is old after this long.
pub const WITNESSED_AGE_MAX: Duration = Duration::from_secs(10 * 60);
/// One question to a witness, from the connection to the answer.
pub const WITNESS_TIME_MAX: Duration = Duration::from_secs(8);
/// How long a start waits for what the witnesses have seen.
pub const WITNESS_START_TIME_MAX: Duration = Duration::from_secs(5);
/// Of a witness's answer so much is read, in bytes.
pub const WITNESS_ANSWER_BYTES_MAX: usize = 32 * 1024;
/// Witnesses that an exchange may have.
pub const WITNESSES_MAX: usize = 16;
/// Connections to a witness at once.
pub const WITNESS_CONNECTIONS_MAX: usize = 64;
/// Of them, from one address.
pub const WITNESS_CONNECTIONS_PER_ADDRESS_MAX: usize = 16;
/// How long one of them may last.
pub const WITNESS_CONNECTION_TIME_MAX: Duration = Duration::from_secs(120);
/// Checkpoints that a witness keeps of those which do not go on from what it cosigned, of each
/// ledger and kind.
pub const WITNESS_EVIDENCE_MAX: usize = 64;

const _: () = assert!(WITNESS_TIME_MAX.as_secs() < WITNESS_INTERVAL.as_secs());
