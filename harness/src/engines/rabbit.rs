//! A RabbitMQ node of our own, with a port mapper of its own: it never meets another node of this machine.

use super::account::Account;
use super::process::{LOOK, Process};
use super::watchdog::Watchdog;
use super::{EngineError, Waiting, find, free_port, last_lines, versions};
use rustix::process::Signal;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const NAME: &str = "RabbitMQ";
const PACKAGE: &str = "rabbitmq-server";
/// How long it may take to get ready; five to ten seconds are usual.
const READY: Duration = Duration::from_secs(120);
/// How long it may take to end in order; three seconds are usual.
const END: Duration = Duration::from_secs(30);
/// How long a word from it may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// A running node, or one that was stopped for a while. It ends, and its directory goes, when this is dropped.
pub struct PrivateRabbit {
    dir: PathBuf,
    programs: PathBuf,
    account: Account,
    ports: Ports,
    process: Option<Process>,
    /// The processor time of the processes that have ended.
    spent: Duration,
    mapper: Process,
    watchdog: Watchdog,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    amqp: u16,
    /// Between nodes, and from the command line to one.
    distribution: u16,
    mapper: u16,
    /// For Prometheus, if it may ask.
    metrics: Option<u16>,
}

impl PrivateRabbit {
    /// Starts a node with nothing in it in a new folder below `dir`, and returns when it is ready.
    ///
    /// # Errors
    /// [`EngineError`], with the package to install or what the node said.
    pub fn start(dir: &Path) -> Result<Self, EngineError> {
        Self::start_and_tell(dir, &mut |_| ())
    }

