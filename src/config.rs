//! Flags and environment. Nothing here looks at the world; `main` and `run` do.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Parser, ValueEnum};

/// Where HTTPS is served unless another port is asked for.
const TLS_PORT: u16 = 8443;

/// When phones start: at a moment on the server's clock, or when the event reaches them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Alignment {
    /// Starts carry a time, a little ahead, and phones start then.
    Clock,
    /// Phones start at the moment an event arrives.
    Event,
}

/// Plays one folder of music on every phone in the house, in step.
#[derive(Debug, Clone, Parser)]
#[command(name = "lockstep", version = env!("LOCKSTEP_VERSION"), max_term_width = 100)]
pub struct Config {
    /// The folder of music
    #[arg(
        long,
        env = "AUDIO_DIR",
        value_name = "FOLDER",
        default_value = "./audio"
    )]
    pub audio_dir: PathBuf,

    /// The file that keeps the queue, the paired phones and where the music is
    #[arg(
        long,
        env = "STATE_FILE",
        value_name = "FILE",
        default_value = "./state.json"
    )]
    pub state_file: PathBuf,

    /// Show every copy of a recording, and not only the best one
    #[arg(long, env = "KEEP_DUPLICATES", value_parser = FalseyValueParser::new())]
    pub keep_duplicates: bool,

    /// Address and port to listen on; port 0 picks a free one
    #[arg(
        long,
        env = "LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "0.0.0.0:8080"
    )]
    pub listen: SocketAddr,

    /// Serve HTTPS too, with a certificate of the server's own small authority
    #[arg(long, env = "TLS", value_parser = FalseyValueParser::new())]
    pub tls: bool,

    /// Address and port to serve HTTPS on; port 0 picks a free one [default: port 8443 of the address that HTTP is served on]
    #[arg(long, env = "TLS_LISTEN", value_name = "ADDRESS:PORT")]
    pub tls_listen: Option<SocketAddr>,

    /// Serve HTTPS with the certificate in this PEM file, those that lead up to a root after it
    #[arg(long, env = "TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The key of that certificate, in PEM
    #[arg(long, env = "TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// A fixed pairing code, for kiosks and tests [default: six random digits at each start]
    #[arg(long, env = "PAIRING_CODE", value_name = "CODE", hide_env_values = true, value_parser = code)]
    pub pairing_code: Option<String>,

    /// Never show the code to a phone that is not paired, not even the first
    #[arg(long, env = "NO_PAIRING_WINDOW", value_parser = FalseyValueParser::new())]
    pub no_pairing_window: bool,

    /// How long a dropped event stream may be gone before its listener counts as gone, in milliseconds
    #[arg(
        long,
        env = "LEAVE_GRACE_MS",
        value_name = "MS",
        default_value_t = 2000
    )]
    pub leave_grace_ms: u64,

    /// Whether starts are aligned by the server's clock or happen when their event arrives
    #[arg(long, env = "ALIGNMENT", value_enum, default_value_t = Alignment::Clock)]
    pub alignment: Alignment,

    /// How many connections may be open at once; one address gets at most a quarter of them, this machine itself all
    #[arg(
        long,
        env = "MAX_CONNECTIONS",
        value_name = "N",
        default_value_t = 4096,
        value_parser = clap::value_parser!(u32).range(8..=1_000_000)
    )]
    pub max_connections: u32,

    /// A name that phones may reach this server by, besides addresses and local names; may be repeated
    #[arg(long, env = "HOST_NAME", value_name = "NAME", value_delimiter = ',')]
    pub host_name: Vec<String>,

    /// Do not tell the network this server's name, lockstep.local
    #[arg(long, env = "NO_MDNS", value_parser = FalseyValueParser::new())]
    pub no_mdns: bool,

    /// Move the state file aside and start with a new one
    #[arg(long)]
    pub reset_state: bool,

    /// Answer GET /debug/state to paired devices
    #[arg(long, env = "LOCKSTEP_DEBUG", value_parser = FalseyValueParser::new())]
    pub debug: bool,
}

impl Config {
    /// Where to serve HTTPS beside the HTTP that is served on `plain`: whoever reaches the one reaches the other.
    pub fn tls_listen(&self, mut plain: SocketAddr) -> SocketAddr {
        plain.set_port(TLS_PORT);
        self.tls_listen.unwrap_or(plain)
    }

    /// How long a dropped event stream may be gone before its listener counts as gone.
    pub fn leave_grace(&self) -> Duration {
        Duration::from_millis(self.leave_grace_ms)
    }
}

fn code(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        return Err("it is empty");
    }
    Ok(text.into())
}
