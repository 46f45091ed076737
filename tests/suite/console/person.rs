//! A person with a browser that has no screen and no script: cookies, forms, redirects.

use std::collections::BTreeMap;

use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::PASSPHRASE;

/// One browser, and the cookies in it.
#[derive(Clone)]
pub struct Person {
    pub base: String,
    pub cookies: BTreeMap<String, String>,
}

/// A page as it came.
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Person {
    /// Nobody yet.
    pub fn at(base: &str) -> Self {
        Self { base: base.to_owned(), cookies: BTreeMap::new() }
    }

    /// Uses an invitation.
    pub async fn join(&mut self, link: &str) {
        let path = link.strip_prefix(&self.base).unwrap().to_owned();
        let page = self.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        let chosen = [("passphrase", PASSPHRASE), ("again", PASSPHRASE)];
        let page = self.post(&path, &chosen).await;
        assert_eq!(page.to(), Some("/"), "{}", page.text);
    }

    pub async fn get(&mut self, path: &str) -> Page {
        self.ask(Method::GET, path, &[], None).await
    }

    /// Posts a form as our own pages do.
    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Page {
        self.ask(Method::POST, path, &[("sec-fetch-site", "same-origin")], Some(form)).await
    }

    /// Asks, keeps the cookies that come, and follows nothing.
    pub async fn ask(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        form: Option<&[(&str, &str)]>,
    ) -> Page {
        let authority = self.base.split("//").nth(1).unwrap().to_owned();
        let stream = TcpStream::connect(&authority).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let running = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::HOST, authority);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !self.cookies.is_empty() {
            let all: Vec<_> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(header::COOKIE, all.join("; "));
        }
        let body = form.map(|form| {
            request
                .headers_mut()
                .unwrap()
                .insert(header::CONTENT_TYPE, "application/x-www-form-urlencoded".parse().unwrap());
            encoded(form)
        });
        let request =
            request.body(Full::new(bytes::Bytes::from(body.unwrap_or_default()))).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        running.abort();
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            match value.is_empty() {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        Page { status: parts.status, headers: parts.headers, text }
    }
}

impl Page {
    /// Where it sends one.
    pub fn to(&self) -> Option<&str> {
        self.headers.get(header::LOCATION).map(|to| to.to_str().unwrap())
    }

    /// The value of the first hidden field of this name after a text.
    pub fn hidden_after(&self, after: &str, name: &str) -> String {
        let from = self.text.find(after).unwrap_or_else(|| panic!("{after} is on the page"));
        let field = format!("name=\"{name}\" value=\"");
        let at = self.text[from..].find(&field).expect("the field is there") + from + field.len();
        let end = self.text[at..].find('"').unwrap();
        self.text[at..at + end].to_owned()
    }

    /// Rows in the tables of the page.
    pub fn rows(&self) -> usize {
        self.text.matches("<tr><td class=\"when\"").count()
    }

    /// Every address that the page links to.
    pub fn links(&self) -> Vec<String> {
        let links = self.text.split("href=\"").skip(1);
        let links = links.map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&"));
        links.filter(|link| link.starts_with('/')).collect()
    }
}

fn encoded(form: &[(&str, &str)]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escaped = |text: &str| -> String {
        text.bytes()
            .map(|byte| match plain(byte) {
                true => (byte as char).to_string(),
                false => format!("%{byte:02X}"),
            })
            .collect()
    };
    let pairs = form.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
    pairs.collect::<Vec<_>>().join("&")
}