    /// As [`Self::start`]; `waiting` is told how long it has been waited.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_and_tell(dir: &Path, waiting: Waiting<'_>) -> Result<Self, EngineError> {
        Self::make(dir, None, waiting)
    }

    /// As [`Self::start`]; Prometheus may ask it for its own figures, see [`Self::metrics`].
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_measured(dir: &Path) -> Result<Self, EngineError> {
        let port = free_port().map_err(EngineError::system("a port"))?;
        Self::make(dir, Some(port), &mut |_| ())
    }

    fn make(dir: &Path, metrics: Option<u16>, waiting: Waiting<'_>) -> Result<Self, EngineError> {
        // Debian's own commands insist on root or on an account; what they call in the end does not.
        let mut folders = versions("/usr/lib/rabbitmq/lib", "sbin");
        folders.push("/usr/lib/rabbitmq/bin".into());
        let server = find("rabbitmq-server", &folders, PACKAGE)?;
        let programs = server.parent().map(Path::to_owned).unwrap_or_default();
        let mapper = find("epmd", &versions("/usr/lib/erlang", "bin"), "erlang-base")?;
        let account = Account::find("rabbitmq")?;
        let port = || free_port().map_err(EngineError::system("a port"));
        let ports = Ports {
            amqp: port()?,
            distribution: port()?,
            mapper: port()?,
            metrics,
        };
        let dir = dir.join(format!("rabbit-{}", ports.amqp));
        account.folder(&dir)?;
        let watchdog = Watchdog::start(&dir, "KILL")?;
        write_settings(account, &dir, ports)?;
        let mapper = start_mapper(account.command(&mapper, &dir), ports)?;
        let mut rabbit = Self {
            dir,
            programs,
            account,
            ports,
            process: None,
            spent: Duration::ZERO,
            mapper,
            watchdog,
        };
        rabbit.start_again_and_tell(waiting)?;
        Ok(rabbit)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.amqp).into()
    }

    /// Where Prometheus may ask; nowhere unless it was started for that.
    pub fn metrics(&self) -> Option<SocketAddr> {
        let port = self.ports.metrics?;
        Some((Ipv4Addr::LOCALHOST, port).into())
    }

    /// Its address for somebody who may do everything.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.ports.amqp)
    }

    /// All its processes, the node first; none while it is down.
    pub fn pids(&self) -> Vec<u32> {
        self.process.as_ref().map(Process::pids).unwrap_or_default()
    }

    /// The processor time that all its processes took, from its first start on.
    pub fn cpu(&self) -> Duration {
        self.spent + self.process.as_ref().map_or(Duration::ZERO, Process::cpu)
    }

    /// Stops it in order, which takes some seconds. One that is down stays down.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            self.spent += process.cpu();
            process.end(Signal::TERM, END);
            self.tell_watchdog();
        }
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            self.spent += process.cpu();
            process.kill();
            self.tell_watchdog();
        }
    }

    /// Starts it on the same data and the same port, and returns when it is ready.
    ///
    /// # Errors
    /// [`EngineError::Failed`] when it ends or is not ready in time.
    pub fn start_again(&mut self) -> Result<(), EngineError> {
        self.start_again_and_tell(&mut |_| ())
    }

    /// Makes the node close all its connections, which tells the clients so; returns how many there were.
    ///
    /// # Errors
    /// [`EngineError`] when the node does not answer.
    pub fn close_connections(&self) -> Result<u64, EngineError> {
        let told = self.control(&["close_all_connections", "closed on purpose by crashcart"])?;
        // `Closed 6 connections`
        let count = told
            .lines()
            .filter_map(|line| line.strip_prefix("Closed "))
            .find_map(|rest| rest.split_once(' ')?.0.parse().ok());
        Ok(count.unwrap_or(0))
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

    /// What `rabbitmqctl` with these arguments prints.
    ///
    /// # Errors
    /// [`EngineError`] when the node does not run, or refuses.
    pub fn control(&self, arguments: &[&str]) -> Result<String, EngineError> {
        if self.process.is_none() {
            return Err(EngineError::NotRunning(NAME));
        }
        let output = self
            .command("rabbitmqctl")
            .args(["--node", &node(self.ports), "--timeout", "30"])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(EngineError::system("rabbitmqctl"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(EngineError::Failed {
            engine: NAME,
            what: format!("does not {}", arguments.join(" ")),
            log: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn start_again_and_tell(&mut self, waiting: Waiting<'_>) -> Result<(), EngineError> {
        if self.process.is_some() {
            return Ok(());
        }
        let log = self.dir.join("log/console");
        let opened = File::options().create(true).append(true).open(&log);
        let opened = opened.map_err(EngineError::system("its log"))?;
        let errors = opened.try_clone().map_err(EngineError::system("its log"))?;
        let mut command = self.command("rabbitmq-server");
        command.stdin(Stdio::null()).stdout(opened).stderr(errors);
        self.process = Some(Process::spawn(&mut command)?);
        self.tell_watchdog();
        self.wait_until_ready(waiting)
    }

    fn wait_until_ready(&mut self, waiting: Waiting<'_>) -> Result<(), EngineError> {
        let began = Instant::now();
        while began.elapsed() < READY {
            if self.process.as_mut().is_none_or(Process::has_ended) {
                self.process = None;
                self.tell_watchdog();
                return Err(self.failed("ended as it started"));
            }
            if greets(self.address()) {
                return Ok(());
            }
            waiting(began.elapsed());
            std::thread::sleep(LOOK * 5);
        }
        self.kill();
        Err(self.failed(&format!("was not ready after {READY:?}")))
    }

    fn command(&self, program: &str) -> Command {
        let (dir, ports) = (&self.dir, self.ports);
        let etc = dir.join("etc");
        let mut command = self.account.command(&self.programs.join(program), dir);
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            // Nothing that was meant for another node may reach this one.
            .env_clear()
            .env("PATH", path)
            .env("LANG", "C.UTF-8")
            .env("HOME", dir.join("home"))
            .env("ERL_EPMD_PORT", ports.mapper.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", node(ports))
            .env("RABBITMQ_DIST_PORT", ports.distribution.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", etc.join("none"))
            .env("RABBITMQ_CONFIG_FILE", etc.join("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", etc.join("none.config"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", etc.join("plugins"))
            .env("RABBITMQ_MNESIA_BASE", dir.join("data"))
            .env("RABBITMQ_LOG_BASE", dir.join("log"))
            .env("RABBITMQ_LOGS", dir.join("log/node"));
        if program == "rabbitmq-server" {
            // The script becomes the node instead of staying beside it, so that a signal reaches whom it is for.
            command.env("RUNNING_UNDER_SYSTEMD", "true").env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}",
            );
        }
        command
    }

    fn tell_watchdog(&mut self) {
        let pids = [Some(&self.mapper), self.process.as_ref()];
        let pids: Vec<u32> = pids.into_iter().flatten().map(Process::pid).collect();
        self.watchdog.tell(&pids);
    }

    fn failed(&self, what: &str) -> EngineError {
        let log = |name: &str| last_lines(&self.dir.join("log").join(name));
        EngineError::Failed {
            engine: NAME,
            what: what.to_owned(),
            log: format!("{}\n{}", log("console"), log("node")),
        }
    }
}

impl Drop for PrivateRabbit {
    fn drop(&mut self) {
        // Nobody needs its data any more; the watchdog, which goes after this, removes it.
        self.kill();
    }
}

fn node(ports: Ports) -> String {
    format!("crashcart{}@localhost", ports.amqp)
}

fn write_settings(account: Account, dir: &Path, ports: Ports) -> Result<(), EngineError> {
    for folder in ["etc", "home", "data", "log"] {
        account.folder(&dir.join(folder))?;
    }
    let mut settings = format!(
        "listeners.tcp.1 = 127.0.0.1:{}\nlog.console = false\nlog.file.level = warning\n",
        ports.amqp
    );
    let mut plugins = "[].\n";
    if let Some(port) = ports.metrics {
        plugins = "[rabbitmq_prometheus].\n";
        // Writing into a string cannot fail.
        let _ = writeln!(
            settings,
            "prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {port}"
        );
    }
    account.file(&dir.join("etc/rabbitmq.conf"), &settings)?;
    account.file(&dir.join("etc/plugins"), plugins)?;
    // Only who can read this file can command the node; nothing secret is in it.
    let cookie = dir.join("home/.erlang.cookie");
    account.file(&cookie, &format!("CRASHCART{}", crate::now_us()))?;
    let only_owner = std::os::unix::fs::PermissionsExt::from_mode(0o400);
    std::fs::set_permissions(&cookie, only_owner).map_err(EngineError::system("its cookie"))
}

/// Starts what tells nodes and commands where a node listens.
fn start_mapper(mut command: Command, ports: Ports) -> Result<Process, EngineError> {
    command
        .args(["-port", &ports.mapper.to_string()])
        .args(["-address", "127.0.0.1"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut mapper = Process::spawn(&mut command)?;
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, ports.mapper).into();
    let until = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect_timeout(&address, PATIENCE).is_err() {
        if mapper.has_ended() || Instant::now() > until {
            return Err(EngineError::Failed {
                engine: NAME,
                what: "has no port mapper: epmd did not start".to_owned(),
                log: String::new(),
            });
        }
        std::thread::sleep(LOOK);
    }
    Ok(mapper)
}

/// Whether somebody who speaks AMQP 0-9-1 listens there.
fn greets(address: SocketAddr) -> bool {
    let greeting = || -> std::io::Result<u8> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        Ok(kind[0])
    };
    // A method frame: the server begins the handshake.
    greeting().is_ok_and(|kind| kind == 1)
}
