//! How many downloads each device has under way. Pure accounting; how a file is sent lives in `file`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::room::MemberId;

/// At once, of one device: as many as a browser has connections, and a few that a break of the network has left behind, which the
/// system takes a minute to notice. Each holds a file open; the page itself fetches one at a time.
pub(super) const MOST: usize = 10;

/// The downloads of every device.
#[derive(Debug, Default)]
pub(super) struct Downloads(Arc<Mutex<HashMap<MemberId, usize>>>);

impl Downloads {
    /// One more begins, unless the device has [`MOST`] already.
    pub(super) fn begin(&self, member: MemberId) -> Option<Begun> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = running.entry(member).or_default();
        if *own >= MOST {
            return None;
        }
        *own += 1;
        Some(Begun {
            member,
            running: self.0.clone(),
        })
    }
}

/// One download, until dropped.
#[derive(Debug)]
pub(super) struct Begun {
    member: MemberId,
    running: Arc<Mutex<HashMap<MemberId, usize>>>,
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = running.get_mut(&self.member) {
            *own -= 1;
            if *own == 0 {
                running.remove(&self.member);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_so_many_downloads_at_once_and_does_not_take_those_of_others() {
        let downloads = Downloads::default();
        let (one, other) = (MemberId(1), MemberId(2));
        let mut begun: Vec<_> = (0..MOST).map(|_| downloads.begin(one).unwrap()).collect();
        assert!(downloads.begin(one).is_none());
        assert!(downloads.begin(other).is_some());
        begun.pop();
        begun.extend(downloads.begin(one));
        assert_eq!(begun.len(), MOST);
        begun.clear();
        assert!(
            downloads.0.lock().unwrap().is_empty(),
            "nothing is left behind"
        );
    }
}
