//! Limits the open connections, in total and per client address, and selects the connection to evict when the total limit
//! is reached. This module only keeps account of connections; `server` accepts and closes them.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::forwarded::TrustedProxies;
use crate::room::MemberId;

/// Each client address may have as many connections as the total limit divided by this number. With the default total limit
/// of 4,096, each address may have 1,024 connections, enough for two hundred phones with five connections each behind one
/// NAT router.
const ADDRESS_LIMIT_DIVISOR: usize = 4;

/// The limit because of which a connection is refused. The text completes the sentence "refused a connection from …:".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum LimitReached {
    #[error("this address has reached the limit of connections per address")]
    PerAddress,
    #[error("the connections of paired devices have reached the total limit")]
    Total,
}

/// Numbers of connections, for the metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ConnectionCounts {
    /// Open connections whose latest request for a restricted route came from a paired device.
    pub(super) paired: usize,
    /// All other open connections.
    pub(super) unpaired: usize,
    /// The limit of open connections.
    pub(super) limit: usize,
    /// Connections refused since the start because of the limit per address.
    pub(super) refused_per_address: u64,
    /// Connections refused since the start because of the total limit.
    pub(super) refused_total: u64,
    /// Connections closed since the start to make room for newer ones.
    pub(super) evicted: u64,
}

/// The open connections of a server.
#[derive(Debug)]
pub(super) struct Connections {
    registry: Arc<Mutex<Registry>>,
    /// The limit per address does not apply to these proxies, because they forward the requests of many clients.
    trusted_proxies: TrustedProxies,
}

#[derive(Debug, Default)]
struct Registry {
    /// Connections that are never evicted to make room for others, by connection ID.
    paired: HashMap<u64, PairedConnection>,
    /// Connections that may be evicted, sorted by connection ID. The ID increases with each connection, so the oldest is
    /// first.
    unpaired: BTreeMap<u64, OpenConnection>,
    /// The number of connections of each address. Addresses without a connection have no entry.
    by_address: HashMap<IpAddr, usize>,
    last_id: u64,
    limit: usize,
    refused_per_address: u64,
    refused_total: u64,
    evicted: u64,
}

#[derive(Debug)]
struct OpenConnection {
    address: IpAddr,
    /// A message requests that the connection's task close the connection.
    evict: oneshot::Sender<()>,
}

/// A connection of a paired device, which is never evicted to make room for another connection.
#[derive(Debug)]
struct PairedConnection {
    /// The device that sent the latest request. Another device may send the next request if a reverse proxy uses one
    /// connection for several devices.
    member: MemberId,
    /// Whether a download is in progress on the connection.
    has_download: bool,
    connection: OpenConnection,
}

impl Connections {
    /// An empty registry for at most `limit` connections.
    pub(super) fn new(limit: usize, trusted_proxies: TrustedProxies) -> Self {
        let registry = Registry {
            limit,
            ..Registry::default()
        };
        Connections {
            registry: Arc::new(Mutex::new(registry)),
            trusted_proxies,
        }
    }

    /// Registers a new connection as unpaired. The returned receiver gets a message when the connection must close.
    ///
    /// If the total limit is reached, evicts the oldest unpaired connection. A phone sends its token in its first requests,
    /// so idle connections without a token, however many, cannot exclude phones.
    ///
    /// # Errors
    /// The client's address has reached its limit, or the total limit is reached and all connections belong to paired
    /// devices. The limit per address does not apply to loopback addresses, because a reverse proxy on this machine may
    /// forward the requests of all clients, nor to trusted proxies. [`ConnectionSlot::assign`] applies the limit to the
    /// clients of a proxy.
    pub(super) fn admit(
        &self,
        client: IpAddr,
    ) -> Result<(ConnectionSlot, oneshot::Receiver<()>), LimitReached> {
        let address = client.to_canonical();
        let mut registry = lock(&self.registry);
        match registry.admit(address, self.trusted_proxies.contain(address)) {
            Ok((id, evicted)) => {
                let slot = ConnectionSlot {
                    id,
                    registry: self.registry.clone(),
                };
                Ok((slot, evicted))
            }
            Err(limit) => {
                match limit {
                    LimitReached::PerAddress => registry.refused_per_address += 1,
                    LimitReached::Total => registry.refused_total += 1,
                }
                Err(limit)
            }
        }
    }

