//! The command line: the server's settings, and what is printed instead of serving.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use lockstep::config::Config;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    config: Config,

    /// Print what makes a shell complete these flags, and end
    #[arg(long, value_name = "SHELL", value_enum)]
    completions: Option<Shell>,

    /// Print the manual page, and end
    #[arg(long)]
    man: bool,
}

/// The settings; or, if there is nothing to serve, how to end.
pub(crate) fn read() -> Result<Config, ExitCode> {
    let arguments = Arguments::try_parse().map_err(|error| explain(&error))?;
    let mut text = Vec::new();
    if let Some(shell) = arguments.completions {
        clap_complete::generate(shell, &mut Arguments::command(), "lockstep", &mut text);
    } else if arguments.man {
        // Into memory nothing can fail.
        let _ = clap_mangen::Man::new(Arguments::command()).render(&mut text);
    } else {
        return Ok(arguments.config);
    }
    match io::stdout().write_all(&text) {
        Ok(()) => Err(ExitCode::SUCCESS),
        Err(_) => Err(ExitCode::FAILURE),
    }
}

/// Help and version as clap prints them; what was wrong in one sentence.
fn explain(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        error.exit();
    }
    let whole = error.render().to_string();
    let lines: Vec<_> = whole
        .lines()
        .take_while(|line| !line.trim().is_empty())
        .map(str::trim)
        .collect();
    let sentence = lines.join(" ");
    let sentence = sentence.trim_start_matches("error: ");
    crate::log::failure(&format!("{sentence} (see --help)"));
    ExitCode::from(2)
}
