//! RabbitMQ: publish to a quorum queue with publisher confirms, AMQP 0-9-1.

use anyhow::{Context, Result, bail, ensure};

use crate::link::Link;
use crate::load::Protocol;

const QUEUE: &[u8] = b"messages";
const END: u8 = 0xCE;
/// The longest frame, as both sides agree: well above a message.
const FRAME_BYTES_MAX: u32 = 131_072;

pub struct RabbitMq {
    /// Messages confirmed so far, which are numbered from 1.
    confirmed: u64,
}

fn frame(kind: u8, channel: u16, parts: &[&[u8]], out: &mut Vec<u8>) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.push(kind);
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&(length as u32).to_be_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.push(END);
}

/// A method by class and number, both in one.
fn method(class: u16, number: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (class.to_be_bytes(), number.to_be_bytes());
    [a, b, c, d]
}

fn short(text: &[u8]) -> Vec<u8> {
    [&[text.len() as u8], text].concat()
}

fn long(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes(), text].concat()
}

impl RabbitMq {
    pub async fn open(mut link: Link) -> Result<(Link, Self)> {
        link.secure().await?;
        link.send(b"AMQP\0\0\x09\x01").await?;
        expect(&mut link, method(10, 10)).await?;
        let hello = [&long(b"")[..], &short(b"PLAIN"), &long(b"\0guest\0guest"), &short(b"en_US")];
        call(&mut link, 0, method(10, 11), &hello.concat(), method(10, 30)).await?;
        let tuned = [&[0, 1][..], &FRAME_BYTES_MAX.to_be_bytes(), &[0, 0]].concat();
        let mut out = Vec::new();
        frame(1, 0, &[&method(10, 31), &tuned], &mut out);
        link.send(&out).await?;
        let host = [short(b"/"), short(b""), vec![0]].concat();
        call(&mut link, 0, method(10, 40), &host, method(10, 41)).await?;
        call(&mut link, 1, method(20, 10), &short(b""), method(20, 11)).await?;
        let kind = [&short(b"x-queue-type")[..], b"S", &long(b"quorum")].concat();
        let queue = [&[0, 0][..], &short(QUEUE), &[0b10], &long(&kind)].concat();
        call(&mut link, 1, method(50, 10), &queue, method(50, 11)).await?;
        call(&mut link, 1, method(85, 10), &[0], method(85, 11)).await?;
        Ok((link, Self { confirmed: 0 }))
    }
}

async fn call(
    link: &mut Link,
    channel: u16,
    ask: [u8; 4],
    arguments: &[u8],
    answer: [u8; 4],
) -> Result<()> {
    let mut out = Vec::new();
    frame(1, channel, &[&ask, arguments], &mut out);
    link.send(&out).await?;
    expect(link, answer).await
}

async fn expect(link: &mut Link, answer: [u8; 4]) -> Result<()> {
    loop {
        if let Some(payload) = next(link)? {
            if payload.starts_with(&answer) {
                return Ok(());
            }
            bail!("RabbitMQ said {}", String::from_utf8_lossy(&payload));
        }
        link.more().await?;
    }
}

/// The payload of the next whole frame.
fn next(link: &mut Link) -> Result<Option<Vec<u8>>> {
    let received = link.received();
    let Some(length) = received.get(3..7) else { return Ok(None) };
    let length = u32::from_be_bytes(length.try_into()?) as usize;
    if received.len() < length + 8 {
        return Ok(None);
    }
    ensure!(received[length + 7] == END, "a frame without its end");
    let frame = link.take(length + 8);
    Ok(Some(frame[7..length + 7].to_vec()))
}

impl Protocol for RabbitMq {
    fn put(&mut self, message: &[u8], out: &mut Vec<u8>) {
        let to = [&[0, 0][..], &short(b""), &short(QUEUE), &[0]].concat();
        frame(1, 1, &[&method(60, 40), &to], out);
        // Basic, no weight, the length, and of the properties the delivery mode: persistent.
        let length = (message.len() as u64).to_be_bytes();
        frame(2, 1, &[&[0, 60, 0, 0], &length, &[0x10, 0, 2]], out);
        frame(3, 1, &[message], out);
    }

    /// `basic.ack` names a message and perhaps all before it.
    fn acknowledged(&mut self, link: &mut Link, _: &mut Vec<u8>) -> Result<usize> {
        let mut count = 0;
        while let Some(payload) = next(link)? {
            ensure!(
                payload.starts_with(&method(60, 80)),
                "RabbitMQ said {}",
                String::from_utf8_lossy(&payload)
            );
            let tag = payload.get(4..12).context("a confirm without a number")?;
            let tag = u64::from_be_bytes(tag.try_into()?);
            let all = payload.get(12) == Some(&1);
            // Single confirms may come out of order: each still counts once.
            count += if all { tag.saturating_sub(self.confirmed) as usize } else { 1 };
            self.confirmed = if all { tag.max(self.confirmed) } else { self.confirmed + 1 };
        }
        Ok(count)
    }
}
