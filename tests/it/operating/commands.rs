//! Commands made for operators: completions that a shell takes, manual pages that `man` shows, a benchmark that leaves nothing.

use std::process::{Command, Output, Stdio};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::timeout,
};

use crate::harness::{
    app::{App, PATIENCE, SECRET},
    binary,
};

fn output(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("a program");
    let text = String::from_utf8(stdout).expect("text");
    assert!(status.success(), "{text}\n{}", String::from_utf8_lossy(&stderr));
    text
}

/// What bash would offer after these words.
fn completed(script: &std::path::Path, words: &[&str]) -> Vec<String> {
    let (last, before) = words.split_last().expect("words");
    let complete = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
        _rowcast rowcast \"${@: -1}\" \"${@: -2:1}\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", complete, "bash"]).arg(script).args(before).arg(last);
    output(&mut command).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("rowcast.bash");
    let text = output(Command::new(binary()).args(["completions", "bash"]));
    std::fs::write(&script, text).expect("written");
    output(Command::new("bash").arg("-n").arg(&script));
    assert_eq!(completed(&script, &["rowcast", "mig"]), ["migrate"]);
    assert_eq!(completed(&script, &["rowcast", "serve", "--jwt-s"]), ["--jwt-secret"]);
    assert_eq!(completed(&script, &["rowcast", "serve", "--log-format", "j"]), ["json"]);
    for (shell, sign) in [
        ("zsh", "#compdef rowcast"),
        ("fish", "complete -c rowcast"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion:arg-completer"),
    ] {
        let text = output(Command::new(binary()).args(["completions", shell]));
        assert!(text.contains(sign) && text.contains("env-file"), "{shell}");
    }
}

#[test]
fn man_has_a_page_for_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut man = Command::new(binary());
    // What the environment says stays out of what is published.
    man.args(["man", "--dir"]).arg(folder.path()).env("ROWCAST_JWT_SECRET", "hunter2-hunter2");
    output(&mut man);
    let help = output(Command::new(binary()).arg("--help"));
    let (_, commands) = help.split_once("Commands:\n").expect("commands");
    let (commands, _) = commands.split_once("\n\n").expect("an end");
    let names = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> = names.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"serve") && names.contains(&"bench"), "{names:?}");
    let have = |program: &str| {
        Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok()
    };
    for name in names.iter().filter(|name| **name != "help") {
        let page = folder.path().join(format!("rowcast-{name}.1"));
        let text = std::fs::read_to_string(&page).unwrap_or_else(|_| panic!("no page for {name}"));
        assert!(text.contains(".TH rowcast-") && !text.contains("hunter2"), "{name}: {text}");
        if have("groff") {
            let mut groff = Command::new("groff");
            let Output { stderr, .. } = groff
                .args(["-Kutf8", "-man", "-Tutf8", "-ww", "-z"])
                .arg(&page)
                .output()
                .expect("groff");
            assert!(stderr.is_empty(), "{name}: {}", String::from_utf8_lossy(&stderr));
        }
    }
    let main = output(Command::new(binary()).arg("man"));
    assert!(main.contains(".TH rowcast 1") && main.contains("rowcast\\-serve(1)"), "{main}");
}

fn bench(app: &App, flags: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(binary());
    command.args(["bench", "--database-url", &app.database.url()]);
    let http = format!("http://{}", app.address());
    for (flag, value) in [("--url", http.as_str()), ("--secret", SECRET)] {
        if !flags.contains(&flag) {
            command.args([flag, value]);
        }
    }
    command.args(flags).env_remove("DATABASE_URL").env_remove("ROWCAST_JWT_SECRET");
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn left(app: &App) -> i64 {
    app.value(
        "select (select count(*) from chat.users where username like 'rowcast bench%')
            + (select count(*) from chat.threads where name like 'rowcast bench%')",
    )
    .await
}

#[tokio::test]
async fn bench_measures_a_running_bridge_and_leaves_nothing() {
    let app = App::start().await;
    let flags = ["--sockets", "5", "--rate", "50", "--time", "1s", "--json"];
    let run = timeout(PATIENCE, bench(&app, &flags).output()).await.expect("in time");
    let Output { status, stdout, stderr } = run.expect("a program");
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{said}");
    assert!(said.contains("writing: one thread `rowcast bench "), "{said}");
    let result: Value = serde_json::from_slice(&stdout).expect("JSON");
    assert_eq!((&result["messages"], &result["deliveries"]), (&50.into(), &250.into()));
    assert_eq!(
        (&result["lost"], &result["twice"], &result["sockets"]),
        (&0.into(), &0.into(), &5.into())
    );
    let times = &result["commit_to_client_us"];
    assert!(times["p50"].as_u64() <= times["p99"].as_u64() && times["p99"].is_u64(), "{result}");
    assert_eq!(left(&app).await, 0);
}

#[tokio::test]
async fn bench_that_is_interrupted_or_was_killed_leaves_nothing_either() {
    let app = App::start().await;
    // One that was killed long ago.
    app.sql("select chat.bench_begin('rowcast bench killed', 2); update chat.threads set created_at = now() - interval '2 hours' where name = 'rowcast bench killed'").await;
    assert_eq!(left(&app).await, 3);
    let flags = ["--sockets", "3", "--rate", "20", "--time", "10m"];
    let mut child = bench(&app, &flags).spawn().expect("a program");
    let mut lines = BufReader::new(child.stderr.take().expect("its progress")).lines();
    let progress = async {
        while let Some(line) = lines.next_line().await.expect("text") {
            if line.contains("committed,") && line.contains("p50") {
                return;
            }
        }
        panic!("no progress");
    };
    timeout(PATIENCE, progress).await.expect("progress in time");
    assert!(left(&app).await > 0);
    let id = child.id().and_then(|id| i32::try_from(id).ok()).expect("it runs");
    kill(Pid::from_raw(id), Signal::SIGINT).expect("a process");
    let run = timeout(PATIENCE, child.wait_with_output()).await.expect("in time").expect("an end");
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && text.contains("lost 0, twice 0"), "{text}");
    assert_eq!(left(&app).await, 0);
}

#[tokio::test]
async fn bench_refuses_what_would_hurt_and_says_why_it_cannot_run() {
    let app = App::start().await;
    for (flags, why) in [
        (&["--sockets", "2000", "--rate", "2000", "--time", "10m"][..], "fewer --sockets"),
        (&["--rate", "100000"], "--rate is 1 to"),
        (&["--url", "https://chat.example"], "http://HOST:PORT"),
        (&["--url", "http://127.0.0.1:1"], "no bridge answers"),
        (&["--secret", "another secret, 32 characters or more"], "refused the token"),
    ] {
        let run = timeout(PATIENCE, bench(&app, flags).output()).await.expect("in time");
        let run = run.expect("a program");
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(!run.status.success() && said.contains(why), "{flags:?}: {said}");
        assert!(!said.contains("token="), "{said}");
        assert_eq!(left(&app).await, 0, "{flags:?}");
    }
}
