//! `GET /metrics`: access, the Prometheus format, and the values after known actions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::process::Stdio;

use common::network::{in_network_namespace, ip};
use common::phone::{ask, http, local_client};
use common::{Phone, Setup, TestServer, raw};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Sample values by metric name with labels, as written in the Prometheus text format.
struct Samples(BTreeMap<String, f64>);

impl Samples {
    /// Parses the text of `GET /metrics`. Each sample must belong to a declared family and occur once.
    fn parse(text: &str) -> Samples {
        let (mut samples, mut families) = (BTreeMap::new(), BTreeSet::new());
        let mut family = None;
        for line in text.lines() {
            if let Some(declaration) = line.strip_prefix("# HELP ") {
                let (name, help) = declaration.split_once(' ').unwrap();
                assert!(!help.is_empty(), "{line}");
                assert!(families.insert(name), "{name} is declared twice");
                family = Some(name);
            } else if let Some(declaration) = line.strip_prefix("# TYPE ") {
                let (name, _) = declaration.split_once(' ').unwrap();
                assert_eq!(Some(name), family);
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(name.starts_with(family.unwrap()), "{line} in {family:?}");
                let value: f64 = value.parse().unwrap();
                assert!(samples.insert(name.to_owned(), value).is_none(), "{line}");
            }
        }
        Samples(samples)
    }

    /// Reads the metrics as this phone.
    async fn fetch(phone: &Phone) -> Samples {
        Samples::parse(&phone.get("/metrics").await.expect(200).text())
    }

