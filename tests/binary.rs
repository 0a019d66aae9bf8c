//! The executable: what it says, what it is told, how it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::phone::{ask, http};
use common::server::{ENVIRONMENT, bare_command, run};
use common::{CODE, Exit, Phone, Setup, TestServer, in_time};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

fn executable() -> PathBuf {
    env!("CARGO_BIN_EXE_lockstep").into()
}

#[tokio::test]
async fn help_explains_each_flag_and_its_environment() {
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
async fn the_version_names_the_commit() {
    let mut command = bare_command(&executable());
    command.arg("--version");
    let exit = run(command).await;
    assert!(exit.status.success());
    let mut git = Command::new("git");
    git.args(["log", "-1", "--abbrev=7", "--format=%h, %cs"]);
    let commit = match git.current_dir(env!("CARGO_MANIFEST_DIR")).output().await {
        Ok(said) if said.status.success() && Path::new(".git").exists() => {
            format!(" ({})", String::from_utf8(said.stdout).unwrap().trim())
        }
        // Without git's history there is none to be named.
        _ => String::new(),
    };
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(exit.stdout.trim(), format!("lockstep {version}{commit}"));
}

#[tokio::test]
async fn the_manual_and_the_completions_know_every_flag() {
    let mut help = bare_command(&executable());
    help.arg("--help");
    let help = run(help).await.stdout;
    let words = help.split_whitespace();
    let flags: Vec<_> = words.filter_map(|word| word.strip_prefix("--")).collect();
    assert!(flags.len() > 10, "{help}");
    for printed in [
        "--man",
        "--completions=bash",
        "--completions=zsh",
        "--completions=fish",
    ] {
        let mut command = bare_command(&executable());
        command.arg(printed);
        let exit = run(command).await;
        assert!(exit.status.success() && exit.stderr.is_empty(), "{exit:?}");
        // In a manual page a hyphen that is one is written so.
        let text = exit.stdout.replace("\\-", "-");
        for flag in &flags {
            assert!(text.contains(flag), "{printed}: no {flag} in\n{text}");
        }
    }
}

/// That a command ended by saying in one line what is wrong.
fn expect_complaint(exit: &Exit, about: &str) {
    assert!(!exit.status.success(), "{about}: {exit:?}");
    assert!(exit.status.code().is_some(), "{about}: {exit:?}");
    assert_eq!(
        exit.stderr.trim_end().lines().count(),
        1,
        "{about}: {exit:?}"
    );
    assert!(exit.stderr.contains(about), "no word of {about}: {exit:?}");
    for word in ["panicked", "Os {", "Error(", "backtrace"] {
        assert!(!exit.stderr.contains(word), "{about}: {exit:?}");
    }
    assert!(!exit.stdout.contains("listening on"), "{about}: {exit:?}");
}

#[tokio::test]
async fn a_wrong_setting_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("--listen={}", taken.local_addr().unwrap());
    let setup = Setup::long_tracks();
    let folder = setup.folder().to_str().unwrap().to_owned();
    let file = setup
        .audio()
        .join("a first.wav")
        .to_str()
        .unwrap()
        .to_owned();
    let cases = [
        (format!("--audio-dir={folder}/nowhere"), "nowhere"),
        (format!("--audio-dir={file}"), "a first.wav"),
        ("--audio-dir=".to_owned(), "audio-dir"),
        (
            format!("--state-file={folder}/nowhere/state.json"),
            "nowhere",
        ),
        (
            format!("--state-file={folder}/audio/a first.wav/state.json"),
            "a first.wav",
        ),
        (taken.clone(), taken.split('=').nth(1).unwrap()),
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
    for (flag, about) in cases {
        let mut arguments = vec![
            format!("--audio-dir={folder}/audio"),
            format!("--state-file={folder}/state/state.json"),
            "--listen=127.0.0.1:0".to_owned(),
        ];
        let name = flag.split('=').next().unwrap();
        arguments.retain(|argument| argument.split('=').next() != Some(name));
        arguments.push(flag.clone());
        let mut command = bare_command(&executable());
        command.args(arguments);
        expect_complaint(&run(command).await, about);
    }
}

#[tokio::test]
async fn a_wrong_environment_is_one_clear_line_too() {
    let setup = Setup::long_tracks();
    for (name, value, about) in [
        ("AUDIO_DIR", "/nowhere at all", "/nowhere at all"),
        ("LISTEN", "nonsense", "nonsense"),
        ("LEAVE_GRACE_MS", "soon", "soon"),
        ("ALIGNMENT", "stars", "stars"),
    ] {
        let mut command = bare_command(&executable());
        command.current_dir(setup.folder());
        for (other, fine) in [
            ("AUDIO_DIR", "audio"),
            ("STATE_FILE", "state.json"),
            ("LISTEN", "127.0.0.1:0"),
        ] {
            command.env(other, fine);
        }
        command.env(name, value);
        expect_complaint(&run(command).await, about);
    }
}

/// Started as somebody who may read nothing that is not everybody's.
#[tokio::test]
async fn an_unreadable_folder_is_one_clear_line() {
    let setup = Setup::long_tracks();
    // Where the executable was built, a stranger may not be able to look.
    let copy = setup.folder().join("lockstep");
    fs::copy(executable(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(
        setup.folder().join("state"),
        fs::Permissions::from_mode(0o777),
    )
    .unwrap();
    fs::set_permissions(setup.audio(), fs::Permissions::from_mode(0o000)).unwrap();
    let as_nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let root =
        fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let mut command = match root {
        true => {
            let mut command = bare_command(Path::new("setpriv"));
            command.args(as_nobody).arg(&copy);
            command
        }
        false => bare_command(&copy),
    };
    command.arg("--audio-dir").arg(setup.audio());
    command.arg("--state-file").arg(setup.state_file());
    command.args(["--listen", "127.0.0.1:0"]);
    let exit = run(command).await;
    fs::set_permissions(setup.audio(), fs::Permissions::from_mode(0o755)).unwrap();
    expect_complaint(&exit, "audio");
    assert!(
        exit.stderr.to_lowercase().contains("permission denied"),
        "{exit:?}"
    );
}

#[tokio::test]
async fn a_signal_ends_it_properly_while_streams_and_downloads_are_open() {
    for signal in ["TERM", "INT"] {
        let setup = Setup::empty();
        common::music::put_wav(&setup.audio().join("large.wav"), 8_000, 8_000);
        let mut server = setup.start().await;
        let mut phone = Phone::listening(&server).await;
        let remote = Phone::pair(&server).await;
        let mut second = remote
            .request(reqwest::Method::GET, "/events?role=remote")
            .send()
            .await
            .unwrap();
        second.chunk().await.unwrap();
        // A download that nobody reads, and a connection that asks nothing.
        let stuck = phone
            .request(reqwest::Method::GET, &format!("/file/{}", phone.current()))
            .send()
            .await
            .unwrap();
        let idle = tokio::net::TcpStream::connect(server.address())
            .await
            .unwrap();

        let asked = Instant::now();
        server.signal(signal).await;
        let status = server.ended().await;
        assert_eq!(status.code(), Some(0), "SIG{signal}: {status}");
        assert!(
            asked.elapsed() < Duration::from_secs(15),
            "SIG{signal}: {:?}",
            asked.elapsed()
        );
        while phone.try_hear().await.is_some() {}
        assert!(!server.log().contains("panicked"), "{}", server.log());
        drop((stuck, idle));
    }
}

#[tokio::test]
async fn the_environment_is_heard_and_flags_go_before_it() {
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
    let base = in_time("the server to listen", async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it serves");
            if let Some(base) = line.strip_prefix("listening on ") {
                return base.to_owned();
            }
        }
    })
    .await;
    let pair = http()
        .post(format!("{base}/pair"))
        .json(&serde_json::json!({ "code": CODE }));
    let paired = ask(pair).await.expect(200).json();
    assert_eq!(
        paired["snapshot"]["queue"].as_array().unwrap().len(),
        common::music::fixture_files().len()
    );
    let token = paired["clientId"].as_str().unwrap();
    ask(http().get(format!("{base}/debug/state")).bearer_auth(token))
        .await
        .expect(200);
    assert!(setup.folder().join("elsewhere.json").exists());
}

#[tokio::test]
async fn debugging_can_be_said_to_be_off() {
    for off in ["0", "false", ""] {
        let setup = Setup::long_tracks();
        let mut command = setup.command();
        command.env("LOCKSTEP_DEBUG", off).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let serves = in_time("the server to listen", async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.starts_with("listening on ") {
                    return true;
                }
            }
            false
        });
        assert!(
            serves.await,
            "LOCKSTEP_DEBUG={off:?} keeps it from starting"
        );
    }
}

