//! Limits on connections, event streams and downloads: of one device, of one IP address, and of all clients together.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use common::music::put_wav;
use common::network::{in_network_namespace, ip};
use common::server::EXECUTABLE;
use common::{CODE, Phone, Setup, TestServer, in_time, raw, until};
use futures_util::future::join_all;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// The server's address outside of 127.0.0.0/8.
const LAN_ADDRESS: &str = "10.77.0.1";
/// A client's address outside of 127.0.0.0/8.
const OTHER_LAN_ADDRESS: &str = "10.77.0.2";

/// Adds an address to the loopback interface of the test's own network namespace.
fn add_address(address: &str) {
    ip(&["link", "set", "lo", "up"]);
    ip(&["address", "add", &format!("{address}/32"), "dev", "lo"]);
}

/// Raises this process's file descriptor limit: a test with many connections needs more than the default.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Connects from the local IP address `local_address` to the server.
async fn connect_from(local_address: &str, server_address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let local_address: IpAddr = local_address.parse().unwrap();
    socket.bind((local_address, 0).into()).unwrap();
    socket.connect(server_address).await.unwrap()
}

/// A `GET` request with a token, as bytes of HTTP/1.1.
fn get_request(path: &str, token: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n")
}

/// The next bytes of the response; empty if the connection was closed or reset.
async fn read_next_bytes(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 4096];
    let byte_count = in_time("the next bytes of a response", stream.read(&mut buffer)).await;
    String::from_utf8_lossy(&buffer[..byte_count.unwrap_or(0)]).into_owned()
}

/// Sends a request, asserts the status of the response, and returns the open connection.
async fn send_and_expect(mut stream: TcpStream, request: &str, status: u16) -> TcpStream {
    stream.write_all(request.as_bytes()).await.unwrap();
    let received_text = read_next_bytes(&mut stream).await;
    let expected = format!("HTTP/1.1 {status} ");
    assert!(
        received_text.starts_with(&expected),
        "unexpected response {received_text:?} to {request}"
    );
    stream
}

/// Opens an event stream with a device's token.
async fn open_event_stream(server: &TestServer, token: &str) -> TcpStream {
    let stream = TcpStream::connect(server.address()).await.unwrap();
    send_and_expect(stream, &get_request("/events", token), 200).await
}

/// Sends a `GET` request on a connection with a small receive buffer, so that the server cannot send a large response completely.
async fn send_with_small_receive_buffer(server: &TestServer, path: &str, token: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(server.address()).await.unwrap();
    stream
        .write_all(get_request(path, token).as_bytes())
        .await
        .unwrap();
    stream
}

/// Waits until the server closes the connection. Returns whether the server sent no bytes before.
async fn closed_without_response(stream: &mut TcpStream) -> bool {
    let mut received_bytes = Vec::new();
    in_time(
        "the server to close the connection",
        stream.read_to_end(&mut received_bytes),
    )
    .await
    .is_err()
        || received_bytes.is_empty()
}

#[tokio::test]
async fn two_hundred_phones_with_one_ip_address_can_connect() {
    if !in_network_namespace("two_hundred_phones_with_one_ip_address_can_connect") {
        return;
    }
    add_address(LAN_ADDRESS);
    raise_descriptor_limit();
    let setup = Setup::long_tracks().listen(&format!("{LAN_ADDRESS}:0"));
    let server = setup.start().await;
    let address = server.address();
    let phones = join_all((0..200).map(|_| async move {
        let phone = Phone::pair_at(address, "").await;
        let mut connections = Vec::new();
        for path in ["/events", "/clock", "/clock", "/clock", "/clock"] {
            let stream = TcpStream::connect(address).await.unwrap();
            connections.push(send_and_expect(stream, &get_request(path, &phone.token), 200).await);
        }
        (phone, connections)
    }))
    .await;
    let snapshot = phones[0].0.snapshot().await;
    let listeners = snapshot["live"]["listeners"].as_object().unwrap();
    assert_eq!(listeners.len(), 200);
}

