//! A shop's names on a RabbitMQ that others use too, removed at the end of a story however it ends.

use contract::EventType;
use platform::broker::rabbit::admin;
use platform::broker::{Queue, RabbitSettings};
use platform::engines::Engines;

/// The name of a story's tap, if it has one.
pub const TAP: &str = "tap";

/// Names of one story.
pub struct Shop(RabbitSettings);

/// Names for `story` with the queues `a` and `b`; none on a machine without engines.
pub fn shop(story: &str) -> Option<Shop> {
    let engines = Engines::find(story)?;
    let queue = |service| Queue {
        service,
        hears: vec![EventType::ProductRestocked],
    };
    let queues = vec![queue("a"), queue("b")];
    let mut settings = RabbitSettings::new(engines.amqp, story, queues);
    settings.prefix = format!("{}.", engines.prefix);
    Some(Shop(settings))
}

impl Shop {
    /// Settings of a broker with these names.
    pub fn settings(&self) -> RabbitSettings {
        self.0.clone()
    }
}

impl Drop for Shop {
    #[expect(
        clippy::disallowed_methods,
        reason = "a story may end by a panic, in which nothing can be awaited"
    )]
    fn drop(&mut self) {
        let settings = self.0.clone();
        let removing = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(async {
                    admin::delete_tap(&settings, TAP).await?;
                    admin::delete_all(&settings).await
                })
        });
        let removed = removing.join();
        if !std::thread::panicking() {
            removed.expect("no panic").expect("the names are removed");
        }
    }
}
