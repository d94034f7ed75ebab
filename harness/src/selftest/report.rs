//! What people read of it.

use super::table::{Sight, sight};
use super::{Alarm, Hunt, SelfTest};
use crate::check::CHECKS;
use std::fmt::{Display, Formatter, Result};

/// The most false alarms that are told in full.
const ALARMS_TOLD: usize = 8;

impl Display for SelfTest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        hunts(self, f)?;
        let (clean, struck, alarms) = (self.clean, self.struck, self.alarms.len());
        writeln!(
            f,
            "  {clean} worlds without a bug, {struck} of them with trouble in the services: {alarms} false alarms"
        )?;
        for alarm in self.alarms.iter().take(ALARMS_TOLD) {
            let finding = &alarm.finding;
            let (id, name, verdict) = (&finding.id, &finding.name, finding.verdict.as_str());
            writeln!(
                f,
                "    ✗ {}, seed {}: {id} {name} is {verdict}",
                alarm.scene, alarm.seed
            )?;
            let what = finding
                .sample
                .first()
                .map(|violation| &violation.what)
                .or(finding.why.as_ref());
            writeln!(f, "      {}", what.map_or("", String::as_str))?;
            let Alarm { scene, seed, .. } = alarm;
            writeln!(
                f,
                "      again: crashcart selftest --scene {scene} --seed {seed} --clean 1"
            )?;
        }
        spoiled(self, f)?;
        removed(self, f)?;
        let is_whole = self.config.only.is_none() && self.config.scene.is_none();
        let verdict = match (self.is_proved(), is_whole) {
            (true, true) => "PROVED",
            (true, false) => "PASSED",
            (false, _) => "NOT PROVED",
        };
        write!(f, "\n  {verdict}  in {:.1} s", self.took.as_secs_f64())
    }
}

fn hunts(test: &SelfTest, f: &mut Formatter<'_>) -> Result {
    if test.hunts.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "  {:<24} {:<12} {:<29} {:>5}  also seen by",
        "planted bug", "scene", "found by", "seeds"
    )?;
    for (bug, hunt) in &test.hunts {
        let (check, scene) = match sight(*bug) {
            Sight::By(check, scene) => (named(check), scene.name),
            Sight::Unseen(_) => (String::new(), ""),
        };
        let bug = bug.as_str();
        match hunt {
            Hunt::Found {
                seed,
                seeds,
                also,
                what,
            } => {
                writeln!(
                    f,
                    "  {bug:<24} {scene:<12} {check:<29} {seeds:>5}  {}",
                    also.join(" ")
                )?;
                if test.config.only.is_some() {
                    writeln!(f, "    seed {seed}: {what}")?;
                }
            }
            Hunt::Missed { seeds, also } => {
                let also = if also.is_empty() {
                    "nobody".to_owned()
                } else {
                    also.join(" ")
                };
                writeln!(
                    f,
                    "✗ {bug:<24} {scene:<12} {:<29} {seeds:>5}  {also}",
                    format!("not by {check}")
                )?;
            }
            Hunt::Unseen(why) => writeln!(f, "  {bug:<24} cannot be seen: {why}")?,
        }
    }
    let found = test
        .hunts
        .iter()
        .filter(|(_, hunt)| matches!(hunt, Hunt::Found { .. }))
        .count();
    writeln!(
        f,
        "\n  {found} of {} planted bugs found by the check that is meant for them",
        test.hunts.len()
    )
}

fn named(id: &str) -> String {
    let name = CHECKS
        .iter()
        .find(|check| check.id == id)
        .map_or("", |check| check.name);
    format!("{id} {name}")
}

fn spoiled(test: &SelfTest, f: &mut Formatter<'_>) -> Result {
    let (seen, unseen, idle) = (&test.spoiled_seen, &test.spoiled_unseen, &test.spoiled_idle);
    let all = seen.len() + unseen.len() + idle.len();
    writeln!(
        f,
        "  {all} ways to spoil a recording: {} seen, {} not seen",
        seen.len(),
        unseen.len()
    )?;
    for name in unseen {
        writeln!(f, "    ✗ {name}")?;
    }
    for (name, why) in idle {
        writeln!(f, "    – {name}: not tried, {why}")?;
    }
    Ok(())
}

fn removed(test: &SelfTest, f: &mut Formatter<'_>) -> Result {
    let wrong = test
        .removed
        .iter()
        .filter(|removed| !removed.wrong.is_empty());
    let wrong: Vec<_> = wrong.collect();
    let count = test.removed.len();
    if wrong.is_empty() {
        return writeln!(
            f,
            "  {count} sources taken away: each time the checks that need it know nothing, and only they"
        );
    }
    writeln!(
        f,
        "  {count} sources taken away, {} times with another effect than to make those unknown that need it",
        wrong.len()
    )?;
    for removed in wrong {
        writeln!(
            f,
            "    ✗ {}: {}",
            removed.source.file(),
            removed.wrong.join(" ")
        )?;
    }
    Ok(())
}