    /// Marks the connections of devices that are no longer paired as unpaired, and closes those with a download.
    ///
    /// The other connections stay open, because one of them may carry the request that removed the device, whose response
    /// is still to be sent.
    pub(super) fn demote_unpaired(&self, is_paired: impl Fn(MemberId) -> bool) {
        let mut registry = lock(&self.registry);
        let removed: Vec<_> = registry
            .paired
            .iter()
            .filter(|(_, paired)| !is_paired(paired.member))
            .map(|(id, paired)| (*id, paired.has_download))
            .collect();
        for (id, has_download) in removed {
            match registry.remove(id) {
                Some(connection) if has_download => registry.evict(connection),
                Some(connection) => {
                    registry.unpaired.insert(id, connection);
                }
                None => {}
            }
        }
    }

    pub(super) fn counts(&self) -> ConnectionCounts {
        let registry = lock(&self.registry);
        ConnectionCounts {
            paired: registry.paired.len(),
            unpaired: registry.unpaired.len(),
            limit: registry.limit,
            refused_per_address: registry.refused_per_address,
            refused_total: registry.refused_total,
            evicted: registry.evicted,
        }
    }
}

fn lock(registry: &Mutex<Registry>) -> MutexGuard<'_, Registry> {
    registry.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    fn admit(
        &mut self,
        address: IpAddr,
        is_proxy: bool,
    ) -> Result<(u64, oneshot::Receiver<()>), LimitReached> {
        if !is_proxy {
            self.check_address(address)?;
        }
        if self.paired.len() + self.unpaired.len() >= self.limit {
            let (_, oldest) = self.unpaired.pop_first().ok_or(LimitReached::Total)?;
            self.evicted += 1;
            self.evict(oldest);
        }
        self.last_id += 1;
        let (evict, evicted) = oneshot::channel();
        let connection = OpenConnection { address, evict };
        self.unpaired.insert(self.last_id, connection);
        *self.by_address.entry(address).or_default() += 1;
        Ok((self.last_id, evicted))
    }

    /// Checks that one more connection may belong to `address`.
    fn check_address(&self, address: IpAddr) -> Result<(), LimitReached> {
        let count = self.by_address.get(&address).copied().unwrap_or_default();
        let limit = self.limit.div_ceil(ADDRESS_LIMIT_DIVISOR);
        if count >= limit && !address.is_loopback() {
            return Err(LimitReached::PerAddress);
        }
        Ok(())
    }

    fn find(&mut self, id: u64) -> Option<&mut OpenConnection> {
        let paired = self
            .paired
            .get_mut(&id)
            .map(|paired| &mut paired.connection);
        paired.or_else(|| self.unpaired.get_mut(&id))
    }

    /// Removes a connection from the maps, but not from the count of its address; `None` if it was evicted.
    fn remove(&mut self, id: u64) -> Option<OpenConnection> {
        let paired = self.paired.remove(&id).map(|paired| paired.connection);
        paired.or_else(|| self.unpaired.remove(&id))
    }

    /// Requests that the connection's task close the connection, which from now on does not count toward the limits. The
    /// caller must have removed the connection from the maps.
    fn evict(&mut self, OpenConnection { address, evict }: OpenConnection) {
        self.uncount(address);
        // Fails if the connection's task has just ended.
        let _ = evict.send(());
    }

    /// Subtracts a connection from the count of its address.
    fn uncount(&mut self, address: IpAddr) {
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

/// A registered connection. Dropping the slot unregisters the connection.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    id: u64,
    registry: Arc<Mutex<Registry>>,
}

impl ConnectionSlot {
    /// Records which paired device sent the latest request on the connection; `None` if the request had no valid token. Has
    /// no effect on an evicted connection.
    pub(super) fn set_device(&self, member: Option<MemberId>) {
        let mut registry = lock(&self.registry);
        let Some(connection) = registry.remove(self.id) else {
            return;
        };
        if let Some(member) = member {
            let paired = PairedConnection {
                member,
                has_download: false,
                connection,
            };
            registry.paired.insert(self.id, paired);
        } else {
            registry.unpaired.insert(self.id, connection);
        }
    }

    /// Counts the connection as one of `client`, the client of a reverse proxy, from now on. Has no effect on an evicted
    /// connection.
    ///
    /// # Errors
    /// The client has reached the limit per address; the connection counts as before.
    pub(super) fn assign(&self, client: IpAddr) -> Result<(), LimitReached> {
        let client = client.to_canonical();
        let mut registry = lock(&self.registry);
        let previous = registry.find(self.id).map(|connection| connection.address);
        let Some(previous) = previous.filter(|previous| *previous != client) else {
            return Ok(());
        };
        if let Err(limit) = registry.check_address(client) {
            registry.refused_per_address += 1;
            return Err(limit);
        }
        registry.uncount(previous);
        *registry.by_address.entry(client).or_default() += 1;
        if let Some(connection) = registry.find(self.id) {
            connection.address = client;
        }
        Ok(())
    }

