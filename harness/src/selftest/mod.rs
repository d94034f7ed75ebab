//! Proves the checks: a shop without bugs must pass in every scene, and every planted bug must be found.
//!
//! All of it happens in worlds, in this process, in virtual time; a seed is enough to see any of it again.

mod client;
mod command;
mod report;
pub mod scene;
mod stories;
pub mod table;
pub mod trial;

pub use command::{SelfTestArgs, command};

use crate::check::{self, CHECKS, Finding, Verdict};
use crate::corrupt;
use crate::evidence::{Evidence, Source};
use contract::Bug;
use scene::{SCENES, Scene};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use table::{Sight, sight};

/// What to try.
#[derive(Debug, Clone)]
pub struct Config {
    /// The first seed; the others follow it.
    pub seed: u64,
    /// How many seeds a bug is looked for in.
    pub seeds_per_bug: u64,
    /// How many worlds without a bug must pass; they take the scenes in turn.
    pub clean_seeds: u64,
    /// Only this bug.
    pub only: Option<Bug>,
    /// Worlds without a bug play only this scene, and no bug is looked for.
    pub scene: Option<&'static Scene>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            seeds_per_bug: 20,
            clean_seeds: 200,
            only: None,
            scene: None,
        }
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Bugs and clean worlds that are done.
    pub done: usize,
    /// How many there are.
    pub of: usize,
}

/// What became of a bug.
#[derive(Debug, Clone)]
pub enum Hunt {
    /// The named check found it.
    Found {
        /// The seed in which it did.
        seed: u64,
        /// How many seeds that took.
        seeds: u64,
        /// Which other checks object in this world.
        also: Vec<String>,
        /// What the check says.
        what: String,
    },
    /// The named check stayed silent in all seeds.
    Missed {
        /// How many seeds were tried.
        seeds: u64,
        /// Which other checks objected.
        also: Vec<String>,
    },
    /// No check can see it, which was known before, for this reason.
    Unseen(&'static str),
}

/// A check that does not say valid of a shop without bugs.
#[derive(Debug, Clone)]
pub struct Alarm {
    /// The scene.
    pub scene: &'static str,
    /// The seed.
    pub seed: u64,
    /// What the check says.
    pub finding: Finding,
}

/// A source that was taken away, and the checks that did not answer to that as they must.
#[derive(Debug, Clone)]
pub struct Removed {
    /// The source.
    pub source: Source,
    /// How many checks became unknown.
    pub unknown: usize,
    /// Checks that know something without a source that they need, or nothing although they do not need it.
    pub wrong: Vec<&'static str>,
}

/// What the proof of the checks came to.
#[derive(Debug, Clone)]
pub struct SelfTest {
    /// What was tried.
    pub config: Config,
    /// Each bug; none in a build without them.
    pub hunts: Vec<(Bug, Hunt)>,
    /// How many worlds without a bug were judged.
    pub clean: u64,
    /// In how many of them the services met with trouble.
    pub struck: usize,
    /// What checks had against them.
    pub alarms: Vec<Alarm>,
    /// Spoiled recordings that the named check saw.
    pub spoiled_seen: Vec<&'static str>,
    /// Those that it did not see.
    pub spoiled_unseen: Vec<&'static str>,
    /// Those that could not be tried, and why.
    pub spoiled_idle: Vec<(&'static str, String)>,
    /// Each source, taken away.
    pub removed: Vec<Removed>,
    /// How long all of it took.
    pub took: Duration,
}

impl SelfTest {
    /// Whether the checks are proved: all bugs found, no false alarm, nothing spoiled unseen.
    pub fn is_proved(&self) -> bool {
        let missed = self
            .hunts
            .iter()
            .any(|(_, hunt)| matches!(hunt, Hunt::Missed { .. }));
        let is_blind = self.removed.iter().any(|removed| !removed.wrong.is_empty());
        !missed && self.alarms.is_empty() && self.spoiled_unseen.is_empty() && !is_blind
    }

