//! A PostgreSQL server of our own: as durable as a real one, with nothing in it but what a run puts there.

use super::account::Account;
use super::process::{LOOK, Process, signal};
use super::watchdog::Watchdog;
use super::{EngineError, find, free_port, last_lines, versions};
use rustix::process::Signal;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

const NAME: &str = "PostgreSQL";
const PACKAGE: &str = "postgresql";
/// How long it may take to get ready; after a kill it repairs itself first.
const READY: Duration = Duration::from_secs(60);
/// How long it may take to end.
const END: Duration = Duration::from_secs(10);

/// A running server, or one that was stopped for a while. It ends, and its directory goes, when this is dropped.
pub struct PrivatePostgres {
    dir: PathBuf,
    program: PathBuf,
    account: Account,
    port: u16,
    process: Option<Process>,
    /// The processor time of the processes that have ended.
    spent: Duration,
    watchdog: Watchdog,
}

impl PrivatePostgres {
    /// Makes a database cluster in a new folder below `dir`, starts its server, and returns when it is ready.
    ///
    /// # Errors
    /// [`EngineError`], with the package to install or what the server said.
    pub fn start(dir: &Path) -> Result<Self, EngineError> {
        let folders = versions("/usr/lib/postgresql", "bin");
        let program = find("postgres", &folders, PACKAGE)?;
        // Both of one version: the one beside the server comes first.
        let beside: Vec<PathBuf> = program.parent().map(Path::to_owned).into_iter().collect();
        let initdb = find("initdb", &beside, PACKAGE)?;
        let account = Account::find("postgres")?;
        let port = free_port().map_err(EngineError::system("a port"))?;
        let dir = dir.join(format!("postgres-{port}"));
        account.folder(&dir)?;
        let watchdog = Watchdog::start(&dir, "QUIT")?;
        let mut postgres = Self {
            dir,
            program,
            account,
            port,
            process: None,
            spent: Duration::ZERO,
            watchdog,
        };
        postgres.init(&initdb)?;
        postgres.start_again()?;
        Ok(postgres)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its address for somebody who may do everything.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// All its processes, the postmaster first; none while it is down.
    pub fn pids(&self) -> Vec<u32> {
        self.process.as_ref().map(Process::pids).unwrap_or_default()
    }

    /// The processor time that all its processes took, from its first start on.
    pub fn cpu(&self) -> Duration {
        self.spent + self.process.as_ref().map_or(Duration::ZERO, Process::cpu)
    }

    /// Stops it in order: transactions that are open are rolled back. One that is down stays down.
    pub fn stop(&mut self) {
        self.end(Signal::INT);
    }

    /// Stops it as a crash would, only without leaving processes behind; it repairs itself at the next start.
    pub fn stop_immediate(&mut self) {
        self.end(Signal::QUIT);
    }

    /// Starts it on the same data and the same port, and returns when it is ready.
    ///
    /// # Errors
    /// [`EngineError::Failed`] when it ends or is not ready in time.
    pub fn start_again(&mut self) -> Result<(), EngineError> {
        if self.process.is_some() {
            return Ok(());
        }
        let log = self.log()?;
        let errors = log.try_clone().map_err(EngineError::system("its log"))?;
        let mut command = self.account.command(&self.program, &self.dir);
        command
            .arg("-D")
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        let process = self.process.insert(Process::spawn(&mut command)?);
        self.watchdog.tell(&[process.pid()]);
        self.wait_until_ready()
    }

    /// An immediate shutdown and a new start: every connection is lost, what was committed is not.
    ///
    /// # Errors
    /// As [`Self::start_again`].
    pub fn restart_immediate(&mut self) -> Result<(), EngineError> {
        self.stop_immediate();
        self.start_again()
    }

    /// Ends every connection to a database whose name begins with `prefix`; returns how many there were.
    pub fn terminate_backends(&self, prefix: &str) -> usize {
        let mut ended = 0;
        for pid in self.pids().into_iter().skip(1) {
            let title = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let title = String::from_utf8_lossy(&title).into_owned();
            // `postgres: USER DATABASE CLIENT(PORT) what it does`; workers of the server have no client.
            let words: Vec<&str> = title.split_ascii_whitespace().collect();
            let is_client = words.get(3).is_some_and(|client| client.contains('('));
            if is_client && words[2].starts_with(prefix) {
                signal(pid, Signal::TERM);
                ended += 1;
            }
        }
        ended
    }

    /// Stops all its processes where they stand: nobody is answered, and no connection closes.
    pub fn pause(&self) {
        if let Some(process) = &self.process {
            process.pause();
        }
    }

    /// Lets them go on.
    pub fn resume(&self) {
        if let Some(process) = &self.process {
            process.resume();
        }
    }

    fn end(&mut self, how: Signal) {
        if let Some(process) = self.process.take() {
            self.spent += process.cpu();
            process.end(how, END);
            self.watchdog.tell(&[]);
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn log(&self) -> Result<File, EngineError> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"));
        file.map_err(EngineError::system("its log"))
    }

    fn init(&self, initdb: &Path) -> Result<(), EngineError> {
        let log = self.log()?;
        let errors = log.try_clone().map_err(EngineError::system("its log"))?;
        let status = self
            .account
            .command(initdb, &self.dir)
            // Its files reach the disk with the first checkpoint; no data is in them yet.
            .args(["--username=postgres", "--auth=trust", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C", "-D"])
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .status()
            .map_err(EngineError::system(initdb.display().to_string()))?;
        if !status.success() {
            return Err(self.failed("could not make a cluster"));
        }
        // No socket in the file system: the path of a temporary directory can be too long for one.
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = ''\nfsync = on\n\
             synchronous_commit = on\nmax_connections = 100\nshared_buffers = 128MB\nlog_min_messages = warning\n",
            self.port
        );
        let file = self.data().join("postgresql.conf");
        let usual = std::fs::read_to_string(&file).map_err(EngineError::system("its settings"))?;
        self.account
            .file(&file, &format!("{usual}\n# By crashcart\n{settings}"))
    }

    fn wait_until_ready(&mut self) -> Result<(), EngineError> {
        let began = Instant::now();
        let status = self.data().join("postmaster.pid");
        while began.elapsed() < READY {
            let Some(process) = &mut self.process else {
                break;
            };
            if process.has_ended() {
                self.process = None;
                self.watchdog.tell(&[]);
                return Err(self.failed("ended as it started"));
            }
            // Its own word: the first line is its process, the eighth its state.
            let told = std::fs::read_to_string(&status).unwrap_or_default();
            let lines: Vec<&str> = told.lines().map(str::trim).collect();
            let is_ours = lines.first() == Some(&process.pid().to_string().as_str());
            if is_ours && lines.get(7) == Some(&"ready") {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        self.stop_immediate();
        Err(self.failed(&format!("was not ready after {READY:?}")))
    }

    fn failed(&self, what: &str) -> EngineError {
        EngineError::Failed {
            engine: NAME,
            what: what.to_owned(),
            log: last_lines(&self.dir.join("log")),
        }
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        // The watchdog, which goes after this, removes the directory.
        self.stop_immediate();
    }
}
