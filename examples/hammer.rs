//! What a slow disk costs: commands that share writes, and events and downloads that do not wait for it.
//!
//! ```sh
//! cargo run --release --example hammer -- --connections 64 --seconds 5 --fsync-ms 30
//! ```
//!
//! Two parts, each on the disk as it is and on one whose every `fsync` takes longer (`tests/faulty_disk.c`, in the server
//! that this builds and starts):
//!
//! - A **storm**: that many connections command as fast as they are answered. They pair and leave in turn, because those
//!   commands contradict no others: with commands that name a count, one of each batch is accepted and the others are
//!   told 409, which is an answer and no command carried out. A single connection has a write for each command.
//! - A **calm**: one phone seeks ten times a second, fifty listen, two download files of 1 MB one after the other. A
//!   delivery is timed from when the state is on the disk to when a listener has the event, so that what is compared is not
//!   the disk. The disk turns slow and quick in the same server, second by second, so that whatever else the machine does
//!   meets both. Each round has two quick seconds; how far these differ from each other is how exact the comparison is.
//!
//! With `--deaf 50`, another question: what listeners that never read cost the others until they are cut off. The same phones
//! listen, one seeks a hundred times a second, and the deaf ones come and are got rid of in every other stretch of time.
//!
//! With `--slow 300`, what so many clients cost those who press that send or read as slowly as they can: `slowhttptest`, which must
//! be installed, in its three ways.
//!
//! Ends with 1 when a goal is missed, with 0 when all are met.
//!
//! One write of the state is two fsyncs, of the file and of its folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement that cannot go on panics"
)]

#[path = "hammer/calm.rs"]
mod calm;
#[path = "hammer/deaf.rs"]
mod deaf;
#[path = "party/executable.rs"]
mod executable;
#[path = "../tests/common/faulty_disk.rs"]
pub mod faulty_disk;
#[path = "hammer/figures.rs"]
mod figures;
#[path = "hammer/server.rs"]
mod server;
#[path = "hammer/slow.rs"]
mod slow;
#[path = "hammer/storm.rs"]
mod storm;

use std::process::ExitCode;
use std::time::Duration;

use calm::{Calm, House};
use clap::Parser;
use figures::{judge, quantile, row, usual_p99};
use server::Server;
use storm::Storm;

#[derive(Parser)]
#[command(about = "Measures what a slow disk costs")]
struct Arguments {
    /// Connections that command as fast as they are answered
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How long each storm lasts
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How much longer an fsync takes on the slow disk
    #[arg(long, default_value_t = 30)]
    fsync_ms: u32,
    /// Phones that listen in the calm
    #[arg(long, default_value_t = 50)]
    listeners: usize,
    /// Rounds of the calm, of three seconds each, or of what is done with the deaf [default: 20, or 7]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Measures what so many listeners that never read cost the others, and nothing else
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    deaf: Option<u32>,
    /// Measures what so many slow senders or slow readers cost those who press, and nothing else
    #[arg(long, conflicts_with = "deaf", value_parser = clap::value_parser!(u32).range(1..))]
    slow: Option<u32>,
}

type Figure = fn(&Storm) -> f64;
type Times = fn(&Calm) -> &[Vec<f64>];

/// Accepted commands, in those of one write each.
const STORM_GOAL: f64 = 10.0;
/// A p99, in what it is when nothing is in the way.
const P99_GOAL: f64 = 1.2;
/// The same of commands among slow clients.
const SLOW_P99_GOAL: f64 = 1.5;
/// How often the phone seeks, in the calm and among the deaf.
const CALM_PAUSE: Duration = Duration::from_millis(100);
const DEAF_PAUSE: Duration = Duration::from_millis(10);

/// How long the calm stays with one disk.
const SLICE: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let server = Server::start().await;
    let met = match (arguments.deaf, arguments.slow) {
        (Some(deaf), _) => listen_among_deaf(&server, &arguments, deaf as usize).await,
        (None, Some(slow)) => press_among_slow(&server, &arguments, slow as usize).await,
        (None, None) => slow_disk(&server, &arguments).await,
    };
    ExitCode::from(u8::from(!met))
}

