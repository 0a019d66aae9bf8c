//! Comparing phones by the server's own microphone: the local socket's routes, and `lockstep compare` without a microphone. The
//! browser tests compare phones that sound.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::path::Path;

use common::phone::{ask, local_client};
use common::server::{EXECUTABLE, bare_command, run};
use common::{Exit, HttpResponse, Phone, TestServer};
use reqwest::Method;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tokio::process::Child;

/// Sends a request on the local socket, without a token.
async fn local(server: &TestServer, method: Method, path: &str, body: &Value) -> HttpResponse {
    let url = format!("http://localhost{path}");
    ask(local_client(server).request(method, url).json(body)).await
}

async fn post(server: &TestServer, path: &str, body: Value) -> HttpResponse {
    local(server, Method::POST, path, &body).await
}

/// Waits until the server has this number of listeners.
async fn wait_for_listeners(phone: &mut Phone, count: usize) {
    let has_listeners =
        |view: &Value| view["live"]["listeners"].as_object().unwrap().len() == count;
    phone
        .wait_until(&format!("{count} listeners"), has_listeners)
        .await;
}

/// Reports that the phone's page makes no sound before a tap, and waits until snapshots show it.
async fn wait_for_tap(phone: &mut Phone) {
    let report = json!({ "offMs": null, "roundTripMs": 8, "latencyMs": 40, "needsMs": 150, "waitsForTap": true });
    let request = phone.request(Method::POST, "/sync").json(&report);
    ask(request).await.expect(204);
    let member = phone.member.clone();
    let is_silent =
        |view: &Value| view["live"]["listeners"][&member]["sync"]["waitsForTap"] == true;
    phone.wait_until("the report", is_silent).await;
}

#[tokio::test]
async fn comparison_makes_only_phones_chirp_that_can_sound() {
    let server = TestServer::start().await;
    let mut ada = Phone::pair_and_listen(&server).await;
    let _ben = Phone::pair_and_listen(&server).await;
    let mut cleo = Phone::pair_and_listen(&server).await;
    let mut remote = Phone::pair(&server).await;
    remote.open_stream_at("/events?role=remote").await;
    wait_for_tap(&mut cleo).await;
    wait_for_listeners(&mut ada, 4).await;

    let state = local(&server, Method::GET, "/compare", &Value::Null).await;
    let state = state.expect(200).json();
    assert_eq!(state["isPlaying"], false);
    let phone = |member: &str, waits_for_tap: bool| json!({ "memberId": member, "name": "", "delayMs": 0.0, "waitsForTap": waits_for_tap });
    let phones = json!([phone("m1", false), phone("m2", false), phone("m3", true)]);
    assert_eq!(state["phones"], phones);

    let started = post(&server, "/compare", json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        started["phones"],
        json!([phone("m1", false), phone("m2", false)])
    );
    let event = ada.live_event("tuning").await;
    let expected = json!({
        "kind": "chirp",
        "startsAtMs": started["startsAtMs"],
        "memberIds": ["m1", "m2"],
    });
    assert_eq!(event.payload, expected);
}

#[tokio::test]
async fn comparison_is_refused_while_music_plays_or_with_one_phone() {
    let server = TestServer::start().await;
    let mut ada = Phone::pair_and_listen(&server).await;
    let mut silent = Phone::pair_and_listen(&server).await;
    wait_for_tap(&mut silent).await;
    let problem = post(&server, "/compare", json!({}))
        .await
        .expect_problem(422);
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("two phones") && detail.contains("1 more"),
        "{detail}"
    );

    let _ben = Phone::pair_and_listen(&server).await;
    wait_for_listeners(&mut ada, 3).await;
    post(&server, "/compare", json!({})).await.expect(200);
    let play = ada
        .request(Method::POST, "/play")
        .header(
            "if-match-event",
            ada.snapshot().await["eventCount"].to_string(),
        )
        .json(&json!({ "positionSec": 0 }));
    ask(play).await.expect(200);
    let result = json!({ "delays": { "m1": 0, "m3": 12 } });
    for (path, body) in [("/compare", json!({})), ("/compare/result", result)] {
        let problem = post(&server, path, body).await.expect_problem(422);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("pause"), "{detail}");
    }
}