#[tokio::test]
async fn connection_quota_of_one_address_does_not_affect_other_addresses() {
    if !in_network_namespace("connection_quota_of_one_address_does_not_affect_other_addresses") {
        return;
    }
    add_address(LAN_ADDRESS);
    add_address(OTHER_LAN_ADDRESS);
    let setup = Setup::long_tracks()
        .listen(&format!("{LAN_ADDRESS}:0"))
        .flag("--max-connections=40");
    let server = setup.start().await;
    let address = server.address();
    let health_request = get_request("/healthz", "none");
    let mut connections = Vec::new();
    for _ in 0..10 {
        connections.push(
            send_and_expect(
                TcpStream::connect(address).await.unwrap(),
                &health_request,
                200,
            )
            .await,
        );
    }
    let refused_response = raw::send(address, &health_request).await;
    refused_response.expect_problem(503);
    assert_eq!(refused_response.header("retry-after"), Some("10"));
    send_and_expect(
        connect_from(OTHER_LAN_ADDRESS, address).await,
        &health_request,
        200,
    )
    .await;

    connections.pop();
    let wait_for_response = async {
        while raw::send(
            address,
            health_request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"),
        )
        .await
        .status
            != 200
        {}
    };
    in_time("a new connection to be accepted", wait_for_response).await;
}

#[tokio::test]
async fn oldest_unpaired_connections_are_closed_for_paired_devices() {
    let setup = Setup::long_tracks().flag("--max-connections=16");
    let server = setup.start().await;
    let mut first_phone = Phone::pair_and_listen(&server).await;
    let mut idle_connections = Vec::new();
    for _ in 0..100 {
        idle_connections.push(TcpStream::connect(server.address()).await.unwrap());
    }
    let mut second_phone = Phone::pair_and_listen(&server).await;
    second_phone.next().await;
    first_phone
        .wait_for_event_count(second_phone.event_count())
        .await;
    for stream in &mut idle_connections[..80] {
        assert!(
            closed_without_response(stream).await,
            "the server sent a response on an old unpaired connection"
        );
    }
}

#[tokio::test]
async fn full_server_responds_with_503_and_retry_after() {
    let setup = Setup::long_tracks().flag("--max-connections=8");
    let server = setup.start().await;
    let mut phones = Vec::new();
    for _ in 0..8 {
        phones.push(Phone::pair_and_listen(&server).await);
    }
    let health_request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let refused_response = raw::send(server.address(), health_request).await;
    refused_response.expect_problem(503);
    assert_eq!(refused_response.header("retry-after"), Some("10"));
    assert_eq!(server.log().matches("refused a connection").count(), 1);

    phones.pop();
    let wait_for_response =
        async { while raw::send(server.address(), health_request).await.status != 200 {} };
    in_time("a new connection to be accepted", wait_for_response).await;
}

