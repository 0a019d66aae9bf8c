//! Behind reverse proxies: the real nginx and the real Caddy with the configurations in `docs/reverse-proxy.md`, nginx with its
//! defaults, and the headers of trusted proxies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::phone::{EventStream, ask, client_from, http};
use common::{CODE, HttpResponse, Phone, Setup, TestServer, in_time, raw};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;

const WRONG_CODE: &str = "000000";

/// A running proxy. Dropping it kills the process.
struct Proxy {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Proxy {
    async fn start(mut command: Command, address: SocketAddr, folder: TempDir) -> Proxy {
        let log = fs::File::create(folder.path().join("log")).unwrap();
        command
            .current_dir(folder.path())
            .env("HOME", folder.path());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let process = command.spawn().unwrap_or_else(|error| {
            panic!("this test needs {command:?}, which tests/run installs: {error}")
        });
        let mut proxy = Proxy {
            process,
            address,
            _folder: folder,
        };
        in_time("the proxy to listen", async {
            while TcpStream::connect(address).await.is_err() {
                let log = fs::read_to_string(proxy._folder.path().join("log")).unwrap();
                assert!(proxy.process.try_wait().unwrap().is_none(), "{log}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        proxy
    }

    /// Starts nginx with these `server` blocks, which contain `LISTEN`.
    async fn nginx(blocks: &str) -> Proxy {
        let (address, folder) = (free_address(), tempfile::tempdir().unwrap());
        let path = folder.path().display();
        let temp_paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {path}/{name};"))
            .concat();
        let blocks = blocks.replace("LISTEN", &address.to_string());
        let config = format!(
            "daemon off; pid {path}/pid; error_log stderr; events {{}}\n\
             http {{ access_log off; {temp_paths}\n{blocks}\n}}"
        );
        fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let installed = Path::new("/usr/sbin/nginx");
        let program = if installed.exists() {
            installed
        } else {
            Path::new("nginx")
        };
        let mut command = Command::new(program);
        command.args([
            "-e",
            "stderr",
            "-p",
            folder.path().to_str().unwrap(),
            "-c",
            "nginx.conf",
        ]);
        Proxy::start(command, address, folder).await
    }

    /// Starts Caddy with this configuration, which contains `LISTEN`.
    async fn caddy(config: &str) -> Proxy {
        let (address, folder) = (free_address(), tempfile::tempdir().unwrap());
        // Plain HTTP: the example's name has no certificate here.
        let site = format!("http://:{}", address.port());
        let config = format!("{{\nadmin off\n}}\n{}", config.replace("LISTEN", &site));
        fs::write(folder.path().join("Caddyfile"), config).unwrap();
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config", "Caddyfile"]);
        command.env("XDG_DATA_HOME", folder.path());
        command.env("XDG_CONFIG_HOME", folder.path());
        Proxy::start(command, address, folder).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A browser's request to pair: with an `Origin` header.
    async fn pair(&self, client: &Client, base_path: &str, code: &str) -> HttpResponse {
        let request = client.post(self.url(&format!("{base_path}/pair")));
        let request = request.header("origin", self.url(""));
        ask(request.json(&json!({ "code": code }))).await
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // On SIGTERM, nginx also ends its worker processes.
        let kill = ["-TERM", &self.process.id().to_string()];
        let _ = Command::new("kill").args(kill).status();
        let _ = self.process.wait();
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// The n-th example in this language in `docs/reverse-proxy.md`, for `server`.
fn example(language: &str, n: usize, server: &TestServer) -> String {
    let document = include_str!("../docs/reverse-proxy.md");
    let example = document.split(&format!("```{language}\n")).nth(n + 1);
    let (example, _) = example.unwrap().split_once("```").unwrap();
    assert!(example.contains("127.0.0.1:8080"), "{example}");
    let example = example.replace("127.0.0.1:8080", &server.address().to_string());
    let (from, to) = match language {
        "nginx" => ("listen 80;", "listen LISTEN;"),
        _ if n == 0 => ("music.example.org {", "LISTEN {"),
        _ => ("example.org {", "LISTEN {"),
    };
    assert!(example.contains(from), "{example}");
    example.replace(from, to)
}

async fn start_behind_proxy(flags: &[&str]) -> TestServer {
    let setup = Setup::long_tracks().flag("--trusted-proxy=127.0.0.1");
    let setup = flags.iter().fold(setup, |setup, flag| setup.flag(flag));
    setup.start().await
}

/// Pairs, listens, commands and downloads through `proxy`, with two clients of which one guesses codes.
async fn expect_full_service(server: &TestServer, proxy: &Proxy, base_path: &str) {
    let url = |path: &str| proxy.url(&format!("{base_path}{path}"));
    let (guesser, guest) = (client_from([127, 0, 0, 2]), client_from([127, 0, 0, 3]));
    for _ in 0..10 {
        let refused = proxy.pair(&guesser, base_path, WRONG_CODE).await;
        refused.expect_problem(403);
    }
    proxy
        .pair(&guesser, base_path, CODE)
        .await
        .expect_problem(429);
    let paired = proxy.pair(&guest, base_path, CODE).await.expect(200);
    let cookie = paired.header("set-cookie").unwrap();
    assert!(cookie.contains(&format!("Path={base_path}/;")), "{cookie}");
    let token = paired.json()["clientId"].as_str().unwrap().to_owned();
    ask(http().get(url("/code"))).await.expect_problem(403);
    ask(http().get(url("/metrics"))).await.expect_problem(401);
    ask(http().get(url("/"))).await.expect(200);

    let authorized = |method, path: &str| guest.request(method, url(path)).bearer_auth(&token);
    let mut stream = EventStream::open(authorized(Method::GET, "/events")).await;
    let snapshot = stream.next_event().await.unwrap();
    let origin = proxy.url("");
    let next = authorized(Method::POST, "/next").header("origin", &origin);
    // The arrival of the listener is an event, too.
    let mut event_count = snapshot.event_count;
    loop {
        let request = next.try_clone().unwrap();
        let response = ask(request.header("if-match-event", event_count)).await;
        if response.status == 200 {
            break;
        }
        event_count = response.expect(409).json()["expectedEventCount"]
            .as_u64()
            .unwrap();
    }
    while stream.next_event().await.unwrap().name != "queue.advanced" {}
    let rows = ask(authorized(Method::GET, "/index"))
        .await
        .expect(200)
        .json();
    let track_id = rows[0]["trackId"].as_str().unwrap();
    let file = ask(authorized(Method::GET, &format!("/file/{track_id}"))).await;
    assert_eq!(rows[0]["size"], file.expect(200).body.len());
    let log = server.log();
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn documented_nginx_configuration_serves_browsers() {
    let server = start_behind_proxy(&[]).await;
    let proxy = Proxy::nginx(&example("nginx", 0, &server)).await;
    expect_full_service(&server, &proxy, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documented_nginx_configuration_serves_a_base_path() {
    let server = start_behind_proxy(&["--base-path=/music"]).await;
    let proxy = Proxy::nginx(&example("nginx", 1, &server)).await;
    expect_full_service(&server, &proxy, "/music").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documented_caddy_configuration_serves_browsers() {
    let server = start_behind_proxy(&[]).await;
    let proxy = Proxy::caddy(&example("caddyfile", 0, &server)).await;
    expect_full_service(&server, &proxy, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documented_caddy_configuration_serves_a_base_path() {
    let server = start_behind_proxy(&["--base-path=/music"]).await;
    let proxy = Proxy::caddy(&example("caddyfile", 1, &server)).await;
    expect_full_service(&server, &proxy, "/music").await;
}

/// nginx then connects from loopback, with `Host: 127.0.0.1:PORT`, and names no client.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_behind_nginx_with_its_defaults_see_neither_code_nor_metrics() {
    let server = Setup::long_tracks().flag("--debug").start().await;
    let pass = format!("proxy_pass http://{};", server.address());
    let proxy = Proxy::nginx(&format!(
        "server {{ listen LISTEN; location / {{ {pass} }} }}"
    ))
    .await;
    Phone::pair(&server).await;
    let get = async |path: &str| ask(http().get(proxy.url(path))).await;
    get("/code").await.expect_problem(403);
    get("/metrics").await.expect_problem(401);
    get("/debug/state").await.expect_problem(401);
    ask(http().post(proxy.url("/rescan")))
        .await
        .expect_problem(401);
    // The refusal tells the operator what to change. It differs from that of a wrong code.
    let problem = proxy.pair(&http(), "", CODE).await.expect_problem(403);
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("--trusted-proxy")
    );
    assert_eq!(problem["type"], "urn:lockstep:foreign-origin");
}

fn forwarded(server: &TestServer, fields: &[(&str, &str)], code: &str) -> RequestBuilder {
    let mut request = http().post(server.url("/pair"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.json(&json!({ "code": code }))
}

#[tokio::test]
async fn origin_is_compared_with_the_host_and_scheme_of_a_trusted_proxy() {
    let server = start_behind_proxy(&["--host-name=music.example.org"]).await;
    let (host, proto) = ("x-forwarded-host", "x-forwarded-proto");
    let origin = ("origin", "https://music.example.org");
    for (fields, status) in [
        (
            &[origin, (host, "music.example.org"), (proto, "https")][..],
            200,
        ),
        (
            &[
                origin,
                (
                    "forwarded",
                    "for=192.168.1.5;host=music.example.org;proto=https",
                ),
            ],
            200,
        ),
        (&[origin, (host, "music.example.org"), (proto, "http")], 403),
        (
            &[origin, (host, "music.example.org:8443"), (proto, "https")],
            403,
        ),
        (&[origin], 403),
        (
            &[
                ("origin", "https://evil.example"),
                (host, "music.example.org"),
            ],
            403,
        ),
        (&[(host, "evil.example")], 421),
        // Malformed values are ignored, and the Host header counts.
        (
            &[
                (host, "music example/org"),
                (proto, "?"),
                ("x-forwarded-for", "?,,1.2.3.4.5"),
            ],
            200,
        ),
    ] {
        let response = ask(forwarded(&server, fields, CODE)).await;
        assert_eq!(response.status, status, "{fields:?}: {}", response.text());
    }
}

#[tokio::test]
async fn wrong_codes_count_for_the_client_that_a_trusted_proxy_names() {
    let server = start_behind_proxy(&[]).await;
    for n in 0..12 {
        // The client may invent what stands before its own address.
        let invented = format!("10.0.0.{n}, 192.168.1.5");
        let fields = [("x-forwarded-for", &*invented)];
        let status = ask(forwarded(&server, &fields, WRONG_CODE)).await.status;
        assert_eq!(status, if n < 10 { 403 } else { 429 }, "attempt {n}");
    }
    let others = [("x-forwarded-for", "192.168.1.6")];
    ask(forwarded(&server, &others, CODE)).await.expect(200);
}

#[tokio::test]
async fn headers_of_an_unnamed_proxy_have_no_effect() {
    let server = Setup::long_tracks()
        .flag("--trusted-proxy=10.0.0.0/8")
        .start()
        .await;
    let fields = [
        ("x-forwarded-host", "music.lan"),
        ("origin", "http://music.lan"),
    ];
    ask(forwarded(&server, &fields, CODE))
        .await
        .expect_problem(403);
    for n in 0..11 {
        let address = format!("192.168.1.{n}");
        let fields = [("x-forwarded-for", &*address)];
        let status = ask(forwarded(&server, &fields, WRONG_CODE)).await.status;
        assert_eq!(status, if n < 10 { 403 } else { 429 }, "attempt {n}");
    }
}

#[tokio::test]
async fn one_client_behind_a_trusted_proxy_may_use_a_quarter_of_the_connections() {
    let server = start_behind_proxy(&["--max-connections=16"]).await;
    let phone = Phone::pair(&server).await;
    let open = async |client: &str| {
        let request = phone.request(Method::GET, "/events?role=remote");
        let request = request.header("x-forwarded-for", client);
        in_time("a response", request.send()).await.unwrap()
    };
    let mut streams = Vec::new();
    for _ in 0..4 {
        let response = open("192.168.1.5").await;
        assert_eq!(response.status(), 200);
        streams.push(response);
    }
    assert_eq!(open("192.168.1.5").await.status(), 503);
    assert_eq!(open("192.168.1.6").await.status(), 200);
}

#[tokio::test]
async fn event_streams_and_files_ask_proxies_not_to_buffer() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let bearer = format!("Authorization: Bearer {}", phone.token);
    let file = format!("/file/{}", phone.current_track());
    for path in ["/events", &file] {
        let head = format!(
            "HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{bearer}\r\n\r\n"
        );
        let response = raw::send(server.address(), head).await;
        assert_eq!(response.header("x-accel-buffering"), Some("no"), "{path}");
    }
}

#[tokio::test]
async fn qr_code_contains_the_address_at_which_the_proxy_is_reached() {
    let server = start_behind_proxy(&["--base-path=/music"]).await;
    let qr = async |fields: &[(&str, &str)]| {
        let mut request = http().get(server.url("/music/qr"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response = ask(request).await.expect(200);
        let url = response.header("lockstep-url").unwrap().to_owned();
        (url, response.body)
    };
    let expected = lockstep::address::png_qr("https://music.lan/music/").unwrap();
    let (url, actual) = qr(&[
        ("x-forwarded-host", "music.lan"),
        ("x-forwarded-proto", "https"),
    ])
    .await;
    assert!(actual == expected, "the QR code has another content");
    assert_eq!(url, "https://music.lan/music/");
    let expected = lockstep::address::png_qr("http://music.lan:81/music/").unwrap();
    let (url, actual) = qr(&[("host", "music.lan:81")]).await;
    assert!(actual == expected, "the QR code has another content");
    assert_eq!(url, "http://music.lan:81/music/");
}