#[tokio::test]
async fn result_sets_delays_and_says_how_phones_were_compared() {
    let server = TestServer::start().await;
    let mut ada = Phone::pair_and_listen(&server).await;
    Phone::pair(&server).await;
    Phone::pair(&server).await;
    for (status, delays) in [
        (400, json!({})),
        (400, json!({ "m1": 5 })),
        (400, json!({ "m1": 5, "m2": 501 })),
        (404, json!({ "m1": 5, "m9": 5 })),
    ] {
        let body = json!({ "delays": delays });
        post(&server, "/compare/result", body)
            .await
            .expect_problem(status);
    }
    let count = ada.snapshot().await["eventCount"].as_u64().unwrap();
    let body = json!({ "delays": { "m1": 0, "m2": 180.04 } });
    post(&server, "/compare/result", body).await.expect(200);
    ada.durable_event("client.tuned", count).await;
    let event = ada.durable_event("client.tuned", count + 1).await;
    assert_eq!(event.payload["delayMs"], 180.0);
    let clients = ada.view["clients"].clone();
    assert_eq!(clients["m2"]["compared"]["by"], "server");
    assert_eq!(clients["m2"]["compared"]["with"], json!(["m1"]));
    let at = clients["m1"]["compared"]["at"].as_str().unwrap();
    assert!(at.len() == 20 && at.ends_with('Z'), "{at}");
    assert_eq!(clients["m3"], json!({ "name": "" }));

    // A phone that compares by its own microphone says so; a delay that was set by hand was not compared.
    let tune = async |body: Value, status: u16| {
        let response = ask(ada.request(Method::POST, "/tune").json(&body)).await;
        assert_eq!(response.status, status, "{body}");
        ada.snapshot().await["clients"].clone()
    };
    let compared = json!({ "by": "microphone", "memberIds": ["m1", "m2", "m3"] });
    let clients = tune(json!({ "delays": { "m3": 7 }, "compared": compared }), 200).await;
    assert_eq!(clients["m3"]["compared"]["with"], json!(["m1", "m2"]));
    let clients = tune(json!({ "delays": { "m2": 20 } }), 200).await;
    assert!(clients["m2"].get("compared").is_none());
    assert_eq!(clients["m1"]["compared"]["by"], "server");
    // A phone that sounds from another output sends its delay without a comparison.
    let delay_ms = &clients["m1"]["delayMs"];
    let delay_ms = delay_ms.as_f64().unwrap_or(0.0);
    let clients = tune(json!({ "delays": { "m1": delay_ms } }), 200).await;
    assert!(clients["m1"].get("compared").is_none());
    for compared in [
        json!({ "by": "ear", "memberIds": ["m1"] }),
        json!({ "by": "ear", "memberIds": ["m2", "m3"] }),
        json!({ "by": "guess", "memberIds": ["m1", "m2"] }),
        json!({ "by": "server", "memberIds": ["m1", "m2"] }),
    ] {
        tune(json!({ "delays": { "m1": 7 }, "compared": compared }), 400).await;
    }
}

#[tokio::test]
async fn found_delay_is_a_guess_for_the_next_phone_of_the_kind_after_a_restart() {
    let mut server = TestServer::start().await;
    let ada = Phone::pair_and_listen(&server).await;
    let ben = Phone::pair(&server).await;
    let report = async |phone: &Phone, kind: &str, status: u16| {
        let body =
            json!({ "offMs": 0, "roundTripMs": 8, "latencyMs": 40, "needsMs": 80, "kind": kind });
        let response = ask(phone.request(Method::POST, "/sync").json(&body)).await;
        assert_eq!(response.status, status, "{body}");
        phone.snapshot().await["clients"][&phone.member].clone()
    };
    report(&ada, "Firefox", 400).await;
    assert_eq!(
        report(&ada, "firefox-android-near", 204).await,
        json!({ "name": "", "kind": "firefox-android-near" })
    );
    report(&ben, "webkit-iphone-near", 204).await;
    let body = json!({ "delays": { "m1": 28.5, "m2": 0 } });
    post(&server, "/compare/result", body).await.expect(200);
    ask(ada.request(Method::POST, "/leave")).await.expect(204);
    server.kill().await;
    server.restart().await;

    let cleo = Phone::pair(&server).await;
    let client = report(&cleo, "firefox-android-near", 204).await;
    assert_eq!(
        (&client["delayMs"], &client["guessed"]),
        (&json!(28.5), &json!(true))
    );
    // A report of the same kind is no event.
    let count = cleo.snapshot().await["eventCount"].clone();
    report(&cleo, "firefox-android-near", 204).await;
    assert_eq!(cleo.snapshot().await["eventCount"], count);
    let body = json!({ "delays": { "m3": 28.5 } });
    ask(cleo.request(Method::POST, "/tune").json(&body))
        .await
        .expect(200);
    assert!(
        cleo.snapshot().await["clients"]["m3"]
            .get("guessed")
            .is_none()
    );
}

