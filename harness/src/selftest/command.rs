//! `crashcart selftest`

use super::scene::{SCENES, Scene};
use super::{Config, Progress, run};
use contract::Bug;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::Write;

/// The flags of `crashcart selftest`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = HELP)]
pub struct SelfTestArgs {
    /// Look for this bug only
    #[arg(long, value_name = "NAME", value_parser = bug)]
    bug: Option<Bug>,
    /// In how many worlds to look for each bug
    #[arg(long, value_name = "N", default_value_t = Config::default().seeds_per_bug,
          value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// How many worlds without a bug must pass
    #[arg(long, value_name = "N", default_value_t = Config::default().clean_seeds)]
    clean: u64,
    /// Play only this scene, without a bug
    #[arg(long, value_name = "NAME", value_parser = scene, conflicts_with = "bug")]
    scene: Option<&'static Scene>,
    /// Where chance comes from
    #[arg(long, value_name = "N", default_value_t = Config::default().seed)]
    seed: u64,
    /// Show nothing but the report
    #[arg(short, long)]
    quiet: bool,
}

/// What `--help` ends with.
const HELP: &str = "\
Exit codes:
    0  the checks are proved: all bugs found, no false alarm
  104  the flags cannot be used, or this build has no planted bugs in it
  109  the checks are not proved: the harness is wrong";

/// How to get a build with the bugs in it.
const HOW: &str = "\
crashcart selftest: this build has no planted bugs in it.
  cargo run --release --features planted -- selftest";

/// Runs it and prints the report. Returns the exit code: 0 when the checks are proved, 109 when they are not, 104 in
/// a build without planted bugs.
pub fn command(args: &SelfTestArgs) -> u8 {
    if !platform::PLANTED {
        eprintln!("{HOW}");
        return 104;
    }
    let config = Config {
        seed: args.seed,
        seeds_per_bug: args.seeds,
        clean_seeds: args.clean,
        only: args.bug,
        scene: args.scene,
    };
    let mut out = std::io::stdout();
    // Whoever closes that early wants to hear no more, and still gets the exit code.
    let _ = writeln!(out, "crashcart selftest · seed {}\n", config.seed);
    let bar = if args.quiet {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(0)
    };
    bar.set_style(
        ProgressStyle::with_template("  {bar:30} {pos} of {len}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let result = run(&config, &|Progress { done, of }| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let _ = writeln!(out, "{result}");
    result.exit_code()
}

fn scene(name: &str) -> Result<&'static Scene, String> {
    let names = || SCENES.map(|scene| scene.name).join(", ");
    Scene::parse(name).ok_or_else(|| format!("must be one of {}", names()))
}

fn bug(name: &str) -> Result<Bug, String> {
    let names = || {
        Bug::ALL
            .iter()
            .map(|bug| bug.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    Bug::parse(name).ok_or_else(|| format!("must be one of {}", names()))
}
