//! The name in the network: what another machine hears when it asks by multicast (RFC 6762, RFC 6763). The questions are put
//! and the answers are read byte by byte, so the server's own library does not vouch for itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use common::network::{AWAY, HOUSE, OutOfTown, inside};
use common::phone::{ask, http};
use common::server::EXECUTABLE;
use common::{PATIENCE, Setup, TestServer};
use socket2::{Domain, Socket, Type};

const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353);
/// A question that nobody has answered by then is put again.
const AGAIN: Duration = Duration::from_millis(250);

const NAME: &str = "lockstep.local.";
const SERVICES: &str = "_http._tcp.local.";
const ENTRY: &str = "Lockstep._http._tcp.local.";

const A: u16 = 1;
const PTR: u16 = 12;
const TXT: u16 = 16;
const SRV: u16 = 33;

/// A resource record, with the names in its data written out.
#[derive(Debug)]
struct Record {
    name: String,
    kind: u16,
    ttl: u32,
    data: String,
}

/// A DNS message (RFC 1035, 4.1).
struct Message<'a>(&'a [u8]);

impl Message<'_> {
    fn number(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }

    /// The name there, and what follows it.
    fn name(&self, at: usize) -> (String, usize) {
        let length = usize::from(self.0[at]);
        match length {
            0 => (String::new(), at + 1),
            // The rest is elsewhere in the message.
            0xc0.. => {
                let (name, _) = self.name(usize::from(self.number(at) & 0x3fff));
                (name, at + 2)
            }
            _ => {
                let label = String::from_utf8_lossy(&self.0[at + 1..=at + length]);
                let (rest, next) = self.name(at + 1 + length);
                (format!("{label}.{rest}"), next)
            }
        }
    }

    fn data(&self, kind: u16, at: usize, length: usize) -> String {
        match kind {
            A => {
                let octets: [u8; 4] = self.0[at..at + 4].try_into().unwrap();
                Ipv4Addr::from(octets).to_string()
            }
            PTR => self.name(at).0,
            SRV => format!("{} {}", self.name(at + 6).0, self.number(at + 4)),
            _ => String::from_utf8_lossy(&self.0[at..at + length]).into_owned(),
        }
    }

    fn records(&self) -> Vec<Record> {
        let mut at = 12;
        for _ in 0..self.number(4) {
            at = self.name(at).1 + 4;
        }
        let count = self.number(6) + self.number(8) + self.number(10);
        let records = (0..count).map(|_| {
            let (name, fields) = self.name(at);
            let (kind, length) = (self.number(fields), self.number(fields + 8));
            let ttl = u32::from(self.number(fields + 4)) << 16 | u32::from(self.number(fields + 6));
            at = fields + 10 + usize::from(length);
            Record {
                name,
                kind,
                ttl,
                data: self.data(kind, fields + 10, length.into()),
            }
        });
        records.collect()
    }
}

fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}

/// A socket of the machine out of town. On port 5353 it hears what is told to everybody.
fn socket(port: u16) -> UdpSocket {
    let away: Ipv4Addr = AWAY.parse().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.set_multicast_if_v4(&away).unwrap();
    let everywhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port);
    socket.bind(&everywhere.into()).unwrap();
    if port == GROUP.port() {
        socket.join_multicast_v4(GROUP.ip(), &away).unwrap();
    }
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(AGAIN)).unwrap();
    socket
}

/// What the machine out of town hears until that answer, having asked for `name`.
fn resolve(name: &str, kind: u16, data: &str) -> Vec<Record> {
    let socket = socket(0);
    let asked = Instant::now();
    let mut bytes = [0; 9000];
    let mut heard = Vec::new();
    while !has(&heard, name, kind, data) {
        assert!(asked.elapsed() < PATIENCE, "{name}: {heard:?}");
        socket.send_to(&question(name, kind), GROUP).unwrap();
        while let Ok(length) = socket.recv(&mut bytes) {
            heard.extend(Message(&bytes[..length]).records());
        }
    }
    heard
}

fn has(records: &[Record], name: &str, kind: u16, data: &str) -> bool {
    let is = |record: &Record| record.name == name && record.kind == kind && record.data == data;
    records.iter().any(is)
}

