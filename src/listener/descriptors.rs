//! How many connections the process has descriptors for.
//!
//! Takes the bounds of a listener; gives them with no more connections than leave the ledger its
//! own descriptors. A connection that finds none is refused; a ledger that finds none must stop.
//! Holds: I10. Knows: limits.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::ConnectionLimits;
use crate::limits::DESCRIPTORS_KEPT;

/// Raises the process's bound as far as it may, and bounds the connections by what is left. With a
/// second door as wide as this one at most, half of it is for that.
pub fn within_descriptors(limits: ConnectionLimits, second_door: bool) -> ConnectionLimits {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(_) => current,
    };
    let connections_max =
        limits.connections_max.min(places(allowed) / if second_door { 2 } else { 1 }).max(1);
    if connections_max < limits.connections_max {
        tracing::warn!(
            connections_max,
            descriptors = allowed,
            "few descriptors: fewer connections"
        );
    }
    ConnectionLimits { connections_max, ..limits }
}

/// Connections that this many descriptors allow; `None` is any number. At least one.
fn places(descriptors: Option<u64>) -> usize {
    let left = descriptors.map_or(u64::MAX, |all| all.saturating_sub(DESCRIPTORS_KEPT));
    usize::try_from(left).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_the_ledger_its_descriptors() {
        assert_eq!(places(Some(1_024)), 1_024 - DESCRIPTORS_KEPT as usize);
        assert_eq!(places(Some(DESCRIPTORS_KEPT + 1)), 1);
        assert_eq!(places(Some(0)), 1);
        assert_eq!(places(None), usize::MAX);
    }
}
