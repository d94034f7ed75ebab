//! `crashcart run` and `crashcart check`: both end with the report of a recording.

use crate::cli::{CheckArgs, RunArgs};
use harness::report::Report;
use harness::run::{self, RunConfig, RunError, judge_recording, write_report};
use harness::target::Place;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

/// `crashcart run`
pub(crate) fn run(args: RunArgs) -> ExitCode {
    let seed = args.seed.unwrap_or_else(platform::os_seed);
    say!(
        "crashcart run · seed {seed}{}\n",
        args.plant
            .map_or(String::new(), |bug| format!(" · planted bug {bug}"))
    );
    let place = match (args.child, std::env::current_exe()) {
        (false, _) => Place::Here,
        (true, Ok(program)) => Place::Child { program },
        (true, Err(error)) => {
            return fail(&RunError::SetUp(format!("where is this program? {error}")));
        }
    };
    let replay = replay(&args, seed);
    let config = RunConfig {
        orders: args.orders,
        rate: args.rate,
        duration: args.duration,
        stories: args.stories.0.into_iter().collect(),
        faults: args.faults.0,
        stock_percent: args.stock,
        seed,
        place,
        data: args.data,
        runs: args.runs,
        thresholds: args.threshold,
        planted: args.plant,
        // Services complain about every fault that they are meant to suffer.
        log_filter: std::env::var("RUST_LOG").unwrap_or_else(|_| "off".to_owned()),
        quiet: args.quiet,
        replay,
    };
    match run::run(&config) {
        Ok(report) => show(&report, false),
        Err(error) => fail(&error),
    }
}

/// `crashcart check`
pub(crate) fn check(args: &CheckArgs) -> ExitCode {
    match judge_recording(&args.recording, &args.threshold) {
        Ok(report) => show(&report, args.json),
        // There is nothing wrong with the shop; the folder is not what it should be.
        Err(error) => fail(&RunError::Config(error.to_string())),
    }
}

fn show(report: &Report, json: bool) -> ExitCode {
    if let Some(Err(error)) = report
        .recording
        .as_deref()
        .map(|dir| write_report(Path::new(dir), report))
    {
        eprintln!("crashcart: the report could not be written: {error}");
    }
    if json {
        say!(
            "{}",
            serde_json::to_string_pretty(&report.summary).unwrap_or_default()
        );
    } else {
        say!("{report}");
    }
    ExitCode::from(report.summary.exit_code)
}

fn fail(error: &RunError) -> ExitCode {
    eprintln!("crashcart: {error}");
    ExitCode::from(error.exit().code())
}

/// The command that does it again.
fn replay(args: &RunArgs, seed: u64) -> String {
    let mut line = format!("crashcart run --seed {seed} -r {}", args.rate);
    let mut add = |flag: String| {
        // Writing into a string cannot fail.
        let _ = write!(line, " {flag}");
    };
    if let Some(duration) = args.duration {
        add(format!("-d {}ms", duration.as_millis()));
    }
    if let Some(orders) = &args.orders {
        add(format!("--orders {}", orders.display()));
    }
    if args.stories.0.len() < harness::run::default_stories().len() {
        let names: Vec<&str> = args.stories.0.iter().map(|story| story.as_str()).collect();
        add(format!(
            "--stories {}",
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(",")
            }
        ));
    }
    if let Some(kinds) = &args.faults.0 {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
        add(format!(
            "--faults {}",
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(",")
            }
        ));
    }
    if args.stock != 100 {
        add(format!("--stock {}", args.stock));
    }
    if args.child {
        add("--child".to_owned());
    }
    if let Some(data) = &args.data {
        add(format!("--data {}", data.display()));
    }
    if let Some(bug) = args.plant {
        add(format!("--plant {bug}"));
    }
    line
}