    /// 0 when the checks are proved, 109 otherwise: then the harness itself is wrong.
    pub fn exit_code(&self) -> u8 {
        if self.is_proved() { 0 } else { 109 }
    }
}

/// Does all of it, on as many threads as there are.
pub fn run(config: &Config, progress: &(dyn Fn(Progress) + Sync)) -> SelfTest {
    let begin = Instant::now();
    let bugs: Vec<Bug> = match config.only {
        _ if !platform::PLANTED || config.scene.is_some() => Vec::new(),
        Some(bug) => vec![bug],
        None => Bug::ALL.to_vec(),
    };
    let seeds: Vec<u64> = (0..config.clean_seeds).collect();
    let done = AtomicUsize::new(0);
    let of = bugs.len() + seeds.len();
    let step = || {
        progress(Progress {
            done: done.fetch_add(1, Ordering::Relaxed) + 1,
            of,
        });
    };
    let hunts = spread(&bugs, |bug| {
        let hunt = hunt(config, *bug);
        step();
        (*bug, hunt)
    });
    let clean = spread(&seeds, |nth| {
        let clean = clean(config, *nth);
        step();
        clean
    });
    let good = trial::run(config.seed, None, &scene::CALM);
    let proof = corrupt::prove(&good, config.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let (mut spoiled_unseen, mut spoiled_idle) = (proof.unseen, Vec::new());
    for name in proof.idle {
        match why_idle(&good, name) {
            Some(why) => spoiled_idle.push((name, why)),
            // In this evidence there is something of everything, so this operator is broken.
            None => spoiled_unseen.push(name),
        }
    }
    SelfTest {
        config: config.clone(),
        hunts,
        clean: config.clean_seeds,
        struck: clean.iter().filter(|clean| clean.struck > 0).count(),
        alarms: clean.into_iter().flat_map(|clean| clean.alarms).collect(),
        spoiled_seen: proof.seen,
        spoiled_unseen,
        spoiled_idle,
        removed: Source::ALL
            .into_iter()
            .map(|source| remove(&good, source))
            .collect(),
        took: begin.elapsed(),
    }
}

/// Looks for a bug in one seed after the other.
pub fn hunt(config: &Config, bug: Bug) -> Hunt {
    let (named, scene) = match sight(bug) {
        Sight::By(check, scene) => (check, scene),
        Sight::Unseen(why) => return Hunt::Unseen(why),
    };
    let mut others = BTreeSet::new();
    for n in 0..config.seeds_per_bug {
        let seed = config.seed.wrapping_add(n);
        let findings = check::judge(&trial::run(seed, Some(bug), scene));
        let invalid: Vec<Finding> = findings
            .into_iter()
            .filter(|finding| finding.verdict == Verdict::Invalid)
            .collect();
        let also: Vec<String> = ids(&invalid).filter(|id| id != named).collect();
        if let Some(found) = invalid.iter().find(|finding| finding.id == named) {
            let what = found
                .sample
                .first()
                .map_or_else(String::new, |violation| violation.what.clone());
            return Hunt::Found {
                seed,
                seeds: n + 1,
                also,
                what,
            };
        }
        others.extend(also);
    }
    Hunt::Missed {
        seeds: config.seeds_per_bug,
        also: others.into_iter().collect(),
    }
}

fn ids(findings: &[Finding]) -> impl Iterator<Item = String> {
    findings.iter().map(|finding| finding.id.clone())
}

/// A world without a bug.
#[derive(Debug, Clone)]
pub struct Clean {
    /// What the checks have against it: what is neither valid nor known not to be due.
    pub alarms: Vec<Alarm>,
    /// How often its services met with trouble.
    pub struck: u64,
}

fn clean(config: &Config, nth: u64) -> Clean {
    let in_turn = SCENES[usize::try_from(nth).unwrap_or(0) % SCENES.len()];
    judge_clean(
        config.seed.wrapping_add(nth),
        config.scene.unwrap_or(in_turn),
    )
}

/// Judges a shop without bugs in `scene`.
pub fn judge_clean(seed: u64, scene: &Scene) -> Clean {
    let trial::Trial { evidence, struck } = trial::tell(seed, None, scene);
    let findings = check::judge(&evidence).into_iter();
    let wrong =
        findings.filter(|finding| matches!(finding.verdict, Verdict::Invalid | Verdict::Unknown));
    let alarms = wrong
        .map(|finding| Alarm {
            scene: scene.name,
            seed,
            finding,
        })
        .collect();
    Clean { alarms, struck }
}

/// Why an operator could not apply to good evidence; none if it could have.
fn why_idle(good: &Evidence, name: &str) -> Option<String> {
    let corruption = corrupt::all().find(|corruption| corruption.name == name)?;
    let finding = check::judge_one(good, corruption.check)?;
    let is_due = finding.verdict != Verdict::NotApplicable;
    finding
        .why
        .filter(|_| !is_due)
        .map(|why| format!("{} is not due: {why}", corruption.check))
}

/// Takes a source away: exactly the checks that need it must know nothing.
fn remove(good: &Evidence, source: Source) -> Removed {
    let mut evidence = good.clone();
    evidence.missing.insert(source, "taken away".to_owned());
    let (mut unknown, mut wrong) = (0, Vec::new());
    for (check, finding) in CHECKS.iter().zip(check::judge(&evidence)) {
        let is_due = finding.verdict != Verdict::NotApplicable;
        let is_unknown = finding.verdict == Verdict::Unknown;
        unknown += usize::from(is_unknown);
        if is_unknown != (is_due && check.needs.contains(&source)) {
            wrong.push(check.id);
        }
    }
    Removed {
        source,
        unknown,
        wrong,
    }
}

/// Does `work` for each job, on as many threads as there are; the answers are in the order of the jobs.
fn spread<J: Sync, A: Send>(jobs: &[J], work: impl Fn(&J) -> A + Sync) -> Vec<A> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::with_capacity(jobs.len()));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(|| {
                while let Some((at, job)) = nth(jobs, next.fetch_add(1, Ordering::Relaxed)) {
                    let answer = work(job);
                    answers
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((at, answer));
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    answers.sort_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

fn nth<J>(jobs: &[J], at: usize) -> Option<(usize, &J)> {
    jobs.get(at).map(|job| (at, job))
}
