//! A setting is a flag, an environment variable and a README row at once.

use std::{fs, path::Path};

use clap::{Arg, Args, Command};
use rowcast::config::Config;

#[test]
fn every_setting_has_its_row_in_the_readme() {
    let command = Config::augment_args(Command::new("rowcast"));
    let wanted: Vec<String> = command.get_arguments().map(row).collect();
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).expect("a README");
    let found: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `--")).collect();
    assert!(
        found == wanted,
        "the settings table of the README should be:\n\n{}\n",
        wanted.join("\n")
    );
}

#[test]
fn every_setting_has_a_flag_a_variable_and_a_sentence() {
    let command = Config::augment_args(Command::new("rowcast"));
    for setting in command.get_arguments() {
        let name = setting.get_id();
        assert!(setting.get_long().is_some(), "{name} has no flag");
        assert!(setting.get_env().is_some(), "{name} has no environment variable");
        assert!(setting.get_help().is_some(), "{name} has no help");
    }
}

fn row(setting: &Arg) -> String {
    let flag = setting.get_long().unwrap_or_default();
    let variable = setting.get_env().unwrap_or_default().to_string_lossy();
    let values: Vec<_> =
        setting.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = match values.join(",") {
        none if none.is_empty() => "–".to_owned(),
        some => format!("`{some}`"),
    };
    let help = setting.get_help().map(ToString::to_string).unwrap_or_default();
    format!("| `--{flag}` | `{variable}` | {default} | {help} |")
}
