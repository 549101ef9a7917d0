//! Which database a command is about: the one that is named, or the private one of `rowcast dev`.

use std::path::PathBuf;

use crate::{
    config::Secret,
    db::Target,
    error::{Error, Kind, Result},
};

/// Where the data of `rowcast dev` are.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Folder {
    /// Folder of `rowcast dev`: its private Postgres and the secrets that were made for it.
    #[arg(long, env = "ROWCAST_DATA_DIR", default_value = ".rowcast")]
    pub(super) data_dir: PathBuf,
}

/// The database of a command that does not serve.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Place {
    /// Database: a PostgreSQL connection URL; without one, the private database of `rowcast dev`.
    #[arg(long = "database-url", env = "DATABASE_URL", hide_env_values = true, default_value = "")]
    pub(super) url: Secret,

    #[command(flatten)]
    pub(super) folder: Folder,
}

impl Place {
    /// Finds the database.
    pub(super) fn target(&self) -> Result<Target> {
        Target::parse(&self.folder.url_or_private(&self.url)?)
    }
}

impl Folder {
    /// The URL that was given, or else that of the private database.
    pub(super) fn url_or_private(&self, given: &Secret) -> Result<Secret> {
        if !given.is_empty() {
            return Ok(given.clone());
        }
        #[cfg(unix)]
        if let Some(url) = crate::db::embedded::url_of(&self.data_dir) {
            return Ok(url);
        }
        Err(Error::new(
            Kind::Missing,
            "No database given: set DATABASE_URL or --database-url, or start `rowcast dev` in this folder",
        ))
    }

    /// The secret that was given, or else the one that `rowcast dev` made.
    pub(super) fn secret_or_private(&self, given: Option<&Secret>) -> Option<Secret> {
        let kept = || std::fs::read_to_string(self.data_dir.join(JWT_SECRET)).ok();
        given.cloned().or_else(|| kept().map(|text| Secret::new(text.trim())))
    }
}

/// The file in the data folder that holds the secret of tokens.
pub(super) const JWT_SECRET: &str = "jwt-secret";
/// The file in the data folder that holds the token of the console.
pub(super) const ADMIN_TOKEN: &str = "admin-token";
