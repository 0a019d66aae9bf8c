//! Multicast DNS (RFC 6762) and service discovery (RFC 6763), observed from another machine. The tests encode queries and decode
//! responses themselves, so that they do not depend on the server's mDNS library.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use common::network::{PHONE_IP, RemoteNamespace, SERVER_IP, in_network_namespace};
use common::phone::{ask, http};
use common::server::EXECUTABLE;
use common::{Setup, TestServer, WAIT_TIMEOUT};
use socket2::{Domain, Socket, Type};

const MULTICAST_GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353);
/// Interval at which a query is repeated until the expected response arrives.
const QUERY_INTERVAL: Duration = Duration::from_millis(250);

/// DNS names of the server and of its announced service.
const HOST_NAME: &str = "lockstep.local.";
const SERVICE_TYPE: &str = "_http._tcp.local.";
const SERVICE_INSTANCE: &str = "Lockstep._http._tcp.local.";

// Record types (RFC 1035, 3.2.2; RFC 2782).
const A: u16 = 1;
const PTR: u16 = 12;
const TXT: u16 = 16;
const SRV: u16 = 33;

/// A resource record. The data is text, and all names are uncompressed.
#[derive(Debug)]
struct Record {
    name: String,
    record_type: u16,
    ttl: u32,
    data: String,
}

/// A DNS message (RFC 1035, 4.1).
struct Message<'a>(&'a [u8]);

impl Message<'_> {
    fn u16_at(&self, offset: usize) -> u16 {
        u16::from_be_bytes([self.0[offset], self.0[offset + 1]])
    }

    /// The name at `offset`, and the offset after it.
    fn name(&self, offset: usize) -> (String, usize) {
        let length = usize::from(self.0[offset]);
        match length {
            0 => (String::new(), offset + 1),
            // A pointer to the rest of the name (RFC 1035, 4.1.4).
            0xc0.. => {
                let (name, _) = self.name(usize::from(self.u16_at(offset) & 0x3fff));
                (name, offset + 2)
            }
            _ => {
                let label = String::from_utf8_lossy(&self.0[offset + 1..=offset + length]);
                let (rest, next) = self.name(offset + 1 + length);
                (format!("{label}.{rest}"), next)
            }
        }
    }

    /// The data of a record as text.
    fn data(&self, record_type: u16, offset: usize, length: usize) -> String {
        match record_type {
            A => {
                let octets: [u8; 4] = self.0[offset..offset + 4].try_into().unwrap();
                Ipv4Addr::from(octets).to_string()
            }
            PTR => self.name(offset).0,
            SRV => format!("{} {}", self.name(offset + 6).0, self.u16_at(offset + 4)),
            _ => String::from_utf8_lossy(&self.0[offset..offset + length]).into_owned(),
        }
    }

    /// All records of the answer, authority and additional sections.
    fn records(&self) -> Vec<Record> {
        let mut offset = 12;
        for _ in 0..self.u16_at(4) {
            offset = self.name(offset).1 + 4;
        }
        let count = self.u16_at(6) + self.u16_at(8) + self.u16_at(10);
        let records = (0..count).map(|_| {
            let (name, fields_offset) = self.name(offset);
            let (record_type, length) =
                (self.u16_at(fields_offset), self.u16_at(fields_offset + 8));
            let ttl = u32::from(self.u16_at(fields_offset + 4)) << 16
                | u32::from(self.u16_at(fields_offset + 6));
            offset = fields_offset + 10 + usize::from(length);
            Record {
                name,
                record_type,
                ttl,
                data: self.data(record_type, fields_offset + 10, length.into()),
            }
        });
        records.collect()
    }
}

/// A query message with one question, for the Internet class.
fn query(name: &str, record_type: u16) -> Vec<u8> {
    let mut bytes = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes.extend(record_type.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}

/// Opens a socket on the other machine. With port 5353, the socket receives multicast packets.
fn open_socket(port: u16) -> UdpSocket {
    let address: Ipv4Addr = PHONE_IP.parse().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.set_multicast_if_v4(&address).unwrap();
    let any_address = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port);
    socket.bind(&any_address.into()).unwrap();
    if port == MULTICAST_GROUP.port() {
        socket
            .join_multicast_v4(MULTICAST_GROUP.ip(), &address)
            .unwrap();
    }
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(QUERY_INTERVAL)).unwrap();
    socket
}

/// Sends queries for `name` from the other machine, until a received record has this type and data. Returns all received records.
fn resolve(name: &str, record_type: u16, data: &str) -> Vec<Record> {
    let socket = open_socket(0);
    let started_at = Instant::now();
    let mut packet = [0; 9000];
    let mut received_records = Vec::new();
    while !contains_record(&received_records, name, record_type, data) {
        assert!(
            started_at.elapsed() < WAIT_TIMEOUT,
            "no record of {name} with the expected data among {received_records:?}"
        );
        socket
            .send_to(&query(name, record_type), MULTICAST_GROUP)
            .unwrap();
        while let Ok(packet_length) = socket.recv(&mut packet) {
            received_records.extend(Message(&packet[..packet_length]).records());
        }
    }
    received_records
}

fn contains_record(records: &[Record], name: &str, record_type: u16, data: &str) -> bool {
    records.iter().any(|record| {
        record.name == name && record.record_type == record_type && record.data == data
    })
}