/// Whether what a slow disk costs is within the goals.
async fn slow_disk(server: &Server, arguments: &Arguments) -> bool {
    let (connections, fsync_ms) = (arguments.connections, arguments.fsync_ms);
    let span = Duration::from_secs(arguments.seconds);
    let quick = storm::run(server, connections, span).await;
    server.slow_down(fsync_ms);
    let slow = storm::run(server, connections, span).await;
    let alone = storm::run(server, 1, span).await;
    server.speed_up();
    eprintln!("the storm is over");
    let rounds = arguments.rounds.unwrap_or(20);
    let [first, slowed, again] = calms(server, arguments.listeners, rounds, fsync_ms).await;

    println!(
        "| | disk as it is | fsync takes {fsync_ms} ms more | ratio | as it is, twice: ratio |"
    );
    println!("| --- | ---: | ---: | ---: | ---: |");
    let per_second = format!("accepted commands per second, {connections} connections");
    let storms: [(&str, Figure); 5] = [
        (&per_second, Storm::per_second),
        ("writes per second", Storm::writes_per_second),
        ("commands per write", Storm::per_write),
        ("command to answer, p50 ms", |storm| {
            quantile(&storm.answers, 0.50)
        }),
        ("command to answer, p99 ms", |storm| {
            quantile(&storm.answers, 0.99)
        }),
    ];
    for (what, of) in storms {
        println!("{}", row(what, of(&quick), of(&slow), None));
    }
    println!(
        "| accepted commands per second, 1 connection | | {:.2} | | |",
        alone.per_second()
    );
    let event = format!("event to {} listeners", arguments.listeners);
    let kinds: [(&str, Times); 2] = [
        (&event, |calm| &calm.deliveries),
        ("download of 1 MB", |calm| &calm.downloads),
    ];
    let mut slower = Vec::new();
    for (what, of) in kinds {
        let p50 = |calm: &Calm| quantile(&of(calm).concat(), 0.50);
        let (it, twice) = (p50(&first), p50(&again) / p50(&first));
        println!(
            "{}",
            row(&format!("{what}, p50 ms"), it, p50(&slowed), Some(twice))
        );
        let (one, two) = (usual_p99(of(&first)), usual_p99(of(&again)));
        let both = usual_p99(&[of(&first), of(&again)].concat());
        let slow = usual_p99(of(&slowed));
        let what = format!("{what}, p99 ms, median of {rounds} rounds");
        println!("{}", row(&what, both, slow, Some(two / one)));
        slower.push((what, slow / both));
    }
    println!();
    let times = slow.per_second() / alone.per_second();
    let mut met = judge(
        "commands per second, in those of one write each",
        times,
        times >= STORM_GOAL,
        "10 at least",
    );
    for (what, ratio) in slower {
        let what = format!("{what}, ratio");
        met &= judge(&what, ratio, ratio <= P99_GOAL, "1.2 at most");
    }
    met
}

/// Whether what deaf listeners cost the others is within the goal.
async fn listen_among_deaf(server: &Server, arguments: &Arguments, deaf: usize) -> bool {
    // Before the one that seeks learns the count: pairing counts.
    let tokens = server.pair_many(deaf).await;
    let mut house = House::gather(server, arguments.listeners, DEAF_PAUSE).await;
    let rounds = arguments.rounds.unwrap_or(7) as usize;
    let found = deaf::run(server, &mut house, &tokens, rounds).await;
    let listeners = arguments.listeners;
    println!("| | nobody deaf | {deaf} deaf | ratio | nobody deaf, twice: ratio |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    let [one, two] = &found.without;
    let both = [&one[..], &two[..]].concat();
    let p50 = |rounds: &[Vec<f64>]| quantile(&rounds.concat(), 0.50);
    let what = format!("event to {listeners} listeners, p50 ms");
    let twice = p50(two) / p50(one);
    println!("{}", row(&what, p50(&both), p50(&found.with), Some(twice)));
    let (without, with) = (usual_p99(&both), usual_p99(&found.with));
    let what = format!("event to {listeners} listeners, p99 ms, median of {rounds} rounds");
    let twice = usual_p99(two) / usual_p99(one);
    println!("{}", row(&what, without, with, Some(twice)));
    let longest = quantile(&found.took, 1.0);
    println!("| the last one is cut off after, s | | {longest:.2} | | |\n");
    let ratio = with / without;
    judge(
        &format!("{what}, ratio"),
        ratio,
        ratio <= P99_GOAL,
        "1.2 at most",
    )
}

/// Whether what slow clients cost is within the goal.
async fn press_among_slow(server: &Server, arguments: &Arguments, slow: usize) -> bool {
    let mut house = House::gather(server, arguments.listeners, DEAF_PAUSE).await;
    let rounds = arguments.rounds.unwrap_or(5) as usize;
    println!(
        "| command to answer | nobody slow | {slow} slow | ratio | nobody slow, twice: ratio |"
    );
    println!("| --- | ---: | ---: | ---: | ---: |");
    let mut ratios = Vec::new();
    for way in &slow::WAYS {
        let found = slow::run(server, &mut house, way, slow, rounds).await;
        let [one, two] = &found.without;
        let both = [&one[..], &two[..]].concat();
        let p50 = |rounds: &[Vec<f64>]| quantile(&rounds.concat(), 0.50);
        let what = format!("{}, p50 ms", way.name);
        let twice = p50(two) / p50(one);
        println!("{}", row(&what, p50(&both), p50(&found.with), Some(twice)));
        let (without, with) = (usual_p99(&both), usual_p99(&found.with));
        let what = format!("{}, p99 ms, median of {rounds} rounds", way.name);
        let twice = usual_p99(two) / usual_p99(one);
        println!("{}", row(&what, without, with, Some(twice)));
        ratios.push((what, with / without));
    }
    println!();
    let mut met = true;
    for (what, ratio) in ratios {
        let what = format!("{what}, ratio");
        met &= judge(&what, ratio, ratio <= SLOW_P99_GOAL, "1.5 at most");
    }
    met
}

/// The same calm on the disk as it is, on the slow one, and on the disk as it is once more.
async fn calms(server: &Server, listeners: usize, rounds: u32, fsync_ms: u32) -> [Calm; 3] {
    let mut house = House::gather(server, listeners, CALM_PAUSE).await;
    // Connections that are new, and code that has not run yet, count for none.
    house.measure(server, SLICE).await;
    let mut calms = [Calm::default(), Calm::default(), Calm::default()];
    for round in 0..rounds {
        // What follows the slow disk is not always the same one of the other two.
        let order = if round % 2 == 0 { [0, 1, 2] } else { [2, 1, 0] };
        for disk in order {
            if disk == 1 {
                server.slow_down(fsync_ms);
            }
            calms[disk].extend(house.measure(server, SLICE).await);
            if disk == 1 {
                server.speed_up();
            }
        }
    }
    calms
}
