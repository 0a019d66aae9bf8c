//! The executable: help, version, terminal output, flags and environment variables, signals and exit codes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::phone::{ask, http};
use common::server::{ENVIRONMENT, bare_command, copy_executable_to, run};
use common::{CODE, Exit, Phone, Setup, TestServer, in_time};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

fn executable() -> PathBuf {
    env!("CARGO_BIN_EXE_lockstep").into()
}

#[tokio::test]
async fn help_lists_every_flag_environment_variable_and_default() {
    let mut command = bare_command(&executable());
    command.arg("--help");
    let exit = run(command).await;
    assert!(exit.status.success());
    assert_eq!(exit.stderr, "");
    let flags = [
        "--audio-dir",
        "--state-file",
        "--listen",
        "--pairing-code",
        "--debug",
        "--leave-grace-ms",
        "--alignment",
        "--host-name",
        "--max-connections",
        "--no-pairing-window",
        "--reset-state",
        "--no-mdns",
        "--completions",
        "--man",
    ];
    for word in flags.into_iter().chain(ENVIRONMENT) {
        assert!(exit.stdout.contains(word), "no {word} in\n{}", exit.stdout);
    }
    for default in [
        "./audio",
        "./state.json",
        "0.0.0.0:8080",
        "2000",
        "clock",
        "4096",
    ] {
        assert!(
            exit.stdout.contains(default),
            "no default {default} in\n{}",
            exit.stdout
        );
    }
}

#[tokio::test]
async fn version_output_contains_the_commit() {
    let mut command = bare_command(&executable());
    command.arg("--version");
    let exit = run(command).await;
    assert!(exit.status.success());
    let mut git = Command::new("git");
    git.args(["log", "-1", "--abbrev=7", "--format=%h, %cs"]);
    let commit = match git.current_dir(env!("CARGO_MANIFEST_DIR")).output().await {
        Ok(output) if output.status.success() && Path::new(".git").exists() => {
            format!(" ({})", String::from_utf8(output.stdout).unwrap().trim())
        }
        // Without git history, the version contains no commit.
        _ => String::new(),
    };
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(exit.stdout.trim(), format!("lockstep {version}{commit}"));
}

#[tokio::test]
async fn manual_and_completions_contain_every_flag() {
    let mut help_text = bare_command(&executable());
    help_text.arg("--help");
    let help_text = run(help_text).await.stdout;
    let words = help_text.split_whitespace();
    let flags: Vec<_> = words.filter_map(|word| word.strip_prefix("--")).collect();
    assert!(flags.len() > 10, "{help_text}");
    for output_flag in [
        "--man",
        "--completions=bash",
        "--completions=zsh",
        "--completions=fish",
    ] {
        let mut command = bare_command(&executable());
        command.arg(output_flag);
        let exit = run(command).await;
        assert!(exit.status.success() && exit.stderr.is_empty(), "{exit:?}");
        // troff writes a literal hyphen as `\-`.
        let output_text = exit.stdout.replace("\\-", "-");
        for flag in &flags {
            assert!(
                output_text.contains(flag),
                "{output_flag}: no {flag} in\n{output_text}"
            );
        }
    }
}

/// Asserts that the process failed with a one-line message that contains `expected_text`.
fn expect_one_line_error(exit: &Exit, expected_text: &str) {
    assert!(!exit.status.success(), "{expected_text}: {exit:?}");
    assert!(exit.status.code().is_some(), "{expected_text}: {exit:?}");
    assert_eq!(
        exit.stderr.trim_end().lines().count(),
        1,
        "{expected_text}: {exit:?}"
    );
    assert!(
        exit.stderr.contains(expected_text),
        "the message does not contain {expected_text:?}: {exit:?}"
    );
    for word in ["panicked", "Os {", "Error(", "backtrace"] {
        assert!(!exit.stderr.contains(word), "{expected_text}: {exit:?}");
    }
    assert!(
        !exit.stdout.contains("listening on"),
        "{expected_text}: {exit:?}"
    );
}