/// Waits until the server says by which name the network knows it.
async fn name_of(server: &TestServer) -> String {
    let told = Instant::now();
    loop {
        let log = server.log();
        if let Some((_, rest)) = log.split_once("in this network it is also http://") {
            return rest.split([':', '\n']).next().unwrap().to_owned();
        }
        assert!(told.elapsed() < PATIENCE, "no name:\n{log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn in_house() -> Setup {
    Setup::long_tracks().listen("0.0.0.0:0").named()
}

fn away(town: &OutOfTown) -> Setup {
    let command = town.enter().into_iter().chain([EXECUTABLE.to_owned()]);
    Setup::long_tracks()
        .listen(&format!("{AWAY}:0"))
        .named()
        .started_by(command)
}

#[tokio::test]
async fn the_house_finds_it_by_name_until_it_closes() {
    if !inside("the_house_finds_it_by_name_until_it_closes") {
        return;
    }
    let town = OutOfTown::connected();
    let mut server = in_house().start().await;
    let port = server.address().port();
    assert_eq!(name_of(&server).await, "lockstep.local");

    let asked = town.run(move || async move {
        resolve(NAME, A, HOUSE);
        let records = resolve(SERVICES, PTR, ENTRY);
        let place = format!("{NAME} {port}");
        assert!(has(&records, ENTRY, SRV, &place), "{records:?}");
        assert!(has(&records, ENTRY, TXT, "\u{6}path=/"), "{records:?}");
        // By then everything is told for the first time.
        let listener = socket(5353);
        let mut bytes = [0; 9000];
        let asked = Instant::now();
        move || loop {
            assert!(asked.elapsed() < PATIENCE, "no farewell");
            let Ok(length) = listener.recv(&mut bytes) else {
                continue;
            };
            let gone =
                |record: &Record| record.kind == PTR && record.data == ENTRY && record.ttl == 0;
            if Message(&bytes[..length]).records().iter().any(gone) {
                break;
            }
        }
    });
    let hear_farewell = asked.join().unwrap();

    let named = http().get(format!("http://{HOUSE}:{port}/healthz"));
    ask(named.header("host", format!("lockstep.local:{port}")))
        .await
        .expect(200);
    server.stop().await;
    tokio::task::spawn_blocking(hear_farewell).await.unwrap();
}

#[tokio::test]
async fn a_second_machine_gets_a_name_of_its_own() {
    if !inside("a_second_machine_gets_a_name_of_its_own") {
        return;
    }
    let town = OutOfTown::connected();
    let first = in_house().start().await;
    assert_eq!(name_of(&first).await, "lockstep.local");
    let second = away(&town).start().await;
    assert_eq!(name_of(&second).await, "lockstep-2.local");

    let asked = town.run(|| async {
        resolve("lockstep-2.local.", A, AWAY);
        let records = resolve(NAME, A, HOUSE);
        assert!(!has(&records, NAME, A, AWAY), "{records:?}");
    });
    asked.join().unwrap();
}

#[tokio::test]
async fn its_certificate_has_that_name_whatever_else_it_is_called() {
    if !inside("its_certificate_has_that_name_whatever_else_it_is_called") {
        return;
    }
    let _town = OutOfTown::connected();
    let setup = in_house().flag("--tls").flag("--tls-listen=0.0.0.0:0");
    let server = setup.start().await;
    assert_eq!(name_of(&server).await, "lockstep.local");
    let root = ask(http().get(server.url("/ca.crt"))).await.expect(200);
    let root = reqwest::Certificate::from_der(&root.body).unwrap();
    let address = server.secure_address();
    let call = async |name: &str, says_so: bool| {
        let client = reqwest::Client::builder()
            .no_proxy()
            .add_root_certificate(root.clone())
            .resolve(name, address)
            .tls_sni(says_so)
            .build()
            .unwrap();
        let url = format!("https://{name}:{}/healthz", address.port());
        ask(client.get(url)).await.expect(200);
    };
    for n in 0..20 {
        call(&format!("n{n}.local"), true).await;
    }
    // To whoever does not say which name it calls the certificate is shown as it is.
    call("lockstep.local", false).await;
}

#[tokio::test]
async fn it_keeps_to_itself_if_it_is_told_to() {
    if !inside("it_keeps_to_itself_if_it_is_told_to") {
        return;
    }
    let town = OutOfTown::connected();
    let quiet = in_house().flag("--no-mdns").start().await;
    // It has nothing against another one that has the name.
    let other = away(&town).start().await;
    assert_eq!(name_of(&other).await, "lockstep.local");
    let asked = town.run(|| async {
        let records = resolve(NAME, A, AWAY);
        assert!(!has(&records, NAME, A, HOUSE), "{records:?}");
    });
    asked.join().unwrap();
    drop(quiet);
}
