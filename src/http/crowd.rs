//! Who is inside: how many connections there are at a time and from where, and who makes room when the house is full. Pure
//! accounting; sockets live in `socket`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// One address gets this part of the house: 1,024 connections of 4,096, which two hundred phones behind one router fit into, with
/// five each.
const PART: usize = 4;

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("it has as many as one address gets")]
    Address,
    #[error("paired devices have them all")]
    House,
}

/// How it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Connections that have shown a token.
    pub(super) guests: usize,
    /// Those that have not.
    pub(super) strangers: usize,
    /// As many as there may be.
    pub(super) most: usize,
    /// How many were turned away so far because their address had its part, and because the house was full.
    pub(super) turned_away: [u64; 2],
    /// How many had to make room.
    pub(super) made_room: u64,
}

/// The connections of a server.
#[derive(Debug)]
pub(super) struct Crowd(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    guests: HashSet<u64>,
    /// Where each came from and how it is told to go, the oldest first.
    strangers: BTreeMap<u64, (IpAddr, oneshot::Sender<()>)>,
    by_address: HashMap<IpAddr, usize>,
    last: u64,
    most: usize,
    turned_away: [u64; 2],
    made_room: u64,
}

impl Crowd {
    /// Nobody, of at most so many.
    pub(super) fn new(most: usize) -> Self {
        let inside = Inside {
            most,
            ..Inside::default()
        };
        Crowd(Arc::new(Mutex::new(inside)))
    }

    /// A connection comes in, as a stranger. What is given besides its place is sent when it is to make room.
    ///
    /// When the house is full, the stranger that has been there longest goes: a phone shows its token with its first requests,
    /// so whoever fills the house with connections that say nothing keeps nobody out for long.
    ///
    /// # Errors
    /// There is no room. This machine itself may take all of the house: a proxy in front of the server, say.
    pub(super) fn enter(&self, from: IpAddr) -> Result<(Place, oneshot::Receiver<()>), Full> {
        let address = from.to_canonical();
        let mut inside = lock(&self.0);
        let entered = inside.enter(address);
        match entered {
            Ok((id, leave)) => {
                let place = Place {
                    id,
                    address,
                    is_known: AtomicBool::new(false),
                    inside: self.0.clone(),
                };
                Ok((place, leave))
            }
            Err(full) => {
                inside.turned_away[usize::from(full == Full::House)] += 1;
                Err(full)
            }
        }
    }

    /// How it stands.
    pub(super) fn standing(&self) -> Standing {
        let inside = lock(&self.0);
        Standing {
            guests: inside.guests.len(),
            strangers: inside.strangers.len(),
            most: inside.most,
            turned_away: inside.turned_away,
            made_room: inside.made_room,
        }
    }
}

