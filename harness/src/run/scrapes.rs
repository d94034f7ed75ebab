//! Asks every replica again and again what it has counted: of one that is killed, that is all there will be.

use super::RunError;
use super::exposed::Figures;
use crate::client::{Call, Client, OPEN_METRICS};
use crate::evidence::{ScrapeLine, Source};
use crate::now_us;
use crate::recording::Recorder;
use crate::target::Target;
use crate::telemetry::{Exposition, Tee, micros, whole};
use hyper::StatusCode;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Between two questions.
const EVERY: Duration = Duration::from_millis(500);
/// A replica that does not answer within this time is asked again later.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long requests that were given up may take to leave the number of those in work.
const SETTLES_WITHIN: Duration = Duration::from_secs(3);
/// Lives of replicas that are told apart; a run has a handful.
const LIVES_MAX: usize = 1_000;

/// What was told, by service, replica and life: the first and the last.
#[derive(Debug, Default)]
struct Told(BTreeMap<(&'static str, u32, i64), (Words, Option<Words>)>);

#[derive(Debug, Clone)]
struct Words {
    at_us: i64,
    text: String,
    sagas: Sagas,
}

/// What a life said of sagas.
#[derive(Debug, Clone, Copy, Default)]
struct Sagas {
    settled: u64,
    open: u64,
}

/// Who wants to know.
struct Wanting {
    told: Mutex<Told>,
    /// Keeps the traces that metrics name as examples.
    tee: Option<Arc<Tee>>,
}

/// Somebody who asks.
pub(super) struct Scraping {
    wanting: Arc<Wanting>,
    asking: JoinHandle<()>,
}

impl Scraping {
    /// Asks from now on, and tells `figures` of the sagas that settle from now on.
    pub(super) fn start(target: &Target, figures: Arc<Figures>, tee: Option<Arc<Tee>>) -> Self {
        let since_us = now_us();
        let told = Mutex::default();
        let wanting = Arc::new(Wanting { told, tee });
        let (into, replicas) = (Arc::clone(&wanting), replicas(target));
        let asking = tokio::spawn(async move {
            loop {
                ask_all(&replicas, &into).await;
                let (settled, open) = sagas(&into.told, since_us);
                figures.sagas(settled, open);
                tokio::time::sleep(EVERY).await;
            }
        });
        Self { wanting, asking }
    }

    /// Asks a last time, when nothing is in work any more but the question itself, and writes everything down.
    pub(super) async fn finish(
        self,
        target: &Target,
        recorder: &mut Recorder,
    ) -> Result<(), RunError> {
        // Nobody else asks meanwhile: one question too many would be in work.
        self.asking.abort();
        let replicas: Vec<_> = replicas(target);
        let began = Instant::now();
        while !ask_all(&replicas, &self.wanting).await && began.elapsed() < SETTLES_WITHIN {
            tokio::time::sleep(EVERY / 5).await;
        }
        let told = self.wanting.told.lock();
        let told = std::mem::take(&mut *told.unwrap_or_else(PoisonError::into_inner));
        let mut file = recorder.file(Source::Metrics)?;
        for ((service, replica, _), (first, last)) in told.0 {
            for Words { at_us, text, .. } in [Some(first), last].into_iter().flatten() {
                file.row(&ScrapeLine {
                    service: service.into(),
                    replica,
                    at_us,
                    text: text.into(),
                })?;
            }
        }
        Ok(recorder.keep(file)?)
    }
}

impl Drop for Scraping {
    fn drop(&mut self) {
        self.asking.abort();
    }
}

/// How many sagas have settled since a time, over all lives, and how many are open.
fn sagas(told: &Mutex<Told>, since_us: i64) -> (u64, u64) {
    let told = told.lock().unwrap_or_else(PoisonError::into_inner);
    let mut sagas = (0, 0);
    for ((.., began_us), (first, last)) in &told.0 {
        let now = last.as_ref().unwrap_or(first).sagas;
        // A life that began later has settled nothing before.
        let before = if *began_us < since_us {
            first.sagas.settled
        } else {
            0
        };
        sagas.0 += now.settled.saturating_sub(before);
        // Each replica tells of all that are open.
        sagas.1 = sagas.1.max(now.open);
    }
    sagas
}

type Replica = (&'static str, u32, Client);

fn replicas(target: &Target) -> Vec<Replica> {
    let services = shop::SERVICES.into_iter();
    let replicas = services.flat_map(|service| {
        let clients = target.clients(service).with_own_connections();
        let clients: Vec<Client> = clients.all().to_vec();
        let numbered = (0_u32..).zip(clients);
        numbered.map(move |(replica, client)| (service, replica, client))
    });
    replicas.collect()
}

/// Asks each of them; whether nothing but the question was in work anywhere.
async fn ask_all(replicas: &[Replica], wanting: &Wanting) -> bool {
    let asked = replicas
        .iter()
        .map(|(service, replica, client)| async move {
            let at_us = now_us();
            let asked = client.send(Call {
                accept: Some(OPEN_METRICS),
                ..Call::get("/metrics")
            });
            let Ok(Ok((StatusCode::OK, body))) = tokio::time::timeout(PATIENCE, asked).await else {
                return None;
            };
            let text = String::from_utf8_lossy(&body).into_owned();
            Some((*service, *replica, (at_us, text)))
        });
    let mut is_quiet = true;
    for answer in futures_util::future::join_all(asked).await {
        let parsed = answer.and_then(|(service, replica, (at_us, text))| {
            let all = Exposition::parse(&text).ok()?;
            if let Some(tee) = &wanting.tee {
                let examples = all.series.iter().filter_map(|series| series.example);
                tee.examples(&examples.map(|example| example.trace).collect::<Vec<_>>());
            }
            let began = all.named("crashcart_start_time_seconds").next()?;
            let life = (service, replica, micros(began.value));
            let sagas = Sagas {
                settled: whole(all.sum("crashcart_sagas_settled_total", &[])),
                open: whole(all.sum("crashcart_sagas_in_flight", &[])),
            };
            let words = Words { at_us, text, sagas };
            Some((life, words, all.sum("http_server_active_requests", &[])))
        });
        let Some((life, words, active)) = parsed else {
            is_quiet = false;
            continue;
        };
        is_quiet &= active <= 1.0;
        let mut told = wanting.told.lock().unwrap_or_else(PoisonError::into_inner);
        let room = told.0.len() < LIVES_MAX;
        match told.0.get_mut(&life) {
            Some((_, last)) => *last = Some(words),
            None if room => {
                told.0.insert(life, (words, None));
            }
            None => {}
        }
    }
    is_quiet
}
