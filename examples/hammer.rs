//! Benchmarks of the server under load. Starts the server itself, with fault injection for its disk
//! (`tests/faulty_disk.c`).
//!
//! ```sh
//! cargo run --release --example hammer -- --connections 64 --seconds 5 --fsync-ms 30
//! ```
//!
//! By default, the program measures the effect of a slow disk: each figure with the normal disk and with every `fsync`
//! delayed.
//!
//! - Throughput: each connection sends its next command as soon as it has received the response to the previous command.
//!   The commands are pairing and leaving, which never conflict. (Other commands must state the room's current event
//!   count, so the server would refuse all but one of the concurrent commands with 409.) The reference is a single
//!   connection, for which the server writes the state file once for each command.
//! - Delivery and downloads: one phone seeks ten times a second, fifty phones listen, and two phones download files of
//!   1 MB one after the other. A delivery is timed from the end of the write of the state file until a listener has
//!   received the event, so that the delay of the disk itself does not count. The program switches between the normal and
//!   the slow disk every second, so that other work on the machine affects both. Each round measures the normal disk
//!   twice. The ratio of these two measurements is printed as the noise: it shows the effect of other work on the machine.
//!
//! `--deaf 50` measures the effect of 50 listeners that never read from their sockets (stalled listeners) on event
//! delivery, until the server has disconnected these listeners.
//!
//! `--slow 300` measures the effect of 300 slow clients on the response time of commands. This measurement needs the program
//! `slowhttptest`.
//!
//! `--rooms 16` compares commands in 16 rooms with commands in one room that has as many phones: 20 in each of the 16 rooms, 320 in
//! the one room.
//!
//! The exit code is 0 if every goal is met, and 1 otherwise. Each write of the state file makes two fsync calls: for the
//! file and for its folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement that cannot continue panics"
)]

#[path = "../tests/common/client/mod.rs"]
pub mod client;
#[path = "common/executable.rs"]
mod executable;
#[path = "../tests/common/faulty_disk.rs"]
pub mod faulty_disk;
#[path = "../tests/common/preload.rs"]
pub mod preload;
#[path = "hammer/room.rs"]
mod room;
#[path = "hammer/rooms.rs"]
mod rooms;
#[path = "hammer/server.rs"]
mod server;
#[path = "../tests/common/server_process.rs"]
pub mod server_process;
#[path = "hammer/slow_clients.rs"]
mod slow_clients;
#[path = "hammer/stalled_listeners.rs"]
mod stalled_listeners;
#[path = "hammer/statistics.rs"]
mod statistics;
#[path = "hammer/throughput.rs"]
mod throughput;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use room::{Room, RoomTimes};
use rooms::Crowd;
use server::Server;
use statistics::{Comparison, median_p99, overall_p50, print_goal, quantile, row};
use throughput::Throughput;

#[derive(Parser)]
#[command(about = "Benchmarks the server under load")]
struct Arguments {
    /// Connections that send commands as fast as possible
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seconds of each throughput measurement
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Delay of each fsync call on the slow disk, in milliseconds
    #[arg(long, default_value_t = 30)]
    fsync_ms: u32,
    /// Phones that listen while the program times deliveries or commands
    #[arg(long, default_value_t = 50)]
    listeners: usize,
    /// Rounds of each comparison [default: 20, with --deaf 7, with --slow 5]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Measures only the effect of this many listeners that never read
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    deaf: Option<u32>,
    /// Measures only the effect of this many slow clients, with slowhttptest
    #[arg(long, conflicts_with = "deaf", value_parser = clap::value_parser!(u32).range(1..))]
    slow: Option<u32>,
    /// Measures only commands in this many rooms, and in one room with as many phones
    #[arg(long, conflicts_with_all = ["deaf", "slow"], value_parser = clap::value_parser!(u32).range(2..=16))]
    rooms: Option<u32>,
    /// Phones in each room, with --rooms
    #[arg(long, default_value_t = 20)]
    phones: usize,
    /// The time between two commands of one phone, in milliseconds, with --rooms
    #[arg(long, default_value_t = 2000)]
    interval_ms: u64,
}

/// Selects one figure of a throughput measurement.
type ThroughputFigure = fn(&Throughput) -> f64;
/// Selects the deliveries or the downloads: one list of times for each round.
type RoundsOf = fn(&RoomTimes) -> &[Vec<f64>];

/// The goal for the throughput of many connections divided by the throughput of a single connection.
const MIN_THROUGHPUT_RATIO: f64 = 10.0;
/// The goal for the p99 with a slow disk or stalled listeners divided by the p99 without them.
const MAX_P99_RATIO: f64 = 1.2;
/// The goal for the p99 of commands with slow clients divided by the p99 without slow clients.
const MAX_SLOW_CLIENTS_P99_RATIO: f64 = 1.5;

