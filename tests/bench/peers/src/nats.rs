//! NATS JetStream: publish to a stream with file storage, and wait for its answer.

use anyhow::{Result, bail, ensure};

use crate::link::Link;
use crate::load::Protocol;

pub struct Nats {
    /// Answers to this connection come here.
    inbox: String,
}

impl Nats {
    pub async fn open(mut link: Link, number: usize) -> Result<(Link, Self)> {
        ensure!(link.line().await?.starts_with("INFO "), "not a NATS server");
        link.secure().await?;
        let inbox = format!("_INBOX.{number}");
        let hello = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true}}\r\n\
             SUB {inbox} 1\r\nPING\r\n"
        );
        link.send(hello.as_bytes()).await?;
        while link.line().await? != "PONG" {}
        let mut nats = Self { inbox };
        if number == 0 {
            nats.create_stream(&mut link).await?;
        }
        Ok((link, nats))
    }

    async fn create_stream(&mut self, link: &mut Link) -> Result<()> {
        let stream = br#"{"name":"M","subjects":["m"],"storage":"file","num_replicas":1}"#;
        let mut out = Vec::new();
        self.publish("$JS.API.STREAM.CREATE.M", stream, &mut out);
        link.send(&out).await?;
        loop {
            let mut out = Vec::new();
            if self.acknowledged(link, &mut out)? > 0 {
                return Ok(());
            }
            link.send(&out).await?;
            link.more().await?;
        }
    }

    fn publish(&self, subject: &str, message: &[u8], out: &mut Vec<u8>) {
        let head = format!("PUB {subject} {} {}\r\n", self.inbox, message.len());
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(message);
        out.extend_from_slice(b"\r\n");
    }
}

impl Protocol for Nats {
    fn put(&mut self, message: &[u8], out: &mut Vec<u8>) {
        self.publish("m", message, out);
    }

    /// `MSG <subject> <sid> <bytes>\r\n<answer>\r\n`, and now and then `PING`.
    fn acknowledged(&mut self, link: &mut Link, out: &mut Vec<u8>) -> Result<usize> {
        let (mut at, mut count) = (0, 0);
        let received = link.received();
        while let Some(line) = received[at..].windows(2).position(|pair| pair == b"\r\n") {
            let head = std::str::from_utf8(&received[at..at + line])?;
            let body = at + line + 2;
            if head == "PING" {
                out.extend_from_slice(b"PONG\r\n");
                at = body;
            } else if head.starts_with("MSG ") {
                let length: usize = head.rsplit(' ').next().unwrap_or_default().parse()?;
                let end = body + length + 2;
                let Some(answer) = received.get(body..end) else { break };
                let refused = answer.windows(7).any(|part| part == b"\"error\"");
                ensure!(!refused, "NATS said {}", String::from_utf8_lossy(answer));
                (at, count) = (end, count + 1);
            } else if head.starts_with("INFO ") || head == "PONG" {
                at = body;
            } else {
                bail!("NATS said {head}");
            }
        }
        link.take(at);
        Ok(count)
    }
}
