//! How much of the house one phone, one address or a crowd of strangers can take, and that the others are served all the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use common::music::put_wav;
use common::network::{inside, ip};
use common::server::EXECUTABLE;
use common::{CODE, Phone, Setup, TestServer, in_time, raw, until};
use futures_util::future::join_all;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// An address of the server that is not loopback.
const HOUSE: &str = "10.77.0.1";

/// In a network of the test's own, gives this machine that address too.
fn add_address(address: &str) {
    ip(&["link", "set", "lo", "up"]);
    ip(&["address", "add", &format!("{address}/32"), "dev", "lo"]);
}

/// A test that has many connections needs more descriptors than a shell gives.
fn allow_many_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// A connection from that address of this machine.
async fn connect_from(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let from: IpAddr = from.parse().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

fn request(path: &str, token: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n")
}

/// The first bytes that come, or nothing when the connection is closed or broken.
async fn first_of(stream: &mut TcpStream) -> String {
    let mut first = [0; 4096];
    let read = in_time("an answer", stream.read(&mut first)).await;
    String::from_utf8_lossy(&first[..read.unwrap_or(0)]).into_owned()
}

/// A connection on which that request was answered so, and which stays open.
async fn asked(mut stream: TcpStream, request: &str, status: u16) -> TcpStream {
    stream.write_all(request.as_bytes()).await.unwrap();
    let first = first_of(&mut stream).await;
    let expected = format!("HTTP/1.1 {status} ");
    assert!(first.starts_with(&expected), "{first:?} to {request}");
    stream
}

/// An event stream of that phone.
async fn event_stream(server: &TestServer, token: &str) -> TcpStream {
    let stream = TcpStream::connect(server.address()).await.unwrap();
    asked(stream, &request("/events", token), 200).await
}

/// A connection whose end reads little at a time, so that much waits for it.
async fn slow_reader(server: &TestServer, path: &str, token: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(server.address()).await.unwrap();
    stream
        .write_all(request(path, token).as_bytes())
        .await
        .unwrap();
    stream
}

/// Whether the server has closed it: waits for that if it is not yet.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    in_time("a connection's end", stream.read_to_end(&mut rest))
        .await
        .is_err()
        || rest.is_empty()
}

#[tokio::test]
async fn two_hundred_phones_behind_one_router_fit_into_the_house() {
    if !inside("two_hundred_phones_behind_one_router_fit_into_the_house") {
        return;
    }
    add_address(HOUSE);
    allow_many_files();
    let setup = Setup::long_tracks().listen(&format!("{HOUSE}:0"));
    let server = setup.start().await;
    let address = server.address();
    let phones = join_all((0..200).map(|_| async move {
        let phone = Phone::pair_at(address, "").await;
        let mut connections = Vec::new();
        for path in ["/events", "/clock", "/clock", "/clock", "/clock"] {
            let stream = TcpStream::connect(address).await.unwrap();
            connections.push(asked(stream, &request(path, &phone.token), 200).await);
        }
        (phone, connections)
    }))
    .await;
    let snapshot = phones[0].0.snapshot().await;
    let listeners = snapshot["live"]["listeners"].as_object().unwrap();
    assert_eq!(listeners.len(), 200);
}

#[tokio::test]
async fn an_address_has_a_part_of_the_house_and_the_others_get_in_all_the_same() {
    if !inside("an_address_has_a_part_of_the_house_and_the_others_get_in_all_the_same") {
        return;
    }
    add_address(HOUSE);
    add_address("10.77.0.2");
    let setup = Setup::long_tracks()
        .listen(&format!("{HOUSE}:0"))
        .flag("--max-connections=40");
    let server = setup.start().await;
    let address = server.address();
    let healthz = request("/healthz", "none");
    let mut own = Vec::new();
    for _ in 0..10 {
        own.push(asked(TcpStream::connect(address).await.unwrap(), &healthz, 200).await);
    }
    let refused = raw::send(address, &healthz).await;
    refused.expect_problem(503);
    assert_eq!(refused.header("retry-after"), Some("10"));
    asked(connect_from("10.77.0.2", address).await, &healthz, 200).await;

    own.pop();
    let served = async {
        while raw::send(
            address,
            healthz.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"),
        )
        .await
        .status
            != 200
        {}
    };
    in_time("room for another connection", served).await;
}

#[tokio::test]
async fn strangers_who_fill_the_house_keep_no_phone_out() {
    let setup = Setup::long_tracks().flag("--max-connections=16");
    let server = setup.start().await;
    let mut first = Phone::listening(&server).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(server.address()).await.unwrap());
    }
    let mut second = Phone::listening(&server).await;
    second.next().await;
    first.wait_for_count(second.count()).await;
    for stream in &mut silent[..80] {
        assert!(
            is_closed(stream).await,
            "the first to come are the first to go"
        );
    }
}

