//! How pages say things: times, deadlines, where a delivery stands.
//!
//! Plain words, 12-hour times in Europe/London with UTC on hover, no jargon, colour never alone.
//!
//! Holds: I12. Knows: broker, domain, clock.

use std::time::Duration;

use maud::{Markup, html};

use crate::{
    broker::records::{DeliveryRecord, Timeliness},
    clock::Moment,
    domain::{
        deadline::Duty,
        lifecycle::{Party, Phone, State, Trouble, Withdrawal},
        vocabulary::Urgency,
    },
    proto::{EntryType, Person},
};

/// A time as people read it: with the day, unless it is today.
pub(super) fn time(at: Moment, now: Moment) -> Markup {
    let local = at.in_london();
    let format = match local.date() == now.london_date() {
        true => "%-I:%M%P",
        false => "%-d %B %Y at %-I:%M%P",
    };
    stamped(at, &local.strftime(format).to_string())
}

/// A time with its day.
pub(super) fn day_and_time(at: Moment) -> Markup {
    stamped(at, &at.in_london().strftime("%A %-d %B %Y at %-I:%M%P").to_string())
}

fn stamped(at: Moment, text: &str) -> Markup {
    let utc =
        at.in_london().in_tz("UTC").map(|utc| utc.strftime("%-d %B %Y, %H:%M:%S UTC").to_string());
    html! { time datetime=(at.rfc3339()) title=(utc.unwrap_or_default()) { (text) } }
}

/// How long, in the largest unit or two: "3 minutes", "2 hours 5 minutes", "4 days".
pub(super) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => "less than a minute".to_owned(),
        (0, 0, minutes) => count(minutes, "minute"),
        (0, hours, 0) => count(hours, "hour"),
        (0, hours, minutes) => format!("{} {}", count(hours, "hour"), count(minutes, "minute")),
        (days, 0, _) => count(days, "day"),
        (days, hours, _) => format!("{} {}", count(days, "day"), count(hours, "hour")),
    }
}

/// How long to wait, rounded up: "31 seconds", "3 minutes".
pub(super) fn wait(time: Duration) -> String {
    let seconds = time.as_secs() + 1;
    if seconds < 60 { count(seconds, "second") } else { span(seconds + 59) }
}

/// "1 concern", "1,204 concerns", "2 deliveries", "3 days".
pub(super) fn count(number: u64, one: &str) -> String {
    let many = match one.strip_suffix('y') {
        _ if number == 1 => one.to_owned(),
        Some(stem) if !stem.ends_with(['a', 'e', 'o']) => format!("{stem}ies"),
        _ => format!("{one}s"),
    };
    format!("{} {many}", grouped(number))
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What is due, when, and how that stands: a phrase for a sentence or a cell.
pub(super) fn due(record: &DeliveryRecord, now: Moment) -> Markup {
    let (Some(due), Some(duty)) = (record.next_due(), record.duties().first()) else {
        return html! { "Nothing is due" };
    };
    let at = Moment::of_seconds(due);
    let (label, class) = left(record, now);
    html! {
        span.due-what { (duty_noun(*duty)) " due " (time(at, now)) }
        " "
        span class={ "due " (class) } { (label) }
    }
}

/// How long is left, or for how long it is too late; and the class that shows it.
pub(super) fn left(record: &DeliveryRecord, now: Moment) -> (String, &'static str) {
    let seconds = now.seconds();
    let Some(due) = record.next_due() else { return ("nothing due".to_owned(), "none") };
    match record.timeliness(seconds) {
        Timeliness::Overdue => (format!("{} overdue", span(seconds - due)), "overdue"),
        Timeliness::DueSoon => (format!("{} left", span(due - seconds)), "due-soon"),
        Timeliness::OnTime => (format!("{} left", span(due - seconds)), "on-time"),
        Timeliness::NothingDue => ("nothing due".to_owned(), "none"),
    }
}

/// What a duty brings.
pub(super) fn duty_noun(duty: Duty) -> &'static str {
    match duty {
        Duty::Acknowledge => "Acknowledgement",
        Duty::Decide => "Decision",
        Duty::Feedback => "Feedback to the sender",
    }
}

/// Where a delivery stands, in a sentence without a full stop.
pub(super) fn stands(record: &DeliveryRecord) -> String {
    let delivery = &record.delivery;
    let mut said = match (delivery.trouble, delivery.state) {
        (Some(Trouble::CannotOpen), _) => {
            "Their system has no key that opens it; the sender must seal it again"
        }
        (Some(Trouble::NotTaken), _) => {
            "Their system could not take it; it is offered again and again"
        }
        (None, State::Queued) => "Their system has not fetched it",
        (None, State::Stored) if delivery.opened => {
            "A person has read it; nobody has acknowledged it"
        }
        (None, State::Stored) => "Their system has it; nobody has acknowledged it",
        (None, State::Acknowledged) => "A person has acknowledged it; it is not decided",
        (None, State::Decided) => "Decided; the sender has not been told",
        (None, State::FeedbackSent) => "The sender was told; their system has not fetched that",
        (None, State::Closed) => "Closed: decided, and the sender knows",
        (None, State::Withdrawn) => "Taken back by the sender before it was fetched",
    }
    .to_owned();
    match delivery.withdrawal {
        None => {}
        Some(Withdrawal::Announced) => said += ". The sender has taken it back",
        Some(Withdrawal::Confirmed) => said += ". The sender has taken it back, and they know",
    }
    match delivery.phone {
        None => {}
        Some(Phone::Told) => said += ". They were told by telephone, and have not confirmed it",
        Some(Phone::Confirmed) => said += ". They were told by telephone, and confirmed it",
    }
    said
}

