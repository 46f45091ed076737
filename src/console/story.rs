//! The story of a concern: its thread, step by step, in words.
//!
//! Of a detail only who acted, in post, is taken: reasons are free text, and could hold anything.
//!
//! Holds: I12. Knows: broker, domain, proto, clock.

use super::words;
use crate::{
    broker::{Broker, records},
    clock::Moment,
    domain::{
        deadline::{Duty, Rung},
        vocabulary::AGREEMENT_REVIEWS,
    },
    proto::{
        self, EntryType, Envelope, Facts, Person, RecordCallRequest, SettleRequest, Statement,
        TakeCareRequest, statement::Act,
    },
};

/// One step of a thread.
pub(super) struct Step {
    pub(super) entry: u64,
    pub(super) kind: EntryType,
    pub(super) at: Moment,
    /// The agency that said it; empty: the exchange itself.
    pub(super) sender: String,
    /// The inbox it is about, or empty.
    pub(super) inbox: String,
    /// Who acted, in post; empty where a program did.
    pub(super) by: String,
    /// What happened, as a title.
    pub(super) title: String,
    /// What there is to say of it beside its title; a sentence, or empty.
    pub(super) text: String,
    /// The inbox whose delivery it is about; empty for the whole concern.
    pub(super) delivery: String,
    /// The entry that it answers.
    pub(super) answers: Option<u64>,
}