#[tokio::test]
async fn a_house_full_of_phones_turns_the_next_away_and_says_when_to_come_again() {
    let setup = Setup::long_tracks().flag("--max-connections=8");
    let server = setup.start().await;
    let mut phones = Vec::new();
    for _ in 0..8 {
        phones.push(Phone::listening(&server).await);
    }
    let healthz = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let refused = raw::send(server.address(), healthz).await;
    refused.expect_problem(503);
    assert_eq!(refused.header("retry-after"), Some("10"));
    assert_eq!(server.log().matches("no room").count(), 1);

    phones.pop();
    let served = async { while raw::send(server.address(), healthz).await.status != 200 {} };
    in_time("room for another connection", served).await;
}

#[tokio::test]
async fn a_phone_that_was_removed_makes_room_like_anybody_without_a_token() {
    let setup = Setup::long_tracks().flag("--max-connections=8");
    let server = setup.start().await;
    let (stays, goes) = (Phone::pair(&server).await, Phone::pair(&server).await);
    let connect = || TcpStream::connect(server.address());
    let mut staying = Vec::new();
    for _ in 0..3 {
        let stream = connect().await.unwrap();
        staying.push(asked(stream, &request("/clock", &stays.token), 200).await);
    }
    let clock = request("/clock", &goes.token);
    let mut going = vec![asked(connect().await.unwrap(), &clock, 200).await];
    let full = async {
        loop {
            let mut stream = connect().await.unwrap();
            stream.write_all(clock.as_bytes()).await.unwrap();
            if first_of(&mut stream).await.starts_with("HTTP/1.1 503 ") {
                break;
            }
            going.push(stream);
        }
    };
    in_time("the house to be full", full).await;

    let removal = format!(
        "POST /unpair HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Length: 17\r\n\r\n{{\"memberId\":\"{}\"}}",
        stays.token, goes.member
    );
    let first = staying.remove(0);
    staying.push(asked(first, &removal, 200).await);
    let healthz = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let served = async { while raw::send(server.address(), healthz).await.status != 200 {} };
    in_time("room for another connection", served).await;
    let _strangers = [connect().await.unwrap(), connect().await.unwrap()];
    assert!(is_closed(&mut going[0]).await, "its oldest goes first");
    for stream in &mut staying {
        let clock = request("/clock", &stays.token);
        stream.write_all(clock.as_bytes()).await.unwrap();
        assert!(first_of(stream).await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn a_connection_counts_for_whoever_asks_last_on_it() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let of_devices = async || {
        let metrics = phone.get("/metrics").await.expect(200).text();
        let name = "lockstep_connections{paired=\"yes\"} ";
        let value = metrics.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap().parse::<usize>().unwrap()
    };
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    // The one that asks for the figures is one of them.
    for (token, status, expected) in [
        (&*phone.token, 200, 2),
        ("worthless", 401, 1),
        (&*phone.token, 200, 2),
    ] {
        stream = asked(stream, &request("/clock", token), status).await;
        let what = format!("{expected} connections of devices");
        until(&what, async || of_devices().await == expected).await;
    }
}

#[tokio::test]
async fn a_phone_has_eight_streams_and_the_newest_are_the_ones_that_count() {
    let server = TestServer::start().await;
    let mut other = Phone::listening(&server).await;
    let phone = Phone::pair(&server).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(event_stream(&server, &phone.token).await);
    }
    for oldest in &mut streams[..2] {
        // The stream is over; its connection may be used again.
        let ended = async {
            let mut said = String::new();
            while !said.ends_with("0\r\n\r\n") {
                said += &first_of(oldest).await;
            }
        };
        in_time("the oldest streams to end", ended).await;
    }
    other.wait_for_count(phone.count()).await;
    let me = phone.member.clone();
    other
        .wait_until("the phone among the listeners", |view| {
            !view["live"]["listeners"][&me].is_null()
        })
        .await;
    other.next().await;
    for stream in &mut streams[2..] {
        let told = async {
            let mut said = String::new();
            while !said.contains("queue.advanced") {
                said += &first_of(stream).await;
            }
        };
        in_time("the event on each of the others", told).await;
    }
}

#[tokio::test]
async fn a_phone_has_ten_downloads_at_once_and_does_not_take_those_of_others() {
    let setup = Setup::empty();
    put_wav(&setup.audio().join("long.wav"), 300, 30_000);
    let server = setup.start().await;
    let (phone, other) = (Phone::pair(&server).await, Phone::pair(&server).await);
    let path = format!("/file/{}", phone.current());
    let mut downloads = Vec::new();
    for _ in 0..10 {
        let mut download = slow_reader(&server, &path, &phone.token).await;
        let first = first_of(&mut download).await;
        assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
        downloads.push(download);
    }
    let refused = phone.get(&path).await;
    assert_eq!(refused.header("retry-after"), Some("1"));
    refused.expect_problem(429);
    let head = phone.request(reqwest::Method::HEAD, &path);
    common::phone::ask(head).await.expect(200);
    other.get(&path).await.expect(200);

    downloads.pop();
    let served = async { while phone.get(&path).await.status != 200 {} };
    in_time("room for another download", served).await;
}

#[tokio::test]
async fn connections_leave_the_files_alone_that_the_state_and_the_music_need() {
    let setup = Setup::empty().started_by(["prlimit", "--nofile=128:128", EXECUTABLE]);
    for n in 0..4 {
        put_wav(&setup.audio().join(format!("{n}.wav")), 300, 30_000);
    }
    let server = setup.start().await;
    assert!(server.log().contains("at most 32 connections"));
    // Whatever of the room is not taken by downloads that nobody reads is taken by strangers that say nothing.
    let mut phone = Phone::listening(&server).await;
    let path = format!("/file/{}", phone.current());
    let mut held = Vec::new();
    for _ in 0..3 {
        let other = Phone::pair(&server).await;
        for _ in 0..9 {
            let mut download = slow_reader(&server, &path, &other.token).await;
            assert!(first_of(&mut download).await.starts_with("HTTP/1.1 200 "));
            held.push(download);
        }
    }
    for _ in 0..100 {
        held.push(TcpStream::connect(server.address()).await.unwrap());
    }
    for _ in 0..4 {
        phone.next().await;
        phone.get(&path).await.expect(200);
    }
    put_wav(&server.setup().audio().join("new.wav"), 10, 1_000);
    let count = phone.count();
    phone.post("/rescan").await.expect(202);
    phone.durable_event("library.changed", count).await;
    assert!(!server.log().contains("open files:"), "{}", server.log());
    assert!(!server.log().contains("os error 24"), "{}", server.log());
}

/// The processor time that a process has had so far.
fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let ticks: Vec<u64> = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse().unwrap())
        .collect();
    // Linux tells them in hundredths of a second.
    Duration::from_millis((ticks[0] + ticks[1]) * 10)
}

