//! What each kind of statement must say, and its facts.
//!
//! Pure. Holds: I2, I12, I13. Knows: proto, identity, directory, domain, clock, limits.

use std::collections::BTreeSet;

use super::{
    code,
    concern::{concern_facts, must_exist},
    must_wrap_for, named, parse_inbox,
};
use crate::{
    clock::Moment,
    directory::Directory,
    domain::{
        deadline::Duty,
        document::Flag,
        ids::InboxId,
        refusal::Refusal,
        vocabulary::{self, Urgency},
    },
    identity::authenticate::Authenticated,
    limits,
    proto::{self, EntryType, Facts, Person, Statement, statement::Act},
};

/// The facts of a statement, but for what the committer gives.
pub(super) fn facts(
    directory: &Directory,
    authenticated: &Authenticated,
    statement: &Statement,
    now: Moment,
) -> Result<Facts, Refusal> {
    let mut facts = Facts {
        sender: statement.from.clone(),
        answers: statement.answers,
        exercise: statement.exercise.unwrap_or(false),
        // What no list has could be anything, and facts are for ever.
        flags: statement.flags.iter().filter(|flag| Flag::parse(flag).is_some()).cloned().collect(),
        ..Facts::default()
    };
    let Some(act) = &statement.act else {
        return Err(Refusal::Malformed { what: "says nothing that belongs here" });
    };
    match act {
        Act::Concern(concern) => {
            concern_facts(directory, authenticated, concern, now, &mut facts)?;
        }
        Act::Withdrawal(withdrawal) => {
            code("reason", &withdrawal.reason)?;
            facts.set_type(EntryType::Withdrawal);
        }
        Act::UrgencyChange(change) => {
            named(change.person.as_ref())?;
            reason(&change.reason, "must say why, as a code such as new_information")?;
            let Some(urgency) = Urgency::parse(&change.urgency) else {
                let rule = "must be immediate, urgent, prompt, routine or information";
                return Err(Refusal::FieldInvalid { field: "urgency", rule });
            };
            // The sender speaks of the concern, whoever has it of its own delivery.
            if !statement.inbox.is_empty() {
                facts.inbox = own_inbox(statement)?.to_string();
            }
            facts.urgency = urgency.as_str().to_owned();
            facts.set_type(EntryType::UrgencyChange);
        }
        // The sender names the recipient's inbox that could not open.
        Act::Resealed(_) => {
            facts.set_type(EntryType::Resealed);
            let inbox = parse_inbox("inbox", &statement.inbox)?;
            facts.inbox = inbox.to_string();
            must_wrap_for(authenticated, &inbox)?;
        }
        Act::Extension(extension) => {
            facts.inbox = own_inbox(statement)?.to_string();
            extension_facts(extension, now, &mut facts)?;
        }
        Act::AgreementReview(review) => {
            named(review.person.as_ref())?;
            if !vocabulary::AGREEMENT_REVIEWS.contains(&review.outcome) {
                return Err(Refusal::UnknownOutcome);
            }
            facts.inbox = own_inbox(statement)?.to_string();
            facts.outcome = review.outcome.clone();
            facts.set_type(EntryType::AgreementReview);
        }
        Act::Manifest(manifest) => {
            manifest_is_in_bounds(manifest)?;
            if statement.answers.is_some() || !statement.to.is_empty() {
                let rule = "must be empty, and `to` too: a manifest is about no entry";
                return Err(Refusal::FieldInvalid { field: "answers", rule });
            }
            facts.count = manifest.request_ids.len() as u64;
            facts.set_type(EntryType::Manifest);
        }
        _ => {
            facts.inbox = own_inbox(statement)?.to_string();
            step_facts(directory, authenticated, act, &mut facts)?;
        }
    }
    Ok(facts)
}

/// Steps of a recipient; `facts.inbox` is its own.
fn step_facts(
    directory: &Directory,
    authenticated: &Authenticated,
    act: &Act,
    facts: &mut Facts,
) -> Result<(), Refusal> {
    let kind = match act {
        Act::Stored(_) => EntryType::Stored,
        Act::NotTaken(reason) => {
            code("reason", &reason.reason)?;
            EntryType::NotTaken
        }
        Act::CannotOpen(reason) => {
            code("reason", &reason.reason)?;
            EntryType::CannotOpen
        }
        Act::Opened(opened) => {
            named(opened.person.as_ref())?;
            EntryType::Opened
        }
        Act::Acknowledgement(acknowledgement) => {
            named(acknowledgement.person.as_ref())?;
            EntryType::Acknowledgement
        }
        Act::Decision(decision) => {
            named(decision.person.as_ref())?;
            outcome_is_known(decision)?;
            facts.outcome = decision.outcome.clone();
            EntryType::Decision
        }
        Act::Feedback(_) => {
            for inbox in &authenticated.statement().to {
                must_wrap_for(authenticated, &parse_inbox("to", inbox)?)?;
            }
            facts.inboxes = authenticated.statement().to.clone();
            EntryType::Feedback
        }
        Act::Redirection(redirection) => {
            named(redirection.person.as_ref())?;
            let next =
                parse_inbox("next", &redirection.next).map_err(|_| Refusal::NextOwnerRequired)?;
            must_exist(directory, std::slice::from_ref(&next), &[])?;
            must_wrap_for(authenticated, &next)?;
            facts.next_inbox = redirection.next.clone();
            if redirection.misdirected { EntryType::Misdirection } else { EntryType::Redirection }
        }
        Act::WithdrawalConfirmed(confirmed) => {
            named(confirmed.person.as_ref())?;
            EntryType::WithdrawalConfirmed
        }
        Act::PhoneConfirmed(confirmed) => {
            named(confirmed.person.as_ref())?;
            EntryType::PhoneConfirmed
        }
        Act::Concern(_)
        | Act::Withdrawal(_)
        | Act::Resealed(_)
        | Act::UrgencyChange(_)
        | Act::Extension(_)
        | Act::AgreementReview(_)
        | Act::Manifest(_) => {
            return Err(Refusal::Malformed { what: "says nothing that belongs here" });
        }
    };
    facts.set_type(kind);
    Ok(())
}

