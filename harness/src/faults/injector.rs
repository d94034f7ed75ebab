//! Brings each fault about when its time has come, ends it, and measures how long the shop needs to recover.
//!
//! It never holds up the runtime that it runs on: whatever blocks happens on another thread. Recovery is measured
//! beside the next fault, so a shop that takes long to recover does not push the plan back.

use super::kind::Act;
use super::observe::{LOOK, Seen, Sight, Surroundings, Watch, compare};
use super::{Around, FaultRecord, Planned, Side};
use crate::client::Call;
use crate::now_us;
use crate::proxy::{Counts, Network};
use crate::target::{Shop, ShopError};
use hyper::{Method, StatusCode};
use shop::{Answer, Command, FaultSettings, ProviderSettings, State};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How long something is looked for when it should be there.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

/// Does to a shop what is planned.
#[derive(Clone)]
pub struct Injector {
    shop: Arc<Mutex<Shop>>,
    around: Arc<Mutex<Around>>,
    watch: Watch,
    began_us: i64,
    told: Told,
}

/// Told when a fault begins and when it is over.
type Told = Arc<dyn Fn(&Planned, bool) + Send + Sync>;

/// How to end a fault.
enum Cure {
    Provider(ProviderSettings),
    Ports(String),
    Restart(String),
    StartAgain,
    Resume,
    Start(Side),
    Heal(String, Side),
    /// It is over.
    Over,
}

impl Injector {
    /// For this shop, under a load that begins at `began_us`, microseconds since 1970.
    pub fn new(shop: Arc<Mutex<Shop>>, began_us: i64) -> Self {
        let places = shop.lock().unwrap_or_else(PoisonError::into_inner).places();
        Self {
            shop,
            around: Arc::default(),
            watch: Watch::new(&places),
            began_us,
            told: Arc::new(|_, _| {}),
        }
    }

    /// Tells of each fault when it begins (true) and when it is over.
    #[must_use]
    pub fn telling(self, told: impl Fn(&Planned, bool) + Send + Sync + 'static) -> Self {
        Self {
            told: Arc::new(told),
            ..self
        }
    }

    /// Breaks what stands around the shop, too.
    pub fn with(self, around: Arc<Mutex<Around>>) -> Self {
        Self { around, ..self }
    }

    /// Brings about and ends everything that is `planned`, in this order, and returns when the shop has recovered
    /// from it, or did not in time. Dropped before, it may leave a fault behind.
    pub async fn run(self, planned: Vec<Planned>) -> Vec<FaultRecord> {
        let mut following = Vec::with_capacity(planned.len());
        for fault in planned {
            following.push(self.one(fault).await);
        }
        let mut records = Vec::with_capacity(following.len());
        for record in following {
            records.push(match record {
                Followed::Done(record) => record,
                Followed::Still(task, record) => task.await.unwrap_or(record),
            });
        }
        records
    }

    /// Brings one fault about and ends it; what comes after is followed beside the next one.
    async fn one(&self, fault: Planned) -> Followed {
        let mut record = FaultRecord::asked(&fault, self.began_us);
        if !fault.kind.has_window() {
            record.fired_us = Some(record.asked_us);
            return Followed::Done(record);
        }
        let wait_us = u64::try_from(record.asked_us - now_us()).unwrap_or(0);
        tokio::time::sleep(Duration::from_micros(wait_us)).await;
        let before = Watch::look_first(&fault, || self.look(&fault)).await;
        // What takes long to bring about has its effect before it is done.
        let began_us = now_us();
        (self.told)(&fault, true);
        let (cure, fired) = match self.begin(&fault).await {
            Ok(begun) => begun,
            Err(why) => {
                (self.told)(&fault, false);
                record.how = why;
                return Followed::Done(record);
            }
        };
        record.fired_us = Some(began_us);
        record.fired = fired;
        tokio::time::sleep(fault.lasts).await;
        let mut during = None;
        if matches!(cure, Cure::Ports(_) | Cure::Provider(_) | Cure::Resume) {
            // A busy machine may not have come to do anything in that time; then it lasts until it has.
            during = Some(self.seen(&fault, &before, fired).await);
        }
        let ended = self.end(cure).await;
        (self.told)(&fault, false);
        if let Err(why) = ended {
            record.how = why;
            return Followed::Done(record);
        }
        record.healed_us = Some(now_us());
        // What stands still can be seen only while it does.
        let during = during.filter(|_| matches!(fault.kind.act(), Act::Pause));
        let follow = self.clone().follow(fault, (before, during), record.clone());
        Followed::Still(tokio::spawn(follow), record)
    }