#[tokio::test]
async fn invalid_argument_causes_a_one_line_error() {
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let occupied_address = format!("--listen={}", occupied.local_addr().unwrap());
    let setup = Setup::long_tracks();
    let folder = setup.folder().to_str().unwrap().to_owned();
    let audio_file = setup
        .audio()
        .join("a first.wav")
        .to_str()
        .unwrap()
        .to_owned();
    let cases = [
        (format!("--audio-dir={folder}/nowhere"), "nowhere"),
        (format!("--audio-dir={audio_file}"), "a first.wav"),
        ("--audio-dir=".to_owned(), "audio-dir"),
        (
            format!("--state-file={folder}/nowhere/state.json"),
            "nowhere",
        ),
        (
            format!("--state-file={folder}/audio/a first.wav/state.json"),
            "a first.wav",
        ),
        (
            occupied_address.clone(),
            occupied_address.split('=').nth(1).unwrap(),
        ),
        ("--listen=192.0.2.123:0".to_owned(), "192.0.2.123"),
        ("--listen=nonsense".to_owned(), "nonsense"),
        ("--listen=127.0.0.1".to_owned(), "127.0.0.1"),
        ("--listen=127.0.0.1:99999".to_owned(), "99999"),
        ("--listen=".to_owned(), "listen"),
        ("--leave-grace-ms=soon".to_owned(), "soon"),
        ("--leave-grace-ms=-1".to_owned(), "-1"),
        ("--leave-grace-ms=1.5".to_owned(), "1.5"),
        ("--alignment=stars".to_owned(), "stars"),
        ("--max-connections=7".to_owned(), "max-connections"),
        ("--pairing-code=".to_owned(), "pairing-code"),
        ("--frobnicate".to_owned(), "--frobnicate"),
        ("--debug=maybe".to_owned(), "debug"),
        ("leftover".to_owned(), "leftover"),
        ("--audio-dir".to_owned(), "audio-dir"),
    ];
    for (argument, expected_text) in cases {
        let mut arguments = vec![
            format!("--audio-dir={folder}/audio"),
            format!("--state-file={folder}/state/state.json"),
            "--listen=127.0.0.1:0".to_owned(),
        ];
        let flag_name = argument.split('=').next().unwrap();
        arguments.retain(|argument| argument.split('=').next() != Some(flag_name));
        arguments.push(argument.clone());
        let mut command = bare_command(&executable());
        command.args(arguments);
        expect_one_line_error(&run(command).await, expected_text);
    }
}

#[tokio::test]
async fn invalid_environment_variable_causes_a_one_line_error() {
    let setup = Setup::long_tracks();
    for (name, value, expected_text) in [
        ("AUDIO_DIR", "/nowhere at all", "/nowhere at all"),
        ("AUDIO_DIR", "/nowhere:/nor here", "folder /nowhere: "),
        ("LISTEN", "nonsense", "nonsense"),
        ("LEAVE_GRACE_MS", "soon", "soon"),
        ("ALIGNMENT", "stars", "stars"),
    ] {
        let mut command = bare_command(&executable());
        command.current_dir(setup.folder());
        for (valid_name, valid_value) in [
            ("AUDIO_DIR", "audio"),
            ("STATE_FILE", "state.json"),
            ("LISTEN", "127.0.0.1:0"),
        ] {
            command.env(valid_name, valid_value);
        }
        command.env(name, value);
        expect_one_line_error(&run(command).await, expected_text);
    }
}

/// Runs the executable as an unprivileged user, because root can read every folder.
#[tokio::test]
async fn unreadable_audio_folder_causes_a_one_line_error() {
    let setup = Setup::long_tracks();
    let executable_copy = copy_executable_to(setup.folder()).await;
    fs::set_permissions(
        setup.folder().join("state"),
        fs::Permissions::from_mode(0o777),
    )
    .unwrap();
    fs::set_permissions(setup.audio(), fs::Permissions::from_mode(0o000)).unwrap();
    let as_nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let is_root = fs::metadata("/proc/self")
        .is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0);
    let mut command = match is_root {
        true => {
            let mut command = bare_command(Path::new("setpriv"));
            command.args(as_nobody).arg(&executable_copy);
            command
        }
        false => bare_command(&executable_copy),
    };
    command.arg("--audio-dir").arg(setup.audio());
    command.arg("--state-file").arg(setup.state_file());
    command.args(["--listen", "127.0.0.1:0"]);
    let exit = run(command).await;
    fs::set_permissions(setup.audio(), fs::Permissions::from_mode(0o755)).unwrap();
    expect_one_line_error(&exit, "audio");
    assert!(
        exit.stderr.to_lowercase().contains("permission denied"),
        "{exit:?}"
    );
}