/// More time, for what somebody has taken on, agreed by somebody else.
fn extension_facts(
    extension: &proto::Extension,
    now: Moment,
    facts: &mut Facts,
) -> Result<(), Refusal> {
    let proto::Extension { person, approver, duty, until, reason: why } = extension;
    named(person.as_ref())?;
    named(approver.as_ref())?;
    reason(why, "must say why, as a code such as awaiting_medical")?;
    let refused = |field, rule| Err(Refusal::FieldInvalid { field, rule });
    if let Some((one, other)) = person.as_ref().zip(approver.as_ref()) {
        must_be_two(one, other).or_else(|rule| refused("approver", rule))?;
    }
    let last = now.after(limits::EXTENSION_TIME_MAX);
    if Moment::of_seconds(*until) <= now || last < Moment::of_seconds(*until) {
        return refused(
            "until",
            "must be a time to come, in Unix seconds, at most 28 days from now",
        );
    }
    match Duty::parse(duty) {
        Some(Duty::Decide) => facts.decision_due = vec![*until],
        Some(Duty::Feedback) => facts.feedback_due = *until,
        Some(Duty::Acknowledge) | None => {
            return refused("duty", "must be decide or feedback: an acknowledgement cannot wait");
        }
    }
    facts.subject = duty.clone();
    facts.set_type(EntryType::Extension);
    Ok(())
}

/// Two members of staff, as far as one can see: like is compared with like, however it is written.
fn must_be_two(one: &Person, other: &Person) -> Result<(), &'static str> {
    let plain = |text: &str| -> String {
        text.to_lowercase().chars().filter(|char| char.is_alphanumeric()).collect()
    };
    let both = [(&one.name, &other.name), (&one.staff_id, &other.staff_id)];
    let both = both.map(|(one, other)| (plain(one), plain(other)));
    let mut shared = both.iter().filter(|(one, other)| !one.is_empty() && !other.is_empty());
    if shared.clone().next().is_none() {
        return Err("must be named as `person` is, so that one sees that they are two: both by \
                    name, or both by staff_id");
    }
    match shared.any(|(one, other)| one == other) {
        true => Err("must be somebody else: nobody gives themselves more time"),
        false => Ok(()),
    }
}

fn manifest_is_in_bounds(manifest: &proto::Manifest) -> Result<(), Refusal> {
    let ids = &manifest.request_ids;
    let length = limits::REQUEST_ID_BYTES_MIN..=limits::REQUEST_ID_BYTES_MAX;
    let known = ids.iter().collect::<BTreeSet<_>>().len() == ids.len()
        && (1..=limits::MANIFEST_MAX).contains(&ids.len())
        && ids.iter().all(|id| length.contains(&id.len()));
    let rule = "must be 1 to 200 different ids of 16 to 64 bytes";
    if known { Ok(()) } else { Err(Refusal::FieldInvalid { field: "request_ids", rule }) }
}

/// A reason is given.
fn reason(text: &str, rule: &'static str) -> Result<(), Refusal> {
    code("reason", text)?;
    match text.trim().is_empty() {
        true => Err(Refusal::FieldInvalid { field: "reason", rule }),
        false => Ok(()),
    }
}

fn own_inbox(statement: &Statement) -> Result<InboxId, Refusal> {
    let inbox = statement.inbox.parse::<InboxId>().map_err(|_| Refusal::NotARecipient)?;
    match inbox.agency() == statement.from {
        true => Ok(inbox),
        false => Err(Refusal::NotARecipient),
    }
}

fn outcome_is_known(decision: &proto::Decision) -> Result<(), Refusal> {
    if !vocabulary::OUTCOMES.contains(&decision.outcome) {
        return Err(Refusal::UnknownOutcome);
    }
    let needs_reason = decision.outcome == "no_further_action";
    let reason_known = vocabulary::NO_FURTHER_ACTION_REASONS.contains(&decision.reason);
    match needs_reason && !reason_known {
        true => Err(Refusal::FieldInvalid {
            field: "reason",
            rule: "no_further_action needs a reason of the code list `no_further_action_reason`",
        }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_agrees_with_themselves_however_they_write_their_name() {
        let person = |name: &str, staff_id: &str| Person {
            name: name.into(),
            staff_id: staff_id.into(),
            ..Person::default()
        };
        let are_two = |one: Person, other: Person| must_be_two(&one, &other).is_ok();
        assert!(are_two(person("A. Person", ""), person("B. Senior", "")));
        assert!(are_two(person("A. Person", "17"), person("", "18")));
        assert!(are_two(person("A. Person", "17"), person("B. Senior", "")));
        for same in ["A. Person", "A.Person", " a person", "A. PERSON."] {
            assert!(!are_two(person("A. Person", ""), person(same, "")), "{same}");
        }
        assert!(!are_two(person("A. Person", "17"), person("Anna Person", "1-7")));
        // Whether these are two nobody can see.
        assert!(!are_two(person("A. Person", ""), person("", "18")));
        assert!(!are_two(person("...", ""), person("B. Senior", "")));
    }
}
