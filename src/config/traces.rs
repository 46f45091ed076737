//! `[traces]`: where spans of calls go.
//!
//! Knows: nothing.

use serde::Deserialize;

/// A collector of traces, asked by OTLP over gRPC.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceSettings {
    /// Where it is, such as `http://127.0.0.1:4317`. In the clear: on this machine, or in a network
    /// of the operators' own.
    pub endpoint: String,
    /// Of the calls whose callers have not decided it, so many are traced; absent: all.
    #[serde(default)]
    pub sample: Share,
}

/// A part of the whole, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Share {
    millionths: u32,
}

const WHOLE: u32 = 1_000_000;

impl Default for Share {
    fn default() -> Self {
        Self { millionths: WHOLE }
    }
}

impl TryFrom<f64> for Share {
    type Error = String;

    fn try_from(share: f64) -> Result<Self, String> {
        match (0.0..=1.0).contains(&share) {
            true => Ok(Self { millionths: (share * f64::from(WHOLE)).round() as u32 }),
            false => Err(format!("{share} is not a part of the whole, from 0 to 1")),
        }
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        Self::from(share.millionths) / Self::from(WHOLE)
    }
}

impl TraceSettings {
    /// Why they cannot be so.
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self.endpoint.strip_prefix("http://").is_some_and(|host| !host.is_empty()) {
            true => None,
            false => Some(
                "traces.endpoint must begin with http://: a collector on this machine, or in a \
                 network of your own, which may send them on over TLS",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_part_of_the_whole() {
        let read = |text: &str| toml::from_str::<TraceSettings>(text);
        let settings = read("endpoint = 'http://127.0.0.1:4317'\nsample = 0.05").unwrap();
        assert!((f64::from(settings.sample) - 0.05).abs() < 1e-9 && settings.fault().is_none());
        let all = read("endpoint = 'http://127.0.0.1:4317'").unwrap();
        assert!((f64::from(all.sample) - 1.0).abs() < 1e-9);
        for wrong in ["-0.1", "1.5", "nan", "'half'"] {
            assert!(read(&format!("endpoint = 'http://x'\nsample = {wrong}")).is_err(), "{wrong}");
        }
        for wrong in ["https://x:4317", "127.0.0.1:4317", "http://", ""] {
            let settings = TraceSettings { endpoint: wrong.into(), sample: Share::default() };
            assert!(settings.fault().is_some(), "{wrong}");
        }
    }
}