/// Waits until the server logs its mDNS name, and returns that name.
async fn announced_name(server: &TestServer) -> String {
    let started_at = Instant::now();
    loop {
        let log = server.log();
        if let Some((_, rest)) = log.split_once("announced by multicast DNS as http://") {
            return rest.split([':', '\n']).next().unwrap().to_owned();
        }
        assert!(
            started_at.elapsed() < WAIT_TIMEOUT,
            "the log contains no mDNS name:\n{log}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A setup for a server on this machine with mDNS.
fn mdns_setup() -> Setup {
    Setup::long_tracks().listen("0.0.0.0:0").with_mdns()
}

/// A setup for a server on the other machine with mDNS.
fn mdns_setup_on(other_machine: &RemoteNamespace) -> Setup {
    let command = other_machine
        .enter_command()
        .into_iter()
        .chain([EXECUTABLE.to_owned()]);
    Setup::long_tracks()
        .listen(&format!("{PHONE_IP}:0"))
        .with_mdns()
        .launch_command(command)
}

#[tokio::test]
async fn other_machines_resolve_the_name_until_the_server_stops() {
    if !in_network_namespace("other_machines_resolve_the_name_until_the_server_stops") {
        return;
    }
    let other_machine = RemoteNamespace::connected();
    let mut server = mdns_setup().start().await;
    let port = server.address().port();
    assert_eq!(announced_name(&server).await, "lockstep.local");

    let resolver = other_machine.run(move || async move {
        resolve(HOST_NAME, A, SERVER_IP);
        let records = resolve(SERVICE_TYPE, PTR, SERVICE_INSTANCE);
        let target = format!("{HOST_NAME} {port}");
        assert!(
            contains_record(&records, SERVICE_INSTANCE, SRV, &target),
            "{records:?}"
        );
        let txt_data = "\u{6}path=/";
        assert!(
            contains_record(&records, SERVICE_INSTANCE, TXT, txt_data),
            "{records:?}"
        );
        // The listener opens after the first announcement, so it receives only repeated announcements and goodbye packets.
        let listener = open_socket(5353);
        let mut packet = [0; 9000];
        let started_at = Instant::now();
        move || loop {
            assert!(started_at.elapsed() < WAIT_TIMEOUT, "no goodbye packet");
            let Ok(packet_length) = listener.recv(&mut packet) else {
                continue;
            };
            // RFC 6762, 10.1: a goodbye packet has a record with a time to live of zero.
            let is_goodbye = |record: &Record| {
                record.record_type == PTR && record.data == SERVICE_INSTANCE && record.ttl == 0
            };
            if Message(&packet[..packet_length])
                .records()
                .iter()
                .any(is_goodbye)
            {
                break;
            }
        }
    });
    let receive_goodbye = resolver.join().unwrap();

    let request = http().get(format!("http://{SERVER_IP}:{port}/healthz"));
    ask(request.header("host", format!("lockstep.local:{port}")))
        .await
        .expect(200);
    server.stop().await;
    tokio::task::spawn_blocking(receive_goodbye).await.unwrap();
}

#[tokio::test]
async fn second_server_on_the_network_gets_a_numbered_name() {
    if !in_network_namespace("second_server_on_the_network_gets_a_numbered_name") {
        return;
    }
    let other_machine = RemoteNamespace::connected();
    let first_server = mdns_setup().start().await;
    assert_eq!(announced_name(&first_server).await, "lockstep.local");
    let second_server = mdns_setup_on(&other_machine).start().await;
    assert_eq!(announced_name(&second_server).await, "lockstep-2.local");

    let resolver = other_machine.run(|| async {
        resolve("lockstep-2.local.", A, PHONE_IP);
        let records = resolve(HOST_NAME, A, SERVER_IP);
        assert!(
            !contains_record(&records, HOST_NAME, A, PHONE_IP),
            "{records:?}"
        );
    });
    resolver.join().unwrap();
}

#[tokio::test]
async fn certificate_covers_the_mdns_name_and_each_name_requested_by_sni() {
    if !in_network_namespace("certificate_covers_the_mdns_name_and_each_name_requested_by_sni") {
        return;
    }
    let _other_machine = RemoteNamespace::connected();
    let setup = mdns_setup().flag("--tls").flag("--tls-listen=0.0.0.0:0");
    let server = setup.start().await;
    assert_eq!(announced_name(&server).await, "lockstep.local");
    let root = ask(http().get(server.url("/ca.crt"))).await.expect(200);
    let root = reqwest::Certificate::from_der(&root.body).unwrap();
    let address = server.secure_address();
    let get = async |name: &str, sends_sni: bool| {
        let client = reqwest::Client::builder()
            .no_proxy()
            .add_root_certificate(root.clone())
            .resolve(name, address)
            .tls_sni(sends_sni)
            .build()
            .unwrap();
        let url = format!("https://{name}:{}/healthz", address.port());
        ask(client.get(url)).await.expect(200);
    };
    for name_index in 0..20 {
        get(&format!("n{name_index}.local"), true).await;
    }
    // A client without SNI gets the certificate for the server's own names.
    get("lockstep.local", false).await;
}

#[tokio::test]
async fn no_mdns_flag_disables_announcing_and_defending_the_name() {
    if !in_network_namespace("no_mdns_flag_disables_announcing_and_defending_the_name") {
        return;
    }
    let other_machine = RemoteNamespace::connected();
    let server_without_mdns = mdns_setup().flag("--no-mdns").start().await;
    // The other server gets the name without a number only if this server does not defend that name.
    let other_server = mdns_setup_on(&other_machine).start().await;
    assert_eq!(announced_name(&other_server).await, "lockstep.local");
    let resolver = other_machine.run(|| async {
        let records = resolve(HOST_NAME, A, PHONE_IP);
        assert!(
            !contains_record(&records, HOST_NAME, A, SERVER_IP),
            "{records:?}"
        );
    });
    resolver.join().unwrap();
    drop(server_without_mdns);
}

#[test]
#[should_panic(expected = "not exactly one test is named")]
fn in_network_namespace_panics_if_no_test_has_the_name() {
    in_network_namespace("no_test_has_this_name");
}
