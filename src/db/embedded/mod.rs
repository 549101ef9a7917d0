//! A private Postgres for `rowcast dev` and the tests: found, initialised, started, adopted, stopped.
//!
//! Nothing is downloaded. The cluster listens on the loopback address with a password that is kept in the data
//! folder; it survives a killed bridge, and the next start takes it over.

mod account;
mod binaries;
mod elsewhere;
mod process;
mod secrets;

use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use self::{
    account::{Account, cannot},
    process::Note,
};
pub use self::{binaries::Binaries, secrets::keep_secret};
use super::Target;
use crate::{
    config::Secret,
    error::{Error, Kind, Result},
    lifecycle::Lifecycle,
};

/// The role that owns the database, as `role.sql` makes it.
const ROLE: &str = "rowcast_dev";
const DATABASE: &str = "rowcast";
const SUPERUSER: &str = "postgres";
/// A crash recovery may take a while.
const START_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// What is left of a killed postmaster's backends holds its memory for a moment.
const TRIES: usize = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(500);
/// `sun_path` of the systems that we know, with room for `/.s.PGSQL.65535` and the closing zero.
const LONGEST_SOCKET_FOLDER: usize = 103 - 15;
const LARGEST_LOG: u64 = 10 << 20;

/// How a private cluster is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder that holds the cluster and its secrets; made when it is not there.
    pub data_dir: PathBuf,
    /// Port on the loopback address; 0 takes the one of last time, or any free one.
    pub port: u16,
    /// Whether commits survive a crash of the machine; tests do without.
    pub durable: bool,
    /// Further lines of `postgresql.conf`.
    pub settings: Vec<(String, String)>,
}

/// A private cluster that runs.
#[derive(Debug)]
pub struct Cluster {
    port: u16,
    pid: i32,
    child: Option<Child>,
    password: Secret,
    superuser_password: Secret,
    place: PathBuf,
    binaries: Binaries,
    /// Held as long as we live; the system lets go of it when we are killed.
    _lock: File,
}

impl Cluster {
    /// Starts the cluster of a folder, makes it first if need be, or takes over the one that still runs.
    pub async fn start(options: &Options) -> Result<Self> {
        let folder = make_folder(&options.data_dir)?;
        let lock = lock(&folder).await?;
        let account = Account::choose()?;
        let password = keep_secret(&folder.join("password"))?;
        let superuser_password = keep_secret(&folder.join("superuser-password"))?;
        let place = account.place(&folder, &superuser_password)?;
        let data = place.join("postgres");
        let binaries = Binaries::find(major_of(&data))?;
        if !data.exists() {
            initialise(&binaries, account, &place, &superuser_password, options.durable)?;
        }
        let mut cluster = Self {
            port: 0,
            pid: 0,
            child: None,
            password,
            superuser_password,
            place,
            binaries,
            _lock: lock,
        };
        cluster.adopt_or_run(options, account, &folder).await?;
        cluster.prepare().await?;
        Ok(cluster)
    }

    /// The URL for the role that owns the database.
    pub fn url(&self) -> Secret {
        self.url_of(ROLE, &self.password, DATABASE)
    }

    /// The URL for the superuser, who makes roles and databases.
    pub fn superuser_url(&self) -> Secret {
        self.url_of(SUPERUSER, &self.superuser_password, SUPERUSER)
    }

    /// The process that runs the cluster.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The programs that run the cluster.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The folder that Postgres calls its data directory.
    pub fn data(&self) -> PathBuf {
        self.place.join("postgres")
    }

    /// Cuts clients off and stops; the data stays.
    pub async fn stop(mut self) {
        process::stop(self.pid, &self.data(), self.child.take()).await;
    }

    /// Leaves it running without us: somebody else stops it.
    pub fn leave_running(self) {}

    fn url_of(&self, user: &str, password: &Secret, database: &str) -> Secret {
        let (password, port) = (password.reveal(), self.port);
        Secret::new(format!("postgres://{user}:{password}@127.0.0.1:{port}/{database}"))
    }