#[tokio::test]
async fn without_a_file_descriptor_left_the_server_waits_and_serves_those_who_are_inside() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let clock = request("/clock", &phone.token);
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let mut inside = asked(stream, &clock, 200).await;

    // Behind the server's back, which had shared out what it was allowed at its start.
    let pid = Pid::from_raw(server.pid() as i32).unwrap();
    let open = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let allowed = prlimit(
        Some(pid),
        Resource::Nofile,
        Rlimit {
            current: Some(open.count() as u64 + 3),
            maximum: getrlimit(Resource::Nofile).maximum,
        },
    )
    .unwrap();
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(clock.as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    let told = async {
        while !server.log().contains("cannot accept") {
            inside = asked(inside, &clock, 200).await;
        }
        inside
    };
    let mut inside = in_time("the server to say that it is full", told).await;
    let (began, used) = (Instant::now(), processor_time(server.pid()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    inside = asked(inside, &clock, 200).await;
    let (took, used) = (began.elapsed(), processor_time(server.pid()) - used);
    assert!(used < took / 4, "it was busy for {used:?} of {took:?}");
    assert_eq!(server.log().matches("cannot accept").count(), 1);

    prlimit(Some(pid), Resource::Nofile, allowed).unwrap();
    for stream in &mut waiting {
        let first = first_of(stream).await;
        assert!(first.starts_with("HTTP/1.1 200 "), "{first:?}");
    }
    asked(inside, &clock, 200).await;
}

/// `slowhttptest`'s three ways: heads that do not end, bodies that do not come, answers that nobody reads.
#[tokio::test]
async fn slow_senders_and_slow_readers_hold_up_nobody() {
    allow_many_files();
    let setup = Setup::empty();
    put_wav(&setup.audio().join("a.wav"), 300, 30_000);
    put_wav(&setup.audio().join("b.wav"), 400, 30_000);
    let server = setup.start().await;
    let mut phone = Phone::listening(&server).await;
    let mut other = Phone::listening(&server).await;
    let head = "GET / HTTP/1.1\r\nHost: localhost\r\nX-a: ".to_owned();
    let body = format!(
        "POST /pair HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60\r\n\r\n{{\"code\":\"{CODE}\""
    );
    let mut held = Vec::new();
    for beginning in [head, body] {
        for _ in 0..200 {
            let mut stream = TcpStream::connect(server.address()).await.unwrap();
            stream.write_all(beginning.as_bytes()).await.unwrap();
            held.push(stream);
        }
    }
    let path = format!("/file/{}", phone.current());
    for _ in 0..20 {
        let reader = Phone::pair(&server).await;
        for _ in 0..10 {
            held.push(slow_reader(&server, &path, &reader.token).await);
        }
    }
    let connections = |metrics: &str, paired: &str| {
        let name = format!("lockstep_connections{{paired=\"{paired}\"}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
        value.unwrap().parse::<usize>().unwrap()
    };
    until("all of the slow ones to be inside", async || {
        let metrics = phone.get("/metrics").await.expect(200).text();
        connections(&metrics, "yes") >= 202 && connections(&metrics, "no") >= 200
    })
    .await;
    for _ in 0..20 {
        phone.next().await;
        let track = phone.current();
        phone.ack(&track).await;
        other.wait_for_count(phone.count()).await;
    }
    phone.get(&path).await.expect(200);
}
