//! The files under `sql/`, which are part of the binary, each with its hash.

use std::fmt::Write as _;

use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Everything under `sql/` is part of the binary.
#[derive(RustEmbed)]
#[folder = "sql/"]
#[include = "*.sql"]
struct Files;

/// One file of `sql/migrations`.
pub(super) struct Migration {
    pub(super) version: i32,
    pub(super) file: String,
    pub(super) sql: String,
    pub(super) hash: String,
    pub(super) breaking: bool,
}

/// The files of `sql/migrations`, in order.
pub(super) fn migrations() -> Result<Vec<Migration>> {
    let mut files: Vec<_> = Files::iter().filter(|name| name.starts_with("migrations/")).collect();
    files.sort();
    files
        .iter()
        .map(|path| {
            let file = path.trim_start_matches("migrations/").to_owned();
            let version = file.split('_').next().and_then(|number| number.parse().ok());
            let sql = text(path)?;
            Ok(Migration {
                version: version.filter(|&version| version > 0).ok_or_else(|| {
                    Error::internal(format!("{path} does not start with its number"))
                })?,
                hash: hash(&sql),
                breaking: sql.lines().any(|line| line.trim_end() == "--! breaking"),
                file,
                sql,
            })
        })
        .collect()
}

/// The files that are applied again whenever one changed, in order: what a team has replaced is set aside before and
/// put back after them, and the rights are last.
pub(super) fn functions() -> Result<Vec<(String, String)>> {
    let mut files: Vec<_> = Files::iter().filter(|name| name.starts_with("functions/")).collect();
    files.sort();
    files.insert(0, "set_aside.sql".into());
    files.extend(["put_back.sql".into(), "grants.sql".into()]);
    files.iter().map(|path| Ok((format!("sql/{path}"), text(path)?))).collect()
}

/// The text of one file.
pub(super) fn text(path: &str) -> Result<String> {
    let file = Files::get(path).ok_or_else(|| Error::internal(format!("sql/{path} is missing")))?;
    String::from_utf8(file.data.into_owned()).map_err(Error::internal)
}

fn hash(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// One hash over all files.
pub(super) fn hash_of_all(files: &[(String, String)]) -> String {
    hash(&files.iter().fold(String::new(), |all, (name, sql)| all + name + "\n" + sql + "\n"))
}
