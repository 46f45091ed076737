//! Who was told what, and when: read back from the ledger by the auditor, each entry proved to be
//! in it, and from what the webhooks were told.
//!
//! Knows: audit, wire::client, domain, proto, clock.

use std::collections::BTreeMap;

use anyhow::ensure;
use serde::{Serialize, Serializer};

use super::{
    super::sender::Kept,
    pager::{Pager, Told},
    stage::Stage,
};
use crate::{
    audit::look::{self, Row},
    clock::Moment,
    domain::deadline::{Duty, Rung},
    proto::{
        self, EntryType, Envelope, Facts, Person, QueryRequest, RecordCallRequest, Statement,
        statement::Act,
    },
};

/// Why the auditor looks.
const PURPOSE: &str = "demonstration";

/// Something that is in no ledger.
pub(super) struct Happening {
    pub(super) at: Moment,
    pub(super) what: String,
}

/// One line of the account.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    #[serde(serialize_with = "local")]
    pub(super) at: Moment,
    /// The sender's own reference of the concern, or empty.
    pub(super) concern: String,
    /// Who was told, or who acted.
    pub(super) who: String,
    pub(super) what: String,
}

/// A rung that was climbed.
#[derive(Debug, Serialize)]
pub(super) struct Climbed {
    #[serde(serialize_with = "local")]
    at: Moment,
    concern: String,
    addressed: String,
    not_done: String,
    told: String,
    offered_to: String,
    #[serde(skip)]
    entry: u64,
}

impl Climbed {
    /// By what a rung is climbed once.
    pub(super) fn once(&self) -> [&str; 4] {
        [&self.concern, &self.addressed, &self.not_done, &self.told].map(String::as_str)
    }
}

/// A notice that a webhook took: the beginning of an incident, or the next rung of it.
#[derive(Debug, Serialize)]
pub(super) struct Noticed {
    #[serde(serialize_with = "local")]
    at: Moment,
    concern: String,
    addressed: String,
    not_done: String,
    /// The rung that it is of.
    rung: String,
}

/// All of it.
pub(super) struct Account {
    pub(super) lines: Vec<Line>,
    pub(super) rungs: Vec<Climbed>,
    /// What each webhook was told of rungs, in the order in which it came.
    pub(super) notices: BTreeMap<String, Vec<Noticed>>,
}

/// A moment as a clock in the United Kingdom shows it, such as "Sun 25 Oct 01:48 BST".
pub(super) fn clock(at: Moment) -> String {
    at.in_london().strftime("%a %d %b %H:%M %Z").to_string()
}

/// RFC 3339 with the offset of the United Kingdom.
pub(super) fn rfc3339(at: Moment) -> String {
    at.in_london().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

pub(super) fn local<S: Serializer>(at: &Moment, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&rfc3339(*at))
}

impl Account {
    /// Reads it all back.
    pub(super) async fn read(
        stage: &Stage,
        concerns: &BTreeMap<String, Kept>,
        happenings: &[Happening],
    ) -> anyhow::Result<Self> {
        let auditor = &stage.exchange.auditor;
        let question = QueryRequest { purpose: PURPOSE.into(), ..QueryRequest::default() };
        let answer = look::query(auditor, &question, u64::MAX, &mut |_, _| {}).await?;
        ensure!(!answer.more, "the auditor was not told of every entry");
        let names = Names::of(concerns);
        let (mut lines, mut rungs) = (Vec::new(), Vec::new());
        for happening in happenings {
            let what = happening.what.clone();
            lines.push(Line { at: happening.at, concern: String::new(), who: String::new(), what });
        }
        for row in &answer.rows {
            let detail = match has_actor(row.facts.r#type()) {
                true => look::entry(auditor, row.entry, PURPOSE, true).await?.opening.detail,
                false => Vec::new(),
            };
            lines.extend(line(row, &detail, &names));
            rungs.extend(climbed(row, &names));
        }
        let mut notices = BTreeMap::new();
        for pager in &stage.pagers {
            lines.extend(notices_of(pager, &names));
            notices.insert(pager.name.to_string(), noticed(pager, &rungs, &names));
        }
        // What came at the same moment stays in this order.
        lines.sort_by_key(|line| line.at);
        Ok(Self { lines, rungs, notices })
    }
}

/// The senders' own references, by entry.
struct Names(BTreeMap<u64, String>);

impl Names {
    fn of(concerns: &BTreeMap<String, Kept>) -> Self {
        let by_entry = concerns.iter().map(|(name, kept)| (kept.receipt.entry, name.clone()));
        Self(by_entry.collect())
    }

    fn of_entry(&self, entry: u64) -> String {
        self.0.get(&entry).cloned().unwrap_or_default()
    }

