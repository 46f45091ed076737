//! Who knew what, and when: what each inbox had been sent of a thread by a moment, and what was done
//! with it there.
//!
//! A fold of the thread's entries, by their facts. What had not happened by then is not there.
//!
//! Pure. Holds: I12. Knows: clock, proto.

use std::collections::BTreeMap;

use super::look::Row;
use crate::{
    clock::Moment,
    proto::{EntryType, Facts},
};

/// What an inbox was sent, and what was done with it there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Knew {
    /// When it was sent there.
    pub sent: Moment,
    /// How it came: "addressed", "passed_on" or "offered".
    pub how: &'static str,
    /// When its system had it on disk.
    pub stored: Option<Moment>,
    /// When a person read it.
    pub opened: Option<Moment>,
    /// When a named person took ownership.
    pub acknowledged: Option<Moment>,
    /// When it was decided last, and the outcome.
    pub decided: Option<(Moment, String)>,
    /// When the sender was told.
    pub told_sender: Option<Moment>,
    /// When somebody there was told by telephone.
    pub told_by_phone: Option<Moment>,
    /// "not_taken", "cannot_open", "passed_on" or "withdrawn", as it stood last.
    pub trouble: Option<&'static str>,
}

/// One statement at one inbox: its entry, what it is, the inbox.
pub type Place = (u64, &'static str, String);

/// All of a thread's statements, at every inbox that they had come to by a moment; in the order of
/// their entries.
pub fn knew(rows: &[Row], by: Moment) -> BTreeMap<Place, Knew> {
    let mut table = Table::default();
    for row in rows.iter().filter(|row| row.leaf.time_unix_ns <= by.0) {
        table.take(row.entry, Moment(row.leaf.time_unix_ns), &row.facts);
    }
    table.0
}

#[derive(Default)]
struct Table(BTreeMap<Place, Knew>);

impl Table {
    fn take(&mut self, entry: u64, at: Moment, facts: &Facts) {
        let answers = facts.answers.unwrap_or(entry);
        match facts.r#type() {
            EntryType::Concern => self.sent(entry, "concern", &facts.inboxes, at),
            EntryType::Feedback => {
                self.sent(entry, "feedback", &facts.inboxes, at);
                self.step(answers, facts, |it| it.told_sender = Some(at));
            }
            EntryType::Withdrawal => {
                self.sent(entry, "withdrawal", &facts.inboxes, at);
                for (_, it) in self.0.iter_mut().filter(|((of, ..), _)| *of == answers) {
                    it.trouble = Some("withdrawn");
                }
            }
            EntryType::Extension => self.sent(entry, "more_time", &facts.inboxes, at),
            EntryType::UrgencyChange => self.sent(entry, "urgency_change", &facts.inboxes, at),
            EntryType::Stored => self.step(answers, facts, |it| {
                it.stored = it.stored.or(Some(at));
                it.trouble = it.trouble.filter(|trouble| *trouble != "not_taken");
            }),
            EntryType::Opened => self.step(answers, facts, |it| {
                it.opened = it.opened.or(Some(at));
                it.trouble = it.trouble.filter(|trouble| *trouble != "cannot_open");
            }),
            EntryType::Acknowledgement => {
                self.step(answers, facts, |it| it.acknowledged = it.acknowledged.or(Some(at)));
            }
            EntryType::Decision => {
                let decided = Some((at, facts.outcome.clone()));
                self.step(answers, facts, |it| it.decided = decided);
            }
            EntryType::NotTaken => self.step(answers, facts, |it| it.trouble = Some("not_taken")),
            EntryType::CannotOpen => {
                self.step(answers, facts, |it| it.trouble = Some("cannot_open"));
            }
            EntryType::ToldByPhone => {
                self.step(answers, facts, |it| it.told_by_phone = it.told_by_phone.or(Some(at)));
            }
            EntryType::Redirection | EntryType::Misdirection => {
                self.step(answers, facts, |it| it.trouble = Some("passed_on"));
                self.came(answers, &facts.next_inbox, at, "passed_on");
            }
            EntryType::Escalation => self.came(answers, &facts.next_inbox, at, "offered"),
            _ => {}
        }
    }

    fn sent(&mut self, entry: u64, what: &'static str, inboxes: &[String], at: Moment) {
        for inbox in inboxes {
            let new = Knew { sent: at, how: "addressed", ..Knew::default() };
            self.0.insert((entry, what, inbox.clone()), new);
        }
    }

    /// A concern that came to another inbox, later.
    fn came(&mut self, entry: u64, inbox: &str, at: Moment, how: &'static str) {
        if !inbox.is_empty() {
            let new = Knew { sent: at, how, ..Knew::default() };
            self.0.entry((entry, "concern", inbox.to_owned())).or_insert(new);
        }
    }

    fn step(&mut self, answers: u64, facts: &Facts, change: impl FnOnce(&mut Knew)) {
        let mut known = self.0.iter_mut();
        let it = known.find(|((entry, _, inbox), _)| *entry == answers && *inbox == facts.inbox);
        if let Some((_, it)) = it {
            change(it);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::leaf::Leaf;

    fn row(entry: u64, kind: EntryType, facts: Facts) -> Row {
        let zero = crate::ledger::merkle::Hash::from_bytes([0; 32]);
        let leaf = Leaf { entry_id: [0; 16], time_unix_ns: entry * 10, facts: zero, detail: zero };
        let mut facts = facts;
        facts.set_type(kind);
        Row { entry, leaf, facts, suspected: false }
    }

    fn about(inbox: &str) -> Facts {
        Facts { answers: Some(1), inbox: inbox.into(), ..Facts::default() }
    }

    #[test]
    fn what_had_not_happened_by_then_is_not_known() {
        let to = vec!["a/duty".to_owned(), "b/duty".to_owned()];
        let offered = Facts { next_inbox: "c/night".into(), ..about("b/duty") };
        let decided = Facts { outcome: "assessment".into(), ..about("c/night") };
        let passed = Facts { next_inbox: "d/duty".into(), ..about("a/duty") };
        let rows = [
            row(1, EntryType::Concern, Facts { inboxes: to, ..Facts::default() }),
            row(2, EntryType::Stored, about("a/duty")),
            row(3, EntryType::Escalation, offered),
            row(4, EntryType::Acknowledgement, about("c/night")),
            row(5, EntryType::Decision, decided),
            row(6, EntryType::Redirection, passed),
        ];
        let at = |by: u64| {
            let known = knew(&rows, Moment(by));
            let row = |((_, _, inbox), it): (&Place, &Knew)| {
                let done = [it.stored, it.acknowledged, it.decided.as_ref().map(|it| it.0)];
                let done: String =
                    done.iter().map(|it| if it.is_some() { 'x' } else { '-' }).collect();
                format!("{inbox} {} {done}", it.how)
            };
            known.iter().map(row).collect::<Vec<_>>()
        };
        assert_eq!(at(9), [""; 0]);
        assert_eq!(at(10), ["a/duty addressed ---", "b/duty addressed ---"]);
        assert_eq!(at(29)[0], "a/duty addressed x--");
        assert_eq!(at(40)[2], "c/night offered -x-");
        let all = ["a/duty addressed x--", "b/duty addressed ---", "c/night offered -xx"];
        assert_eq!(at(60)[..3], all);
        assert_eq!(at(60)[3], "d/duty passed_on ---");
        let passed_on = knew(&rows, Moment(60)).into_values().next().unwrap();
        assert_eq!(passed_on.trouble, Some("passed_on"));
    }
}
