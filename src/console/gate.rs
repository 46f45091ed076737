//! Who asks, what that person may see, and whether a form is ours.
//!
//! A form counts only with its session's token, and only from our own pages: `Sec-Fetch-Site`, or
//! `Origin` where a browser does not send that. What a person may do is what the table of calls
//! lets the system do that the person speaks for, asked anew each time.
//!
//! Holds: I2, I11. Knows: broker, domain, identity, policy, proto.

use axum::http::{HeaderMap, header};

use super::{
    answer::Page,
    site::Console,
    visit::{COOKIE, PLACES, SHADE, SHADES, Visit},
};
use crate::{
    broker::Error,
    domain::refusal::Refusal,
    identity::people::{Person, Session},
    policy, proto,
};

impl Console {
    /// Who asks; else the way to sign in.
    pub(super) fn visit(&self, headers: &HeaderMap) -> Result<Visit, Page> {
        let now = self.broker.now();
        let session = cookie(headers, COOKIE).and_then(|token| self.people.session(token, now));
        let shade = cookie(headers, SHADE);
        let shade = SHADES.into_iter().find(|known| Some(*known) == shade);
        let session = session.ok_or_else(Page::to_sign_in)?;
        let directory = self.broker.directory();
        let may = |call: &str| policy::may_call(&directory, &session.peer, call).is_ok();
        let places = PLACES.iter().filter(|place| place.call.is_none_or(may)).collect();
        Ok(Visit { session, now, shade, places })
    }

    /// Who asks, if that person's system may make this call. Not permitted and not there look the
    /// same; the first is recorded.
    pub(super) async fn permitted(&self, headers: &HeaderMap, call: &str) -> Result<Visit, Page> {
        let visit = self.visit(headers)?;
        match policy::may_call(&self.broker.directory(), &visit.session.peer, call) {
            Ok(()) => Ok(visit),
            Err(refusal) => {
                self.refused(&visit.session, refusal).await;
                Err(Page::not_found(Some(&visit)))
            }
        }
    }

    /// Who posts a form, if the form is one of our own pages' of this session and the person's
    /// system may make this call.
    pub(super) async fn posted(
        &self,
        headers: &HeaderMap,
        form_token: &str,
        call: &str,
    ) -> Result<Visit, Page> {
        let visit = self.permitted(headers, call).await?;
        self.ours(headers, visit, form_token).await
    }

    /// The same, if the form comes from a page of this session.
    pub(super) async fn ours(
        &self,
        headers: &HeaderMap,
        visit: Visit,
        form_token: &str,
    ) -> Result<Visit, Page> {
        if self.same_site(headers) && form_token == visit.session.form {
            return Ok(visit);
        }
        self.refused(&visit.session, Refusal::NotFromOurPage).await;
        Err(Page::not_ours(&visit))
    }

    /// Whether a request comes from one of our own pages, or from the address bar.
    pub(super) fn same_site(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        match (text("sec-fetch-site"), text(header::ORIGIN.as_str())) {
            (Some(site), _) => matches!(site, "same-origin" | "none"),
            (None, Some(origin)) => origin == self.url,
            // A browser that says neither is older than both; the token alone decides.
            (None, None) => true,
        }
    }

    /// Records a refusal of somebody who is signed in.
    pub(super) async fn refused(&self, session: &Session, refusal: Refusal) {
        self.refused_person(&session.person, &session.form, refusal).await;
    }

    /// Records a refusal of a person, in this session if there is one: with the name, and once for
    /// identical ones. The page says no either way; a record that could not be made is the
    /// operators' to hear of.
    pub(super) async fn refused_person(
        &self,
        person: &Person,
        session: &str,
        refusal: Refusal,
    ) -> Error {
        let peer = self.people.peer_of(person);
        let error = self.broker.refuse_person(&peer, &person.access(), session, refusal).await;
        if !matches!(error, Error::Refused(_)) {
            tracing::error!(%error, "a refusal at the console could not be recorded");
        }
        error
    }

    /// Records that a person looks at something, durable before the page leaves. The same look by
    /// the same session within a quarter of an hour is the same look.
    pub(super) async fn look(
        &self,
        visit: &Visit,
        kind: &'static str,
        about: Option<u64>,
    ) -> Result<(), Page> {
        let look = (visit.session.id(), kind, about);
        if self.looks.is_same(&look, visit.now) {
            return Ok(());
        }
        let by = proto::encode(&visit.session.person.access());
        let recorded = self.broker.record_look(&visit.session.peer, kind, about, by).await;
        recorded.map_err(|error| Page::trouble(&error))?;
        self.looks.remember(look, visit.now);
        Ok(())
    }
}

/// One cookie among all that a browser sends.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(|line| line.split(';'));
    cookies.find_map(|cookie| cookie.trim().strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others_and_nothing_like_it_is() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, text.parse().unwrap());
            cookie(&headers, COOKIE).map(str::to_owned)
        };
        assert_eq!(of("a=b; __Host-cairn=token; c=d").as_deref(), Some("token"));
        assert_eq!(of("__Host-cairn2=token"), None);
        assert_eq!(of("x__Host-cairn=token"), None);
    }
}
