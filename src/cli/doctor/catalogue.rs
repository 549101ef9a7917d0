//! Every check by its stable name, how bad it is when it does not hold, and why: docs/doctor.md lists the same.

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Changes do not arrive, or reach those that they should not.
    Failure,
    /// The bridge works; this would bite one day.
    Advice,
}

/// What is known of a check beforehand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// The stable name; where there are several of a kind, what each is about follows it.
    pub(super) name: &'static str,
    pub(super) level: Level,
    pub(super) why: &'static str,
}

const fn failure(name: &'static str, why: &'static str) -> Entry {
    Entry { name, level: Level::Failure, why }
}

const fn advice(name: &'static str, why: &'static str) -> Entry {
    Entry { name, level: Level::Advice, why }
}

/// All of them, in the order in which they are looked at.
pub(super) const CHECKS: &[Entry] = &[
    failure("token keys", "Without a key no token can be verified, and the bridge does not start."),
    failure("token secret", "Who guesses the secret signs tokens in anybody's name."),
    failure(
        "token public key",
        "A key that cannot be used verifies no token, and a weak one is no proof.",
    ),
    failure(
        "token key set",
        "While the keys cannot be loaded, everybody who comes with a token of theirs is turned away.",
    ),
    advice(
        "token audience",
        "An identity provider signs for all its apps with one key: tokens for the others are good here, too.",
    ),
    advice(
        "allowed origins",
        "With tokens in cookies any website may read along in its visitors' names.",
    ),
    advice("admin address", "/metrics tells how busy you are, and is for nobody but you."),
    advice("open files", "Each connection is a file; at the limit new clients are turned away."),
    failure("database", "The bridge serves nothing without its database."),
    failure("version", "Reading by snapshot needs xid8, which came with PostgreSQL 13."),
    failure(
        "primary",
        "A standby neither takes NOTIFY nor knows all open transactions: changes would be skipped.",
    ),
    advice(
        "prepared statements",
        "A pooler may give each call another connection, so each statement is sent whole, and parsed and planned anew.",
    ),
    failure(
        "notifications",
        "A pooler in transaction mode accepts LISTEN and drops it: changes are polled for, late and at a cost.",
    ),
    failure(
        "connections",
        "A bridge that gets no connection answers no request, and its listener cannot come back.",
    ),
    failure(
        "clock",
        "Tokens are judged by this machine's clock, and messages carry the database's.",
    ),
    failure(
        "installation",
        "The bridge and the SQL in the database have to be of one version; a bridge refuses any other.",
    ),
    failure("access", "A role that may not look into our schemas can do nothing at all."),
    failure("permissions", "What this role may not do fails when a client asks for it."),
    advice(
        "role of the bridge",
        "A superuser passes every policy, and a mistake of ours or yours has no bounds.",
    ),
    failure(
        "rights of strangers",
        "Who reads the log reads every change of every table, whatever policies say.",
    ),
    failure(
        "setting default_transaction_read_only",
        "Nothing can be written: no message, no checkpoint, no heartbeat.",
    ),
    failure(
        "setting row_security",
        "Checks of who may see a row end in an error: no change of such a table is delivered.",
    ),
    failure(
        "setting session_replication_role",
        "Triggers do not fire: what such sessions write is not in the log.",
    ),
    advice(
        "setting synchronous_commit",
        "A commit may be acknowledged, delivered and then lost in a crash of the database.",
    ),
    failure("triggers of", "Writes to this table are not captured: no client hears of them."),
    failure(
        "capture failures",
        "The writes went through, their changes are not in the log: clients were told to fetch afresh.",
    ),
    advice("log size", "A large log costs disk and makes what reads far back slow."),
    failure("log index", "Every client that resumes would read the whole log."),
    failure(
        "log durability",
        "After a crash of the database the log is empty: every client has to start anew.",
    ),
    advice("log vacuum", "Retention deletes all day; without vacuum the log grows for ever."),
    failure(
        "hidden rows",
        "Row security that does not know of the bridge shows it nothing, and says nothing.",
    ),
    advice(
        "open transactions",
        "An open transaction holds back pruning and vacuum, of all tables.",
    ),
    advice(
        "prepared transactions",
        "A prepared transaction that nobody ends keeps its locks and holds back pruning for ever.",
    ),
    failure(
        "notification queue",
        "When the queue is full every commit that notifies fails; above half of it bridges only poll.",
    ),
    failure(
        "checkpoints",
        "Nobody follows the log: no client gets anything, and times cannot be made exact.",
    ),
    failure(
        "history",
        "The log is of another history than the database: cursors from before must not be trusted.",
    ),
    advice("bridge names", "Metrics and rowcast.nodes cannot tell one from the other."),
    advice("lost bridges", "It was killed, or cannot reach the database any more."),
    advice("bridge versions", "Two versions at once are for the minutes of an upgrade."),
    advice(
        "retention",
        "What is older than the retention should be gone: no bridge prunes, or something holds it back.",
    ),
    failure("watched table", "Changes of this table do not arrive, or not whole."),
    advice(
        "row security of",
        "Whoever has a token may hear of every row: nothing tells rows apart.",
    ),
    failure(
        "functions of your own",
        "A function that is neither yours nor ours any more fails every request that calls it; bridges do not start.",
    ),
    failure(
        "tables of your own",
        "A view that stands in the place of a chat's table and lacks something fails what is asked of it.",
    ),
    failure("role", "Tokens name it, and their rights are checked by becoming it."),
    failure(
        "functions for policies and broadcasts",
        "Policies that call them fail, and so does every check of who may see a row.",
    ),
    failure("broadcasts from SQL", "What realtime.send() says reaches nobody."),
    failure(
        "publication",
        "Apps made for Supabase put tables on the feed by a publication; this one and the feed differ.",
    ),
];

/// The entry that a check's name begins with; of several the longest.
pub(super) fn entry(name: &str) -> Option<&'static Entry> {
    let fits = |entry: &&Entry| {
        let rest = name.strip_prefix(entry.name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    CHECKS.iter().filter(fits).max_by_key(|entry| entry.name.len())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn a_name_finds_its_entry_and_no_other() {
        let name = |text| entry(text).map(|entry| entry.name);
        assert_eq!(name("role anon"), Some("role"));
        assert_eq!(name("role of the bridge"), Some("role of the bridge"));
        assert_eq!(name("row security of public.todos"), Some("row security of"));
        assert_eq!(name("roles"), None);
        let names: BTreeSet<&str> = CHECKS.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), CHECKS.len(), "a name stands twice");
    }

    #[test]
    fn the_page_lists_every_check_with_its_level_and_reason() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/doctor.md");
        let page = fs::read_to_string(page).expect("docs/doctor.md");
        let level = |entry: &Entry| match entry.level {
            Level::Failure => "failure",
            Level::Advice => "advice",
        };
        let wanted: Vec<String> = CHECKS
            .iter()
            .map(|entry| format!("| `{}` | {} | {} |", entry.name, level(entry), entry.why))
            .collect();
        let found: Vec<String> = page
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| {
                let cells: Vec<&str> = line.split(" | ").take(3).collect();
                format!("{} |", cells.join(" | "))
            })
            .collect();
        assert!(
            found == wanted,
            "docs/doctor.md should begin its rows with:\n\n{}\n",
            wanted.join("\n")
        );
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        for row in rows {
            let remedy = row.rsplit(" | ").next().unwrap_or_default();
            assert!(row.matches(" | ").count() == 3 && remedy.len() > 5, "no remedy: {row}");
        }
    }
}
