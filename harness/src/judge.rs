//! `crashcart run` and `crashcart check`, which end with the report of a recording, and `crashcart trace`, which draws one
//! order of it.

use crate::cli::{CheckArgs, RunArgs, TraceArgs};
use crate::place::{Engine, place};
use harness::report::{Report, tree};
use harness::run::{self, RunConfig, RunError, judge_recording, veiled, write_report};
use harness::telemetry::{KEEP, TeeConfig};
use harness::ui::{order_page, write_page};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// `crashcart run`
pub(crate) fn run(args: RunArgs) -> ExitCode {
    let seed = args.seed.unwrap_or_else(platform::os_seed);
    say!(
        "crashcart run · seed {seed}{}\n",
        args.plant
            .map_or(String::new(), |bug| format!(" · planted bug {bug}"))
    );
    let place = match place(&args) {
        Ok(place) => place,
        Err(error) => return fail(&error),
    };
    let tee = match tee(&args) {
        Ok(tee) => tee,
        Err(error) => return fail(&error),
    };
    let replay = replay(&args, seed);
    // A shop that is broken on purpose has many errors to tell of; whoever wants to read them says so.
    let unasked = "off";
    let config = RunConfig {
        orders: args.orders,
        rate: args.rate,
        duration: args.duration,
        stories: args.stories.0.into_iter().collect(),
        faults: args.faults.0,
        stock_percent: args.stock,
        seed,
        place,
        ready_within: args.ready,
        data: args.data,
        runs: args.runs,
        thresholds: args.threshold,
        traces: args.traces,
        tee,
        metrics: args.metrics,
        planted: args.plant,
        log_filter: std::env::var("RUST_LOG").unwrap_or_else(|_| unasked.to_owned()),
        quiet: args.quiet,
        replay,
    };
    match run::run(&config) {
        Ok(mut report) => {
            page(&mut report);
            let code = show(&report, false);
            if let Some(bug) = config.planted.filter(|_| report.summary.exit_code == 0) {
                say!(
                    "  The bug did not show. It does when {}.\n",
                    bug.shows_when()
                );
            }
            code
        }
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

/// `crashcart trace`
pub(crate) fn trace(args: &TraceArgs) -> ExitCode {
    let told = match &args.html {
        Some(file) => order_page(&args.recording, args.order, file)
            .map(|()| file.display().to_string())
            .map_err(|error| error.to_string()),
        None => tree(&args.recording, args.order).map_err(|error| error.to_string()),
    };
    match told {
        Ok(told) => {
            say!("{told}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&RunError::Config(error)),
    }
}

/// Writes the page of a run. A verdict is one without it, too.
fn page(report: &mut Report) {
    let Some(dir) = report.recording.as_deref() else {
        return;
    };
    match write_page(Path::new(dir), report) {
        Ok(page) => report.traces = page.map(|page| page.display().to_string()),
        Err(error) => eprintln!("crashcart: the traces could not be written as a page: {error}"),
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
        // It ends its last line itself.
        let _ = std::io::stdout().write_all(report.to_string().as_bytes());
    }
    ExitCode::from(report.summary.exit_code)
}

fn fail(error: &RunError) -> ExitCode {
    eprintln!("crashcart: {error}");
    ExitCode::from(error.exit().code())
}

/// Where traces are handed on to, as flags and variables say. A variable is meant for many programs, and says nothing
/// where this one has nothing to hand on.
fn tee(args: &RunArgs) -> Result<Option<TeeConfig>, RunError> {
    let variable = |name: &str| std::env::var(name).ok();
    let endpoint = args.otlp_endpoint.as_deref();
    let keep = args.otlp_keep.unwrap_or(KEEP);
    let is_silent = args.traces <= 0.0 || !args.target.is_empty();
    let tee = if is_silent {
        Ok(None)
    } else {
        TeeConfig::read(endpoint, keep, variable)
    };
    let tee = tee.map_err(RunError::Config)?;
    if tee.is_none() && args.otlp_keep.is_some() {
        let why = "--otlp-keep: there is no collector to keep traces for; add --otlp-endpoint";
        return Err(RunError::Config(why.to_owned()));
    }
    Ok(tee)
}

/// The command that does it again.
fn replay(args: &RunArgs, seed: u64) -> String {
    let mut line = format!("crashcart run --seed {seed} -r {}", args.rate);
    let mut add = |flag: String| {
        // Writing into a string cannot fail.
        let _ = write!(line, " {flag}");
    };
    if let Some(duration) = args.duration {
        add(format!("-d {}s", duration.as_secs_f64()));
    }
    if let Some(orders) = &args.orders {
        add(format!(
            "--orders {}",
            quoted(&orders.display().to_string())
        ));
    }
    if args.stories.0.len() < harness::run::default_stories().len() {
        let names: Vec<&str> = args.stories.0.iter().map(|story| story.as_str()).collect();
        add(format!("--stories {}", list(&names)));
    }
    if let Some(kinds) = &args.faults.0 {
        let names: Vec<String> = kinds.iter().map(ToString::to_string).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        add(format!("--faults {}", list(&names)));
    }
    if args.stock != 100 {
        add(format!("--stock {}", args.stock));
    }
    if args.child {
        add("--child".to_owned());
    }
    engines(args, &mut add);
    if let Some(data) = &args.data {
        add(format!("--data {}", quoted(&data.display().to_string())));
    }
    for threshold in &args.threshold {
        add(format!("--threshold {}", quoted(threshold.as_str())));
    }
    if let Some(bug) = args.plant {
        add(format!("--plant {bug}"));
    }
    line
}

/// Where the shop runs, if that is not simply here.
fn engines(args: &RunArgs, add: &mut dyn FnMut(String)) {
    if args.engine != Engine::Embedded {
        add(format!("--engine {}", args.engine.as_str()));
    }
    for target in &args.target {
        add(format!("--target {}", quoted(&target.to_string())));
    }
    for (flag, url) in [("--postgres", &args.postgres), ("--amqp", &args.amqp)] {
        if let Some(url) = url {
            add(format!("{flag} {}", quoted(&veiled(url))));
        }
    }
    if let Some(replicas) = args.replicas {
        add(format!("--replicas {replicas}"));
    }
    if let Some(routing) = args.routing {
        add(format!("--routing {}", routing.as_str()));
    }
    if let Some(most) = args.batch_max {
        add(format!("--batch-max {most}"));
    }
    if args.ready != Duration::from_secs(60) {
        add(format!("--ready {}s", args.ready.as_secs_f64()));
    }
    if let Some(prefix) = &args.prefix {
        add(format!("--prefix {}", quoted(prefix)));
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(",")
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
