//! The settings: command-line flags and environment variables. Parsing accesses no file and no network.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Parser, ValueEnum};

use crate::base_path::BasePath;
use crate::data_files::DataFiles;
use crate::ip_network::IpNetwork;
use crate::quantity::{Lifetime, parse_bytes, parse_lifetime};
use crate::uploads::{self, UploadSettings};

/// The port for HTTPS if no address for HTTPS is configured.
const DEFAULT_TLS_PORT: u16 = 8443;

/// How phones align the start of playback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Alignment {
    /// A start event contains a time of the server's clock, and phones start the playback at that time.
    Clock,
    /// Phones start the playback when the start event arrives.
    Event,
}

/// Play a folder of music on all phones in the house, in sync
#[derive(Debug, Clone, Parser)]
#[command(name = "lockstep", version = env!("LOCKSTEP_VERSION"), max_term_width = 100)]
pub struct Config {
    /// Folder with the music; may be repeated, and AUDIO_DIR may list several, separated by colons
    #[arg(
        long,
        env = "AUDIO_DIR",
        value_name = "FOLDER",
        default_value = "./audio"
    )]
    pub audio_dir: Vec<PathBuf>,

    /// File that stores the queue, the playback position and the paired phones
    #[arg(
        long,
        env = "STATE_FILE",
        value_name = "FILE",
        default_value = "./state.json",
        global = true
    )]
    pub state_file: PathBuf,

    /// List all copies of a recording instead of only the best one
    #[arg(long, env = "KEEP_DUPLICATES", value_parser = FalseyValueParser::new())]
    pub keep_duplicates: bool,

    /// Address and port for HTTP; port 0 picks a free port
    #[arg(
        long,
        env = "LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "0.0.0.0:8080"
    )]
    pub listen: SocketAddr,

    /// Unix socket for programs of this machine, such as `lockstep code` [default: the state file's name with .socket]
    #[arg(long, env = "LOCAL_SOCKET", value_name = "PATH", global = true)]
    pub local_socket: Option<PathBuf>,

    /// Address and port at which Prometheus may read the metrics without a token
    #[arg(long, env = "METRICS_LISTEN", value_name = "ADDRESS:PORT")]
    pub metrics_listen: Option<SocketAddr>,

    /// Also serve HTTPS, with a certificate from the server's own certificate authority
    #[arg(long, env = "TLS", value_parser = FalseyValueParser::new())]
    pub tls: bool,

    /// Address and port for HTTPS; port 0 picks a free port [default: port 8443 of the HTTP address]
    #[arg(long, env = "TLS_LISTEN", value_name = "ADDRESS:PORT")]
    pub tls_listen: Option<SocketAddr>,

    /// PEM file with the certificate for HTTPS, followed by its intermediate certificates; enables HTTPS
    #[arg(long, env = "TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// PEM file with the private key of the certificate
    #[arg(long, env = "TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Fixed pairing code, for kiosks and tests [default: six random digits at each start]
    #[arg(long, env = "PAIRING_CODE", value_name = "CODE", hide_env_values = true, value_parser = parse_pairing_code)]
    pub pairing_code: Option<String>,

    /// Never show the pairing code to an unpaired phone, not even to the first one
    #[arg(long, env = "NO_PAIRING_WINDOW", value_parser = FalseyValueParser::new())]
    pub no_pairing_window: bool,

    /// Time for a listener whose event stream has ended to reconnect before it is removed, in milliseconds
    #[arg(
        long,
        env = "LEAVE_GRACE_MS",
        value_name = "MS",
        default_value_t = 2000
    )]
    pub leave_grace_ms: u64,

    /// How phones align the start of playback
    #[arg(long, env = "ALIGNMENT", value_enum, default_value_t = Alignment::Clock)]
    pub alignment: Alignment,

    /// Maximum number of open connections; one address may use a quarter of them, this machine may use all
    #[arg(
        long,
        env = "MAX_CONNECTIONS",
        value_name = "N",
        default_value_t = 4096,
        value_parser = clap::value_parser!(u32).range(8..=1_000_000)
    )]
    pub max_connections: u32,

    /// Additional DNS name by which phones may reach this server; may be repeated
    #[arg(long, env = "HOST_NAME", value_name = "NAME", value_delimiter = ',')]
    pub host_name: Vec<String>,

    /// Reverse proxy, as an address or a network, whose X-Forwarded-For, -Host and -Proto (or Forwarded) headers name the
    /// client; may be repeated
    #[arg(
        long,
        env = "TRUSTED_PROXY",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    pub trusted_proxy: Vec<IpNetwork>,

    /// Path below which the server answers, for a reverse proxy that serves other sites, too
    #[arg(
        long,
        env = "BASE_PATH",
        value_name = "PATH",
        default_value = "/",
        hide_default_value = true
    )]
    pub base_path: BasePath,

    /// Do not let phones upload music
    #[arg(long, env = "NO_UPLOADS", value_parser = FalseyValueParser::new())]
    pub no_uploads: bool,

    /// Folder for the music that phones upload [default: the state file's name with .uploads]
    #[arg(long, env = "UPLOAD_DIR", value_name = "FOLDER")]
    pub upload_dir: Option<PathBuf>,

    /// Most bytes of all uploads together
    #[arg(long, env = "UPLOAD_QUOTA", value_name = "BYTES", default_value = "2G", value_parser = parse_bytes)]
    pub upload_quota: u64,

    /// Most bytes of one upload
    #[arg(long, env = "UPLOAD_MAX", value_name = "BYTES", default_value = "500M", value_parser = parse_bytes)]
    pub upload_max: u64,

    /// How long an upload stays after it was last played or picked, or forever
    #[arg(long, env = "UPLOAD_KEEP", value_name = "TIME", default_value = "24h", value_parser = parse_lifetime)]
    pub upload_keep: Lifetime,

    /// Do not announce the name lockstep.local by multicast DNS
    #[arg(long, env = "NO_MDNS", value_parser = FalseyValueParser::new())]
    pub no_mdns: bool,

    /// Rename the existing state file and start with an empty state
    #[arg(long)]
    pub reset_state: bool,

    /// Serve GET /debug/state to paired devices and on the local socket
    #[arg(long, env = "LOCKSTEP_DEBUG", value_parser = FalseyValueParser::new())]
    pub debug: bool,
}

