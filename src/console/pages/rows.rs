//! Deliveries as rows of a table, the same on every page.
//!
//! Knows: broker, directory, clock.

use maud::{Markup, html};

use crate::{
    broker::{Broker, records::DeliveryRecord},
    clock::Moment,
    console::{forms, frame, story, visit::Visit, words},
    domain::deadline::Rung,
};

/// A table of deliveries, in the order given; for a person who may take care of them, each with a
/// button to do so.
pub(super) fn table<'r>(
    broker: &Broker,
    caption: &str,
    rows: impl IntoIterator<Item = &'r DeliveryRecord>,
    (now, carer): (Moment, Option<&Visit>),
) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead {
                    tr {
                        th scope="col" { "Due" }
                        th scope="col" { "Concern" }
                        th scope="col" { "From, for" }
                        th scope="col" { "Where it stands" }
                    }
                }
                tbody { @for record in rows { (row(broker, record, now, carer)) } }
            }
        }
    }
}

fn row(broker: &Broker, record: &DeliveryRecord, now: Moment, carer: Option<&Visit>) -> Markup {
    let delivery = &record.delivery;
    let entry = record.concern;
    let moved = delivery.holder != delivery.addressed;
    html! {
        tr {
            td.when data-label="Due" { (words::urgency(&record.urgency)) " " (words::due(record, now)) }
            th scope="row" data-label="Concern" {
                a href={ "/concerns/" (entry) "#" (frame::anchor(delivery.addressed.as_str())) } {
                    "Concern " (entry)
                    span.hidden { " for " (delivery.holder) }
                }
                @if record.exercise { " " span.tag { "Exercise" } }
                div.muted { "accepted " (words::time(Moment(record.accepted_at), now)) }
            }
            td data-label="From, for" {
                div { (record.sender) }
                div { span.muted aria-hidden="true" { "→ " } (delivery.holder)
                    @if moved { span.muted { " (was " (delivery.addressed) ")" } } }
            }
            td data-label="Where it stands" {
                div { (words::stands(record)) "." }
                @if let Some(said) = ladder(record) { div.told { (said) } }
                @match care(broker, record, now) {
                    Some(care) => { div.cared { (care) } }
                    None => {
                        @if let Some(visit) = carer { (forms::quick(visit, entry, delivery.addressed.as_str())) }
                    }
                }
            }
        }
    }
}

/// How far the ladder is climbed for what is to be done next: to whom the delivery was offered, or
/// whose turn it is. The exchange itself rings nobody.
pub(super) fn ladder(record: &DeliveryRecord) -> Option<String> {
    let rung = record.rung_now()?;
    let offered: Vec<&str> = record.delivery.stand_ins.iter().map(|inbox| inbox.as_str()).collect();
    Some(match (rung, offered.is_empty()) {
        (Rung::Deputy | Rung::OutOfHours, false) => {
            format!("Offered to {} too.", offered.join(", "))
        }
        (rung, true) => format!("Time to ring {}.", rung.post()),
        (rung, false) => {
            format!("Offered to {} too. Time to ring {}.", offered.join(", "), rung.post())
        }
    })
}

/// Who on call is dealing with a delivery, if anybody is.
pub(super) fn care(broker: &Broker, record: &DeliveryRecord, now: Moment) -> Option<Markup> {
    let (entry, until) = record.cared_for.filter(|(_, until)| *until > now.seconds())?;
    let carer = story::carer(broker, entry);
    Some(
        html! { (carer) " is dealing with it until " (words::time(Moment::of_seconds(until), now)) "." },
    )
}
