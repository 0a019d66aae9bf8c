//! Parses the command line: the server's settings, a subcommand that asks a running server, or a flag that prints a text.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use clap_complete::Shell;
use lockstep::config::Config;

use crate::compare;

/// The local socket of the system service (`packaging/lockstep.service`).
const SERVICE_SOCKET: &str = "/run/lockstep/socket";

/// What the process must do.
#[derive(Debug)]
pub(crate) enum Invocation {
    /// Run the server.
    Serve(Box<Config>),
    /// Print the pairing code of the server that answers on the first of these local sockets.
    PrintCode(Vec<PathBuf>),
    /// Make this device host, by its name or member ID, at the server that answers on the first of these local sockets.
    MakeHost(Vec<PathBuf>, String),
    /// Compare the phones of the server that answers on the first of these local sockets.
    Compare(Vec<PathBuf>, compare::Options),
}

#[derive(Parser)]
#[command(disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    subcommand: Option<Subcommand>,

    #[command(flatten)]
    config: Config,

    /// Print a shell completion script and exit
    #[arg(long, value_name = "SHELL", value_enum)]
    completions: Option<Shell>,

    /// Print the manual page (roff) and exit
    #[arg(long)]
    man: bool,
}

#[derive(clap::Subcommand)]
enum Subcommand {
    /// Print the pairing code of the server that runs on this machine
    Code,
    /// Let a phone change the rules of the room: for when the phones of all hosts are lost
    Host {
        /// The phone's name, or its member ID such as m3
        #[arg(value_name = "NAME|MEMBERID")]
        device: String,
    },
    /// Bring all phones in step: let each chirp, and listen with this machine's microphone
    Compare {
        /// The microphone, by the name of pw-record --target, parec --device or arecord --device [default: the system's]
        #[arg(long, value_name = "NAME")]
        microphone: Option<String>,

        /// Measure, and change no delay
        #[arg(long)]
        dry_run: bool,
    },
}

/// Reads the command line and the environment.
///
/// # Errors
/// The exit code of the process, which must exit: this function has printed the requested text or an error message.
pub(crate) fn read() -> Result<Invocation, ExitCode> {
    let matches = Arguments::command().try_get_matches();
    let parsed = matches.and_then(|matches| {
        let mut arguments = Arguments::from_arg_matches(&matches)?;
        if matches.value_source("audio_dir") == Some(ValueSource::EnvVariable) {
            arguments.config.split_audio_dir_variable();
        }
        Ok((arguments, is_state_file_given(&matches)))
    });
    let (arguments, is_state_file_given) = parsed.map_err(|error| report_clap_error(&error))?;
    let sockets = || local_sockets(&arguments.config, is_state_file_given);
    match arguments.subcommand {
        Some(Subcommand::Code) => return Ok(Invocation::PrintCode(sockets())),
        Some(Subcommand::Host { ref device }) => {
            return Ok(Invocation::MakeHost(sockets(), device.clone()));
        }
        Some(Subcommand::Compare {
            microphone,
            dry_run,
        }) => {
            let options = compare::Options {
                microphone,
                dry_run,
            };
            return Ok(Invocation::Compare(sockets(), options));
        }
        None => {}
    }
    let mut text = Vec::new();
    if let Some(shell) = arguments.completions {
        clap_complete::generate(shell, &mut Arguments::command(), "lockstep", &mut text);
    } else if arguments.man {
        // Writing to memory cannot fail.
        let _ = clap_mangen::Man::new(Arguments::command()).render(&mut text);
    } else {
        return Ok(Invocation::Serve(Box::new(arguments.config)));
    }
    match io::stdout().write_all(&text) {
        Ok(()) => Err(ExitCode::SUCCESS),
        Err(_) => Err(ExitCode::FAILURE),
    }
}

/// Whether a flag or an environment variable names the state file.
fn is_state_file_given(matches: &ArgMatches) -> bool {
    let source = matches.value_source("state_file");
    source.is_some_and(|source| source != ValueSource::DefaultValue)
}

/// The paths at which a server's local socket may be, in the order in which subcommands try them: the given path, the path
/// of the system service, beside the state file. If the user names a state file, the socket beside that file precedes the
/// socket of the service.
fn local_sockets(config: &Config, is_state_file_given: bool) -> Vec<PathBuf> {
    let without_socket = Config {
        local_socket: None,
        ..config.clone()
    };
    let mut others = [
        PathBuf::from(SERVICE_SOCKET),
        without_socket.local_socket_path(),
    ];
    if is_state_file_given {
        others.reverse();
    }
    config.local_socket.iter().cloned().chain(others).collect()
}

/// Prints help and version in clap's format. Prints any other error on one line, so that the message is one entry in a log.
/// Returns the exit code.
fn report_clap_error(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return match error.print() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let rendered = error.render().to_string();
    let lines: Vec<_> = rendered
        .lines()
        .take_while(|line| !line.trim().is_empty())
        .map(str::trim)
        .collect();
    let message = lines.join(" ");
    let message = message.trim_start_matches("error: ");
    crate::log::print_error(&format!("{message} (see --help)"));
    ExitCode::from(2)
}
