//! The forms of a concern's page, and what they say when something was wrong, or was done.
//!
//! Each says its effect beforehand, and carries the chance by which it counts once.
//!
//! Holds: I8, I12. Knows: broker, proto, clock, limits.

use maud::{Markup, html};
use serde::Deserialize;

use super::{frame::anchor, visit::Visit, words};
use crate::{
    broker::{Broker, records},
    clock::Moment,
    crypto::passphrase::Token,
    limits,
    proto::{self, EntryType, Facts},
};

/// How long somebody may say to be dealing with something, in minutes; the second is the default.
const MINUTES: [u64; 5] = [15, 30, 60, 120, 240];

/// "I told them by telephone".
#[derive(Clone, Deserialize)]
pub(super) struct Called {
    pub(super) form: String,
    pub(super) request: String,
    pub(super) addressed: String,
    pub(super) told_name: String,
    pub(super) told_post: String,
    pub(super) number: String,
    /// A time on a clock in the United Kingdom; empty: now.
    #[serde(default)]
    pub(super) at: String,
    #[serde(default)]
    pub(super) read_back: Option<String>,
    #[serde(default)]
    pub(super) passphrase: Option<String>,
}

/// What the forms of a concern's page begin with, and what is wrong with it.
#[derive(Clone, Default)]
pub(super) struct Filled {
    pub(super) problem: Option<String>,
    /// The field at fault, as an address on the page.
    pub(super) field: String,
    /// What has just been done.
    pub(super) done: Option<Done>,
    /// The call that was not recorded.
    pub(super) call: Option<Called>,
}

/// A deed, as the page after it names it: by its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Dealing,
    Called,
}

impl Done {
    /// What an entry records, if it is a deed about this concern that was done just now.
    pub(super) fn of(broker: &Broker, entry: u64, concern: u64, now: Moment) -> Option<Self> {
        let meta = records::meta(broker.index(), entry)?;
        let facts: Facts = proto::decode(&broker.record(entry).ok()?.facts).ok()?;
        let just = now < Moment(meta.time).after(limits::JUST_DONE_TIME);
        match facts.r#type() {
            _ if facts.answers != Some(concern) || !just => None,
            EntryType::TakenCareOf => Some(Self::Dealing),
            EntryType::ToldByPhone => Some(Self::Called),
            _ => None,
        }
    }

    /// What it did, and did not do.
    pub(super) const fn sentence(self) -> &'static str {
        match self {
            Self::Dealing => {
                "Recorded: you are dealing with this. Others on call see your name. No clock stops."
            }
            Self::Called => {
                "Recorded: they were told by telephone. It counts once a person there confirms it; \
                 until then no clock stops."
            }
        }
    }
}

/// The shortest way to take care of a delivery: one button, for half an hour.
pub(super) fn quick(visit: &Visit, entry: u64, addressed: &str) -> Markup {
    html! {
        form.quick method="post" action={ "/concerns/" (entry) "/dealing" } {
            (hidden(visit, addressed))
            input type="hidden" name="minutes" value=(MINUTES[1]);
            button.quiet { "I'm dealing with this" span.hidden { ": concern " (entry) " for " (addressed) } }
        }
    }
}

impl Filled {
    /// The form by which somebody takes care of a delivery.
    pub(super) fn dealing_form(
        &self,
        visit: &Visit,
        entry: u64,
        addressed: &str,
        name: &str,
    ) -> Markup {
        let id = anchor(addressed);
        html! {
            form.act method="post" action={ "/concerns/" (entry) "/dealing" } {
                (hidden(visit, addressed))
                label for={ (id) "-minutes" } { "I'm dealing with this for" }
                " "
                select id={ (id) "-minutes" } name="minutes" {
                    @for minutes in MINUTES {
                        option value=(minutes) selected[minutes == MINUTES[1]] { (words::span(minutes * 60)) }
                    }
                }
                " "
                button { "I'm dealing with this" span.hidden { ": " (name) } }
                p.hint { "Shows your name to others on call and silences pages. No clock stops." }
            }
        }
    }

    /// The form by which a call is recorded.
    pub(super) fn called_form(
        &self,
        visit: &Visit,
        entry: u64,
        addressed: &str,
        name: &str,
        phone: &str,
    ) -> Markup {
        let id = anchor(addressed);
        let call = self.call.as_ref().filter(|call| call.addressed == addressed);
        let value = |of: fn(&Called) -> &String| call.map(of).cloned().unwrap_or_default();
        let number = call.map_or(phone, |call| call.number.as_str());
        html! {
            details.act open[call.is_some()] {
                summary { "Record a telephone call" span.hidden { " to " (name) } }
                form method="post" action={ "/concerns/" (entry) "/called" } {
                    (hidden(visit, addressed))
                    (field(&id, "told-name", "told_name", "Who you told", &value(|call| &call.told_name), 128))
                    (field(&id, "told-post", "told_post", "Their post", &value(|call| &call.told_post), 128))
                    (field(&id, "number", "number", "The number you rang", number, 64))
                    div.field {
                        label for={ (id) "-at" } { "When" }
                        p.hint id={ (id) "-at-hint" } { "On a clock in the United Kingdom. Leave it empty for now." }
                        input id={ (id) "-at" } name="at" type="datetime-local" value=(value(|call| &call.at))
                            aria-describedby={ (id) "-at-hint" };
                    }
                    div.tick {
                        input id={ (id) "-back" } name="read_back" type="checkbox" value="yes"
                            checked[call.is_some_and(|call| call.read_back.is_some())];
                        label for={ (id) "-back" } { "They read the number of the concern back" }
                    }
                    button { "Record the call" span.hidden { " to " (name) } }
                    p.hint { "Tells that inbox and the sender. It counts once a person there confirms it." }
                }
            }
        }
    }
}

fn field(id: &str, part: &str, name: &str, label: &str, value: &str, most: usize) -> Markup {
    html! {
        div.field {
            label for={ (id) "-" (part) } { (label) }
            input id={ (id) "-" (part) } name=(name) value=(value) maxlength=(most) autocomplete="off" required;
        }
    }
}

/// The session's token, which delivery it is, and the request id under which it counts once.
fn hidden(visit: &Visit, addressed: &str) -> Markup {
    let chance = Token::draw().map(|token| token.as_str().to_owned()).unwrap_or_default();
    html! {
        input type="hidden" name="form" value=(visit.session.form);
        input type="hidden" name="request" value=(chance);
        input type="hidden" name="addressed" value=(addressed);
    }
}
