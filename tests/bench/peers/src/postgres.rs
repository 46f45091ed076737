//! PostgreSQL: one prepared INSERT a message, each its own transaction, protocol 3.0.

use anyhow::{Result, bail, ensure};

use crate::link::Link;
use crate::load::Protocol;

/// The message inline and not compressed: what it costs least.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS messages (\
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body bytea NOT NULL); \
     ALTER TABLE messages ALTER body SET STORAGE PLAIN";
const INSERT: &str = "INSERT INTO messages (body) VALUES ($1)";

pub struct Postgres {
    /// The newest statement has been carried out; it counts once the server is ready again.
    done: bool,
}

fn message(kind: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.push(kind);
    out.extend_from_slice(&(length as u32 + 4).to_be_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

impl Postgres {
    pub async fn open(mut link: Link, number: usize) -> Result<(Link, Self)> {
        if link.wants_tls() {
            link.send(&[0, 0, 0, 8, 4, 210, 22, 47]).await?;
            ensure!(link.exactly(1).await? == b"S", "no TLS");
            link.secure().await?;
        }
        let parameters = b"\x00\x03\x00\x00user\0postgres\0database\0postgres\0\0";
        let mut out = (parameters.len() as u32 + 4).to_be_bytes().to_vec();
        out.extend_from_slice(parameters);
        let mut postgres = Self { done: false };
        postgres.ask(&mut link, out).await?;
        if number == 0 {
            let mut out = Vec::new();
            message(b'Q', &[TABLE.as_bytes(), &[0]], &mut out);
            postgres.ask(&mut link, out).await?;
        }
        let mut out = Vec::new();
        message(b'P', &[b"put\0", INSERT.as_bytes(), &[0, 0, 0]], &mut out);
        message(b'S', &[], &mut out);
        postgres.ask(&mut link, out).await?;
        postgres.done = false;
        Ok((link, postgres))
    }

    async fn ask(&mut self, link: &mut Link, request: Vec<u8>) -> Result<()> {
        link.send(&request).await?;
        while !self.answers(link)?.0 {
            link.more().await?;
        }
        Ok(())
    }

    /// Whether the server is ready, and how many statements it has carried out before.
    fn answers(&mut self, link: &mut Link) -> Result<(bool, usize)> {
        let (mut at, mut ready, mut count) = (0, false, 0);
        let received = link.received();
        while let Some(length) = received.get(at + 1..at + 5) {
            let length: usize = u32::from_be_bytes(length.try_into()?) as usize;
            let Some(body) = received.get(at + 5..at + 1 + length) else { break };
            match received[at] {
                b'C' => self.done = true,
                b'E' => bail!("PostgreSQL said {}", String::from_utf8_lossy(body)),
                b'R' => ensure!(body.starts_with(&[0; 4]), "it asks for a password"),
                b'Z' => {
                    ready = true;
                    count += usize::from(std::mem::take(&mut self.done));
                }
                _ => {}
            }
            at += 1 + length;
        }
        link.take(at);
        Ok((ready, count))
    }
}

impl Protocol for Postgres {
    fn put(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let length = (bytes.len() as u32).to_be_bytes();
        // One parameter, binary; results in text, of which there are none.
        message(b'B', &[b"\0put\0\0\x01\0\x01\0\x01", &length, bytes, &[0, 0]], out);
        message(b'E', &[b"\0\0\0\0\0"], out);
        message(b'S', &[], out);
    }

    fn acknowledged(&mut self, link: &mut Link, _: &mut Vec<u8>) -> Result<usize> {
        Ok(self.answers(link)?.1)
    }
}