fn lock(inside: &Mutex<Inside>) -> MutexGuard<'_, Inside> {
    inside.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inside {
    fn enter(&mut self, address: IpAddr) -> Result<(u64, oneshot::Receiver<()>), Full> {
        let of_one = self.by_address.get(&address).copied().unwrap_or_default();
        if of_one >= self.most.div_ceil(PART) && !address.is_loopback() {
            return Err(Full::Address);
        }
        if self.guests.len() + self.strangers.len() >= self.most {
            let (_, (oldest, leave)) = self.strangers.pop_first().ok_or(Full::House)?;
            self.gone_from(oldest);
            self.made_room += 1;
            // One that goes by itself at this moment hears nothing.
            let _ = leave.send(());
        }
        self.last += 1;
        let (leave, told) = oneshot::channel();
        self.strangers.insert(self.last, (address, leave));
        *self.by_address.entry(address).or_default() += 1;
        Ok((self.last, told))
    }

    fn gone_from(&mut self, address: IpAddr) {
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

/// A connection's place, until dropped.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    address: IpAddr,
    is_known: AtomicBool,
    inside: Arc<Mutex<Inside>>,
}

impl Place {
    /// Somebody who is paired has asked on this connection: it need not make room for strangers.
    pub(super) fn know(&self) {
        if self.is_known.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut inside = lock(&self.inside);
        // One that was told to go goes.
        if inside.strangers.remove(&self.id).is_some() {
            inside.guests.insert(self.id);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = lock(&self.inside);
        let was_stranger = inside.strangers.remove(&self.id).is_some();
        if was_stranger || inside.guests.remove(&self.id) {
            inside.gone_from(self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    type Entered = (Place, oneshot::Receiver<()>);

    fn phone(n: u8) -> IpAddr {
        Ipv4Addr::new(192, 168, 1, n).into()
    }

    fn is_told_to_go((_, leave): &mut Entered) -> bool {
        leave.try_recv().is_ok()
    }

    #[test]
    fn one_address_gets_its_part_and_others_still_come_in() {
        let crowd = Crowd::new(16);
        let mut own: Vec<_> = (0..4).map(|_| crowd.enter(phone(1)).unwrap()).collect();
        assert_eq!(crowd.enter(phone(1)).err(), Some(Full::Address));
        let spelled_otherwise = Ipv4Addr::new(192, 168, 1, 1).to_ipv6_mapped();
        assert_eq!(
            crowd.enter(spelled_otherwise.into()).err(),
            Some(Full::Address)
        );
        assert!(crowd.enter(phone(2)).is_ok());
        own.pop();
        assert!(crowd.enter(phone(1)).is_ok());
    }

    #[test]
    fn this_machine_itself_may_have_all_of_the_house() {
        for address in [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            std::net::Ipv6Addr::LOCALHOST.into(),
        ] {
            let crowd = Crowd::new(16);
            let all: Vec<_> = (0..16).map(|_| crowd.enter(address).unwrap()).collect();
            assert_eq!(crowd.standing().strangers, all.len());
        }
    }

    #[test]
    fn in_a_full_house_the_stranger_that_has_been_there_longest_makes_room_and_no_guest_does() {
        let crowd = Crowd::new(4);
        let mut inside: Vec<_> = (0..4).map(|n| crowd.enter(phone(n)).unwrap()).collect();
        inside[0].0.know();
        inside[2].0.know();
        let mut newer = Vec::new();
        for expected in [1, 3] {
            let entered = crowd.enter(phone(10 + expected)).unwrap();
            entered.0.know();
            newer.push(entered);
            let told: Vec<_> = inside.iter_mut().map(is_told_to_go).collect();
            let only: Vec<_> = (0..4).map(|n| n == expected).collect();
            assert_eq!(told, only, "the {expected}th");
        }
        assert_eq!(crowd.enter(phone(8)).err(), Some(Full::House));
        inside.remove(0);
        assert!(crowd.enter(phone(8)).is_ok());
        let standing = crowd.standing();
        assert_eq!((standing.made_room, standing.turned_away), (2, [0, 1]));
    }

    #[test]
    fn a_stranger_that_was_told_to_go_takes_no_place_whatever_it_does_then() {
        let crowd = Crowd::new(1);
        let (slow, _leave) = crowd.enter(phone(1)).unwrap();
        let newer = crowd.enter(phone(2)).unwrap();
        slow.know();
        drop(slow);
        let standing = crowd.standing();
        assert_eq!((standing.guests, standing.strangers), (0, 1));
        drop(newer);
        assert_eq!(crowd.standing().strangers, 0);
        assert!(lock(&crowd.0).by_address.is_empty());
    }

    proptest! {
        #[test]
        fn whoever_comes_and_goes_the_count_is_right_and_nobody_is_kept_out_by_strangers(
            steps in prop::collection::vec((0..3_u8, 0..6_u8, any::<prop::sample::Index>()), 1..200)
        ) {
            const MOST: usize = 8;
            let crowd = Crowd::new(MOST);
            let mut inside: Vec<Entered> = Vec::new();
            for (step, n, which) in steps {
                match step {
                    0 => match crowd.enter(phone(n)) {
                        Ok(entered) => inside.push(entered),
                        Err(Full::House) => prop_assert_eq!(crowd.standing().strangers, 0),
                        Err(Full::Address) => {
                            let own = lock(&crowd.0).by_address[&phone(n)];
                            prop_assert_eq!(own, MOST / PART);
                        }
                    },
                    1 if !inside.is_empty() => which.get(&inside).0.know(),
                    _ if !inside.is_empty() => drop(inside.remove(which.index(inside.len()))),
                    _ => {}
                }
                let Standing { guests, strangers, .. } = crowd.standing();
                prop_assert!(guests + strangers <= MOST);
                let by_address: usize = lock(&crowd.0).by_address.values().sum();
                prop_assert_eq!(by_address, guests + strangers);
            }
            inside.clear();
            prop_assert!(lock(&crowd.0).by_address.is_empty());
        }
    }
}