#[tokio::test]
async fn connections_of_a_removed_device_are_closed_like_unpaired_ones() {
    let setup = Setup::long_tracks().flag("--max-connections=8");
    let server = setup.start().await;
    let (kept_device, removed_device) = (Phone::pair(&server).await, Phone::pair(&server).await);
    let connect = || TcpStream::connect(server.address());
    let mut kept_connections = Vec::new();
    for _ in 0..3 {
        let stream = connect().await.unwrap();
        kept_connections
            .push(send_and_expect(stream, &get_request("/clock", &kept_device.token), 200).await);
    }
    let clock_request = get_request("/clock", &removed_device.token);
    let mut removed_connections =
        vec![send_and_expect(connect().await.unwrap(), &clock_request, 200).await];
    let fill_server = async {
        loop {
            let mut stream = connect().await.unwrap();
            stream.write_all(clock_request.as_bytes()).await.unwrap();
            if read_next_bytes(&mut stream)
                .await
                .starts_with("HTTP/1.1 503 ")
            {
                break;
            }
            removed_connections.push(stream);
        }
    };
    in_time("a response 503 of the full server", fill_server).await;

    let unpair_request = format!(
        "POST /unpair HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Length: 17\r\n\r\n{{\"memberId\":\"{}\"}}",
        kept_device.token, removed_device.member
    );
    let first_kept_connection = kept_connections.remove(0);
    kept_connections.push(send_and_expect(first_kept_connection, &unpair_request, 200).await);
    let health_request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let wait_for_response =
        async { while raw::send(server.address(), health_request).await.status != 200 {} };
    in_time("a new connection to be accepted", wait_for_response).await;
    let _unpaired_connections = [connect().await.unwrap(), connect().await.unwrap()];
    assert!(
        closed_without_response(&mut removed_connections[0]).await,
        "the server sent bytes on the removed device's oldest connection"
    );
    for stream in &mut kept_connections {
        let clock_request = get_request("/clock", &kept_device.token);
        stream.write_all(clock_request.as_bytes()).await.unwrap();
        assert!(read_next_bytes(stream).await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn latest_request_decides_whether_a_connection_counts_as_paired() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let device_connections = async || {
        let metrics = phone.get("/metrics").await.expect(200).text();
        let name = "lockstep_connections{paired=\"yes\"} ";
        let value = metrics.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap().parse::<usize>().unwrap()
    };
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    // The expected numbers include the connection of the metrics request.
    for (token, status, expected) in [
        (&*phone.token, 200, 2),
        ("invalid", 401, 1),
        (&*phone.token, 200, 2),
    ] {
        stream = send_and_expect(stream, &get_request("/clock", token), status).await;
        let description = format!("{expected} connections of devices");
        until(&description, async || {
            device_connections().await == expected
        })
        .await;
    }
}

#[tokio::test]
async fn ninth_event_stream_of_a_device_ends_its_oldest_stream() {
    let server = TestServer::start().await;
    let mut other_phone = Phone::pair_and_listen(&server).await;
    let phone = Phone::pair(&server).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(open_event_stream(&server, &phone.token).await);
    }
    for oldest_stream in &mut streams[..2] {
        // The response body ends with the last chunk, and the connection stays open.
        let read_to_end = async {
            let mut received_text = String::new();
            while !received_text.ends_with("0\r\n\r\n") {
                received_text += &read_next_bytes(oldest_stream).await;
            }
        };
        in_time("the end of the oldest stream", read_to_end).await;
    }
    other_phone.wait_for_event_count(phone.event_count()).await;
    let member = phone.member.clone();
    other_phone
        .wait_until("the device to be a listener", |view| {
            !view["live"]["listeners"][&member].is_null()
        })
        .await;
    other_phone.next().await;
    for stream in &mut streams[2..] {
        let event_received = async {
            let mut received_text = String::new();
            while !received_text.contains("queue.advanced") {
                received_text += &read_next_bytes(stream).await;
            }
        };
        in_time("queue.advanced on a remaining stream", event_received).await;
    }
}

#[tokio::test]
async fn eleventh_download_of_a_device_is_refused() {
    let setup = Setup::empty();
    put_wav(&setup.audio().join("long.wav"), 300, 30_000);
    let server = setup.start().await;
    let (phone, other_phone) = (Phone::pair(&server).await, Phone::pair(&server).await);
    let path = format!("/file/{}", phone.current_track());
    let mut downloads = Vec::new();
    for _ in 0..10 {
        let mut download = send_with_small_receive_buffer(&server, &path, &phone.token).await;
        let received_text = read_next_bytes(&mut download).await;
        assert!(
            received_text.starts_with("HTTP/1.1 200 "),
            "{received_text}"
        );
        downloads.push(download);
    }
    let refused_response = phone.get(&path).await;
    assert_eq!(refused_response.header("retry-after"), Some("1"));
    refused_response.expect_problem(429);
    let head_request = phone.request(reqwest::Method::HEAD, &path);
    common::phone::ask(head_request).await.expect(200);
    other_phone.get(&path).await.expect(200);

    downloads.pop();
    let wait_for_response = async { while phone.get(&path).await.status != 200 {} };
    in_time("a new download to be accepted", wait_for_response).await;
}

#[tokio::test]
async fn connection_limit_leaves_descriptors_for_state_and_music_files() {
    let setup = Setup::empty().launch_command(["prlimit", "--nofile=128:128", EXECUTABLE]);
    for file_index in 0..4 {
        put_wav(
            &setup.audio().join(format!("{file_index}.wav")),
            300,
            30_000,
        );
    }
    let server = setup.start().await;
    assert!(server.log().contains("at most 32 connections"));
    // Unread downloads and idle unpaired connections together use every connection of the limit.
    let mut phone = Phone::pair_and_listen(&server).await;
    let path = format!("/file/{}", phone.current_track());
    let mut open_connections = Vec::new();
    for _ in 0..3 {
        let other_phone = Phone::pair(&server).await;
        for _ in 0..9 {
            let mut download =
                send_with_small_receive_buffer(&server, &path, &other_phone.token).await;
            assert!(
                read_next_bytes(&mut download)
                    .await
                    .starts_with("HTTP/1.1 200 ")
            );
            open_connections.push(download);
        }
    }
    for _ in 0..100 {
        open_connections.push(TcpStream::connect(server.address()).await.unwrap());
    }
    for _ in 0..4 {
        phone.next().await;
        phone.get(&path).await.expect(200);
    }
    put_wav(&server.setup().audio().join("new.wav"), 10, 1_000);
    let event_count = phone.event_count();
    phone.post("/rescan").await.expect(202);
    phone.durable_event("library.changed", event_count).await;
    assert!(!server.log().contains("open files:"), "{}", server.log());
    assert!(!server.log().contains("os error 24"), "{}", server.log());
}

/// CPU time of a process since its start, in user and kernel mode.
fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let ticks: Vec<u64> = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse().unwrap())
        .collect();
    // The unit of these values is a hundredth of a second (`USER_HZ`, proc(5)).
    Duration::from_millis((ticks[0] + ticks[1]) * 10)
}