impl Config {
    /// Splits the value of the environment variable `AUDIO_DIR` at its colons, like `PATH`. The flag `--audio-dir` is not
    /// split, so that it can name a folder with a colon in its name.
    pub fn split_audio_dir_variable(&mut self) {
        let folders = self.audio_dir.iter().flat_map(std::env::split_paths);
        self.audio_dir = folders
            .filter(|folder| !folder.as_os_str().is_empty())
            .collect();
    }

    /// The address for HTTPS: the configured one, or port 8443 of the HTTP address `plain`.
    pub fn tls_address(&self, mut plain: SocketAddr) -> SocketAddr {
        plain.set_port(DEFAULT_TLS_PORT);
        self.tls_listen.unwrap_or(plain)
    }

    /// The path of the local socket: the configured one, or a path beside the state file.
    pub fn local_socket_path(&self) -> PathBuf {
        let default = || DataFiles::beside(&self.state_file).local_socket_path();
        self.local_socket.clone().unwrap_or_else(default)
    }

    /// The folder of the uploads: the configured one, or a folder beside the state file.
    pub fn upload_folder(&self) -> PathBuf {
        let default = || uploads::default_folder(&self.state_file);
        self.upload_dir.clone().unwrap_or_else(default)
    }

    /// The settings of uploads. Accesses the file system, because links in the path of the folder are resolved.
    ///
    /// # Errors
    /// The system's error if the working directory is unknown.
    pub fn upload_settings(&self) -> io::Result<UploadSettings> {
        Ok(UploadSettings {
            is_enabled: !self.no_uploads,
            folder: uploads::resolved_folder(&self.upload_folder())?,
            quota: self.upload_quota,
            max_size: self.upload_max,
            keep: self.upload_keep.0,
        })
    }

    /// The time for a listener whose event stream has ended to reconnect before the hub removes it.
    pub fn leave_grace(&self) -> Duration {
        Duration::from_millis(self.leave_grace_ms)
    }
}

fn parse_pairing_code(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        return Err("the pairing code is empty");
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_variable_with_audio_folders_is_split_at_colons() {
        let arguments = ["lockstep", "--audio-dir=/a:b", "--audio-dir=/c"];
        let mut config = Config::try_parse_from(arguments).unwrap();
        assert_eq!(config.audio_dir, ["/a:b", "/c"].map(PathBuf::from));
        config.audio_dir = vec!["/a::b c:".into()];
        config.split_audio_dir_variable();
        assert_eq!(config.audio_dir, ["/a", "b c"].map(PathBuf::from));
    }
}
