//! One recipient of a concern: how far it has come there, who must act, how to reach them, and what
//! one can do.
//!
//! How far it has come is what the delivery says; when, and who, is taken from the thread.
//!
//! Holds: I6, I12. Knows: broker, directory, domain, proto.

use maud::{Markup, html};

use super::Concern;
use crate::{
    broker::records::DeliveryRecord,
    console::{frame, pages::rows, story::Step, words},
    domain::lifecycle::State as Life,
    proto::EntryType,
};

impl Concern<'_> {
    /// The card of a delivery.
    pub(super) fn card(&self, record: &DeliveryRecord) -> Markup {
        let delivery = &record.delivery;
        let (holder, addressed) = (delivery.holder.as_str(), delivery.addressed.as_str());
        let agency = self.directory.agency(delivery.holder.agency());
        let name = agency.map_or(delivery.holder.agency(), |agency| agency.name.as_str());
        let inbox = self.directory.inbox(&delivery.holder);
        let phone = inbox.map(|inbox| inbox.phone.as_str()).filter(|phone| !phone.is_empty());
        let anchor = frame::anchor(addressed);
        let now = self.visit.now;
        html! {
            article.card id=(anchor) aria-label={ "For " (addressed) } {
                div data-live=(anchor) {
                    h3 { (name) span.muted { " " (holder) } }
                    @if holder != addressed { p { "It was addressed to " (addressed) "." } }
                    p { (words::stands(record)) ". " span.muted { "Next to act: " (words::next_to_act(record)) "." } }
                    @if delivery.is_open() { p.when { (words::due(record, now)) } }
                    @if let Some(said) = rows::ladder(record) { p.told { "Nobody acted in time. " (said) } }
                    @if let Some(care) = rows::care(&self.console.broker, record, now) { p.cared { (care) } }
                    (self.steps(record))
                    @match phone {
                        Some(phone) => {
                            p.phone { "Telephone " a href={ "tel:" (phone.replace(' ', "")) } { (phone) } }
                        }
                        None => { p.muted { "The directory has no telephone for this inbox." } }
                    }
                }
                @if delivery.is_open() {
                    (self.filled.dealing_form(self.visit, self.entry, addressed, name))
                    (self.filled.called_form(self.visit, self.entry, addressed, name, phone.unwrap_or("")))
                }
            }
        }
    }

    /// The steps of a delivery, with when and who.
    fn steps(&self, record: &DeliveryRecord) -> Markup {
        let state = record.delivery.state;
        let past = |least: Life| state != Life::Withdrawn && state >= least;
        let shown = [
            ("Stored by their system", past(Life::Stored), self.newest(record, EntryType::Stored)),
            (
                "Acknowledged by a person",
                past(Life::Acknowledged),
                self.newest(record, EntryType::Acknowledgement),
            ),
            ("Decided", past(Life::Decided), self.numbered(record.decision)),
            ("Sender told", past(Life::FeedbackSent), self.numbered(record.feedback)),
        ];
        html! {
            ol.steps {
                li.reached { span.step { "Accepted" } " " (words::time(self.accepted, self.visit.now)) }
                @for (name, reached, step) in shown {
                    li class=(if reached { "reached" } else { "ahead" }) {
                        span.step { (name) }
                        @match step.filter(|_| reached) {
                            Some(step) => {
                                " " (words::time(step.at, self.visit.now))
                                @if !step.by.is_empty() { span.muted { ", " (step.by) } }
                            }
                            None if !reached => { span.muted { " – not yet" } }
                            None => {}
                        }
                    }
                }
            }
        }
    }

    /// The newest step of a kind that whoever has the delivery said of this very concern.
    fn newest(&self, record: &DeliveryRecord, kind: EntryType) -> Option<&Step> {
        let holder = record.delivery.holder.as_str();
        let addressed = record.delivery.addressed.as_str();
        self.steps.iter().rev().find(|step| {
            step.kind == kind
                && step.answers == Some(self.entry)
                && (step.inbox == holder
                    || step.delivery == holder
                    || holder == addressed && step.delivery == addressed)
        })
    }

    /// The step of this number.
    fn numbered(&self, entry: Option<u64>) -> Option<&Step> {
        self.steps.iter().find(|step| Some(step.entry) == entry)
    }
}
