//! Where the programs of Postgres are on this machine.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::error::{Error, Kind, Result};

/// Names a folder with `initdb` and `postgres`, when several are installed.
const VARIABLE: &str = "ROWCAST_PG_BIN";
/// The oldest major version with `xid8`.
const OLDEST: u32 = 13;

/// Folders of one Postgres installation's programs.
#[derive(Debug, Clone)]
pub struct Binaries {
    folder: PathBuf,
    major: u32,
}

impl Binaries {
    /// Finds an installation: of the major version that a data folder wants, or else the newest.
    pub fn find(wanted: Option<u32>) -> Result<Self> {
        if let Some(folder) = env::var_os(VARIABLE) {
            let folder = PathBuf::from(folder);
            return Self::at(&folder).ok_or_else(|| {
                let folder = folder.display();
                missing(format!(
                    "{VARIABLE}={folder} holds no initdb and postgres of version {OLDEST} or newer"
                ))
            });
        }
        let mut found: Vec<Self> = places().iter().filter_map(|folder| Self::at(folder)).collect();
        found.sort_by_key(|binaries| std::cmp::Reverse(binaries.major));
        let fits = |binaries: &&Self| wanted.is_none_or(|wanted| binaries.major == wanted);
        match (found.iter().find(fits), found.first(), wanted) {
            (Some(binaries), ..) => Ok(binaries.clone()),
            (None, Some(newest), Some(wanted)) => Err(missing(format!(
                "The data folder is of PostgreSQL {wanted}, and only {} is installed; install {wanted}, set {VARIABLE}, or remove the data folder to start anew",
                newest.major
            ))),
            _ => Err(missing(format!(
                "No PostgreSQL found on this machine; {}. Or point {VARIABLE} at its bin folder, or DATABASE_URL at a server",
                how_to_install()
            ))),
        }
    }

    /// The path of one program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The major version.
    pub fn major(&self) -> u32 {
        self.major
    }

    fn at(folder: &Path) -> Option<Self> {
        if !folder.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        // "postgres (PostgreSQL) 15.18 (Debian 15.18-0)", "postgres (PostgreSQL) 19beta1"
        let number = text.split_whitespace().nth(2)?;
        let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
        let major = digits.parse().ok().filter(|&major| major >= OLDEST)?;
        Some(Self { folder: folder.to_owned(), major })
    }
}

/// Every folder worth a look; most do not exist.
fn places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        places.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    // Debian, Red Hat, Homebrew on both kinds of Mac, Postgres.app
    for (parent, inner) in [
        ("/usr/lib/postgresql", "bin"),
        ("/usr", "bin"),
        ("/opt/homebrew/opt", "bin"),
        ("/usr/local/opt", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "bin"),
    ] {
        let folders = std::fs::read_dir(parent).into_iter().flatten().flatten();
        let named = folders.filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with(|first: char| first.is_ascii_digit())
                || ["postgresql", "pgsql", "latest"].iter().any(|start| name.starts_with(start))
        });
        places.extend(named.map(|entry| entry.path().join(inner)));
    }
    places.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    places
}

fn how_to_install() -> &'static str {
    if cfg!(target_os = "macos") {
        "install it with `brew install postgresql@17`"
    } else if Path::new("/etc/debian_version").exists() {
        "install it with `sudo apt-get install postgresql`"
    } else if Path::new("/etc/alpine-release").exists() {
        "install it with `apk add postgresql`"
    } else if Path::new("/etc/redhat-release").exists() {
        "install it with `sudo dnf install postgresql-server`"
    } else if Path::new("/etc/arch-release").exists() {
        "install it with `sudo pacman -S postgresql`"
    } else {
        "install it with your system's package manager"
    }
}

fn missing(message: String) -> Error {
    Error::new(Kind::Missing, message)
}