#[tokio::test]
async fn only_the_local_socket_accepts_a_comparison() {
    let server = TestServer::start().await;
    let ada = Phone::pair_and_listen(&server).await;
    for (method, path) in [
        (Method::GET, "/compare"),
        (Method::POST, "/compare"),
        (Method::POST, "/compare/stop"),
        (Method::POST, "/compare/result"),
    ] {
        let body = json!({ "delays": { "m1": 0 } });
        let request = ada.request(method, path).json(&body);
        let problem = ask(request).await.expect_problem(403);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("lockstep compare"), "{detail}");
    }
}

/// Runs `lockstep compare` with this value of `PATH`.
async fn compare(server: &TestServer, path: &str) -> Exit {
    let mut command = bare_command(Path::new(EXECUTABLE));
    command
        .env("PATH", path)
        .args(["compare", "--local-socket"]);
    command.arg(server.setup().local_socket());
    run(command).await
}

#[tokio::test]
async fn command_says_in_one_line_that_no_recorder_is_installed() {
    let server = TestServer::start().await;
    let mut ada = Phone::pair_and_listen(&server).await;
    let _ben = Phone::pair_and_listen(&server).await;
    wait_for_listeners(&mut ada, 2).await;
    let exit = compare(&server, "/nonexistent").await;
    assert_eq!(exit.status.code(), Some(1), "{exit:?}");
    assert_eq!(exit.stderr.trim().lines().count(), 1, "{exit:?}");
    for program in ["pw-record", "parec", "arecord"] {
        assert!(exit.stderr.contains(program), "{exit:?}");
    }
    assert_eq!(exit.stdout, "");
}

/// Makes a program `parec` that runs this shell command.
fn write_recorder(folder: &Path, command: &str) {
    let script = folder.join("parec");
    std::fs::write(&script, format!("#!/bin/sh\n{command}\n")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).unwrap();
}

#[tokio::test]
async fn command_says_why_an_installed_recorder_does_not_record() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    // A recorder that cannot reach its sound server, as on a machine without a user session.
    write_recorder(
        folder.path(),
        "echo 'Connection failure: Connection refused' >&2; exit 1",
    );
    let exit = compare(&server, folder.path().to_str().unwrap()).await;
    assert_eq!(exit.status.code(), Some(1), "{exit:?}");
    assert!(
        exit.stderr.contains("parec: Connection failure"),
        "{exit:?}"
    );
    assert_eq!(exit.stderr.trim().lines().count(), 1, "{exit:?}");
}

/// Lets `lockstep compare` record silence until the phones chirp, then calls `end` with the command's process and the file
/// at which the recorder ends. Waits until the chirps are stopped, and returns the command's exit status.
async fn compare_until(end: impl FnOnce(&Child, &Path)) -> Option<i32> {
    let server = TestServer::start().await;
    let mut ada = Phone::pair_and_listen(&server).await;
    let _ben = Phone::pair_and_listen(&server).await;
    wait_for_listeners(&mut ada, 2).await;
    let folder = tempfile::tempdir().unwrap();
    let end_file = folder.path().join("end");
    let script = format!(
        "cat /dev/zero & zero=$!\nwhile [ ! -e '{}' ] && kill -0 $PPID; do sleep 0.05; done\nkill $zero",
        end_file.display()
    );
    write_recorder(folder.path(), &script);
    let mut command = bare_command(Path::new(EXECUTABLE));
    command
        .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
        .args(["compare", "--local-socket"])
        .arg(server.setup().local_socket());
    let mut child = command.spawn().unwrap();
    assert_eq!(ada.live_event("tuning").await.payload["kind"], "chirp");
    end(&child, &end_file);
    assert_eq!(ada.live_event("tuning").await.payload["kind"], "off");
    child.wait().await.unwrap().code()
}

#[tokio::test]
async fn chirps_stop_when_the_recorder_ends() {
    let status = compare_until(|_, end_file| std::fs::write(end_file, "").unwrap()).await;
    assert_eq!(status, Some(1));
}

#[tokio::test]
async fn chirps_stop_when_the_command_is_interrupted() {
    let interrupt = |child: &Child, _: &Path| {
        let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, Signal::INT).unwrap();
    };
    assert_eq!(compare_until(interrupt).await, Some(130));
}
