//! `crashcart matrix`: one run for each fault that real engines can suffer, and a table of what came of them.

use crate::cli::MatrixArgs;
use crate::place::Engine;
use harness::faults::{FaultKind, Wanted};
use harness::report::{Exit, Report};
use harness::run::{self, RunConfig, RunError};
use harness::target::{Distribution, Place};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// How long the broker is away when it is away for long.
const OUTAGE: Duration = Duration::from_secs(10);

/// `crashcart matrix`
pub(crate) fn matrix(args: &MatrixArgs) -> ExitCode {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            eprintln!("crashcart: where is this program? {error}");
            return ExitCode::from(Exit::SetUp.code());
        }
    };
    let seed = args.seed.unwrap_or_else(platform::os_seed);
    let mut worst = 0_u8;
    for (n, wanted) in (0..).zip(cases(args)) {
        // Another seed each: else all of them would meet the same service.
        let config = config(args, (wanted, seed.wrapping_add(n)), &program);
        let ran = run::run(&config);
        if let (0, Ok(report)) = (n, &ran) {
            head(args, seed, report);
        }
        let code = match &ran {
            Ok(report) => report.summary.exit_code,
            Err(error) => error.exit().code(),
        };
        say!("{}", row(wanted, &ran));
        if worst == 0 {
            worst = code;
        }
        if matches!(ran, Err(RunError::Interrupted(_))) {
            break;
        }
    }
    ExitCode::from(worst)
}

/// What happens in each run: one thing, a quarter into the load.
fn cases(args: &MatrixArgs) -> Vec<Wanted> {
    let at = Some(args.duration / 4);
    if let Some(asked) = &args.faults {
        let timed = asked.0.iter().flatten();
        let timed = timed.map(|wanted| Wanted {
            at: wanted.at.or(at.filter(|_| wanted.kind.has_window())),
            ..*wanted
        });
        return timed.collect();
    }
    let kinds = FaultKind::ALL.into_iter();
    let kinds = kinds.filter(|kind| kind.needs_distributed());
    let each = kinds.map(|kind| Wanted {
        at,
        ..Wanted::from(kind)
    });
    let outage = Wanted {
        lasts: Some(OUTAGE),
        at,
        ..Wanted::from(FaultKind::BrokerRestart)
    };
    each.chain([outage]).collect()
}

fn config(args: &MatrixArgs, (wanted, seed): (Wanted, u64), program: &Path) -> RunConfig {
    let seconds = args.duration.as_secs_f64();
    let replay = format!(
        "crashcart run --engine {} --replicas {} -r {} -d {seconds}s --stories none --faults {wanted} --seed {seed}",
        Engine::Distributed.as_str(),
        args.replicas,
        args.rate,
    );
    RunConfig {
        orders: None,
        rate: args.rate,
        duration: Some(args.duration),
        stories: std::collections::BTreeSet::new(),
        faults: Some(vec![wanted]),
        stock_percent: 100,
        seed,
        place: Place::Distributed(Box::new(Distribution {
            program: program.to_owned(),
            postgres: None,
            amqp: None,
            replicas: usize::from(args.replicas),
            routing: platform::broker::Routing::Fanout,
            batch_max: None,
        })),
        ready_within: Duration::from_secs(60),
        data: None,
        runs: args.runs.clone(),
        thresholds: Vec::new(),
        traces: 1.0,
        tee: None,
        metrics: None,
        planted: None,
        log_filter: std::env::var("RUST_LOG").unwrap_or_else(|_| "off".to_owned()),
        quiet: true,
        replay,
    }
}

fn head(args: &MatrixArgs, seed: u64, report: &Report) {
    let summary = &report.summary;
    let day = contract::message::rfc3339(platform::Clock::Os.now_us()).unwrap_or_default();
    let day = day.get(..10).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let name = |version: &Option<String>| version.clone().unwrap_or_else(|| "?".to_owned());
    say!(
        "Faults on real engines, {day}: {} orders a second for {:?} each, replicas {}, {cores} cores, seed {seed}, PostgreSQL {}, RabbitMQ {}\n",
        args.rate,
        args.duration,
        args.replicas,
        name(&summary.engine.postgres),
        name(&summary.engine.rabbitmq),
    );
    say!(
        "| fault | where | verdict | accepted | refused | unknown | lasted s | back after ms | settle p99 ms | seen |"
    );
    say!("|---|---|---|---|---|---|---|---|---|---|");
}

fn row(wanted: Wanted, ran: &Result<Report, RunError>) -> String {
    let name = wanted.lasts.map_or_else(
        || wanted.kind.to_string(),
        |lasts| format!("{} for {lasts:?}", wanted.kind),
    );
    let summary = match ran {
        Ok(report) => &report.summary,
        Err(error) => {
            let why = error.to_string().replace('\n', " ");
            return format!("| {name} | – | no verdict: {why} | | | | | | | |");
        }
    };
    let fault = summary.faults.first();
    let lasted = fault.and_then(|fault| Some(fault.to_ms? - fault.from_ms?));
    #[expect(clippy::cast_precision_loss, reason = "no fault lasts 2^53 ms")]
    let lasted = lasted.map_or("–".to_owned(), |ms| format!("{:.1}", ms as f64 / 1_000.0));
    let back = fault.and_then(|fault| fault.recovery_ms);
    let load = &summary.load;
    format!(
        "| {name} | {} | {} | {} | {} | {} | {lasted} | {} | {:.0} | {} |",
        fault
            .and_then(|fault| fault.service.as_deref())
            .unwrap_or("all"),
        if summary.exit_code == 0 {
            "valid".to_owned()
        } else {
            format!("**exit code {}**", summary.exit_code)
        },
        load.accepted,
        load.refused,
        load.unknown,
        back.map_or("–".to_owned(), |ms| ms.to_string()),
        summary.settle.ms_p99,
        fault.map_or("–", |fault| fault.how.as_str()),
    )
}