    async fn adopt_or_run(
        &mut self,
        options: &Options,
        account: Account,
        folder: &Path,
    ) -> Result<()> {
        let data = self.data();
        let kept = folder.join("port");
        if let Some(note) = Note::of_running(&data) {
            self.port = note.port;
            self.pid = note.pid;
            if (options.port == 0 || options.port == note.port) && self.answers().await.is_ok() {
                tracing::info!(pid = note.pid, "took over the Postgres that still runs");
                return Ok(());
            }
            process::stop(note.pid, &data, None).await;
        }
        let last = fs::read_to_string(&kept).ok().and_then(|text| text.trim().parse().ok());
        self.port = free_port(options.port, last)?;
        for tries_left in (0..TRIES).rev() {
            Note::remove_if_stale(&data);
            match self.run(options, account).await {
                Err(_) if tries_left > 0 => tokio::time::sleep(BETWEEN_TRIES).await,
                result => {
                    result?;
                    break;
                }
            }
        }
        fs::write(&kept, self.port.to_string()).map_err(|error| cannot("write", &kept, error))
    }

    async fn run(&mut self, options: &Options, account: Account) -> Result<()> {
        let data = self.data();
        self.write_settings(options, account)?;
        let log = self.place.join("postgres.log");
        let too_large = fs::metadata(&log).is_ok_and(|found| found.len() > LARGEST_LOG);
        let file = File::options()
            .create(true)
            .append(!too_large)
            .write(true)
            .truncate(too_large)
            .open(&log);
        let file = file.map_err(|error| cannot("write", &log, error))?;
        let errors = file.try_clone().map_err(|error| cannot("write", &log, error))?;
        let program = self.binaries.program("postgres");
        let child = account
            .command(&program)
            .arg("-D")
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .map_err(|error| cannot("run", &program, error))?;
        self.pid = i32::try_from(child.id()).map_err(Error::internal)?;
        self.child = Some(child);
        self.answers().await
    }

    /// Waits until the cluster lets us in, or has ended.
    async fn answers(&mut self) -> Result<()> {
        let target = Target::parse(&self.superuser_url())?;
        let waiting = async {
            loop {
                let ended = match &mut self.child {
                    Some(child) => !matches!(child.try_wait(), Ok(None)),
                    None => Note::of_running(&self.place.join("postgres")).is_none(),
                };
                if ended {
                    return Err(self.failed("Postgres does not start"));
                }
                match target.connect().await {
                    Ok(_) => return Ok(()),
                    // Starting up, recovering, not listening yet; a wrong password will not get better.
                    Err(error) if error.kind == Kind::Unavailable => {}
                    Err(error) => return Err(error),
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        match tokio::time::timeout(START_WITHIN, waiting).await {
            Ok(result) => result,
            Err(_) => Err(self.failed("Postgres does not answer")),
        }
    }

    fn failed(&self, what: &str) -> Error {
        let log = self.place.join("postgres.log");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(5)..].join("\n  ");
        Error::new(Kind::Unavailable, format!("{what}; the end of {}:\n  {tail}", log.display()))
    }

    /// Settings live in a file of ours that `postgresql.conf` includes, so that `pg_ctl` starts the same cluster.
    fn write_settings(&self, options: &Options, account: Account) -> Result<()> {
        let socket = self.place.as_os_str().len() <= LONGEST_SOCKET_FOLDER;
        let socket = if socket { self.data().display().to_string() } else { String::new() };
        let socket = if socket.len() <= LONGEST_SOCKET_FOLDER { socket } else { String::new() };
        let mut lines = vec![
            "# written by Rowcast at every start".to_owned(),
            format!("port = {}", self.port),
            "listen_addresses = '127.0.0.1'".to_owned(),
            format!("unix_socket_directories = '{}'", socket.replace('\'', "''")),
            "max_connections = 100".to_owned(),
            "max_prepared_transactions = 10".to_owned(),
            "timezone = 'UTC'".to_owned(),
            "log_timezone = 'UTC'".to_owned(),
        ];
        if !options.durable {
            lines.push("fsync = off\nfull_page_writes = off".to_owned());
        }
        let given = options.settings.iter();
        lines
            .extend(given.map(|(name, value)| format!("{name} = '{}'", value.replace('\'', "''"))));
        let file = self.data().join("rowcast.conf");
        fs::write(&file, lines.join("\n") + "\n").map_err(|error| cannot("write", &file, error))?;
        account.own(&file)
    }

    /// Makes the role and the database, or sets the role's password again.
    async fn prepare(&self) -> Result<()> {
        let lifecycle = Lifecycle::new();
        let client = Target::parse(&self.superuser_url())?.client(&lifecycle).await?;
        let password = self.password.reveal();
        client.execute("select set_config('rowcast.password', $1, false)", &[&password]).await?;
        client.batch_execute(include_str!("role.sql")).await?;
        let there = "select from pg_database where datname = $1";
        if client.query_opt(there, &[&DATABASE]).await?.is_none() {
            client.batch_execute(include_str!("database.sql")).await?;
        }
        Ok(())
    }
}

/// The URL of a cluster that `dev` made in a folder before, whether or not it runs now.
pub fn url_of(data_dir: &Path) -> Option<Secret> {
    let read = |name| fs::read_to_string(data_dir.join(name)).ok();
    let (password, port) = (read("password")?, read("port")?);
    let (password, port) = (password.trim(), port.trim());
    Some(Secret::new(format!("postgres://{ROLE}:{password}@127.0.0.1:{port}/{DATABASE}")))
}

fn make_folder(folder: &Path) -> Result<PathBuf> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        // There are secrets in it, and it often lies in a checkout.
        .and_then(|()| fs::write(folder.join(".gitignore"), "*\n"))
        .and_then(|()| folder.canonicalize())
        .map_err(|error| cannot("create", folder, error))
}

async fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| cannot("write", &path, error))?;
    // A program that is just being started holds what its parent has let go of, for a moment.
    for _ in 0..TRIES {
        if file.try_lock().is_ok() {
            return Ok(file);
        }
        tokio::time::sleep(BETWEEN_TRIES / 4).await;
    }
    let folder = folder.display();
    Err(Error::new(
        Kind::Conflict,
        format!("Another `rowcast dev` runs in {folder}; stop it, or choose another --data-dir"),
    ))
}

