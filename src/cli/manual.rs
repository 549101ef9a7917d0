//! `rowcast man` and `rowcast completions`: manual pages and shell completions, made from the commands' own definition.

use std::{fs, io::Write, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Cli;

#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Write a page for every command into this folder, instead of the main page to standard output.
    #[arg(long)]
    dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// Shell that they are for.
    shell: Shell,
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let mut cli = definition();
    cli.build();
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        Man::new(cli).render(&mut page)?;
        return print(&page);
    };
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let written = clap_mangen::generate_to(cli, dir);
    written.with_context(|| format!("cannot write into {}", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut definition(), "rowcast", &mut script);
    print(&script)
}

/// The commands, without what the environment of whoever asks says.
fn definition() -> Command {
    Cli::command().disable_help_subcommand(true)
}

/// Whoever closed the output, such as `head`, has had enough.
fn print(text: &[u8]) -> anyhow::Result<ExitCode> {
    match std::io::stdout().write_all(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}
