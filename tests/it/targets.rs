//! Every fuzz target on stable Rust: what is stored in `fuzz/corpus`, mutated, and bytes of any kind.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use proptest::{collection::vec, prelude::*};
use rowcast::fuzz::TARGETS;
use tokio::time::Instant;

use crate::fuzz::{fuzz, mutated, mutations};

/// No input of a few hundred bytes takes longer, on a busy machine and without optimisation.
const LONG: Duration = Duration::from_secs(5);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// What is stored for a target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder().join("corpus").join(target)).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = files.map(|file| file.path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file")).collect()
}

#[test]
fn every_target_takes_its_corpus_its_mutations_and_any_bytes() {
    for (name, read) in TARGETS {
        let seeds = corpus(name);
        assert!(!seeds.is_empty(), "fuzz/corpus/{name} has nothing");
        for seed in &seeds {
            read(seed);
        }
        let near = (proptest::sample::select(seeds), mutations())
            .prop_map(|(seed, mutations)| mutated(&seed, &mutations));
        let input = prop_oneof![4 => near, 1 => vec(any::<u8>(), 0..300)];
        fuzz(&input, |bytes| {
            let began = Instant::now();
            read(&bytes);
            prop_assert!(began.elapsed() < LONG, "{name} took {:?}", began.elapsed());
            Ok(())
        });
    }
}

#[test]
fn every_target_is_wrapped_for_libfuzzer_and_has_no_other_beside_it() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).expect("fuzz/Cargo.toml");
    for name in &names {
        let path = folder().join("fuzz_targets").join(format!("{name}.rs"));
        let wrapper = fs::read_to_string(&path).unwrap_or_else(|_| panic!("no {}", path.display()));
        assert!(wrapper.contains(&format!("rowcast::fuzz::run(\"{name}\", data)")), "{name}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
    let files = fs::read_dir(folder().join("fuzz_targets")).expect("wrappers").flatten();
    let wrapped: BTreeSet<String> =
        files.filter_map(|file| Some(file.path().file_stem()?.to_str()?.to_owned())).collect();
    assert_eq!(wrapped, names);
}

/// A file that reads text or bytes of clients, and the target that calls it.
const PARSERS: &[(&str, &str)] = &[
    ("src/auth/payload.rs", "token"),
    ("src/auth/token.rs", "headers"),
    ("src/chat/event.rs", "change"),
    ("src/cursor/mod.rs", "cursor"),
    ("src/db/dsn.rs", "dsn"),
    ("src/dialects/conversations/codec.rs", "conversations"),
    ("src/dialects/direct/codec.rs", "direct"),
    ("src/dialects/door.rs", "query"),
    ("src/dialects/longpoll/codec.rs", "longpoll"),
    ("src/dialects/native/codec.rs", "native"),
    ("src/dialects/reading.rs", "conversations"),
    ("src/dialects/rooms/codec.rs", "rooms"),
    ("src/dialects/socketio/packet.rs", "socketio"),
    ("src/dialects/supabase/changes/grammar.rs", "filter"),
    ("src/dialects/supabase/changes/options.rs", "wish"),
    ("src/dialects/supabase/changes/wish.rs", "wish"),
    ("src/dialects/supabase/codec/mod.rs", "phoenix"),
    ("src/signal.rs", "longpoll"),
    ("src/topic.rs", "topic"),
];

#[test]
fn every_parser_has_a_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, target) in PARSERS {
        assert!(root.join(file).exists(), "{file} is gone: take it off the list");
        assert!(TARGETS.iter().any(|(name, _)| name == target), "{file}: no target {target}");
    }
    // A codec, and a function that parses text for others, is a parser.
    let mut open = vec![root.join("src")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(path).expect("a folder").flatten().map(|one| one.path()));
            continue;
        }
        let file = path.strip_prefix(root).expect("inside").display().to_string();
        let code = fs::read_to_string(&path).unwrap_or_default();
        let reads = file.ends_with("/codec.rs")
            || code.contains("pub(super) fn parse(text: &str)")
            || code.contains("pub fn parse(text: &str)");
        let listed = PARSERS.iter().any(|(known, _)| *known == file);
        assert!(!reads || listed || ELSEWHERE.contains(&&*file), "{file} has no fuzz target");
    }
}

/// Read what operators, the database and the disk say, not clients.
const ELSEWHERE: &[&str] = &["src/change.rs", "src/session/limits.rs"];
