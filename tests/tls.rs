//! HTTPS: the server's own certificate authority, configured certificates, and the same behaviour as over HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use common::music::put_wav;
use common::network::{in_network_namespace, ip};
use common::phone::{ask, http, trusting};
use common::server::run;
use common::{HttpResponse, Phone, Setup, TestServer, WAIT_TIMEOUT, in_time, raw};
use reqwest::Client;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

async fn start_tls_server() -> TestServer {
    Setup::long_tracks().with_tls().start().await
}

async fn get(client: &Client, url: String) -> HttpResponse {
    ask(client.get(url)).await
}

/// Opens a TLS connection on a socket with a small receive buffer. The client trusts the server's own authority.
async fn connect_with_small_receive_buffer(server: &TestServer) -> TlsStream<TcpStream> {
    let root = get(&http(), server.url("/ca.crt")).await.expect(200).body;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(root)).unwrap();
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = server.secure_address();
    let stream = socket.connect(address).await.unwrap();
    let name = ServerName::from(address.ip());
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap()
}

/// Sends a `GET` request on such a connection, and reads no response.
async fn request_with_small_receive_buffer(
    server: &TestServer,
    path: &str,
    token: &str,
) -> TlsStream<TcpStream> {
    let mut stream = connect_with_small_receive_buffer(server).await;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Requests the events on such a connection, and reads only the status line of the response.
async fn listen_with_small_receive_buffer(
    server: &TestServer,
    token: &str,
) -> TlsStream<TcpStream> {
    let mut stream = request_with_small_receive_buffer(server, "/events", token).await;
    let mut status_line = [0; 15];
    in_time("the response", stream.read_exact(&mut status_line))
        .await
        .unwrap();
    assert_eq!(&status_line, b"HTTP/1.1 200 OK");
    stream
}

#[tokio::test]
async fn only_a_client_that_trusts_the_authority_gets_the_https_page() {
    let server = start_tls_server().await;
    let trusting_client = trusting(&server).await;
    let page = get(&trusting_client, server.secure_url("/"))
        .await
        .expect(200);
    assert!(page.text().contains("<title>Lockstep</title>"));
    let untrusting_result = http().get(server.secure_url("/")).send().await;
    assert!(untrusting_result.is_err(), "{untrusting_result:?}");
}

#[tokio::test]
async fn certificate_covers_local_names_but_no_public_name() {
    let server = start_tls_server().await;
    let root = get(&http(), server.url("/ca.crt")).await.body;
    let address = server.secure_address();
    for (name, is_trusted) in [
        ("musicbox.lan", true),
        ("localhost", true),
        ("music.example.org", false),
    ] {
        let client = Client::builder()
            .no_proxy()
            .add_root_certificate(reqwest::Certificate::from_der(&root).unwrap())
            .resolve(name, address)
            .build()
            .unwrap();
        let url = format!("https://{name}:{}/healthz", address.port());
        let result = in_time("a response or an error", client.get(url).send()).await;
        assert_eq!(result.is_ok(), is_trusted, "{name}: {result:?}");
    }
}

#[tokio::test]
async fn certificate_covers_an_ip_address_acquired_after_the_start() {
    // 127.7.7.7 simulates the new address: the machine accepts it, but no network interface lists it.
    let server = Setup::long_tracks()
        .with_tls()
        .flag("--tls-listen=0.0.0.0:0")
        .start()
        .await;
    let trusting_client = trusting(&server).await;
    let port = server.secure_address().port();
    for address in ["127.0.0.1", "127.7.7.7", "127.0.0.1"] {
        let url = format!("https://{address}:{port}/healthz");
        get(&trusting_client, url).await.expect(200);
    }
}

#[tokio::test]
async fn https_listens_on_the_ip_addresses_of_http() {
    if !in_network_namespace("https_listens_on_the_ip_addresses_of_http") {
        return;
    }
    ip(&["link", "set", "lo", "up"]);
    let setup = Setup::long_tracks().listen("[::]:0").flag("--tls");
    let server = setup.start().await;
    let port = server.address().port();
    let ca = format!("http://[::1]:{port}/ca.crt");
    let root = get(&http(), ca).await.expect(200).body;
    let root = reqwest::Certificate::from_der(&root).unwrap();
    let trusting_client = Client::builder().no_proxy().add_root_certificate(root);
    let trusting_client = trusting_client.build().unwrap();
    for host in ["[::1]", "127.0.0.1"] {
        get(&trusting_client, format!("https://{host}:8443/healthz"))
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn certificate_authority_is_created_once_and_readable_only_by_its_owner() {
    let mut server = start_tls_server().await;
    let root = get(&http(), server.url("/ca.crt")).await.expect(200);
    assert_eq!(
        root.header("content-type"),
        Some("application/x-x509-ca-cert")
    );
    let file = server.setup().authority_file();
    let file_mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(file_mode(), 0o600);

    server.stop().await;
    // A copied file may have wider permissions.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    server.restart().await;
    let root_after_restart = get(&http(), server.url("/ca.crt")).await.expect(200);
    assert_eq!(root_after_restart.body, root.body);
    assert_eq!(file_mode(), 0o600);
    let authority: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let private_key = authority["key"].as_str().unwrap().lines().nth(1).unwrap();
    assert!(
        !server.log().contains(private_key),
        "the log contains the authority's private key"
    );
}

#[tokio::test]
async fn damaged_authority_file_is_reported_and_left_unchanged() {
    let mut server = start_tls_server().await;
    server.stop().await;
    let file = server.setup().authority_file();
    let valid_authority: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let other_server = start_tls_server().await;
    let other_authority = fs::read(other_server.setup().authority_file()).unwrap();
    let other_authority: Value = serde_json::from_slice(&other_authority).unwrap();

    let mut with_foreign_key = valid_authority.clone();
    with_foreign_key["key"] = other_authority["key"].clone();
    let mut with_damaged_certificate = valid_authority.clone();
    with_damaged_certificate["certificate"] = json!("-----BEGIN CERTIFICATE-----");
    for damaged in [
        String::new(),
        valid_authority.to_string()[..200].to_owned(),
        with_foreign_key.to_string(),
        with_damaged_certificate.to_string(),
    ] {
        fs::write(&file, &damaged).unwrap();
        let exit = run(server.setup().command()).await;
        assert!(!exit.status.success());
        assert!(
            exit.stderr.contains("state.json.authority") && exit.stderr.contains("damaged"),
            "{}",
            exit.stderr
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), damaged);
    }
    fs::write(&file, valid_authority.to_string()).unwrap();
    server.restart().await;
}

/// Writes a self-signed certificate for 127.0.0.1 and its key. Returns both files, and the certificate in DER.
fn put_certificate(setup: &Setup, name: &str) -> ([PathBuf; 2], Vec<u8>) {
    let generated = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    let paths = ["crt", "key"].map(|kind| setup.folder().join(format!("{name}.{kind}")));
    fs::write(&paths[0], generated.cert.pem()).unwrap();
    fs::write(&paths[1], generated.signing_key.serialize_pem()).unwrap();
    (paths, generated.cert.der().to_vec())
}

/// A setup with HTTPS and this certificate.
fn with_certificate(setup: Setup, [certificate, key]: &[PathBuf; 2]) -> Setup {
    setup
        .flag(&format!("--tls-cert={}", certificate.display()))
        .flag(&format!("--tls-key={}", key.display()))
        .flag("--tls-listen=127.0.0.1:0")
}

#[tokio::test]
async fn configured_certificate_is_used_and_no_authority_is_offered() {
    let setup = Setup::long_tracks();
    let (paths, der) = put_certificate(&setup, "mine");
    let server = with_certificate(setup, &paths).start().await;
    let client = Client::builder()
        .no_proxy()
        .add_root_certificate(reqwest::Certificate::from_der(&der).unwrap())
        .build()
        .unwrap();
    get(&client, server.secure_url("/healthz"))
        .await
        .expect(200);
    assert!(!server.setup().authority_file().exists());
    get(&http(), server.url("/ca.crt"))
        .await
        .expect_problem(404);
    get(&http(), server.url("/ca.mobileconfig"))
        .await
        .expect_problem(404);
    let offer = get(&http(), server.url("/secure")).await.expect(200).json();
    assert_eq!(offer["authority"], Value::Null);
    assert_eq!(offer["port"], server.secure_address().port());
}

#[tokio::test]
async fn unusable_certificate_causes_an_error_that_names_the_file() {
    let start_error = async |paths: &[PathBuf; 2]| {
        let setup = with_certificate(Setup::long_tracks(), paths);
        let exit = run(setup.command()).await;
        assert!(!exit.status.success());
        let last_line = exit.stderr.lines().last().unwrap_or_default().to_owned();
        assert!(last_line.starts_with("lockstep: "), "{}", exit.stderr);
        last_line
    };
    let setup = Setup::empty();
    let ([certificate, key], _) = put_certificate(&setup, "one");
    let ([_, other_key], _) = put_certificate(&setup, "other");
    let missing = setup.folder().join("nowhere.pem");

    let message = start_error(&[missing.clone(), key.clone()]).await;
    assert!(message.contains("nowhere.pem"), "{message}");
    let message = start_error(&[certificate.clone(), missing]).await;
    assert!(message.contains("nowhere.pem"), "{message}");
    let message = start_error(&[key.clone(), key.clone()]).await;
    assert!(
        message.contains("one.key holds no certificate"),
        "{message}"
    );
    let message = start_error(&[certificate.clone(), certificate.clone()]).await;
    assert!(
        message.contains("one.crt holds no private key"),
        "{message}"
    );
    let message = start_error(&[certificate.clone(), other_key]).await;
    assert!(
        message.contains("one.crt") && message.contains("other.key"),
        "{message}"
    );

    let without_key = Setup::empty().flag(&format!("--tls-cert={}", certificate.display()));
    let exit = run(without_key.command()).await;
    assert_eq!(exit.status.code(), Some(2));
    assert!(exit.stderr.contains("--tls-key"), "{}", exit.stderr);
}

#[tokio::test]
async fn server_without_tls_offers_no_https_url_and_no_authority() {
    let server = TestServer::start().await;
    let offer = get(&http(), server.url("/secure")).await.expect(200).json();
    assert_eq!(
        offer,
        json!({ "port": null, "httpPort": null, "authority": null })
    );
    get(&http(), server.url("/ca.crt"))
        .await
        .expect_problem(404);
    get(&http(), server.url("/ca.mobileconfig"))
        .await
        .expect_problem(404);
    let page = get(&http(), server.url("/")).await.expect(200);
    assert!(
        !page
            .header("content-security-policy")
            .unwrap()
            .contains("https:")
    );
    assert!(!server.setup().authority_file().exists());
    assert!(!server.stdout().iter().any(|line| line.contains("https")));
}

#[tokio::test]
async fn http_page_may_check_whether_the_https_page_is_reachable() {
    let server = start_tls_server().await;
    let (trusting_client, port) = (trusting(&server).await, server.secure_address().port());
    let policy = |page: &HttpResponse| page.header("content-security-policy").unwrap().to_owned();
    let http_page = get(&http(), server.url("/")).await.expect(200);
    let origin = format!("connect-src 'self' https://127.0.0.1:{port};");
    assert!(
        policy(&http_page).contains(&origin),
        "{}",
        policy(&http_page)
    );
    let https_page = get(&trusting_client, server.secure_url("/"))
        .await
        .expect(200);
    assert!(
        policy(&https_page).contains("connect-src 'self';"),
        "{}",
        policy(&https_page)
    );

    let offer = get(&trusting_client, server.secure_url("/secure"))
        .await
        .expect(200);
    assert_eq!(
        offer.header("cross-origin-resource-policy"),
        Some("cross-origin")
    );
    assert_eq!(offer.json()["port"], port);
    assert_eq!(offer.json()["httpPort"], server.address().port());
    let health_response = get(&trusting_client, server.secure_url("/healthz")).await;
    assert_eq!(
        health_response.header("cross-origin-resource-policy"),
        Some("same-origin")
    );
}

#[tokio::test]
async fn root_certificate_is_served_as_an_apple_configuration_profile() {
    let server = start_tls_server().await;
    let profile = get(&http(), server.url("/ca.mobileconfig"))
        .await
        .expect(200);
    assert_eq!(
        profile.header("content-type"),
        Some("application/x-apple-aspen-config")
    );
    let offer = get(&http(), server.url("/secure")).await.json();
    let name = offer["authority"].as_str().unwrap();
    assert!(
        profile.text().contains(&format!("<string>{name}</string>")),
        "{}",
        profile.text()
    );
    assert!(profile.text().contains("com.apple.security.root"));
}

#[tokio::test]
async fn cookie_set_over_http_is_accepted_over_https() {
    let server = start_tls_server().await;
    let response = ask(http()
        .post(server.url("/pair"))
        .json(&json!({ "code": common::CODE })))
    .await
    .expect(200);
    let cookie = response.header("set-cookie").unwrap();
    assert!(!cookie.contains("Secure"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let https_client = trusting(&server).await;
    ask(https_client
        .get(server.secure_url("/snapshot"))
        .header("Cookie", cookie))
    .await
    .expect(200);
    // Pairing over HTTPS is accepted only from the HTTPS page's own origin.
    let own_origin = format!("https://{}", server.secure_address());
    for (origin, status) in [(own_origin.as_str(), 200), ("https://evil.example", 403)] {
        let request = https_client
            .post(server.secure_url("/pair"))
            .header("Origin", origin)
            .json(&json!({ "code": common::CODE }));
        let response = ask(request).await.expect(status);
        let cookie = response.header("set-cookie").unwrap_or_default();
        assert!(!cookie.contains("Secure"), "{cookie}");
    }
}

#[tokio::test]
async fn qr_code_on_the_https_page_contains_the_http_url() {
    let server = start_tls_server().await;
    let https_client = trusting(&server).await;
    let qr = |client: &Client, url: String, host: String| ask(client.get(url).header("Host", host));
    let ports = (server.address().port(), server.secure_address().port());
    let host = |port: u16| format!("party.lan:{port}");
    let plain_qr = qr(&http(), server.url("/qr"), host(ports.0))
        .await
        .expect(200);
    let secure_qr = qr(&https_client, server.secure_url("/qr"), host(ports.1))
        .await
        .expect(200);
    assert_eq!(plain_qr.body, secure_qr.body);
}

#[tokio::test]
async fn phones_over_http_and_https_share_one_room() {
    let server = start_tls_server().await;
    let mut http_phone = Phone::pair_and_listen(&server).await;
    let mut https_phone = Phone::pair_and_listen_over_tls(&server).await;
    http_phone
        .wait_for_event_count(https_phone.event_count())
        .await;
    https_phone.next().await;
    http_phone
        .wait_for_event_count(https_phone.event_count())
        .await;
    assert_eq!(http_phone.barrier_members().len(), 2);
    let track_id = http_phone.current_track();
    http_phone.ack(&track_id).await;
    https_phone
        .wait_for_event_count(http_phone.event_count())
        .await;
    https_phone.ack(&track_id).await;
    for phone in [&mut http_phone, &mut https_phone] {
        phone
            .wait_until("playback to start", |view| {
                view["playState"]["mode"] == "playing"
            })
            .await;
    }
}

#[tokio::test]
async fn event_larger_than_a_tls_record_arrives_completely() {
    let setup = Setup::empty().with_tls();
    for file_index in 0..1500 {
        put_wav(&setup.audio().join(format!("{file_index}.wav")), 2, 1_000);
    }
    let server = setup.start().await;
    let mut phone = Phone::pair_and_listen_over_tls(&server).await;
    let track_count = |view: &Value| view["queue"].as_array().unwrap().len();
    phone
        .wait_until("all 1500 tracks in the queue", |view| {
            track_count(view) == 1500
        })
        .await;
    // The first event of this stream is the large snapshot.
    phone.listen().await;
    assert_eq!(track_count(&phone.view), 1500);
    assert!(phone.view.to_string().len() > 16_384);
}

#[tokio::test]
async fn download_over_tls_is_complete_and_progress_excludes_unsent_bytes() {
    const SIZE: usize = 2_000_044;
    let setup = Setup::empty().with_tls();
    put_wav(&setup.audio().join("long.wav"), 2_000, 1_000);
    let server = setup.start().await;
    let observer = Phone::pair_and_listen(&server).await;
    let mut phone = Phone::pair_and_listen_over_tls(&server).await;
    let track_id = phone.current_track();
    let path = format!("/file/{track_id}");

    let mut download = request_with_small_receive_buffer(&server, &path, &phone.token).await;
    let mut first_bytes = vec![0; 100_000];
    in_time(
        "the first bytes of the download",
        download.read_exact(&mut first_bytes),
    )
    .await
    .unwrap();
    let member = phone.member.clone();
    let received_bytes =
        |view: &Value| view["live"]["listeners"][&member]["download"]["receivedBytes"].as_u64();
    phone
        .wait_until("receivedBytes of the download", |view| {
            received_bytes(view).is_some()
        })
        .await;
    let shown_bytes = received_bytes(&observer.snapshot().await)
        .expect("the snapshot contains no download of the phone");
    // receivedBytes may include bytes in socket buffers, one TLS record and one read buffer, which are far less than the file.
    assert!(
        shown_bytes < 1_000_000,
        "receivedBytes is {shown_bytes}, but only 100,000 bytes were read"
    );

    let body_start = first_bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    let mut rest_of_body = vec![0; SIZE + body_start - first_bytes.len()];
    in_time(
        "the rest of the download",
        download.read_exact(&mut rest_of_body),
    )
    .await
    .unwrap();
    let whole_file = phone.get(&path).await.expect(200).body;
    assert_eq!(whole_file.len(), SIZE);
    assert!([&first_bytes[body_start..], &rest_of_body].concat() == whole_file);
}

#[tokio::test]
async fn tls_listeners_that_never_read_are_disconnected() {
    let server = start_tls_server().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let mut non_readers = Vec::new();
    for _ in 0..5 {
        let other_phone = Phone::pair(&server).await;
        non_readers
            .push(request_with_small_receive_buffer(&server, "/events", &other_phone.token).await);
    }
    phone.disconnect_stalled_listeners(5).await;
    phone.next().await;
    assert_eq!(phone.barrier_members().len(), 1);
}

#[tokio::test]
async fn tls_stream_ends_when_the_client_sends_close_notify() {
    let server = start_tls_server().await;
    let phone = Phone::pair(&server).await;
    let mut stream = listen_with_small_receive_buffer(&server, &phone.token).await;
    stream.get_mut().1.send_close_notify();
    stream.flush().await.unwrap();
    // The connection may also end with a reset.
    let _ = in_time("the end of the stream", stream.read_to_end(&mut Vec::new())).await;
}

#[tokio::test]
async fn shutdown_ends_tls_streams_with_close_notify() {
    let mut server = start_tls_server().await;
    let mut phone = Phone::pair_and_listen_over_tls(&server).await;
    let other_phone = Phone::pair(&server).await;
    let mut stream = listen_with_small_receive_buffer(&server, &other_phone.token).await;
    server.stop().await;
    phone.live_event("server.closing").await;
    let mut received_bytes = Vec::new();
    // rustls returns an error if the connection closes without close_notify.
    in_time(
        "the end of the stream",
        stream.read_to_end(&mut received_bytes),
    )
    .await
    .unwrap();
    assert!(
        String::from_utf8(received_bytes)
            .unwrap()
            .contains("server.closing")
    );
}

/// A TLS ClientHello. A browser in HTTPS-first mode sends one to the HTTP port.
fn tls_client_hello() -> Vec<u8> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("party.lan").unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut tls_client_hello = Vec::new();
    client.write_tls(&mut tls_client_hello).unwrap();
    tls_client_hello
}

#[tokio::test]
async fn http_port_closes_a_tls_connection_without_a_response() {
    let server = TestServer::start().await;
    let connect = async |address: SocketAddr| TcpStream::connect(address).await.unwrap();
    for sent_bytes in [tls_client_hello(), tls_client_hello()[..1].to_vec()] {
        let mut stream = connect(server.address()).await;
        stream.write_all(&sent_bytes).await.unwrap();
        let mut response = Vec::new();
        // The read ends with end of file or with a reset: browsers fall back to HTTP after both.
        let _ = in_time(
            "the end of the connection",
            stream.read_to_end(&mut response),
        )
        .await;
        assert_eq!(response, b"");
    }
    let response = raw::get(server.address(), "/healthz", &["Host: localhost"]).await;
    assert_eq!(response.status, 200);
}

#[tokio::test]
async fn https_port_does_not_respond_to_plain_http() {
    let server = start_tls_server().await;
    let mut stream = TcpStream::connect(server.secure_address()).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut response = Vec::new();
    let _ = tokio::time::timeout(WAIT_TIMEOUT, stream.read_to_end(&mut response))
        .await
        .expect("the server did not close the connection");
    assert!(!String::from_utf8_lossy(&response).contains("HTTP/1.1"));
}
