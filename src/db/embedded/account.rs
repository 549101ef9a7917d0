//! The unprivileged account that Postgres insists on: ourselves, or another one when we are root.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use nix::unistd::{Gid, Uid, User, chown, geteuid};

use super::elsewhere;
use crate::{
    config::Secret,
    error::{Error, Kind, Result},
};

/// Who runs Postgres.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account(Option<(Uid, Gid)>);

impl Account {
    /// Ourselves; as root `postgres`, else `nobody`.
    pub(super) fn choose() -> Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self(None));
        }
        let named = |name: &&str| User::from_name(name).ok().flatten();
        let user = ["postgres", "nobody"].iter().find_map(named).ok_or_else(|| {
            Error::new(
                Kind::Missing,
                "Postgres does not run as root, and there is neither a user `postgres` nor `nobody`; run as an ordinary user",
            )
        })?;
        Ok(Self(Some((user.uid, user.gid))))
    }

    /// Makes a command run as this account, free of our settings for Postgres's clients.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // Postgres looks at where it is, and may not look into our folder.
        command.current_dir("/").process_group(0);
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG"))
        {
            command.env_remove(name);
        }
        if let Some((uid, gid)) = self.0 {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        command
    }

    /// Hands a file or folder over to this account.
    pub(super) fn own(&self, path: &Path) -> Result<()> {
        match self.0 {
            Some((uid, gid)) => chown(path, Some(uid), Some(gid)).map_err(Error::internal),
            None => Ok(()),
        }
    }

    /// Picks the folder that the cluster lives in: ours, or one in the machine's temporary folder when this account may
    /// not pass through what is above ours, such as `/root`. `salt` ties that one to our folder's present life.
    pub(super) fn place(&self, ours: &Path, salt: &Secret) -> Result<PathBuf> {
        self.let_pass(ours);
        if self.may_reach(ours) {
            return Ok(ours.to_owned());
        }
        let parents =
            [Path::new("/var/tmp"), &std::env::temp_dir(), Path::new("/tmp")].map(Path::to_owned);
        let parent = parents.iter().find(|parent| parent.is_dir() && self.may_reach(parent));
        let parent = parent.ok_or_else(|| {
            Error::new(
                Kind::Forbidden,
                "No folder that Postgres's user may enter; choose one with --data-dir",
            )
        })?;
        elsewhere::sweep(parent);
        elsewhere::make(parent, ours, salt)
    }

    /// Opens our own folder, as far as passing through goes: what is secret in it has its own lock.
    fn let_pass(&self, ours: &Path) {
        if self.may_pass(ours) {
            return;
        }
        if let Ok(found) = fs::metadata(ours)
            && found.uid() == geteuid().as_raw()
        {
            let _ = fs::set_permissions(ours, fs::Permissions::from_mode(found.mode() | 0o011));
        }
    }

    fn may_reach(&self, folder: &Path) -> bool {
        folder.ancestors().all(|folder| self.may_pass(folder))
    }

    fn may_pass(&self, folder: &Path) -> bool {
        let Some((uid, gid)) = self.0 else { return true };
        let Ok(found) = fs::metadata(folder) else { return false };
        let bit = if found.uid() == uid.as_raw() {
            0o100
        } else if found.gid() == gid.as_raw() {
            0o010
        } else {
            0o001
        };
        found.mode() & bit != 0
    }
}

/// Names the file that an error is about.
pub(super) fn cannot(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::Forbidden, format!("Cannot {what} {}: {error}", path.display())).because(error)
}