    /// Marks the connection as having a download until the returned value is dropped.
    pub(super) fn begin_download(&self) -> ActiveDownload {
        set_has_download(&self.registry, self.id, true);
        ActiveDownload {
            id: self.id,
            registry: self.registry.clone(),
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut registry = lock(&self.registry);
        if let Some(connection) = registry.remove(self.id) {
            registry.uncount(connection.address);
        }
    }
}

/// Marks the connection as having a download, until this value is dropped.
#[derive(Debug)]
pub(super) struct ActiveDownload {
    id: u64,
    registry: Arc<Mutex<Registry>>,
}

impl Drop for ActiveDownload {
    fn drop(&mut self) {
        set_has_download(&self.registry, self.id, false);
    }
}

fn set_has_download(registry: &Mutex<Registry>, id: u64, has_download: bool) {
    if let Some(paired) = lock(registry).paired.get_mut(&id) {
        paired.has_download = has_download;
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    const ANN: Option<MemberId> = Some(MemberId(1));
    const BOB: Option<MemberId> = Some(MemberId(2));

    type Admitted = (ConnectionSlot, oneshot::Receiver<()>);

    fn phone(n: u8) -> IpAddr {
        Ipv4Addr::new(192, 168, 1, n).into()
    }

    fn admit_phones(connections: &Connections, addresses: std::ops::Range<u8>) -> Vec<Admitted> {
        addresses
            .map(|n| connections.admit(phone(n)).unwrap())
            .collect()
    }

    /// For each connection, whether it was evicted since the last call.
    fn evictions(admitted: &mut [Admitted]) -> Vec<bool> {
        admitted
            .iter_mut()
            .map(|(_, evicted)| evicted.try_recv().is_ok())
            .collect()
    }

    #[test]
    fn limits_the_connections_of_each_address_and_admits_other_addresses() {
        let connections = Connections::new(16, TrustedProxies::default());
        let mut own: Vec<_> = (0..4)
            .map(|_| connections.admit(phone(1)).unwrap())
            .collect();
        let refused = connections.admit(phone(1)).err();
        assert_eq!(refused, Some(LimitReached::PerAddress));
        let as_ipv6 = Ipv4Addr::new(192, 168, 1, 1).to_ipv6_mapped();
        let refused = connections.admit(as_ipv6.into()).err();
        assert_eq!(refused, Some(LimitReached::PerAddress));
        assert!(connections.admit(phone(2)).is_ok());
        own.pop();
        assert!(connections.admit(phone(1)).is_ok());
    }

    #[test]
    fn loopback_may_use_all_connections() {
        for address in [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            IpAddr::from(Ipv6Addr::LOCALHOST),
        ] {
            let connections = Connections::new(16, TrustedProxies::default());
            let all: Vec<_> = (0..16)
                .map(|_| connections.admit(address).unwrap())
                .collect();
            assert_eq!(connections.counts().unpaired, all.len());
        }
    }

    #[test]
    fn connections_of_a_trusted_proxy_count_as_those_of_its_clients() {
        let proxy: IpAddr = Ipv4Addr::new(192, 168, 1, 200).into();
        let trusted = TrustedProxies::new(&["192.168.1.200".parse().unwrap()]);
        let connections = Connections::new(16, trusted);
        let mut admitted: Vec<_> = (0..8).map(|_| connections.admit(proxy).unwrap()).collect();
        for (slot, _) in &admitted[..4] {
            assert_eq!(slot.assign(phone(1)), Ok(()));
        }
        let refused = admitted[4].0.assign(phone(1));
        assert_eq!(refused, Err(LimitReached::PerAddress));
        assert_eq!(admitted[4].0.assign(phone(2)), Ok(()));
        // The connection of the phone's own address counts, too.
        assert!(connections.admit(phone(1)).is_err());
        // The proxy uses one connection for several clients.
        assert_eq!(admitted[0].0.assign(phone(2)), Ok(()));
        assert_eq!(admitted[5].0.assign(phone(1)), Ok(()));
        admitted.clear();
        assert!(lock(&connections.registry).by_address.is_empty());
    }

    #[test]
    fn evicts_the_oldest_unpaired_connection_at_the_total_limit() {
        let connections = Connections::new(4, TrustedProxies::default());
        let mut admitted = admit_phones(&connections, 0..4);
        admitted[0].0.set_device(ANN);
        admitted[2].0.set_device(ANN);
        let mut newer = Vec::new();
        for expected in [1, 3] {
            let new = connections.admit(phone(10 + expected)).unwrap();
            new.0.set_device(BOB);
            newer.push(new);
            let only: Vec<_> = (0..4).map(|n| n == expected).collect();
            assert_eq!(evictions(&mut admitted), only, "connection {expected}");
        }
        let refused = connections.admit(phone(8)).err();
        assert_eq!(refused, Some(LimitReached::Total));
        admitted.remove(0);
        assert!(connections.admit(phone(8)).is_ok());
        let counts = connections.counts();
        assert_eq!(counts.evicted, 2);
        assert_eq!((counts.refused_per_address, counts.refused_total), (0, 1));
    }

    #[test]
    fn evicts_connections_of_removed_devices_like_unpaired_ones() {
        let connections = Connections::new(4, TrustedProxies::default());
        let mut admitted = admit_phones(&connections, 0..4);
        for (connection, member) in admitted.iter().zip([ANN, BOB, ANN, BOB]) {
            connection.0.set_device(member);
        }
        // Another device sends a request on the same connection, as a reverse proxy may do.
        admitted[1].0.set_device(ANN);
        connections.demote_unpaired(|member| Some(member) == ANN);
        let counts = connections.counts();
        assert_eq!((counts.paired, counts.unpaired), (3, 1));
        // A request without a valid token makes a connection unpaired.
        admitted[2].0.set_device(None);
        let _newer = admit_phones(&connections, 8..10);
        assert_eq!(evictions(&mut admitted), [false, false, true, true]);
    }

    #[test]
    fn closes_downloads_of_removed_devices_at_once() {
        let connections = Connections::new(16, TrustedProxies::default());
        let mut admitted = admit_phones(&connections, 0..4);
        for (connection, member) in admitted.iter().zip([ANN, BOB, BOB, BOB]) {
            connection.0.set_device(member);
        }
        let downloads: Vec<_> = admitted[..3]
            .iter()
            .map(|(slot, _)| slot.begin_download())
            .collect();
        drop(admitted[2].0.begin_download());
        connections.demote_unpaired(|member| Some(member) == ANN);
        assert_eq!(evictions(&mut admitted), [false, true, false, false]);
        let counts = connections.counts();
        assert_eq!((counts.paired, counts.unpaired), (1, 2));
        drop(admitted);
        drop(downloads);
        assert!(lock(&connections.registry).by_address.is_empty());
    }

    #[test]
    fn an_evicted_connection_is_not_counted_again() {
        let connections = Connections::new(1, TrustedProxies::default());
        let (evicted, _receiver) = connections.admit(phone(1)).unwrap();
        let newer = connections.admit(phone(2)).unwrap();
        evicted.set_device(ANN);
        drop(evicted);
        let counts = connections.counts();
        assert_eq!((counts.paired, counts.unpaired), (0, 1));
        drop(newer);
        assert_eq!(connections.counts().unpaired, 0);
        assert!(lock(&connections.registry).by_address.is_empty());
    }

    proptest! {
        #[test]
        fn counts_stay_exact_and_unpaired_connections_never_cause_a_refusal(
            steps in prop::collection::vec((0..5_u8, 0..6_u8, any::<prop::sample::Index>()), 1..200)
        ) {
            const LIMIT: usize = 8;
            let connections = Connections::new(LIMIT, TrustedProxies::default());
            let mut admitted: Vec<Admitted> = Vec::new();
            let mut downloads = Vec::new();
            for (step, n, which) in steps {
                match step {
                    0 => match connections.admit(phone(n)) {
                        Ok(new) => admitted.push(new),
                        Err(LimitReached::Total) => {
                            prop_assert_eq!(connections.counts().unpaired, 0);
                        }
                        Err(LimitReached::PerAddress) => {
                            let own = lock(&connections.registry).by_address[&phone(n)];
                            prop_assert_eq!(own, LIMIT / ADDRESS_LIMIT_DIVISOR);
                        }
                    },
                    1 if !admitted.is_empty() => {
                        let member = (n > 0).then_some(MemberId(n.into()));
                        which.get(&admitted).0.set_device(member);
                    }
                    2 => connections.demote_unpaired(|member| member != MemberId(n.into())),
                    3 if !admitted.is_empty() => match n {
                        0..4 => downloads.push(which.get(&admitted).0.begin_download()),
                        _ => downloads.clear(),
                    },
                    _ if !admitted.is_empty() => drop(admitted.remove(which.index(admitted.len()))),
                    _ => {}
                }
                let ConnectionCounts { paired, unpaired, .. } = connections.counts();
                prop_assert!(paired + unpaired <= LIMIT);
                let by_address: usize = lock(&connections.registry).by_address.values().sum();
                prop_assert_eq!(by_address, paired + unpaired);
            }
            admitted.clear();
            prop_assert!(lock(&connections.registry).by_address.is_empty());
        }
    }
}
