//! Who is inside: how many connections there are at a time and from where, who makes room when the house is full, and who goes
//! when a device is removed. Pure accounting; sockets live in `socket`.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::room::MemberId;

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
    /// Connections on which a paired device was the last to ask for what is not open to all.
    pub(super) guests: usize,
    /// The others.
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
    guests: HashMap<u64, Guest>,
    /// The oldest first.
    strangers: BTreeMap<u64, Seat>,
    by_address: HashMap<IpAddr, usize>,
    last: u64,
    most: usize,
    turned_away: [u64; 2],
    made_room: u64,
}

/// Where a connection came from, and how it is told to go.
#[derive(Debug)]
struct Seat {
    address: IpAddr,
    leave: oneshot::Sender<()>,
}

/// One that need not make room for strangers.
#[derive(Debug)]
struct Guest {
    /// Who was the last to ask on it: a proxy in front of the server may bring several.
    member: MemberId,
    /// Whether what it is answered with is a download.
    fetches: bool,
    seat: Seat,
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

    /// A connection comes in, as a stranger. What is given besides its place is sent when it is to go.
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

    /// Devices that are not paired any more lose their rank: their connections are strangers' again, and those that fetch
    /// something go at once. Others may be about to answer the very request that removed the device.
    pub(super) fn keep(&self, is_paired: impl Fn(MemberId) -> bool) {
        let mut inside = lock(&self.0);
        let guests = inside.guests.iter();
        let removed: Vec<_> = guests
            .filter(|(_, guest)| !is_paired(guest.member))
            .map(|(id, guest)| (*id, guest.fetches))
            .collect();
        for (id, fetches) in removed {
            match inside.take(id) {
                Some(seat) if fetches => inside.dismiss(seat),
                seat => inside.strangers.extend(seat.map(|seat| (id, seat))),
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
            let (_, oldest) = self.strangers.pop_first().ok_or(Full::House)?;
            self.made_room += 1;
            self.dismiss(oldest);
        }
        self.last += 1;
        let (leave, told) = oneshot::channel();
        self.strangers.insert(self.last, Seat { address, leave });
        *self.by_address.entry(address).or_default() += 1;
        Ok((self.last, told))
    }

    /// One that has not been told to go.
    fn take(&mut self, id: u64) -> Option<Seat> {
        let guest = self.guests.remove(&id).map(|guest| guest.seat);
        guest.or_else(|| self.strangers.remove(&id))
    }

    /// Tells one to go, which does not count from here on.
    fn dismiss(&mut self, Seat { address, leave }: Seat) {
        self.gone_from(address);
        // One that goes by itself at this moment hears nothing.
        let _ = leave.send(());
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
    inside: Arc<Mutex<Inside>>,
}

impl Place {
    /// Who asks on this connection, if that is somebody who is paired: as long as nobody else does, it need not make room for
    /// strangers. One that was told to go goes.
    pub(super) fn know(&self, asks: Option<MemberId>) {
        let mut inside = lock(&self.inside);
        let Some(seat) = inside.take(self.id) else {
            return;
        };
        if let Some(member) = asks {
            let guest = Guest {
                member,
                fetches: false,
                seat,
            };
            inside.guests.insert(self.id, guest);
        } else {
            inside.strangers.insert(self.id, seat);
        }
    }

    /// A download begins on this connection.
    pub(super) fn fetch(&self) -> Fetching {
        set_fetches(&self.inside, self.id, true);
        Fetching {
            id: self.id,
            inside: self.inside.clone(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = lock(&self.inside);
        if let Some(seat) = inside.take(self.id) {
            inside.gone_from(seat.address);
        }
    }
}

/// A download on a connection, until dropped.
#[derive(Debug)]
pub(super) struct Fetching {
    id: u64,
    inside: Arc<Mutex<Inside>>,
}

impl Drop for Fetching {
    fn drop(&mut self) {
        set_fetches(&self.inside, self.id, false);
    }
}

fn set_fetches(inside: &Mutex<Inside>, id: u64, fetches: bool) {
    if let Some(guest) = lock(inside).guests.get_mut(&id) {
        guest.fetches = fetches;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    const ANN: Option<MemberId> = Some(MemberId(1));
    const BOB: Option<MemberId> = Some(MemberId(2));

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
        inside[0].0.know(ANN);
        inside[2].0.know(ANN);
        let mut newer = Vec::new();
        for expected in [1, 3] {
            let entered = crowd.enter(phone(10 + expected)).unwrap();
            entered.0.know(BOB);
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
    fn a_removed_devices_connections_make_room_like_any_strangers() {
        let crowd = Crowd::new(4);
        let mut inside: Vec<_> = (0..4).map(|n| crowd.enter(phone(n)).unwrap()).collect();
        for (entered, asks) in inside.iter().zip([ANN, BOB, ANN, BOB]) {
            entered.0.know(asks);
        }
        // A proxy brings another device.
        inside[1].0.know(ANN);
        crowd.keep(|member| Some(member) == ANN);
        let standing = crowd.standing();
        assert_eq!((standing.guests, standing.strangers), (3, 1));
        // One that asks with what is no token any more is no guest either.
        inside[2].0.know(None);
        let _newer = [crowd.enter(phone(8)), crowd.enter(phone(9))];
        let told: Vec<_> = inside.iter_mut().map(is_told_to_go).collect();
        assert_eq!(told, [false, false, true, true]);
    }

    #[test]
    fn a_removed_devices_downloads_go_at_once_and_nobody_elses() {
        let crowd = Crowd::new(16);
        let mut inside: Vec<_> = (0..4).map(|n| crowd.enter(phone(n)).unwrap()).collect();
        for (entered, asks) in inside.iter().zip([ANN, BOB, BOB, BOB]) {
            entered.0.know(asks);
        }
        let fetching: Vec<_> = inside[..3].iter().map(|(place, _)| place.fetch()).collect();
        drop(inside[2].0.fetch());
        crowd.keep(|member| Some(member) == ANN);
        let told: Vec<_> = inside.iter_mut().map(is_told_to_go).collect();
        assert_eq!(told, [false, true, false, false]);
        let standing = crowd.standing();
        assert_eq!((standing.guests, standing.strangers), (1, 2));
        drop(inside);
        drop(fetching);
        assert!(lock(&crowd.0).by_address.is_empty());
    }

    #[test]
    fn a_stranger_that_was_told_to_go_takes_no_place_whatever_it_does_then() {
        let crowd = Crowd::new(1);
        let (slow, _leave) = crowd.enter(phone(1)).unwrap();
        let newer = crowd.enter(phone(2)).unwrap();
        slow.know(ANN);
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
            steps in prop::collection::vec((0..5_u8, 0..6_u8, any::<prop::sample::Index>()), 1..200)
        ) {
            const MOST: usize = 8;
            let crowd = Crowd::new(MOST);
            let mut inside: Vec<Entered> = Vec::new();
            let mut fetching = Vec::new();
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
                    1 if !inside.is_empty() => {
                        let asks = (n > 0).then_some(MemberId(n.into()));
                        which.get(&inside).0.know(asks);
                    }
                    2 => crowd.keep(|member| member != MemberId(n.into())),
                    3 if !inside.is_empty() => match n {
                        0..4 => fetching.push(which.get(&inside).0.fetch()),
                        _ => fetching.clear(),
                    },
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
