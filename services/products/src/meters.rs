//! What products measures: the stock.

use crate::sql::Stock;
use platform::Context;
use platform::metrics::Level;

/// The stock of all products together.
pub(crate) struct Meters {
    products: Level,
    sold_out: Level,
    available: Level,
    taken: Level,
}

impl Meters {
    pub(crate) fn new(ctx: &Context) -> Self {
        let level = |name, help| ctx.metrics().level(name, help);
        Self {
            products: level("crashcart_products", "Products in the catalogue."),
            sold_out: level(
                "crashcart_products_sold_out",
                "Products of which nothing is available.",
            ),
            available: level(
                "crashcart_stock_available_units",
                "Units that can be ordered, of all products.",
            ),
            taken: level(
                "crashcart_stock_taken_units",
                "Units that are reserved or sold, of all products.",
            ),
        }
    }

    pub(crate) fn show(&self, stock: &Stock) {
        self.products.set(stock.products);
        self.sold_out.set(stock.sold_out);
        self.available.set(stock.available);
        self.taken.set(stock.taken);
    }
}