#[tokio::test]
async fn first_signal_ends_the_server_despite_open_streams_and_downloads() {
    for signal in ["TERM", "INT"] {
        let setup = Setup::empty();
        common::music::put_wav(&setup.audio().join("large.wav"), 8_000, 8_000);
        let mut server = setup.start().await;
        let mut phone = Phone::pair_and_listen(&server).await;
        let remote = Phone::pair(&server).await;
        let mut remote_stream = remote
            .request(reqwest::Method::GET, "/events?role=remote")
            .send()
            .await
            .unwrap();
        remote_stream.chunk().await.unwrap();
        // The phone does not read this download, and sends nothing on the connection below.
        let unread_download = phone
            .request(
                reqwest::Method::GET,
                &format!("/file/{}", phone.current_track()),
            )
            .send()
            .await
            .unwrap();
        let idle_connection = tokio::net::TcpStream::connect(server.address())
            .await
            .unwrap();

        let signalled_at = Instant::now();
        server.signal(signal).await;
        let status = server.wait_for_exit().await;
        assert_eq!(status.code(), Some(0), "SIG{signal}: {status}");
        assert!(
            signalled_at.elapsed() < Duration::from_secs(15),
            "SIG{signal}: {:?}",
            signalled_at.elapsed()
        );
        while phone.next_event_or_end().await.is_some() {}
        assert!(!server.log().contains("panicked"), "{}", server.log());
        drop((unread_download, idle_connection));
    }
}

#[tokio::test]
async fn flags_override_environment_variables() {
    let setup = Setup::fixtures();
    let mut command = bare_command(&executable());
    command.envs([
        ("AUDIO_DIR", "audio"),
        ("STATE_FILE", "elsewhere.json"),
        ("LISTEN", "nonsense"),
        ("PAIRING_CODE", CODE),
        ("LOCKSTEP_DEBUG", "1"),
        ("LEAVE_GRACE_MS", "100"),
        ("ALIGNMENT", "event"),
    ]);
    let command = command
        .current_dir(setup.folder())
        .args(["--listen", "127.0.0.1:0"])
        .stderr(Stdio::inherit());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let base_url = in_time("the server to print its URL", async {
        loop {
            let line = lines
                .next_line()
                .await
                .unwrap()
                .expect("the server exited before it printed its URL");
            if let Some(base_url) = line.strip_prefix("listening on ") {
                return base_url.to_owned();
            }
        }
    })
    .await;
    let pair_request = http()
        .post(format!("{base_url}/pair"))
        .json(&serde_json::json!({ "code": CODE }));
    let pair_response = ask(pair_request).await.expect(200).json();
    assert_eq!(
        pair_response["snapshot"]["queue"].as_array().unwrap().len(),
        common::music::fixture_files().len()
    );
    let token = pair_response["clientId"].as_str().unwrap();
    ask(http()
        .get(format!("{base_url}/debug/state"))
        .bearer_auth(token))
    .await
    .expect(200);
    assert!(setup.folder().join("elsewhere.json").exists());
}

#[tokio::test]
async fn server_starts_with_lockstep_debug_set_to_a_false_value() {
    for value in ["0", "false", ""] {
        let setup = Setup::long_tracks();
        let mut command = setup.command();
        command
            .env("LOCKSTEP_DEBUG", value)
            .stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let server_listens = in_time("the server to print its URL", async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.starts_with("listening on ") {
                    return true;
                }
            }
            false
        });
        assert!(
            server_listens.await,
            "the server does not start with LOCKSTEP_DEBUG={value:?}"
        );
    }
}

#[tokio::test]
async fn banner_shows_url_pairing_code_track_count_and_qr_code() {
    let server = TestServer::start().await;
    let lines = server.stdout();
    assert_eq!(
        lines.last().unwrap(),
        &format!("listening on http://{}", server.address())
    );
    let banner = lines[..lines.len() - 1].join("\n");
    let port = server.address().port();
    assert!(
        banner.contains("http://") && banner.contains(&format!(":{port}")),
        "no server URL:\n{banner}"
    );
    assert!(banner.contains(CODE), "no pairing code:\n{banner}");
    assert!(banner.contains("4 tracks"), "no track count:\n{banner}");
    let qr_code_lines = lines
        .iter()
        .filter(|line| line.chars().any(|c| "█▀▄".contains(c)))
        .count();
    assert!(qr_code_lines >= 10, "no QR code:\n{banner}");
    assert!(
        !banner.contains("0.0.0.0"),
        "the banner shows an unreachable address:\n{banner}"
    );
}