/// Who must act next.
pub(super) fn next_to_act(record: &DeliveryRecord) -> String {
    match record.delivery.responsible() {
        Party::Exchange => "this exchange, which goes on offering it".to_owned(),
        Party::Nobody => "nobody".to_owned(),
        Party::Recipient(inbox) => inbox.to_string(),
        Party::Sender => record.sender.clone(),
    }
}

/// A tag with the urgency.
pub(super) fn urgency(word: &str) -> Markup {
    let (urgency, _) = Urgency::effective(Some(word));
    let word = urgency.as_str();
    let mut label = word.to_owned();
    if let Some(first) = label.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    html! { span class={ "tag urgency-" (word) } { (label) } }
}

/// A person as colleagues would say it: "R. Okafor, duty manager".
pub(super) fn person(person: Option<&Person>) -> String {
    let Some(person) = person else { return "somebody".to_owned() };
    let name = if person.name.is_empty() { &person.staff_id } else { &person.name };
    let simulated = if person.simulated { " (simulated)" } else { "" };
    format!("{name}, {}{simulated}", person.post)
}

/// What an entry records, as the title of a step.
pub(super) fn happened(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Concern => "Accepted",
        EntryType::Stored => "Stored by their system",
        EntryType::NotTaken => "Not taken by their system",
        EntryType::CannotOpen => "Cannot be opened there",
        EntryType::Opened => "Read by a person",
        EntryType::Acknowledgement => "Acknowledged",
        EntryType::Decision => "Decided",
        EntryType::Feedback => "Sender told",
        EntryType::Redirection => "Passed on",
        EntryType::Misdirection => "Passed on: it had come to the wrong place",
        EntryType::Resealed => "Sealed again by the sender",
        EntryType::Withdrawal => "Taken back by the sender",
        EntryType::WithdrawalConfirmed => "They know that it was taken back",
        EntryType::PhoneConfirmed => "They confirmed the telephone call",
        EntryType::UrgencyChange => "Urgency changed",
        EntryType::Escalation => "Nobody had acted: the next in line was told",
        EntryType::ToldByPhone => "Told by telephone",
        EntryType::TakenCareOf => "Somebody on call is dealing with it",
        EntryType::Extension => "Given more time",
        EntryType::ReviewAsked => "Sent outside any agreement: the reviewer was asked",
        EntryType::Settled => "Somebody on call has seen to it",
        EntryType::AgreementReview => "Looked at, since no agreement covered it",
        EntryType::Manifest => "Compared with what its sender counts",
        EntryType::Unspecified
        | EntryType::Genesis
        | EntryType::Directory
        | EntryType::Refusal
        | EntryType::Query
        | EntryType::Recovery
        | EntryType::ConsoleAccess => "A record of the exchange's own",
    }
}

/// How old something is, rounded down to minutes.
pub(super) fn ago(at: Moment, now: Moment) -> String {
    format!("{} ago", span(now.seconds().saturating_sub(at.seconds())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_counts_read_as_people_say_them() {
        assert_eq!(span(59), "less than a minute");
        assert_eq!(span(60), "1 minute");
        assert_eq!(span(7_500), "2 hours 5 minutes");
        assert_eq!(span(90_000), "1 day 1 hour");
        assert_eq!(span(3 * 86_400 + 60), "3 days");
        assert_eq!(count(1, "concern"), "1 concern");
        assert_eq!(count(1_204, "concern"), "1,204 concerns");
        assert_eq!(count(2, "delivery"), "2 deliveries");
        assert_eq!(grouped(1_000_000), "1,000,000");
        assert_eq!(grouped(999), "999");
    }

    #[test]
    fn the_hour_that_comes_twice_has_two_times_in_utc() {
        // The clocks go back on 25 October 2026 at 2am BST.
        let summer = time(Moment::of_seconds(1792888200), Moment::of_seconds(1792888200));
        let winter = time(Moment::of_seconds(1792891800), Moment::of_seconds(1792891800));
        assert!(summer.0.contains(">1:30am<") && winter.0.contains(">1:30am<"));
        assert!(summer.0.contains("00:30:00 UTC") && winter.0.contains("01:30:00 UTC"));
    }
}
