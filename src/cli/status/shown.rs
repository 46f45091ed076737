//! Deliveries and threads as they are shown: words for people, fields for programs.
//!
//! Knows: proto, clock.

use serde_json::{Value, json};

use crate::{
    clock::Moment,
    proto::{Delivery, DeliveryState, EntryType, Facts, GetConcernResponse},
};

/// The stable word of a state.
fn state_word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Unspecified => "unknown",
        DeliveryState::Queued => "queued",
        DeliveryState::Stored => "stored",
        DeliveryState::Acknowledged => "acknowledged",
        DeliveryState::Decided => "decided",
        DeliveryState::FeedbackSent => "feedback_sent",
        DeliveryState::Closed => "closed",
        DeliveryState::Withdrawn => "withdrawn",
    }
}

/// The state, and what stands in the way.
pub(super) fn state(delivery: &Delivery, now: Moment) -> String {
    let mut words = vec![state_word(delivery.state()).replace('_', " ")];
    let stored = delivery.state() == DeliveryState::Stored;
    words.extend((delivery.opened && stored).then(|| "opened".to_owned()));
    let marks = [
        (delivery.trouble.as_str(), delivery.trouble.replace('_', " ")),
        (delivery.withdrawal.as_str(), format!("withdrawal {}", delivery.withdrawal)),
        (delivery.phone.as_str(), format!("{} by phone", delivery.phone)),
        (delivery.rung.as_str(), format!("{} told", delivery.rung.replace('_', " "))),
    ];
    words.extend(marks.into_iter().filter(|(said, _)| !said.is_empty()).map(|(_, mark)| mark));
    let until = Moment::of_seconds(delivery.cared_for_until);
    if until > now {
        words.push(format!("on call is on it until {}", until.in_london().strftime("%-I:%M%P")));
    }
    words.join(", ")
}

/// The inbox that has it, and the one it was addressed to if that is another.
pub(super) fn inbox(delivery: &Delivery) -> String {
    match delivery.inbox == delivery.addressed {
        true => delivery.inbox.clone(),
        false => format!("{} (was {})", delivery.inbox, delivery.addressed),
    }
}

/// The stable word of an entry type, for people: "acknowledgement".
pub(super) fn entry_type(kind: EntryType) -> String {
    type_word(kind).replace('_', " ")
}

fn type_word(kind: EntryType) -> String {
    kind.as_str_name().trim_start_matches("ENTRY_TYPE_").to_ascii_lowercase()
}

/// A deadline, or null.
fn due_json(seconds: u64) -> Value {
    (seconds > 0).then(|| Moment::of_seconds(seconds).rfc3339()).into()
}

/// A delivery, every field.
pub(super) fn delivery_json(delivery: &Delivery) -> Value {
    json!({
        "concern": delivery.concern,
        "sender": delivery.sender,
        "addressed": delivery.addressed,
        "inbox": delivery.inbox,
        "state": state_word(delivery.state()),
        "opened": delivery.opened,
        "trouble": delivery.trouble,
        "withdrawal": delivery.withdrawal,
        "phone": delivery.phone,
        "outcome": delivery.outcome,
        "urgency": delivery.urgency,
        "responsible": delivery.responsible,
        "accepted_at": Moment(delivery.accepted_at).rfc3339(),
        "changed_at": Moment(delivery.changed_at).rfc3339(),
        "changed_by": delivery.changed_by,
        "decision": delivery.decision,
        "feedback": delivery.feedback,
        "exercise": delivery.exercise,
        "acknowledgement_due": due_json(delivery.acknowledgement_due),
        "decision_due": due_json(delivery.decision_due),
        "feedback_due": due_json(delivery.feedback_due),
        "next_due": due_json(delivery.next_due),
        "rung": delivery.rung,
        "stand_ins": delivery.stand_ins,
        "next_rung_at": due_json(delivery.next_rung_at),
        "cared_for_until": due_json(delivery.cared_for_until),
        "cared_for_by": (delivery.cared_for_until > 0).then_some(delivery.cared_for_by),
    })
}

/// A concern, its deliveries and its thread.
pub(super) fn concern_json(found: &GetConcernResponse, facts: &Facts) -> Value {
    let thread = found.thread.iter().map(|entry| {
        json!({
            "entry": entry.entry,
            "type": type_word(entry.r#type()),
            "at": Moment(entry.at).rfc3339(),
            "sender": entry.sender,
            "inbox": entry.inbox,
        })
    });
    json!({
        "entry": found.entry,
        "accepted_at": Moment(found.accepted_at).rfc3339(),
        "sender": facts.sender,
        "inboxes": facts.inboxes,
        "reply_to": facts.reply_to,
        "urgency": facts.urgency,
        "class": facts.class,
        "agreement": facts.agreement,
        "outside_agreement": facts.outside_agreement,
        "exercise": facts.exercise,
        "flags": facts.flags,
        "deliveries": found.deliveries.iter().map(delivery_json).collect::<Vec<_>>(),
        "thread": thread.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_says_its_state_and_its_troubles() {
        let delivery = Delivery {
            state: DeliveryState::Queued.into(),
            inbox: "b/duty".into(),
            addressed: "a/duty".into(),
            trouble: "cannot_open".into(),
            withdrawal: "announced".into(),
            ..Delivery::default()
        };
        assert_eq!(state(&delivery, Moment(0)), "queued, cannot open, withdrawal announced");
        assert_eq!(inbox(&delivery), "b/duty (was a/duty)");
        assert_eq!(delivery_json(&delivery)["state"], "queued");
    }

    #[test]
    fn entry_types_have_the_words_of_the_api() {
        assert_eq!(entry_type(EntryType::WithdrawalConfirmed), "withdrawal confirmed");
        assert_eq!(type_word(EntryType::Acknowledgement), "acknowledgement");
    }
}