    /// Of the concern that an entry is, or answers.
    fn of_row(&self, row: &Row) -> String {
        self.of_entry(row.facts.answers.unwrap_or(row.entry))
    }
}

/// Whether the detail says who acted.
fn has_actor(kind: EntryType) -> bool {
    use EntryType::{Acknowledgement, Decision, Feedback, ToldByPhone};
    matches!(kind, Acknowledgement | Decision | Feedback | ToldByPhone)
}

/// An entry in words, if somebody was told by it.
fn line(row: &Row, detail: &[u8], names: &Names) -> Option<Line> {
    let Facts { inboxes, inbox, urgency, sender, outcome, .. } = &row.facts;
    let (who, what) = match row.facts.r#type() {
        EntryType::Concern => (inboxes.join(", "), format!("{urgency}, sent by {sender}")),
        EntryType::Escalation => (inboxes.join(", "), rung(&row.facts)),
        EntryType::ToldByPhone => {
            let call: RecordCallRequest = proto::decode(detail).unwrap_or_default();
            let (by, told) = (post(call.by.as_ref()), post(call.told.as_ref()));
            let back = if call.read_back { "was read back" } else { "was not read back" };
            (told, format!("rung on {} by the {by}; the number {back}", call.number))
        }
        EntryType::Acknowledgement => (actor(detail, inbox), "acknowledged it".into()),
        EntryType::Decision => {
            (actor(detail, inbox), format!("decided: {}", outcome.replace('_', " ")))
        }
        EntryType::Feedback => {
            (inboxes.join(", "), format!("told what was decided by {}", actor(detail, inbox)))
        }
        _ => return None,
    };
    Some(Line { at: Moment(row.leaf.time_unix_ns), concern: names.of_row(row), who, what })
}

/// What a rung says.
fn rung(facts: &Facts) -> String {
    let undone = Duty::parse(&facts.subject).map(Duty::undone).unwrap_or_default();
    let of = &facts.inbox;
    match facts.next_inbox.as_str() {
        "" => {
            let whom = Rung::parse(&facts.code).map(Rung::post).unwrap_or_default();
            format!("{of}: {undone}; time to ring {whom}")
        }
        next => format!("{of}: {undone}; offered to {next}"),
    }
}

fn climbed(row: &Row, names: &Names) -> Option<Climbed> {
    let facts = &row.facts;
    (facts.r#type() == EntryType::Escalation).then(|| Climbed {
        at: Moment(row.leaf.time_unix_ns),
        concern: names.of_row(row),
        addressed: facts.inbox.clone(),
        not_done: facts.subject.clone(),
        told: facts.code.clone(),
        offered_to: facts.next_inbox.clone(),
        entry: row.entry,
    })
}

/// What a webhook was told, in words. The end of what it was never told of says nothing: it was
/// tried while nobody answered, and done when somebody did.
fn notices_of(pager: &Pager, names: &Names) -> Vec<Line> {
    let told = pager.told();
    let knows = |over: &Told| told.iter().any(|begun| begun.what == "begun" && begun.is_of(over));
    let line = |told: &Told| {
        let duty = Duty::parse(&told.not_done);
        let what = match (told.what, duty) {
            ("begun", Some(duty)) => format!("notice: {}", duty.undone()),
            ("over", Some(duty)) => format!("notice: it is over ({})", duty.as_str()),
            _ => format!("notice: {}", told.summary),
        };
        let (at, concern) = (told.at, names.of_entry(told.concern));
        Line { at, concern, who: format!("webhook {}", pager.name), what }
    };
    told.iter().filter(|told| told.what != "over" || knows(told)).map(line).collect()
}

fn noticed(pager: &Pager, rungs: &[Climbed], names: &Names) -> Vec<Noticed> {
    let begun = pager.told().into_iter().filter(|told| told.what == "begun");
    let noticed = begun.map(|told| Noticed {
        at: told.at,
        concern: names.of_entry(told.concern),
        rung: rungs
            .iter()
            .find(|rung| rung.entry == told.entry)
            .map(|rung| rung.told.clone())
            .unwrap_or_default(),
        addressed: told.addressed,
        not_done: told.not_done,
    });
    noticed.collect()
}

/// Who acted in a statement, in post, and where.
fn actor(detail: &[u8], inbox: &str) -> String {
    let envelope: Envelope = proto::decode(detail).unwrap_or_default();
    let statement: Statement = proto::decode(&envelope.statement).unwrap_or_default();
    let person = match statement.act {
        Some(Act::Acknowledgement(act)) => act.person,
        Some(Act::Decision(act)) => act.person,
        Some(Act::Feedback(act)) => act.person,
        _ => None,
    };
    format!("{}, {inbox}", post(person.as_ref()))
}

fn post(person: Option<&Person>) -> String {
    person.map(|person| person.post.clone()).unwrap_or_default()
}