/// The steps of a thread, oldest first, without looks.
pub(super) fn of(broker: &Broker, thread: u64) -> Vec<Step> {
    let entries = broker.thread(thread).into_iter();
    let shown = entries.filter(|entry| entry.r#type() != EntryType::Query);
    shown.map(|entry| step(broker, entry)).collect()
}

/// One step, by its entry.
pub(super) fn one(broker: &Broker, entry: u64) -> Option<Step> {
    let meta = records::meta(broker.index(), entry)?;
    let (r#type, at, sender, inbox) = (meta.kind, meta.time, meta.sender, meta.inbox);
    Some(step(broker, proto::ThreadEntry { entry, r#type, at, sender, inbox }))
}

fn step(broker: &Broker, known: proto::ThreadEntry) -> Step {
    let kind = known.r#type();
    let record = broker.record(known.entry).ok();
    let facts: Facts =
        record.as_ref().and_then(|record| proto::decode(&record.facts).ok()).unwrap_or_default();
    let detail = record.map(|record| record.detail).unwrap_or_default();
    let (by, text) = said(kind, &facts, &detail);
    let title = match Rung::parse(&facts.code).filter(|_| kind == EntryType::Escalation) {
        Some(rung) if facts.next_inbox.is_empty() => {
            format!("Nobody acted: time to ring {}", rung.post())
        }
        Some(rung) => format!("Nobody acted: offered to {}", rung.post()),
        None => words::happened(kind).to_owned(),
    };
    Step {
        entry: known.entry,
        kind,
        title,
        at: Moment(known.at),
        sender: known.sender,
        delivery: facts.inbox.clone(),
        answers: facts.answers,
        inbox: known.inbox,
        by,
        text,
    }
}

/// Who acted, and what there is to say.
fn said(kind: EntryType, facts: &Facts, detail: &[u8]) -> (String, String) {
    match kind {
        EntryType::ToldByPhone => {
            let call: RecordCallRequest = proto::decode(detail).unwrap_or_default();
            let back = if call.read_back { "read the number back" } else { "did not read it back" };
            let told = words::person(call.told.as_ref());
            let at = on_a_clock(call.at);
            let text = format!("{told}, at {at}, on {}; they {back}.", call.number);
            (words::person(call.by.as_ref()), text)
        }
        EntryType::TakenCareOf => {
            let care: TakeCareRequest = proto::decode(detail).unwrap_or_default();
            let until = Moment::of_seconds(care.until).in_london().strftime("%-I:%M%P");
            (
                words::person(care.by.as_ref()),
                format!("Until {until}. It silences pages; no clock stops."),
            )
        }
        EntryType::Escalation => (String::new(), escalation(facts)),
        EntryType::Concern => {
            let to = facts.inboxes.join(", ");
            (String::new(), format!("For {to}."))
        }
        EntryType::Redirection | EntryType::Misdirection => {
            (actor(detail), format!("Now at {}.", facts.next_inbox))
        }
        EntryType::Decision => (actor(detail), format!("Outcome: {}.", plain(&facts.outcome))),
        EntryType::Extension => (actor(detail), extension(facts, detail)),
        EntryType::ReviewAsked => {
            let whom = facts.inboxes.first().map_or("nobody: the area names none", String::as_str);
            let due = on_a_clock(facts.until);
            (String::new(), format!("By {whom}, until {due}."))
        }
        EntryType::Settled => {
            let settled: SettleRequest = proto::decode(detail).unwrap_or_default();
            (words::person(settled.by.as_ref()), format!("{}.", plain(&settled.reason)))
        }
        EntryType::AgreementReview => {
            let outcome = AGREEMENT_REVIEWS.display(&facts.outcome).unwrap_or(&facts.outcome);
            (actor(detail), format!("{outcome}."))
        }
        EntryType::UrgencyChange => (actor(detail), format!("Now {}.", facts.urgency)),
        _ => (actor(detail), String::new()),
    }
}

/// What has more time, until when, and who agreed.
fn extension(facts: &Facts, detail: &[u8]) -> String {
    let (what, until) = match Duty::parse(&facts.subject) {
        Some(Duty::Feedback) => ("To tell the sender", facts.feedback_due),
        _ => ("To decide", facts.decision_due.first().copied().unwrap_or_default()),
    };
    let approver = match act(detail) {
        Some(Act::Extension(act)) => words::person(act.approver.as_ref()),
        _ => words::person(None),
    };
    format!("{what}, until {}. Agreed by {approver}.", on_a_clock(until))
}

fn on_a_clock(seconds: u64) -> String {
    Moment::of_seconds(seconds).in_london().strftime("%-I:%M%P on %-d %B").to_string()
}

fn escalation(facts: &Facts) -> String {
    let mut what = Duty::parse(&facts.subject).map_or("it stood still", Duty::undone).to_owned();
    if let Some(first) = what.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    match facts.next_inbox.as_str() {
        "" => format!("{what}."),
        inbox => format!("{what}. It is now offered to {inbox} too."),
    }
}

/// Who acted in a statement, in post; empty where a program did.
fn actor(detail: &[u8]) -> String {
    let person: Option<Person> = match act(detail) {
        Some(Act::Opened(act)) => act.person,
        Some(Act::Acknowledgement(act)) => act.person,
        Some(Act::Decision(act)) => act.person,
        Some(Act::Feedback(act)) => act.person,
        Some(Act::Redirection(act)) => act.person,
        Some(Act::WithdrawalConfirmed(act)) => act.person,
        Some(Act::PhoneConfirmed(act)) => act.person,
        Some(Act::UrgencyChange(act)) => act.person,
        Some(Act::Extension(act)) => act.person,
        Some(Act::AgreementReview(act)) => act.person,
        _ => None,
    };
    person.map(|person| words::person(Some(&person))).unwrap_or_default()
}

fn act(detail: &[u8]) -> Option<Act> {
    let envelope: Envelope = proto::decode(detail).unwrap_or_default();
    let statement: Statement = proto::decode(&envelope.statement).unwrap_or_default();
    statement.act
}

/// Who says to be dealing with something, by the entry that says so.
pub(super) fn carer(broker: &Broker, entry: u64) -> String {
    let detail = broker.record(entry).map(|record| record.detail).unwrap_or_default();
    let care: TakeCareRequest = proto::decode(&detail).unwrap_or_default();
    words::person(care.by.as_ref())
}

/// A code as words.
pub(super) fn plain(code: &str) -> String {
    code.replace('_', " ")
}
