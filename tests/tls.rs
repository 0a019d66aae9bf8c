//! The secure page: whose certificate it has, who believes that, and that all that holds over HTTP holds over HTTPS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use common::music::put_wav;
use common::network::{inside, ip};
use common::phone::{ask, http, trusting};
use common::server::run;
use common::{Answer, PATIENCE, Phone, Setup, TestServer, in_time, raw};
use reqwest::Client;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

async fn secure_server() -> TestServer {
    Setup::long_tracks().secure().start().await
}

async fn get(client: &Client, url: String) -> Answer {
    ask(client.get(url)).await
}

/// A connection over TLS that trusts the server's own authority, through a socket that takes little at a time.
async fn connect_slowly(server: &TestServer) -> TlsStream<TcpStream> {
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

async fn ask_slowly(server: &TestServer, path: &str, token: &str) -> TlsStream<TcpStream> {
    let mut stream = connect_slowly(server).await;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn whoever_trusts_the_authority_and_nobody_else_gets_the_secure_page() {
    let server = secure_server().await;
    let phone = trusting(&server).await;
    let page = get(&phone, server.secure_url("/")).await.expect(200);
    assert!(page.text().contains("<title>Lockstep</title>"));
    let stranger = http().get(server.secure_url("/")).send().await;
    assert!(stranger.is_err(), "{stranger:?}");
}

#[tokio::test]
async fn a_name_that_the_houses_router_gave_the_server_is_in_its_certificate_too() {
    let server = secure_server().await;
    let root = get(&http(), server.url("/ca.crt")).await.body;
    let address = server.secure_address();
    for (name, believed) in [
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
        let answer = in_time("an answer", client.get(url).send()).await;
        assert_eq!(answer.is_ok(), believed, "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn an_address_that_the_machine_got_after_the_start_is_in_its_certificate() {
    // A loopback address that no interface lists stands for it.
    let server = Setup::long_tracks()
        .secure()
        .flag("--tls-listen=0.0.0.0:0")
        .start()
        .await;
    let phone = trusting(&server).await;
    let port = server.secure_address().port();
    for address in ["127.0.0.1", "127.7.7.7", "127.0.0.1"] {
        let url = format!("https://{address}:{port}/healthz");
        get(&phone, url).await.expect(200);
    }
}

#[tokio::test]
async fn the_secure_page_is_served_wherever_the_plain_one_is() {
    if !inside("the_secure_page_is_served_wherever_the_plain_one_is") {
        return;
    }
    ip(&["link", "set", "lo", "up"]);
    let setup = Setup::long_tracks().listen("[::]:0").flag("--tls");
    let server = setup.start().await;
    let port = server.address().port();
    let ca = format!("http://[::1]:{port}/ca.crt");
    let root = get(&http(), ca).await.expect(200).body;
    let root = reqwest::Certificate::from_der(&root).unwrap();
    let phone = Client::builder().no_proxy().add_root_certificate(root);
    let phone = phone.build().unwrap();
    for host in ["[::1]", "127.0.0.1"] {
        get(&phone, format!("https://{host}:8443/healthz"))
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn the_authority_is_made_once_and_kept_for_its_owner_alone() {
    let mut server = secure_server().await;
    let root = get(&http(), server.url("/ca.crt")).await.expect(200);
    assert_eq!(
        root.header("content-type"),
        Some("application/x-x509-ca-cert")
    );
    let file = server.setup().authority_file();
    let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);

    server.stop().await;
    // As a copy from elsewhere may be.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    server.start_again().await;
    let again = get(&http(), server.url("/ca.crt")).await.expect(200);
    assert_eq!(again.body, root.body);
    assert_eq!(mode(), 0o600);
    let key: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let key = key["key"].as_str().unwrap().lines().nth(1).unwrap();
    assert!(!server.log().contains(key), "the key is in the log");
}

#[tokio::test]
async fn a_damaged_authority_is_told_of_and_left_as_it_is() {
    let mut server = secure_server().await;
    server.stop().await;
    let file = server.setup().authority_file();
    let sound: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let other = secure_server().await;
    let others = fs::read(other.setup().authority_file()).unwrap();
    let others: Value = serde_json::from_slice(&others).unwrap();

    let mut foreign_key = sound.clone();
    foreign_key["key"] = others["key"].clone();
    let mut no_certificate = sound.clone();
    no_certificate["certificate"] = json!("-----BEGIN CERTIFICATE-----");
    for damaged in [
        String::new(),
        sound.to_string()[..200].to_owned(),
        foreign_key.to_string(),
        no_certificate.to_string(),
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
    fs::write(&file, sound.to_string()).unwrap();
    server.start_again().await;
}

/// A certificate for 127.0.0.1 that signs itself, and its key, as files.
fn put_certificate(setup: &Setup, name: &str) -> ([PathBuf; 2], Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    let paths = ["crt", "key"].map(|kind| setup.folder().join(format!("{name}.{kind}")));
    fs::write(&paths[0], made.cert.pem()).unwrap();
    fs::write(&paths[1], made.signing_key.serialize_pem()).unwrap();
    (paths, made.cert.der().to_vec())
}

fn given(setup: Setup, [certificate, key]: &[PathBuf; 2]) -> Setup {
    setup
        .flag(&format!("--tls-cert={}", certificate.display()))
        .flag(&format!("--tls-key={}", key.display()))
        .flag("--tls-listen=127.0.0.1:0")
}

#[tokio::test]
async fn a_certificate_of_the_hosts_is_the_one_that_is_shown() {
    let setup = Setup::long_tracks();
    let (paths, der) = put_certificate(&setup, "mine");
    let server = given(setup, &paths).start().await;
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
async fn a_certificate_that_cannot_be_used_is_told_of_in_one_sentence() {
    let start = async |paths: &[PathBuf; 2]| {
        let setup = given(Setup::long_tracks(), paths);
        let exit = run(setup.command()).await;
        assert!(!exit.status.success());
        let last = exit.stderr.lines().last().unwrap_or_default().to_owned();
        assert!(last.starts_with("lockstep: "), "{}", exit.stderr);
        last
    };
    let setup = Setup::empty();
    let ([certificate, key], _) = put_certificate(&setup, "one");
    let ([_, other_key], _) = put_certificate(&setup, "other");
    let nowhere = setup.folder().join("nowhere.pem");

    let said = start(&[nowhere.clone(), key.clone()]).await;
    assert!(said.contains("nowhere.pem"), "{said}");
    let said = start(&[certificate.clone(), nowhere]).await;
    assert!(said.contains("nowhere.pem"), "{said}");
    let said = start(&[key.clone(), key.clone()]).await;
    assert!(said.contains("one.key holds no certificate"), "{said}");
    let said = start(&[certificate.clone(), certificate.clone()]).await;
    assert!(said.contains("one.crt holds no private key"), "{said}");
    let said = start(&[certificate.clone(), other_key]).await;
    assert!(
        said.contains("one.crt") && said.contains("other.key"),
        "{said}"
    );

    let alone = Setup::empty().flag(&format!("--tls-cert={}", certificate.display()));
    let exit = run(alone.command()).await;
    assert_eq!(exit.status.code(), Some(2));
    assert!(exit.stderr.contains("--tls-key"), "{}", exit.stderr);
}

#[tokio::test]
async fn without_tls_nothing_of_it_is_there() {
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
async fn the_page_over_http_may_look_whether_the_secure_one_is_trusted_and_that_one_needs_nobody_else()
 {
    let server = secure_server().await;
    let (phone, port) = (trusting(&server).await, server.secure_address().port());
    let policy = |page: &Answer| page.header("content-security-policy").unwrap().to_owned();
    let plain = get(&http(), server.url("/")).await.expect(200);
    let origin = format!("connect-src 'self' https://127.0.0.1:{port};");
    assert!(policy(&plain).contains(&origin), "{}", policy(&plain));
    let secure = get(&phone, server.secure_url("/")).await.expect(200);
    assert!(
        policy(&secure).contains("connect-src 'self';"),
        "{}",
        policy(&secure)
    );

    let offer = get(&phone, server.secure_url("/secure")).await.expect(200);
    assert_eq!(
        offer.header("cross-origin-resource-policy"),
        Some("cross-origin")
    );
    assert_eq!(offer.json()["port"], port);
    assert_eq!(offer.json()["httpPort"], server.address().port());
    let healthy = get(&phone, server.secure_url("/healthz")).await;
    assert_eq!(
        healthy.header("cross-origin-resource-policy"),
        Some("same-origin")
    );
}

#[tokio::test]
async fn iphones_are_offered_the_root_as_a_profile() {
    let server = secure_server().await;
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
async fn a_phone_that_paired_over_http_is_paired_over_https_by_the_same_cookie() {
    let server = secure_server().await;
    let answer = ask(http()
        .post(server.url("/pair"))
        .json(&json!({ "code": common::CODE })))
    .await
    .expect(200);
    let cookie = answer.header("set-cookie").unwrap();
    assert!(!cookie.contains("Secure"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let secure = trusting(&server).await;
    ask(secure
        .get(server.secure_url("/snapshot"))
        .header("Cookie", cookie))
    .await
    .expect(200);
    // A page pairs from its own origin, and no other site's page does.
    let own = format!("https://{}", server.secure_address());
    for (origin, status) in [(own.as_str(), 200), ("https://evil.example", 403)] {
        let pairs = secure
            .post(server.secure_url("/pair"))
            .header("Origin", origin)
            .json(&json!({ "code": common::CODE }));
        let answer = ask(pairs).await.expect(status);
        let kept = answer.header("set-cookie").unwrap_or_default();
        assert!(!kept.contains("Secure"), "{kept}");
    }
}

#[tokio::test]
async fn the_code_that_a_secure_page_shows_its_guests_leads_to_the_page_over_http() {
    let server = secure_server().await;
    let secure = trusting(&server).await;
    let qr = |client: &Client, url: String, host: String| ask(client.get(url).header("Host", host));
    let ports = (server.address().port(), server.secure_address().port());
    let host = |port: u16| format!("party.lan:{port}");
    let plain = qr(&http(), server.url("/qr"), host(ports.0))
        .await
        .expect(200);
    let shown = qr(&secure, server.secure_url("/qr"), host(ports.1))
        .await
        .expect(200);
    assert_eq!(plain.body, shown.body);
}

#[tokio::test]
async fn phones_over_http_and_over_https_share_one_room() {
    let server = secure_server().await;
    let mut plain = Phone::listening(&server).await;
    let mut secure = Phone::listening_securely(&server).await;
    plain.wait_for_count(secure.count()).await;
    secure.next().await;
    plain.wait_for_count(secure.count()).await;
    assert_eq!(plain.members().len(), 2);
    let track = plain.current();
    plain.ack(&track).await;
    secure.wait_for_count(plain.count()).await;
    secure.ack(&track).await;
    for phone in [&mut plain, &mut secure] {
        phone
            .wait_until("the music to start", |view| {
                view["playState"]["mode"] == "playing"
            })
            .await;
    }
}

#[tokio::test]
async fn a_message_larger_than_a_record_of_tls_arrives_whole() {
    let setup = Setup::empty().secure();
    for n in 0..1500 {
        put_wav(&setup.audio().join(format!("{n}.wav")), 2, 1_000);
    }
    let server = setup.start().await;
    let mut phone = Phone::listening_securely(&server).await;
    let tracks = |view: &Value| view["queue"].as_array().unwrap().len();
    phone
        .wait_until("all of them", |view| tracks(view) == 1500)
        .await;
    // The first message of this stream has all of it.
    phone.listen().await;
    assert_eq!(tracks(&phone.view), 1500);
    assert!(phone.view.to_string().len() > 16_384);
}

#[tokio::test]
async fn a_download_over_tls_is_whole_and_is_shown_only_as_far_as_it_is() {
    const SIZE: usize = 2_000_044;
    let setup = Setup::empty().secure();
    put_wav(&setup.audio().join("long.wav"), 2_000, 1_000);
    let server = setup.start().await;
    let home = Phone::listening(&server).await;
    let mut phone = Phone::listening_securely(&server).await;
    let track = phone.current();
    let path = format!("/file/{track}");

    let mut download = ask_slowly(&server, &path, &phone.token).await;
    let mut came = vec![0; 100_000];
    in_time("some of it", download.read_exact(&mut came))
        .await
        .unwrap();
    let me = phone.member.clone();
    let received =
        |view: &Value| view["live"]["listeners"][&me]["download"]["receivedBytes"].as_u64();
    phone
        .wait_until("the download", |view| received(view).is_some())
        .await;
    let shown = received(&home.snapshot().await).expect("a download under way");
    // What came, and what fits into sockets, a record and a buffer in between; far from the whole.
    assert!(shown < 1_000_000, "{shown}");

    let body_began = came
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    let mut rest = vec![0; SIZE + body_began - came.len()];
    in_time("the rest", download.read_exact(&mut rest))
        .await
        .unwrap();
    let whole = phone.get(&path).await.expect(200).body;
    assert_eq!(whole.len(), SIZE);
    assert!([&came[body_began..], &rest].concat() == whole);
}

#[tokio::test]
async fn listeners_over_tls_that_never_read_are_cut_off_and_nobody_waits_for_them() {
    let server = secure_server().await;
    let mut phone = Phone::listening(&server).await;
    let mut deaf = Vec::new();
    for _ in 0..5 {
        let other = Phone::pair(&server).await;
        deaf.push(ask_slowly(&server, "/events", &other.token).await);
    }
    phone.outlive(5).await;
    phone.next().await;
    assert_eq!(phone.members().len(), 1);
}

#[tokio::test]
async fn a_server_that_stops_says_goodbye_to_streams_over_tls() {
    let mut server = secure_server().await;
    let mut phone = Phone::listening_securely(&server).await;
    let other = Phone::pair(&server).await;
    let mut stream = ask_slowly(&server, "/events", &other.token).await;
    server.stop().await;
    phone.live_event("server.closing").await;
    let mut rest = Vec::new();
    // Without a goodbye this is an error.
    in_time("the end of the stream", stream.read_to_end(&mut rest))
        .await
        .unwrap();
    assert!(String::from_utf8(rest).unwrap().contains("server.closing"));
}

/// A client's first message, as a browser that tries HTTPS first sends it.
fn hello() -> Vec<u8> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("party.lan").unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

#[tokio::test]
async fn the_port_of_http_drops_a_tls_hello_at_once_and_without_a_byte() {
    let server = TestServer::start().await;
    let connect = async |address: SocketAddr| TcpStream::connect(address).await.unwrap();
    for message in [hello(), hello()[..1].to_vec()] {
        let mut stream = connect(server.address()).await;
        stream.write_all(&message).await.unwrap();
        let mut answer = Vec::new();
        // An end or a reset: browsers fall back after either.
        let _ = in_time("the end", stream.read_to_end(&mut answer)).await;
        assert_eq!(answer, b"");
    }
    let answer = raw::get(server.address(), "/healthz", &["Host: localhost"]).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn the_port_of_https_drops_what_is_no_tls() {
    let server = secure_server().await;
    let mut stream = TcpStream::connect(server.secure_address()).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("the end");
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1"));
}
