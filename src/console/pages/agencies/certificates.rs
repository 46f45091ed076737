//! Certificates on the page of all agencies and on each one's own: whose end soon, as the systems
//! last connected.
//!
//! Holds: I12. Knows: broker, directory, clock, limits.

use maud::{Markup, html};

use crate::{
    clock::Moment,
    console::{site::Console, words},
    directory::Directory,
    limits,
};

/// Systems that will not be let in before long.
pub(super) fn ending(console: &Console, now: Moment) -> Markup {
    let ending = console.broker.certificates_ending(now.after(limits::CERTIFICATE_ENDS_SOON));
    html! {
        @if !ending.is_empty() {
            section aria-labelledby="certificates" {
                h2 #certificates { "Certificates that end soon" }
                p { "As each system last connected. One whose certificate has ended is not let in: \
                    what is for it waits here, and it can send nothing." }
                ul {
                    @for certificate in &ending {
                        li {
                            a href={ "/agencies/" (certificate.agency) } {
                                (certificate.agency) "/" (certificate.system)
                            }
                            ": " (end(certificate.at, now))
                        }
                    }
                }
            }
        }
    }
}

/// Each system of an agency.
pub(super) fn of(console: &Console, directory: &Directory, agency: &str, now: Moment) -> Markup {
    html! {
        h2 { "Certificates" }
        ul {
            @for system in directory.systems_of(agency) {
                li { (system.name) ": "
                    @if system.suspended { "suspended: it is not let in" }
                    @else if let Some(at) = console.broker.certificate_end(agency, &system.name) {
                        (end(at, now))
                    } @else { "not connected since this exchange was started" }
                }
            }
        }
    }
}

/// When a certificate ends, marked when it is time to act.
fn end(at: Moment, now: Moment) -> Markup {
    let left = at.seconds().saturating_sub(now.seconds());
    let in_time = || html! { (words::time(at, now)) ", in " (words::span(left)) };
    html! {
        @if at <= now { strong.ill { "ended " (words::time(at, now)) } }
        @else if at < now.after(limits::CERTIFICATE_ENDS_NOW) { strong.ill { "ends " (in_time()) } }
        @else if at < now.after(limits::CERTIFICATE_ENDS_SOON) { "ends " (in_time()) }
        @else { "valid until " (words::time(at, now)) }
    }
}
