//! `GET /metrics`: who may see it, that Prometheus understands it, and that what it says is true.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Stdio;

use common::network::{inside, ip};
use common::phone::{ask, http};
use common::{Phone, Setup, TestServer, raw};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The samples of a text, by name and labels as they are spelled.
struct Samples(BTreeMap<String, f64>);

impl Samples {
    /// Of what `GET /metrics` says. Each must be of a family that was announced, and be there once.
    fn parse(text: &str) -> Samples {
        let (mut samples, mut families) = (BTreeMap::new(), BTreeSet::new());
        let mut family = None;
        for line in text.lines() {
            if let Some(announced) = line.strip_prefix("# HELP ") {
                let (name, help) = announced.split_once(' ').unwrap();
                assert!(!help.is_empty(), "{line}");
                assert!(families.insert(name), "{name} is there twice");
                family = Some(name);
            } else if let Some(announced) = line.strip_prefix("# TYPE ") {
                let (name, _) = announced.split_once(' ').unwrap();
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

    async fn of(phone: &Phone) -> Samples {
        Samples::parse(&phone.get("/metrics").await.expect(200).text())
    }

    #[track_caller]
    fn value(&self, name: &str) -> f64 {
        *self
            .0
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {:#?}", self.0))
    }

    /// All samples of a name together.
    fn sum(&self, name: &str) -> f64 {
        let own = self.0.iter().filter(|(sample, _)| {
            sample
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
        });
        own.map(|(_, value)| value).sum()
    }
}

#[tokio::test]
async fn what_happens_in_the_house_is_counted() {
    let server = Setup::fixtures().start().await;
    let mut phone = Phone::listening(&server).await;
    let other = Phone::listening(&server).await;
    phone
        .wait_until("both listeners", |view| {
            view["live"]["listeners"].as_object().unwrap().len() == 2
        })
        .await;
    let before = Samples::of(&phone).await;
    assert_eq!(before.value("lockstep_listeners"), 2.0);
    assert_eq!(before.value("lockstep_paired_devices"), 2.0);
    assert_eq!(before.sum("lockstep_barriers_total"), 0.0);

    let began = phone.count();
    phone.next().await;
    let track = phone.current();
    let file = phone.get(&format!("/file/{track}")).await.expect(200);
    phone.ack(&track).await;
    phone.start_now().await;
    phone.pause(1.0).await;
    phone
        .try_command("/pause", began, &json!({ "positionSec": 1.0 }))
        .await
        .expect(409);
    let said = json!({ "offMs": -12.5, "roundTripMs": 8.0, "latencyMs": 40.0, "needsMs": 120.0 });
    let report = phone.request(reqwest::Method::POST, "/sync").json(&said);
    ask(report).await.expect(204);

    let (member, silent) = (phone.member.clone(), other.member.clone());
    phone
        .wait_until("the report", |view| {
            !view["live"]["listeners"][&member]["sync"].is_null()
        })
        .await;
    let after = Samples::of(&phone).await;
    let gained = |name: &str| after.value(name) - before.0.get(name).copied().unwrap_or(0.0);
    assert_eq!(
        gained("lockstep_commands_total{command=\"next\",status=\"200\"}"),
        1.0
    );
    assert_eq!(
        gained("lockstep_commands_total{command=\"pause\",status=\"200\"}"),
        1.0
    );
    assert_eq!(
        gained("lockstep_commands_total{command=\"pause\",status=\"409\"}"),
        1.0
    );
    assert_eq!(
        gained("lockstep_barriers_total{type=\"track\",outcome=\"shrunk\"}"),
        1.0
    );
    assert_eq!(gained("lockstep_barrier_duration_seconds_count"), 1.0);
    assert_eq!(
        gained("lockstep_barrier_members_lost_total{reason=\"skipped\"}"),
        1.0
    );
    let events = |samples: &Samples| samples.sum("lockstep_events_total");
    assert_eq!(
        events(&after) - events(&before),
        (phone.count() - began) as f64
    );
    assert!(gained("lockstep_commit_duration_seconds_count") >= 4.0);
    assert!(gained("lockstep_commit_duration_seconds_sum") > 0.0);
    let sent = gained("lockstep_sent_bytes_total{kind=\"file\"}");
    let size = file.body.len() as f64;
    assert!(
        (size..size + 2_000.0).contains(&sent),
        "{sent} for {size} bytes"
    );
    assert!(gained("lockstep_sent_bytes_total{kind=\"event\"}") > 0.0);
    assert_eq!(after.value("lockstep_playing"), 0.0);
    let off = |member: &str| format!("lockstep_listener_sync_error_seconds{{member=\"{member}\"}}");
    assert_eq!(after.value(&off(&member)), -0.0125);
    assert!(!after.0.contains_key(&off(&silent)), "it has said nothing");
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
async fn prometheus_finds_nothing_to_complain_of() {
    let server = TestServer::start().await;
    let mut phone = Phone::listening(&server).await;
    let said = json!({ "offMs": 1.0, "roundTripMs": 8.0, "latencyMs": 40.0, "needsMs": 120.0 });
    let report = phone.request(reqwest::Method::POST, "/sync").json(&said);
    ask(report).await.expect(204);
    phone.next().await;
    let answer = phone.get("/metrics").await.expect(200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, which tests/run fetches");
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(&answer.body).await.unwrap();
    drop(stdin);
    let checked = promtool.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{said}\n{}", answer.text());
    assert_eq!(said, "");
}

#[tokio::test]
async fn this_machine_and_paired_devices_see_the_metrics_and_nobody_else() {
    if !inside("this_machine_and_paired_devices_see_the_metrics_and_nobody_else") {
        return;
    }
    const HOUSE: &str = "10.77.0.1";
    ip(&["link", "set", "lo", "up"]);
    ip(&["address", "add", &format!("{HOUSE}/32"), "dev", "lo"]);
    let server = Setup::long_tracks().listen("0.0.0.0:0").start().await;
    let by_house = format!("http://{HOUSE}:{}/metrics", server.address().port());
    ask(http().get(&by_house)).await.expect_problem(401);
    ask(http().get(&by_house).bearer_auth("0".repeat(64)))
        .await
        .expect_problem(401);
    ask(http().get(server.url("/metrics"))).await.expect(200);
    let phone = Phone::pair(&server).await;
    ask(http().get(&by_house).bearer_auth(&phone.token))
        .await
        .expect(200);

    let posted = phone.post("/metrics").await;
    assert_eq!(posted.header("allow"), Some("GET, HEAD"));
    posted.expect_problem(405);
    // A name that somebody in the house may answer for, so that a browser on this machine asks in his place.
    let led = raw::get(server.address(), "/metrics", &["Host: evil.local"]).await;
    led.expect_problem(401);
    let strange = raw::get(server.address(), "/metrics", &["Host: evil.example"]).await;
    strange.expect_problem(421);
}

#[tokio::test]
async fn a_damaged_state_is_to_be_seen_in_the_metrics() {
    let setup = Setup::long_tracks();
    fs::write(setup.state_file(), "{").unwrap();
    let server = setup.start().await;
    let answer = ask(http().get(server.url("/metrics"))).await.expect(200);
    let samples = Samples::parse(&answer.text());
    assert_eq!(samples.value("lockstep_state_damaged"), 1.0);
    assert_eq!(samples.value("lockstep_library_tracks"), 4.0);
}
