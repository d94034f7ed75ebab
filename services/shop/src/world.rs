//! The shop in a world: the same services, in memory, in virtual time, out of one seed.

use crate::{PROVIDER_PATIENCE, ProviderSettings, QUEUES};
use contract::Bug;
use orders::Orders;
use payments::Payments;
use payments::provider::{Provider, Simulated};
use platform::world::{Mischief, World};
use platform::{Service, Settings};
use products::Products;
use std::sync::Arc;

/// What goes wrong in each of the services.
#[derive(Debug, Clone, Default)]
pub struct ShopMischief {
    /// In orders.
    pub orders: Mischief,
    /// In products.
    pub products: Mischief,
    /// In payments.
    pub payments: Mischief,
    /// The bug that is switched on in all of them; of no effect without the feature `planted`.
    pub planted: Option<Bug>,
}

impl ShopMischief {
    /// The same in all three.
    pub fn everywhere(mischief: &Mischief) -> Self {
        let [orders, products, payments] = [mischief; 3].map(Clone::clone);
        Self {
            orders,
            products,
            payments,
            planted: None,
        }
    }
}

/// Builds the shop in a new world. The provider is part of the world: it does not crash.
pub async fn build(
    seed: u64,
    provider: ProviderSettings,
    mischief: ShopMischief,
) -> (World, Simulated) {
    let world = World::with_bug(seed, QUEUES.to_vec(), Settings::default(), mischief.planted);
    let only: Arc<std::sync::OnceLock<Simulated>> = Arc::default();
    let keep = Arc::clone(&only);
    let make = move |ctx: &platform::Context| -> Arc<dyn Service> {
        Arc::new(
            keep.get_or_init(|| Simulated::new(ctx, provider.clone()))
                .clone(),
        )
    };
    world
        .add(
            payments::provider::NAME,
            Mischief::default(),
            Box::new(make),
        )
        .await;
    let simulated = only.get().expect("made when it was added").clone();
    let charging: Arc<dyn Provider> = Arc::new(simulated.clone());
    let make_payments = move |ctx: &platform::Context| -> Arc<dyn Service> {
        Payments::new(ctx, Arc::clone(&charging), PROVIDER_PATIENCE)
    };
    world
        .add(
            orders::NAME,
            mischief.orders,
            Box::new(|ctx| Orders::new(ctx)),
        )
        .await;
    world
        .add(
            products::NAME,
            mischief.products,
            Box::new(|ctx| Products::new(ctx)),
        )
        .await;
    world
        .add(payments::NAME, mischief.payments, Box::new(make_payments))
        .await;
    (world, simulated)
}
