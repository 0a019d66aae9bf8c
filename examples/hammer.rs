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
//!   told 409, which is an answer and no command carried out.
//! - A **calm**: one phone seeks ten times a second, fifty listen, two download files of 1 MB one after the other. A
//!   delivery is timed from when the state is on the disk to when a listener has the event, so that what is compared is not
//!   the disk. The disk turns slow and quick in the same server, second by second, so that whatever else the machine does
//!   meets both. Each round has two quick seconds; how far these differ from each other is how exact the comparison is.
//!
//! One write of the state is two fsyncs, of the file and of its folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement that cannot go on panics"
)]

#[path = "hammer/calm.rs"]
mod calm;
#[path = "../tests/common/faulty_disk.rs"]
pub mod faulty_disk;
#[path = "hammer/figures.rs"]
mod figures;
#[path = "hammer/server.rs"]
mod server;
#[path = "hammer/storm.rs"]
mod storm;

use std::time::Duration;

use calm::{Calm, House};
use clap::Parser;
use figures::{quantile, row};
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
    /// Rounds of the calm, of three seconds each
    #[arg(long, default_value_t = 20)]
    rounds: usize,
}

type Figure = fn(&Storm) -> f64;
type Times = fn(&Calm) -> &[f64];

/// How long the calm stays with one disk.
const SLICE: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let (connections, fsync_ms) = (arguments.connections, arguments.fsync_ms);
    let span = Duration::from_secs(arguments.seconds);
    let server = Server::start().await;

    let quick = storm::run(&server, connections, span).await;
    server.slow_down(fsync_ms);
    let slow = storm::run(&server, connections, span).await;
    let alone = storm::run(&server, 1, span).await;
    server.speed_up();
    eprintln!("the storm is over");
    let [first, slowed, again] =
        calms(&server, arguments.listeners, arguments.rounds, fsync_ms).await;

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
    let one_each = 1000.0 / f64::from(fsync_ms.max(1));
    let (many, one) = (slow.per_second(), alone.per_second());
    println!("| accepted commands per second, 1 connection | | {one:.2} | | |");
    println!(
        "| {connections} connections : 1 connection | | {:.2} | | |",
        many / one
    );
    println!(
        "| {connections} connections : one for each fsync ({one_each:.1}) | | {:.2} | | |",
        many / one_each
    );
    let event = format!("event to {} listeners", arguments.listeners);
    let kinds: [(&str, Times); 2] = [
        (&event, |calm| &calm.deliveries),
        ("download of 1 MB", |calm| &calm.downloads),
    ];
    for (what, of) in kinds {
        for (name, share) in [("p50", 0.50), ("p99", 0.99)] {
            let [first, slowed, again] =
                [&first, &slowed, &again].map(|calm| quantile(of(calm), share));
            println!(
                "{}",
                row(
                    &format!("{what}, {name} ms"),
                    first,
                    slowed,
                    Some(again / first)
                )
            );
        }
    }
}

/// The same calm on the disk as it is, on the slow one, and on the disk as it is once more.
async fn calms(server: &Server, listeners: usize, rounds: usize, fsync_ms: u32) -> [Calm; 3] {
    let mut house = House::gather(server, listeners).await;
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
