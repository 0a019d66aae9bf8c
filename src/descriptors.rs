//! The limit on open file descriptors (RLIMIT_NOFILE): raised to the number that the configured connections need, as far as
//! the hard limit permits, and divided so that connections leave enough descriptors for the state file and the library.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that connections must leave free: those that are always open, a write of the state, a scan, covers, and the
/// sockets of refused connections.
const RESERVED_DESCRIPTORS: u64 = 64;
/// Each connection uses one descriptor for its socket and, during a download, one for the file.
const DESCRIPTORS_PER_CONNECTION: u64 = 2;
/// The lower bound of the connection limit. If there are too few descriptors even for this many connections, accepting one
/// may fail and is retried.
const MIN_CONNECTIONS: usize = 8;

/// The number of connections that the limit on open descriptors permits, at most `wanted` but at least `MIN_CONNECTIONS`.
/// Raises the limit if necessary and permitted.
pub fn max_connections(wanted: usize) -> usize {
    let needed = DESCRIPTORS_PER_CONNECTION.saturating_mul(wanted as u64);
    let limit = raise_limit(RESERVED_DESCRIPTORS.saturating_add(needed));
    let permitted = connections_within(limit, wanted);
    if permitted < wanted {
        tracing::warn!(
            "the server accepts at most {permitted} connections instead of {wanted}, because this process may have only \
             {limit} open file descriptors (see ulimit -n)"
        );
    }
    permitted
}

/// The number of connections, at most `wanted` but at least `MIN_CONNECTIONS`, for which `limit` descriptors suffice.
fn connections_within(limit: u64, wanted: usize) -> usize {
    let permitted = limit.saturating_sub(RESERVED_DESCRIPTORS) / DESCRIPTORS_PER_CONNECTION;
    usize::try_from(permitted)
        .unwrap_or(wanted)
        .clamp(MIN_CONNECTIONS, wanted.max(MIN_CONNECTIONS))
}

/// Raises the soft limit to `needed`, or to the hard limit if the hard limit is lower. Returns the resulting soft limit.
fn raise_limit(needed: u64) -> u64 {
    let soft_limit = || getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if soft_limit() < needed {
        let maximum = getrlimit(Resource::Nofile).maximum;
        let raised = Rlimit {
            current: Some(maximum.map_or(needed, |maximum| maximum.min(needed))),
            maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!("cannot raise the limit on open file descriptors: {error}");
        }
    }
    soft_limit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_the_descriptors_that_are_not_reserved() {
        for (limit, wanted, expected) in [
            (u64::MAX, 4096, 4096),
            (8256, 4096, 4096),
            (8254, 4096, 4095),
            (1024, 4096, 480),
            (128, 4096, 32),
            (64, 4096, MIN_CONNECTIONS),
            (0, 4096, MIN_CONNECTIONS),
            (1024, 16, 16),
        ] {
            assert_eq!(
                connections_within(limit, wanted),
                expected,
                "{limit} {wanted}"
            );
        }
    }
}