    /// Measures the recovery, and looks for what the fault has done.
    async fn follow(
        self,
        fault: Planned,
        (before, during): (Sight, Option<Seen>),
        mut record: FaultRecord,
    ) -> FaultRecord {
        record.recovered_us = self.watch.recovered().await;
        let seen = match during {
            Some(seen) => seen,
            None => self.seen(&fault, &before, record.fired).await,
        };
        (record.fired, record.observed, record.how) = (seen.fired, seen.observed, seen.how);
        record.say_if_late();
        record
    }

    /// What there is to see of a fault that began after `before` and happened `fired` times by then, as soon as there is something, or in the end.
    async fn seen(&self, fault: &Planned, before: &Sight, fired: u64) -> Seen {
        let began = Instant::now();
        loop {
            let after = self.look(fault).await;
            let seen = compare(fault, fired, (before, &after));
            let is_told_later = fault.kind.is_seen_in_evidence();
            let is_there = seen.fired > 0 && (seen.observed > 0 || is_told_later);
            if is_there || began.elapsed() > SEEN_WITHIN {
                return seen;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Returns how to end it, and how often it has happened already, as far as that is known.
    async fn begin(&self, fault: &Planned) -> Result<(Cure, u64), String> {
        let service = fault.service.clone().unwrap_or_default();
        let cure = match fault.kind.act() {
            Act::Pause => {
                self.on_shop(move |shop| shop.pause(&service)).await?;
                return Ok((Cure::Resume, 1));
            }
            Act::Close(side) => {
                let closed = self.on_around(move |around| around.close(side)).await?;
                return Ok((Cure::Over, closed));
            }
            Act::Stop(side) => {
                self.on_around(move |around| around.stop(side)).await?;
                return Ok((Cure::Start(side), 1));
            }
            Act::Network(network) => {
                let side = fault.side.ok_or("on the way to nowhere")?;
                self.network(service.clone(), side, network).await?;
                Cure::Heal(service, side)
            }
            Act::Workload => return Err("the workload brings it".to_owned()),
            Act::Provider(change) => {
                let usual = self.provider().await?;
                let mut changed = usual.clone();
                change(&mut changed);
                self.set_provider(&changed).await?;
                Cure::Provider(usual)
            }
            Act::Ports(settings) => {
                self.obey(Command::Faults {
                    service: service.clone(),
                    settings,
                })
                .await?;
                Cure::Ports(service)
            }
            Act::Crash => {
                self.obey(Command::Crash {
                    service: service.clone(),
                })
                .await?;
                Cure::Restart(service)
            }
            Act::Kill => {
                // The provider is the outside: it does not forget its settings when the shop dies.
                let provider = self.provider().await?;
                self.on_shop(|shop| {
                    shop.set_provider(provider);
                    shop.kill()
                })
                .await?;
                Cure::StartAgain
            }
        };
        Ok((cure, 0))
    }

    async fn end(&self, cure: Cure) -> Result<(), String> {
        match cure {
            Cure::Provider(usual) => self.set_provider(&usual).await,
            Cure::Ports(service) => {
                let settings = FaultSettings::default();
                self.obey(Command::Faults { service, settings }).await?;
                Ok(())
            }
            Cure::Restart(service) => {
                self.obey(Command::Restart { service }).await?;
                Ok(())
            }
            Cure::StartAgain => self.on_shop(Shop::start_again).await,
            Cure::Resume => self.on_shop(Shop::resume).await,
            Cure::Start(side) => self.on_around(move |around| around.start(side)).await,
            Cure::Heal(service, side) => self.network(service, side, Network::Good).await,
            Cure::Over => Ok(()),
        }
    }

    async fn network(&self, service: String, side: Side, network: Network) -> Result<(), String> {
        self.on_around(move |around| around.set(&service, side, network))
            .await
    }

    async fn look(&self, fault: &Planned) -> Sight {
        // Who stands still, or cannot reach an engine, is not asked what it did: it did nothing.
        let tells = matches!(fault.kind.act(), Act::Ports(_) | Act::Crash);
        let asked = self.on_shop(move |shop| {
            let states = match tells.then(|| shop.obey(Command::Fired)).transpose()? {
                Some(Answer::Fired(states)) => states,
                None | Some(Answer::Done | Answer::Failed(_)) => BTreeMap::new(),
            };
            Ok((shop.pid(), shop.standing_still(), states))
        });
        // A shop that does not answer shows nothing; the record will say so.
        let asked: (Option<u32>, u64, BTreeMap<String, State>) = asked.await.unwrap_or_default();
        let seen = fault.clone();
        let around = self.on_around(move |around| Ok(surroundings(around, &seen)));
        let around = around.await.unwrap_or_default();
        self.watch.look(fault, asked, around).await
    }

    async fn obey(&self, command: Command) -> Result<Answer, String> {
        self.on_shop(move |shop| shop.obey(command)).await
    }

    /// Does `work`, which may block, on a thread that may be blocked.
    async fn on_shop<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Shop) -> Result<T, ShopError> + Send + 'static,
    ) -> Result<T, String> {
        let shop = Arc::clone(&self.shop);
        let done = tokio::task::spawn_blocking(move || {
            work(&mut shop.lock().unwrap_or_else(PoisonError::into_inner))
        });
        let done = done.await.map_err(|error| error.to_string())?;
        done.map_err(|error| error.to_string())
    }

    /// Does `work`, which may block, to what stands around the shop.
    async fn on_around<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Around) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let around = Arc::clone(&self.around);
        let done = tokio::task::spawn_blocking(move || {
            work(&mut around.lock().unwrap_or_else(PoisonError::into_inner))
        });
        done.await.map_err(|error| error.to_string())?
    }

    /// How the provider behaves.
    async fn provider(&self) -> Result<ProviderSettings, String> {
        let (_, body) = self.ask_provider(Call::get(SETTINGS)).await?;
        serde_json::from_slice(&body).map_err(|error| error.to_string())
    }

    async fn set_provider(&self, settings: &ProviderSettings) -> Result<(), String> {
        let body = serde_json::to_vec(settings).map_err(|error| error.to_string())?;
        let call = Call {
            method: Method::PUT,
            body: Some(body.into()),
            ..Call::get(SETTINGS)
        };
        self.ask_provider(call).await.map(|_| ())
    }

    async fn ask_provider(&self, call: Call<'_>) -> Result<crate::client::Answer, String> {
        let provider = self.watch.client("provider").ok_or("no provider")?;
        match provider.send(call).await {
            Ok((StatusCode::OK, body)) => Ok((StatusCode::OK, body)),
            Ok((status, body)) => {
                let body = String::from_utf8_lossy(&body);
                Err(format!("the provider said {status}: {body}"))
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What there is to see of a fault at what stands around the shop.
fn surroundings(around: &Around, fault: &Planned) -> Surroundings {
    let service = fault.service.as_deref();
    let counts = match (service, fault.side) {
        (Some(service), Some(side)) => around.counts(service, side),
        _ => Counts::default(),
    };
    let is_told = match fault.kind.act() {
        Act::Close(side) | Act::Stop(side) => side == Side::Database,
        Act::Network(_) => fault.side == Some(Side::Database),
        _ => false,
    };
    let sessions = if is_told {
        around.sessions(service)
    } else {
        Vec::new()
    };
    Surroundings { counts, sessions }
}

const SETTINGS: &str = "/api/v1/settings";

/// A record that is complete, or will be; the second is what there is should its task not end.
enum Followed {
    Done(FaultRecord),
    Still(JoinHandle<FaultRecord>, FaultRecord),
}
