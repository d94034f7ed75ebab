//! Ends the servers of a process that died without a word, and removes what they left.
//!
//! A shell reads a pipe whose other end only we hold. Each line names the processes that it has to end when the pipe
//! does. The kernel's own way (a signal at the parent's death) goes by threads, not processes, so it would end a
//! server together with the thread that started it.

use super::EngineError;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// `$1` is the directory, `$2` the signal that ends a server soon and cleanly.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
pids=
while read -r line; do pids=$line; done
tree() {
  echo "$1"
  for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do tree "$child"; done
}
if [ -n "$pids" ]; then
  all=$(for pid in $pids; do tree "$pid"; done)
  kill -CONT $all 2>/dev/null
  kill -"$2" $pids 2>/dev/null
  n=0
  while [ $n -lt 50 ] && kill -0 $pids 2>/dev/null; do sleep 0.1; n=$((n + 1)); done
  kill -KILL $all 2>/dev/null
fi
rm -rf -- "$1"
"#;

/// Watches over us from outside, until it is dropped.
pub(super) struct Watchdog {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Watches over `dir`, and over whom it is told of later.
    pub(super) fn start(dir: &Path, signal: &str) -> Result<Self, EngineError> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "watchdog"])
            .arg(dir)
            .arg(signal)
            // Ctrl-C is for us; it hears of it by our end.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(EngineError::system("/bin/sh cannot be started"))?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }

    /// From now on these are the processes to end.
    pub(super) fn tell(&mut self, pids: &[u32]) {
        let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
        if let Some(pipe) = &mut self.pipe {
            // Without a watchdog all is well as long as we end in order.
            let _ = writeln!(pipe, "{}", pids.join(" "));
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.tell(&[]);
        self.pipe = None;
        let _ = self.shell.wait();
    }
}