/// The goal for the p99 of commands in many rooms divided by the p99 in one room.
const MAX_ROOMS_P99_RATIO: f64 = 3.0;

/// The interval of the seeks that are timed with a slow disk.
const SEEK_INTERVAL: Duration = Duration::from_millis(100);
/// The interval of the seeks that are timed with stalled listeners or slow clients.
const FAST_SEEK_INTERVAL: Duration = Duration::from_millis(10);
/// The duration of each measurement with the normal or the slow disk.
const DISK_SLICE: Duration = Duration::from_secs(1);
/// The timeout of every request and of every delivery of an event.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let server = Server::start().await;
    if let Some(rooms) = arguments.rooms {
        let met = compare_rooms(&server, &arguments, rooms as usize).await;
        return ExitCode::from(u8::from(!met));
    }
    let met = match (arguments.deaf, arguments.slow) {
        (Some(stalled), _) => {
            compare_stalled_listeners(&server, &arguments, stalled as usize).await
        }
        (None, Some(slow)) => compare_slow_clients(&server, &arguments, slow as usize).await,
        (None, None) => compare_slow_disk(&server, &arguments).await,
    };
    ExitCode::from(u8::from(!met))
}

/// Measures the effect of a slow disk. Returns whether the goals are met.
async fn compare_slow_disk(server: &Server, arguments: &Arguments) -> bool {
    let (connections, fsync_ms) = (arguments.connections, arguments.fsync_ms);
    let duration = Duration::from_secs(arguments.seconds);
    let normal = throughput::measure(server, connections, duration).await;
    server.slow_down_disk(fsync_ms);
    let slow = throughput::measure(server, connections, duration).await;
    let single = throughput::measure(server, 1, duration).await;
    server.restore_disk();
    eprintln!("throughput measured");
    let rounds = arguments.rounds.unwrap_or(20);
    let room_times = measure_room(server, arguments.listeners, rounds, fsync_ms).await;

    println!("| | normal disk | fsync takes {fsync_ms} ms more | ratio | noise |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    print_throughput(connections, &normal, &slow, &single);
    let p99_ratios = print_room_times(arguments.listeners, rounds, &room_times);
    println!();
    let ratio = slow.commands_per_second() / single.commands_per_second();
    let label = format!("commands per second on the slow disk, {connections} connections / 1");
    let mut met = print_goal(&label, ratio, ratio >= MIN_THROUGHPUT_RATIO, "10 at least");
    for (label, ratio) in p99_ratios {
        met &= print_goal(
            &format!("{label}, ratio"),
            ratio,
            ratio <= MAX_P99_RATIO,
            "1.2 at most",
        );
    }
    met
}

fn print_throughput(
    connections: usize,
    normal: &Throughput,
    slow: &Throughput,
    single: &Throughput,
) {
    let commands = format!("accepted commands per second, {connections} connections");
    let figures: [(&str, ThroughputFigure); 5] = [
        (&commands, Throughput::commands_per_second),
        ("writes per second", Throughput::writes_per_second),
        ("commands per write", Throughput::commands_per_write),
        ("command to response, p50 ms", |throughput| {
            quantile(&throughput.response_times, 0.50)
        }),
        ("command to response, p99 ms", |throughput| {
            quantile(&throughput.response_times, 0.99)
        }),
    ];
    for (label, figure) in figures {
        println!("{}", row(label, figure(normal), figure(slow), None));
    }
    println!(
        "| accepted commands per second, 1 connection | | {:.2} | | |",
        single.commands_per_second()
    );
}

/// Measures the room with the normal disk, with the slow disk, and with the normal disk again.
async fn measure_room(
    server: &Server,
    listeners: usize,
    rounds: u32,
    fsync_ms: u32,
) -> [RoomTimes; 3] {
    let mut room = Room::open(server, listeners, SEEK_INTERVAL).await;
    // The first measurement is a warm-up, so its times are not used.
    room.measure(server, DISK_SLICE).await;
    // Index 1 is the slow disk; 0 and 2 are the two measurements of the normal disk.
    let mut times = <[RoomTimes; 3]>::default();
    for round in 0..rounds {
        // Alternates the order, so that after-effects of the slow disk affect both measurements of the normal disk.
        let order = if round % 2 == 0 { [0, 1, 2] } else { [2, 1, 0] };
        for disk in order {
            if disk == 1 {
                server.slow_down_disk(fsync_ms);
            }
            times[disk].extend(room.measure(server, DISK_SLICE).await);
            if disk == 1 {
                server.restore_disk();
            }
        }
    }
    times
}

/// Prints the times of the normal disk, the slow disk, and the normal disk again. Returns each p99's label and ratio.
fn print_room_times(
    listeners: usize,
    rounds: u32,
    [first, slow, second]: &[RoomTimes; 3],
) -> Vec<(String, f64)> {
    let event = format!("event to {listeners} listeners");
    let kinds: [(&str, RoundsOf); 2] = [
        (&event, |times| &times.deliveries),
        ("download of 1 MB", |times| &times.downloads),
    ];
    let mut p99_ratios = Vec::new();
    for (kind, times) in kinds {
        let p50 = |room_times| overall_p50(times(room_times));
        let noise = Some(p50(second) / p50(first));
        let label = format!("{kind}, p50 ms");
        println!("{}", row(&label, p50(first), p50(slow), noise));
        let noise = median_p99(times(second)) / median_p99(times(first));
        let normal = median_p99(&[times(first), times(second)].concat());
        let slow = median_p99(times(slow));
        let label = format!("{kind}, p99 ms, median of {rounds} rounds");
        println!("{}", row(&label, normal, slow, Some(noise)));
        p99_ratios.push((label, slow / normal));
    }
    p99_ratios
}

/// Measures the effect of listeners that never read. Returns whether the goal is met.
async fn compare_stalled_listeners(server: &Server, arguments: &Arguments, stalled: usize) -> bool {
    // The devices are paired before the room reads the event count, because pairing increments the event count.
    let devices = server.pair_many(stalled).await;
    let listeners = arguments.listeners;
    let mut room = Room::open(server, listeners, FAST_SEEK_INTERVAL).await;
    let rounds = arguments.rounds.unwrap_or(7) as usize;
    let result = stalled_listeners::measure(server, &mut room, &devices, rounds).await;
    println!("| | no stalled listener | {stalled} stalled listeners | ratio | noise |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    let label = format!("event to {listeners} listeners");
    let (label, ratio) = result.deliveries.print_rows(&label);
    let longest = quantile(&result.disconnect_sec, 1.0);
    println!("| until the last stalled listener is disconnected, s | | {longest:.2} | | |\n");
    print_goal(
        &format!("{label}, ratio"),
        ratio,
        ratio <= MAX_P99_RATIO,
        "1.2 at most",
    )
}

/// Measures the effect of slow clients. Returns whether the goal is met.
async fn compare_slow_clients(server: &Server, arguments: &Arguments, clients: usize) -> bool {
    let mut room = Room::open(server, arguments.listeners, FAST_SEEK_INTERVAL).await;
    let rounds = arguments.rounds.unwrap_or(5) as usize;
    println!("| command to response | no slow client | {clients} slow clients | ratio | noise |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    let mut p99_ratios = Vec::new();
    for attack in &slow_clients::ATTACKS {
        let result = slow_clients::measure(server, &mut room, attack, clients, rounds).await;
        p99_ratios.push(result.print_rows(attack.name));
    }
    println!();
    let mut met = true;
    for (label, ratio) in p99_ratios {
        met &= print_goal(
            &format!("{label}, ratio"),
            ratio,
            ratio <= MAX_SLOW_CLIENTS_P99_RATIO,
            "1.5 at most",
        );
    }
    met
}

/// Measures commands in many rooms and in one. Returns whether the goal is met.
async fn compare_rooms(server: &Server, arguments: &Arguments, rooms: usize) -> bool {
    let urls = rooms::make(server, rooms).await;
    let interval = Duration::from_millis(arguments.interval_ms);
    let duration = Duration::from_secs(arguments.seconds);
    let phones = arguments.phones;
    let mut comparison = Comparison::default();
    for _ in 0..arguments.rounds.unwrap_or(3) {
        for times in [&mut comparison.before, &mut comparison.after] {
            let crowd = Crowd::gather(server, &urls[..1], rooms * phones).await;
            times.push(crowd.measure(interval, duration).await);
        }
        let crowd = Crowd::gather(server, &urls, phones).await;
        let times = crowd.measure(interval, duration).await;
        comparison.loaded.push(times);
    }
    println!(
        "| command to response | one room with {} phones | {rooms} rooms with {phones} | ratio | noise |",
        rooms * phones
    );
    println!("| --- | ---: | ---: | ---: | ---: |");
    let (label, ratio) = comparison.print_rows("command");
    println!();
    let label = format!("{label}, ratio");
    print_goal(&label, ratio, ratio <= MAX_ROOMS_P99_RATIO, "3 at most")
}
