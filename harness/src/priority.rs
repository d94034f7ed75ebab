//! Who goes first when there is not enough processor for all: the generator, whose lateness would make the figures
//! worthless. It needs little; what it loads waits no longer for that.

use rustix::process::{Pid, setpriority_process};

/// How much less the processes of a run are worth to the system than the harness, in steps of `nice`.
const STEPS: i32 = 5;

/// Lets the harness go before this process and all that it will start. Call it right after its start.
pub(crate) fn give_way(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // Where it cannot be done everybody is equal, as before.
        let _ = setpriority_process(Some(pid), STEPS);
    }
}