#[tokio::test]
async fn banner_shows_a_reachable_address_for_a_wildcard_listener() {
    let server = Setup::long_tracks().listen("0.0.0.0:0").start().await;
    let lines = server.stdout();
    let address = lines.iter().find_map(|line| {
        let start = line.find("http://")?;
        (!line.starts_with("listening on"))
            .then(|| line[start..].split_whitespace().next().unwrap().to_owned())
    });
    let address = address.unwrap_or_else(|| panic!("no server URL:\n{}", lines.join("\n")));
    assert!(
        !address.contains("0.0.0.0") && !address.contains("127.0.0.1"),
        "{address}"
    );
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    ask(client.get(format!("{}/healthz", address.trim_end_matches('/'))))
        .await
        .expect(200);
}

#[tokio::test]
async fn ipv6_wildcard_listener_serves_ipv4_and_shows_an_ipv4_url() {
    let server = Setup::long_tracks().listen("[::]:0").start().await;
    let port = server.address().port();
    for host in ["[::1]", "127.0.0.1"] {
        ask(http().get(format!("http://{host}:{port}/healthz")))
            .await
            .expect(200);
        // The pairing window is open at each of the machine's addresses.
        ask(http().get(format!("http://{host}:{port}/code")))
            .await
            .expect(200);
    }
    let url = server.stdout().last().unwrap().clone();
    assert!(!url.contains('['), "{url}");
}

#[tokio::test]
async fn each_start_generates_a_random_six_digit_pairing_code_by_default() {
    let setup = Setup::long_tracks();
    let mut pairing_codes = Vec::new();
    for _ in 0..2 {
        let mut command = bare_command(&executable());
        command
            .arg("--audio-dir")
            .arg(setup.audio())
            .arg("--state-file")
            .arg(setup.state_file());
        let mut child = command
            .args(["--listen", "127.0.0.1:0"])
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut banner = String::new();
        let base_url = in_time("the server to print its URL", async {
            loop {
                let line = lines
                    .next_line()
                    .await
                    .unwrap()
                    .expect("the server exited before it printed its URL");
                if let Some(base_url) = line.strip_prefix("listening on ") {
                    return base_url.to_owned();
                }
                banner.push_str(&line);
                banner.push('\n');
            }
        })
        .await;
        let response = ask(http().get(format!("{base_url}/code")))
            .await
            .expect(200)
            .json();
        let pairing_code = response["code"].as_str().unwrap().to_owned();
        assert!(
            pairing_code.len() == 6 && pairing_code.bytes().all(|b| b.is_ascii_digit()),
            "{pairing_code}"
        );
        let banner_without_spaces: String = banner.chars().filter(|c| !c.is_whitespace()).collect();
        assert!(
            banner_without_spaces.contains(&pairing_code),
            "the banner does not show {pairing_code}:\n{banner}"
        );
        pairing_codes.push(pairing_code);
        child.kill().await.unwrap();
    }
    // Two random six-digit codes are equal with a probability of one in a million.
    assert_ne!(pairing_codes[0], pairing_codes[1]);
}

#[tokio::test]
async fn server_serves_requests_with_a_closed_standard_output() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let setup = Setup::long_tracks().listen(&format!("127.0.0.1:{port}"));
    let mut command: Command = setup.command();
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    let wait_for_response = async {
        while http()
            .get(format!("http://127.0.0.1:{port}/healthz"))
            .send()
            .await
            .is_err()
        {
            assert!(child.try_wait().unwrap().is_none(), "the server exited");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    in_time("a response to /healthz", wait_for_response).await;
}

#[tokio::test]
async fn requests_write_nothing_to_standard_output() {
    let server = Setup::long_tracks().log_filter("debug").start().await;
    let line_count = server.stdout().len();
    let mut phone = Phone::pair(&server).await;
    phone.next().await;
    phone.get("/nothing").await.expect(404);
    assert_eq!(server.stdout().len(), line_count);
}

#[tokio::test]
async fn restarted_server_can_bind_the_same_address() {
    let mut server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let address = server.address();
    server.stop().await;
    server.restart_on(address).await;
    assert_eq!(server.address(), address);
    phone.listen().await;
    phone.next().await;
}
