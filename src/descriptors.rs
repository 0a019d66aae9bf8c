//! How many files and sockets this process may have open at once (RLIMIT_NOFILE): raised as far as the system lets it, and
//! shared out, so that connections never take what the state and the library need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is not for connections: what the server always has open, a write of the state, a scan, covers, and those who are
/// turned away.
const OWN: u64 = 64;
/// A connection is a socket, and may be a file that is sent on it.
const EACH: u64 = 2;
/// Fewer make no party; with less room than that, accepting fails now and then, and is tried again.
const FEWEST: usize = 8;

/// How many connections there is room for, `wanted` at most.
pub fn room_for(wanted: usize) -> usize {
    let needed = OWN.saturating_add(EACH.saturating_mul(wanted as u64));
    let allowed = raise(needed);
    let fits = fits(allowed, wanted);
    if fits < wanted {
        tracing::warn!(
            "at most {fits} connections instead of {wanted}: the system lets this process open {allowed} files at once \
             (see ulimit -n)"
        );
    }
    fits
}

/// How many connections fit into so many files.
fn fits(allowed: u64, wanted: usize) -> usize {
    let fit = allowed.saturating_sub(OWN) / EACH;
    usize::try_from(fit)
        .unwrap_or(wanted)
        .clamp(FEWEST, wanted.max(FEWEST))
}

/// Raises what is allowed to `needed`, as far as that goes; what is allowed then.
fn raise(needed: u64) -> u64 {
    let allowed = || getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if allowed() < needed {
        let maximum = getrlimit(Resource::Nofile).maximum;
        let raised = Rlimit {
            current: Some(maximum.map_or(needed, |maximum| maximum.min(needed))),
            maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!("cannot raise the number of open files: {error}");
        }
    }
    allowed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_what_the_server_itself_leaves_and_never_more_than_is_wanted() {
        for (allowed, wanted, room) in [
            (u64::MAX, 4096, 4096),
            (8256, 4096, 4096),
            (8254, 4096, 4095),
            (1024, 4096, 480),
            (128, 4096, 32),
            (64, 4096, FEWEST),
            (0, 4096, FEWEST),
            (1024, 16, 16),
        ] {
            assert_eq!(fits(allowed, wanted), room, "{allowed} {wanted}");
        }
    }
}
