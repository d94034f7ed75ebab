//! Orders to look at in a browser: while the shop is served, and what a run has recorded.
//!
//! The page is one file, with or without a server behind it. It shows what it is given as text and nothing else.

mod api;
mod glance;
mod page;
mod recorded;
mod step;
mod store;

pub use glance::{Ending, Glance, Row, Whole};
pub use recorded::{NoPage, order_page, page_of, write_page};
pub use step::{Attributes, More, Step, steps};
pub use store::{Bounds, Orders, Show, Wanted};

use crate::served::Served;
use crate::telemetry::{Receiver, ReceiverError};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// Why the page cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum UiError {
    /// Its address cannot be used.
    #[error("the page cannot be shown on {address}: {source} (another --ui ADDRESS would help)")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// Traces cannot be received.
    #[error(transparent)]
    Receive(#[from] ReceiverError),
}

/// A page that is to be shown, and the collector of what it will show.
pub struct Ui {
    listener: TcpListener,
    address: SocketAddr,
    receiver: Receiver,
    orders: Arc<Orders>,
}

/// A page that is shown for as long as somebody holds this.
pub struct Shown {
    served: Served,
    _receiver: Receiver,
}

impl Ui {
    /// Takes `address` for the page, and starts to collect.
    ///
    /// # Errors
    /// When the address is taken, or nothing can be received.
    pub fn bind(address: SocketAddr) -> Result<Self, UiError> {
        let failed = |source| UiError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let orders = Arc::new(Orders::new(Bounds::default()));
        let receiver = Receiver::start(Receiver::anywhere(), vec![Arc::clone(&orders) as _])?;
        Ok(Self {
            listener,
            address,
            receiver,
            orders,
        })
    }

    /// Where traces are to be sent, over HTTP with the path of the signal.
    pub fn endpoint(&self) -> String {
        self.receiver.endpoint() + "/v1/traces"
    }

    /// The orders that are shown.
    pub fn orders(&self) -> &Arc<Orders> {
        &self.orders
    }

    /// Shows the page. `place` is what somebody types into a shell to place an order.
    ///
    /// # Errors
    /// When there can be no thread for it.
    pub fn show(self, place: &str) -> Result<Shown, UiError> {
        let address = self.address;
        let router = api::router(api::Content {
            orders: self.orders,
            place: place.to_owned(),
            address,
        });
        let served = Served::start(self.listener, "page", router);
        Ok(Shown {
            served: served.map_err(|source| UiError::Listen { address, source })?,
            _receiver: self.receiver,
        })
    }
}

impl Shown {
    /// Where the page is.
    pub fn url(&self) -> String {
        format!("http://{}/", self.served.address())
    }
}
