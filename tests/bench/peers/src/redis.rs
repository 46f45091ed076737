//! Redis: XADD to one stream, RESP2.

use anyhow::{Result, bail, ensure};

use crate::link::Link;
use crate::load::Protocol;

pub struct Redis;

impl Redis {
    pub async fn open(mut link: Link) -> Result<(Link, Self)> {
        link.secure().await?;
        link.send(b"PING\r\n").await?;
        ensure!(link.line().await? == "+PONG", "not a Redis server");
        Ok((link, Self))
    }
}

impl Protocol for Redis {
    fn put(&mut self, message: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"*5\r\n$4\r\nXADD\r\n$8\r\nmessages\r\n$1\r\n*\r\n$1\r\nb\r\n");
        out.extend_from_slice(format!("${}\r\n", message.len()).as_bytes());
        out.extend_from_slice(message);
        out.extend_from_slice(b"\r\n");
    }

    /// The answer is the new entry's id: `$<length>\r\n<id>\r\n`.
    fn acknowledged(&mut self, link: &mut Link, _: &mut Vec<u8>) -> Result<usize> {
        let (mut at, mut count) = (0, 0);
        let received = link.received();
        while let Some(line) = received[at..].windows(2).position(|pair| pair == b"\r\n") {
            let head = std::str::from_utf8(&received[at..at + line])?;
            let Some(length) = head.strip_prefix('$') else { bail!("Redis said {head}") };
            let end = at + line + 2 + length.parse::<usize>()? + 2;
            if received.len() < end {
                break;
            }
            (at, count) = (end, count + 1);
        }
        link.take(at);
        Ok(count)
    }
}