/// The major version of a data folder; none when there is no cluster yet.
fn major_of(data: &Path) -> Option<u32> {
    fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().parse().ok()
}

/// Makes the cluster beside its place and moves it there when it is complete, so that a killed start leaves nothing half.
fn initialise(
    binaries: &Binaries,
    account: Account,
    place: &Path,
    password: &Secret,
    durable: bool,
) -> Result<()> {
    let (data, new) = (place.join("postgres"), place.join("postgres.new"));
    let _ = fs::remove_dir_all(&new);
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&new)
        .map_err(|error| cannot("create", &new, error))?;
    account.own(&new)?;
    let word = place.join("postgres.word");
    secrets::write(&word, password.reveal())?;
    account.own(&word)?;
    let program = binaries.program("initdb");
    let mut command = account.command(&program);
    command.arg("-D").arg(&new).args(["-U", SUPERUSER, "-A", "scram-sha-256", "-E", "UTF8"]);
    command.arg("--locale=C");
    if !durable {
        command.arg("--no-sync");
    }
    let mut flag = std::ffi::OsString::from("--pwfile=");
    flag.push(&word);
    let output = command.arg(flag).stdin(Stdio::null()).output();
    let _ = fs::remove_file(&word);
    let output = output.map_err(|error| cannot("run", &program, error))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(Kind::Unavailable, format!("initdb failed: {}", why.trim())));
    }
    let main = new.join("postgresql.conf");
    let text = fs::read_to_string(&main).map_err(|error| cannot("read", &main, error))?;
    fs::write(&main, text + "\ninclude_if_exists = 'rowcast.conf'\n")
        .map_err(|error| cannot("write", &main, error))?;
    fs::rename(&new, &data).map_err(|error| cannot("create", &data, error))
}

/// The port that was asked for, which must be free; else that of last time, else any.
fn free_port(wanted: u16, last: Option<u16>) -> Result<u16> {
    let bind = |port: u16| {
        TcpListener::bind(("127.0.0.1", port)).and_then(|listener| listener.local_addr())
    };
    if wanted != 0 {
        return bind(wanted).map(|address| address.port()).map_err(|error| {
            Error::new(Kind::Conflict, format!("Port {wanted} for Postgres is taken: {error}"))
        });
    }
    let address = last.map_or_else(|| bind(0), |last| bind(last).or_else(|_| bind(0)));
    address.map(|address| address.port()).map_err(Error::internal)
}