    /// The value of the sample with this name and these labels.
    #[track_caller]
    fn value(&self, name: &str) -> f64 {
        *self
            .0
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {:#?}", self.0))
    }

    /// The sum of all samples with this name, over all labels.
    fn sum(&self, name: &str) -> f64 {
        let matching = self.0.iter().filter(|(sample, _)| {
            sample
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
        });
        matching.map(|(_, value)| value).sum()
    }
}

#[tokio::test]
async fn metrics_count_commands_barriers_events_and_sent_bytes() {
    let server = Setup::fixtures().start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let other_phone = Phone::pair_and_listen(&server).await;
    phone
        .wait_until("exactly two listeners", |view| {
            view["live"]["listeners"].as_object().unwrap().len() == 2
        })
        .await;
    let samples_before = Samples::fetch(&phone).await;
    assert_eq!(samples_before.value("lockstep_listeners"), 2.0);
    assert_eq!(samples_before.value("lockstep_paired_devices"), 2.0);
    assert_eq!(samples_before.sum("lockstep_barriers_total"), 0.0);

    let event_count_before = phone.event_count();
    phone.next().await;
    let track_id = phone.current_track();
    let file_response = phone.get(&format!("/file/{track_id}")).await.expect(200);
    phone.ack(&track_id).await;
    phone.start_now().await;
    phone.pause(1.0).await;
    phone
        .try_command("/pause", event_count_before, &json!({ "positionSec": 1.0 }))
        .await
        .expect(409);
    let body = json!({ "offMs": -12.5, "roundTripMs": 8.0, "latencyMs": 40.0, "needsMs": 120.0 });
    let sync_report = phone.request(reqwest::Method::POST, "/sync").json(&body);
    ask(sync_report).await.expect(204);

    let (member, other_member) = (phone.member.clone(), other_phone.member.clone());
    phone
        .wait_until("the sync report of m1", |view| {
            !view["live"]["listeners"][&member]["sync"].is_null()
        })
        .await;
    let after = Samples::fetch(&phone).await;
    let increase =
        |name: &str| after.value(name) - samples_before.0.get(name).copied().unwrap_or(0.0);
    assert_eq!(
        increase("lockstep_commands_total{command=\"next\",status=\"200\"}"),
        1.0
    );
    assert_eq!(
        increase("lockstep_commands_total{command=\"pause\",status=\"200\"}"),
        1.0
    );
    assert_eq!(
        increase("lockstep_commands_total{command=\"pause\",status=\"409\"}"),
        1.0
    );
    assert_eq!(
        increase("lockstep_barriers_total{type=\"track\",outcome=\"shrunk\"}"),
        1.0
    );
    assert_eq!(increase("lockstep_barrier_duration_seconds_count"), 1.0);
    assert_eq!(
        increase("lockstep_barrier_members_lost_total{reason=\"skipped\"}"),
        1.0
    );
    let events = |samples: &Samples| samples.sum("lockstep_events_total");
    assert_eq!(
        events(&after) - events(&samples_before),
        (phone.event_count() - event_count_before) as f64
    );
    assert!(increase("lockstep_commit_duration_seconds_count") >= 4.0);
    assert!(increase("lockstep_commit_duration_seconds_sum") > 0.0);
    let sent_bytes = increase("lockstep_sent_bytes_total{kind=\"file\"}");
    let file_size = file_response.body.len() as f64;
    assert!(
        (file_size..file_size + 2_000.0).contains(&sent_bytes),
        "{sent_bytes} bytes sent for a file of {file_size} bytes"
    );
    assert!(increase("lockstep_sent_bytes_total{kind=\"event\"}") > 0.0);
    assert_eq!(after.value("lockstep_playing"), 0.0);
    let sync_error =
        |member: &str| format!("lockstep_listener_sync_error_seconds{{member=\"{member}\"}}");
    assert_eq!(after.value(&sync_error(&member)), -0.0125);
    assert!(
        !after.0.contains_key(&sync_error(&other_member)),
        "a device without a sync report has a sync error"
    );
    assert_eq!(
        after.value("lockstep_library_tracks"),
        common::music::fixture_files().len() as f64
    );
    assert_eq!(
        after.value("lockstep_scan_files_read_total"),
        common::music::fixture_files().len() as f64
    );
    assert!(after.value("lockstep_scan_duration_seconds_count") >= 1.0);
    assert!(after.value("lockstep_connections{paired=\"yes\"}") >= 3.0);
}

#[tokio::test]
async fn promtool_accepts_the_metrics_without_a_warning() {
    let server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let body = json!({ "offMs": 1.0, "roundTripMs": 8.0, "latencyMs": 40.0, "needsMs": 120.0 });
    let sync_report = phone.request(reqwest::Method::POST, "/sync").json(&body);
    ask(sync_report).await.expect(204);
    phone.next().await;
    let response = phone.get("/metrics").await.expect(200);
    assert_eq!(
        response.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test needs promtool, which tests/run downloads");
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(&response.body).await.unwrap();
    drop(stdin);
    let output = promtool.wait_with_output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}\n{}", response.text());
    assert_eq!(stderr, "");
}

#[tokio::test]
async fn only_paired_devices_and_the_local_socket_may_read_the_metrics() {
    if !in_network_namespace("only_paired_devices_and_the_local_socket_may_read_the_metrics") {
        return;
    }
    const LAN_ADDRESS: &str = "10.77.0.1";
    ip(&["link", "set", "lo", "up"]);
    ip(&["address", "add", &format!("{LAN_ADDRESS}/32"), "dev", "lo"]);
    let server = Setup::long_tracks().listen("0.0.0.0:0").start().await;
    let lan_url = format!("http://{LAN_ADDRESS}:{}/metrics", server.address().port());
    ask(http().get(&lan_url)).await.expect_problem(401);
    ask(http().get(&lan_url).bearer_auth("0".repeat(64)))
        .await
        .expect_problem(401);
    // A reverse proxy on this machine sends the requests of strangers from a loopback address.
    ask(http().get(server.url("/metrics")))
        .await
        .expect_problem(401);
    let local = local_client(&server);
    ask(local.get("http://localhost/metrics")).await.expect(200);
    let phone = Phone::pair(&server).await;
    ask(http().get(&lan_url).bearer_auth(&phone.token))
        .await
        .expect(200);

    let post_response = phone.post("/metrics").await;
    assert_eq!(post_response.header("allow"), Some("GET, HEAD"));
    post_response.expect_problem(405);
    // DNS rebinding: an attacker may control a local name that resolves to this machine.
    let rebound_name = raw::get(server.address(), "/metrics", &["Host: evil.local"]).await;
    rebound_name.expect_problem(401);
    let foreign_host = raw::get(server.address(), "/metrics", &["Host: evil.example"]).await;
    foreign_host.expect_problem(421);
}

#[tokio::test]
async fn metrics_report_a_damaged_state_file() {
    let setup = Setup::long_tracks();
    fs::write(setup.state_file(), "{").unwrap();
    let server = setup.start().await;
    let response = ask(local_client(&server).get("http://localhost/metrics")).await;
    let response = response.expect(200);
    let samples = Samples::parse(&response.text());
    assert_eq!(samples.value("lockstep_state_damaged"), 1.0);
    assert_eq!(samples.value("lockstep_library_tracks"), 4.0);
}

#[tokio::test]
async fn metrics_socket_serves_the_metrics_without_a_token_and_nothing_else() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let flag = format!("--metrics-listen={address}");
    let _server = Setup::long_tracks().flag(&flag).start().await;
    let response = ask(http().get(format!("http://{address}/metrics"))).await;
    let samples = Samples::parse(&response.expect(200).text());
    assert_eq!(samples.value("lockstep_library_tracks"), 4.0);
    for path in ["/", "/code", "/qr", "/snapshot", "/debug/state"] {
        let response = ask(http().get(format!("http://{address}{path}"))).await;
        response.expect_problem(404);
    }
    let rebound_name = raw::get(address, "/metrics", &["Host: evil.example"]).await;
    rebound_name.expect_problem(421);
}
