//! The account under which a server runs: neither of the two wants to be root.

use super::EngineError;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// An account that is not root.
#[derive(Debug, Clone, Copy)]
pub(super) enum Account {
    /// Whoever we are.
    Ours,
    /// Another one, to which we can change because we are root.
    Other { uid: u32, gid: u32 },
}

impl Account {
    /// Ours if we are not root; else that of `name`, or `nobody`.
    pub(super) fn find(name: &str) -> Result<Self, EngineError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Ours);
        }
        let accounts = std::fs::read_to_string("/etc/passwd")
            .map_err(EngineError::system("/etc/passwd cannot be read"))?;
        let named = |name: &str| {
            let mut lines = accounts.lines();
            lines.find_map(|line| {
                let mut fields = line.split(':');
                let is_it = fields.next() == Some(name);
                let uid = fields.nth(1)?.parse().ok()?;
                let gid = fields.next()?.parse().ok()?;
                is_it.then_some(Self::Other { uid, gid })
            })
        };
        named(name)
            .or_else(|| named("nobody"))
            .ok_or(EngineError::System {
                what: format!("no account {name} or nobody to run as"),
                error: std::io::ErrorKind::NotFound.into(),
            })
    }

    /// `program`, to be run under this account in `dir`.
    pub(super) fn command(self, program: &Path, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(dir);
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Makes a folder that belongs to this account.
    pub(super) fn folder(self, path: &Path) -> Result<(), EngineError> {
        std::fs::create_dir_all(path)
            .and_then(|()| self.own(path))
            .map_err(EngineError::system(path.display().to_string()))
    }

    /// Writes a file that belongs to this account.
    pub(super) fn file(self, path: &Path, text: &str) -> Result<(), EngineError> {
        std::fs::write(path, text)
            .and_then(|()| self.own(path))
            .map_err(EngineError::system(path.display().to_string()))
    }

    fn own(self, path: &Path) -> std::io::Result<()> {
        match self {
            Self::Ours => Ok(()),
            Self::Other { uid, gid } => chown(path, Some(uid), Some(gid)),
        }
    }
}