#[tokio::test]
async fn server_without_free_descriptors_serves_open_connections() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let clock_request = get_request("/clock", &phone.token);
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let mut open_connection = send_and_expect(stream, &clock_request, 200).await;

    // The server derives its connection limit from the descriptor limit when it starts, so the test lowers the descriptor limit
    // only afterwards.
    let pid = Pid::from_raw(server.pid() as i32).unwrap();
    let open_descriptors = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let original_limit = prlimit(
        Some(pid),
        Resource::Nofile,
        Rlimit {
            current: Some(open_descriptors.count() as u64 + 3),
            maximum: getrlimit(Resource::Nofile).maximum,
        },
    )
    .unwrap();
    let mut waiting_connections = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(clock_request.as_bytes()).await.unwrap();
        waiting_connections.push(stream);
    }
    let wait_for_log_line = async {
        while !server.log().contains("cannot accept") {
            open_connection = send_and_expect(open_connection, &clock_request, 200).await;
        }
        open_connection
    };
    let mut open_connection =
        in_time("a log line about missing descriptors", wait_for_log_line).await;
    let (started_at, cpu_time_before) = (Instant::now(), cpu_time(server.pid()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    open_connection = send_and_expect(open_connection, &clock_request, 200).await;
    let (elapsed, cpu_used) = (
        started_at.elapsed(),
        cpu_time(server.pid()) - cpu_time_before,
    );
    assert!(
        cpu_used < elapsed / 4,
        "the server used {cpu_used:?} of CPU time in {elapsed:?}"
    );
    assert_eq!(server.log().matches("cannot accept").count(), 1);

    prlimit(Some(pid), Resource::Nofile, original_limit).unwrap();
    for stream in &mut waiting_connections {
        let received_text = read_next_bytes(stream).await;
        assert!(
            received_text.starts_with("HTTP/1.1 200 "),
            "{received_text:?}"
        );
    }
    send_and_expect(open_connection, &clock_request, 200).await;
}

/// As in the three modes of `slowhttptest`: unfinished request heads, unfinished request bodies, and unread responses.
#[tokio::test]
async fn slow_senders_and_readers_do_not_delay_other_clients() {
    raise_descriptor_limit();
    let setup = Setup::empty();
    put_wav(&setup.audio().join("a.wav"), 300, 30_000);
    put_wav(&setup.audio().join("b.wav"), 400, 30_000);
    let server = setup.start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let mut other_phone = Phone::pair_and_listen(&server).await;
    let partial_head = "GET / HTTP/1.1\r\nHost: localhost\r\nX-a: ".to_owned();
    let partial_body = format!(
        "POST /pair HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60\r\n\r\n{{\"code\":\"{CODE}\""
    );
    let mut open_connections = Vec::new();
    for partial_request in [partial_head, partial_body] {
        for _ in 0..200 {
            let mut stream = TcpStream::connect(server.address()).await.unwrap();
            stream.write_all(partial_request.as_bytes()).await.unwrap();
            open_connections.push(stream);
        }
    }
    let path = format!("/file/{}", phone.current_track());
    for _ in 0..20 {
        let reader = Phone::pair(&server).await;
        for _ in 0..10 {
            open_connections
                .push(send_with_small_receive_buffer(&server, &path, &reader.token).await);
        }
    }
    let connections = |metrics: &str, paired: &str| {
        let name = format!("lockstep_connections{{paired=\"{paired}\"}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
        value.unwrap().parse::<usize>().unwrap()
    };
    until("all slow connections to be open", async || {
        let metrics = phone.get("/metrics").await.expect(200).text();
        connections(&metrics, "yes") >= 202 && connections(&metrics, "no") >= 200
    })
    .await;
    for _ in 0..20 {
        phone.next().await;
        let track_id = phone.current_track();
        phone.ack(&track_id).await;
        other_phone.wait_for_event_count(phone.event_count()).await;
    }
    phone.get(&path).await.expect(200);
}