#[tokio::test]
async fn the_terminal_shows_address_code_tracks_and_qr_before_it_serves() {
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
        "no address:\n{banner}"
    );
    assert!(banner.contains(CODE), "no code:\n{banner}");
    assert!(
        banner.contains("4 tracks"),
        "no number of tracks:\n{banner}"
    );
    let drawn = lines
        .iter()
        .filter(|line| line.chars().any(|c| "█▀▄".contains(c)))
        .count();
    assert!(drawn >= 10, "no QR code:\n{banner}");
    assert!(
        !banner.contains("0.0.0.0"),
        "nobody can reach that:\n{banner}"
    );
}

#[tokio::test]
async fn listening_everywhere_it_shows_an_address_that_a_phone_can_reach() {
    let server = Setup::long_tracks().listen("0.0.0.0:0").start().await;
    let lines = server.stdout();
    let address = lines.iter().find_map(|line| {
        let at = line.find("http://")?;
        (!line.starts_with("listening on"))
            .then(|| line[at..].split_whitespace().next().unwrap().to_owned())
    });
    let address = address.unwrap_or_else(|| panic!("no address:\n{}", lines.join("\n")));
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
async fn on_ipv6_it_serves_ipv4_too_and_shows_that_address_first() {
    let server = Setup::long_tracks().listen("[::]:0").start().await;
    let port = server.address().port();
    for host in ["[::1]", "127.0.0.1"] {
        ask(http().get(format!("http://{host}:{port}/healthz")))
            .await
            .expect(200);
        // To this machine the code is shown, by whichever of its addresses it asks.
        ask(http().get(format!("http://{host}:{port}/code")))
            .await
            .expect(200);
    }
    let url = server.stdout().last().unwrap().clone();
    assert!(!url.contains('['), "{url}");
}

#[tokio::test]
async fn without_a_fixed_code_six_digits_are_drawn_at_each_start() {
    let setup = Setup::long_tracks();
    let mut codes = Vec::new();
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
        let base = in_time("the server to listen", async {
            loop {
                let line = lines.next_line().await.unwrap().expect("it serves");
                if let Some(base) = line.strip_prefix("listening on ") {
                    return base.to_owned();
                }
                banner.push_str(&line);
                banner.push('\n');
            }
        })
        .await;
        let answer = ask(http().get(format!("{base}/code")))
            .await
            .expect(200)
            .json();
        let code = answer["code"].as_str().unwrap().to_owned();
        assert!(
            code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()),
            "{code}"
        );
        let digits: String = banner.chars().filter(|c| !c.is_whitespace()).collect();
        assert!(digits.contains(&code), "{code} is not shown:\n{banner}");
        codes.push(code);
        child.kill().await.unwrap();
    }
    // One time in a million this is chance.
    assert_ne!(codes[0], codes[1]);
}

#[tokio::test]
async fn it_serves_with_nobody_reading_what_it_prints() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let setup = Setup::long_tracks().listen(&format!("127.0.0.1:{port}"));
    let mut command: Command = setup.command();
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    let healthy = async {
        while http()
            .get(format!("http://127.0.0.1:{port}/healthz"))
            .send()
            .await
            .is_err()
        {
            assert!(child.try_wait().unwrap().is_none(), "it ended");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    in_time("the server to serve", healthy).await;
}

#[tokio::test]
async fn standard_output_holds_the_banner_and_nothing_of_the_log() {
    let server = Setup::long_tracks().log_filter("debug").start().await;
    let lines = server.stdout().len();
    let mut phone = Phone::pair(&server).await;
    phone.next().await;
    phone.get("/nothing").await.expect(404);
    assert_eq!(server.stdout().len(), lines);
}

#[tokio::test]
async fn a_phone_finds_the_server_again_at_the_same_address() {
    let mut server = TestServer::start().await;
    let mut phone = Phone::listening(&server).await;
    let address = server.address();
    server.stop().await;
    server.start_again_on(address).await;
    assert_eq!(server.address(), address);
    phone.listen().await;
    phone.next().await;
}
