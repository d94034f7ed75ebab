//! Real orders: rows of a CSV file become orders of products that cost what was paid.
//!
//! A row says how many units a customer bought and what they cost together. The order has that many units of a
//! product at the amount divided by the quantity; what the division leaves over is in the price of the last one.

use contract::{Cents, Quantity};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The orders that come with crashcart: the CDNOW sample, 1997-1998. See `data/README.md`.
pub const CDNOW: &str = include_str!("../../data/cdnow-orders.csv");

/// The header that the first line must have.
const HEADER: &str = "date,customer,quantity,amount_cents";
const COLUMNS: usize = 4;

/// An order that a real customer placed: units and the price of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealOrder {
    /// Price of one unit and number of units, each price once.
    pub lines: Vec<(Cents, Quantity)>,
}

/// A file of orders that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The file cannot be read.
    #[error("cannot read the orders in {path}: {source}")]
    File {
        /// Which.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file does not begin with the header.
    #[error("line 1: the header must be `{HEADER}`, got `{0}`")]
    Header(String),
    /// A field is not what it should be.
    #[error("line {line}: {field} {problem}")]
    Field {
        /// Line number, from 1.
        line: usize,
        /// `quantity` or `amount_cents`.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// There is nothing in it.
    #[error("the file has no orders")]
    Empty,
}

/// The orders in the CSV file `path`.
///
/// # Errors
/// [`WorkloadError`], with the line and the field.
pub fn read(path: &Path) -> Result<Vec<RealOrder>, WorkloadError> {
    let text = fs::read_to_string(path);
    parse(&text.map_err(|source| WorkloadError::File {
        path: path.display().to_string(),
        source,
    })?)
}

/// The orders in this CSV text.
///
/// # Errors
/// [`WorkloadError`], with the line and the field.
pub fn parse(csv: &str) -> Result<Vec<RealOrder>, WorkloadError> {
    // Spreadsheets like to begin with a mark that nobody can see.
    let mut lines = csv.trim_start_matches('\u{feff}').lines();
    let header = lines.next().unwrap_or_default();
    if header.trim() != HEADER {
        return Err(WorkloadError::Header(header.to_owned()));
    }
    let rows = lines.enumerate().filter(|(_, row)| !row.trim().is_empty());
    let orders = rows
        .map(|(index, row)| order(index + 2, row))
        .collect::<Result<Vec<_>, _>>()?;
    if orders.is_empty() {
        Err(WorkloadError::Empty)
    } else {
        Ok(orders)
    }
}

fn order(line: usize, row: &str) -> Result<RealOrder, WorkloadError> {
    let fields: Vec<&str> = row.split(',').map(str::trim).collect();
    if fields.len() != COLUMNS {
        let problem = format!("must be {COLUMNS}, got {}", fields.len());
        return Err(WorkloadError::Field {
            line,
            field: "columns",
            problem,
        });
    }
    let number = |index: usize, field: &'static str| {
        let text = fields.get(index).copied().unwrap_or_default();
        let wrong = |_| WorkloadError::Field {
            line,
            field,
            problem: format!("must be a whole number, got {text:?}"),
        };
        text.parse::<i64>().map_err(wrong)
    };
    let wrong = |field, problem: contract::money::OutOfRange| WorkloadError::Field {
        line,
        field,
        problem: problem.to_string(),
    };
    let quantity =
        Quantity::try_from(number(2, "quantity")?).map_err(|error| wrong("quantity", error))?;
    let amount = number(3, "amount_cents")?;
    let in_range = contract::money::in_range(amount, 0, Cents::MAX_PRICE.get());
    in_range.map_err(|error| wrong("amount_cents", error))?;
    Ok(RealOrder {
        lines: split(quantity.get(), amount),
    })
}

/// `quantity` units that cost `amount` together.
fn split(quantity: i64, amount: i64) -> Vec<(Cents, Quantity)> {
    let price = amount / quantity;
    let last = amount - price * (quantity - 1);
    let line = |price: i64, quantity: i64| {
        Some((
            Cents::try_from(price).ok()?,
            Quantity::try_from(quantity).ok()?,
        ))
    };
    let lines = if last == price {
        [line(price, quantity), None]
    } else {
        // A quantity of zero is no quantity, so a single unit gives one line here too.
        [line(price, quantity - 1), line(last, 1)]
    };
    lines.into_iter().flatten().collect()
}

/// How many units the orders need of each price, cheapest first.
pub fn units_by_price(orders: &[RealOrder]) -> BTreeMap<Cents, i64> {
    let mut units = BTreeMap::new();
    for (price, quantity) in orders.iter().flat_map(|order| &order.lines) {
        *units.entry(*price).or_default() += quantity.get();
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(row: &str) -> Result<Vec<RealOrder>, String> {
        parse(&format!("{HEADER}\n{row}\n")).map_err(|error| error.to_string())
    }

    #[test]
    fn the_real_orders_are_all_there_with_their_units_and_amounts() {
        let orders = parse(CDNOW).unwrap();
        assert_eq!(orders.len(), 6_919);
        let amount = |order: &RealOrder| -> i64 {
            order
                .lines
                .iter()
                .map(|(price, quantity)| price.get() * quantity.get())
                .sum()
        };
        let units: i64 = units_by_price(&orders).values().sum();
        let (mut rows, mut cents) = (0, 0);
        for row in CDNOW.lines().skip(1) {
            let fields: Vec<&str> = row.split(',').collect();
            rows += fields[2].parse::<i64>().unwrap();
            cents += fields[3].parse::<i64>().unwrap();
        }
        assert_eq!(
            (units, orders.iter().map(amount).sum::<i64>()),
            (rows, cents)
        );
        assert_eq!(orders.iter().filter(|order| amount(order) < 100).count(), 8);
    }

    #[test]
    fn what_the_division_leaves_over_is_in_the_last_unit() {
        let lines = |row| {
            csv(row)
                .unwrap()
                .remove(0)
                .lines
                .iter()
                .map(|(p, q)| (p.get(), q.get()))
                .collect::<Vec<_>>()
        };
        assert_eq!(lines("d,c,2,2933"), [(1466, 1), (1467, 1)]);
        assert_eq!(lines("d,c,3,300"), [(100, 3)]);
        assert_eq!(lines("d,c,1,1397"), [(1397, 1)]);
        assert_eq!(lines("d,c,4,2"), [(0, 3), (2, 1)]);
    }

    #[test]
    fn a_row_that_does_not_fit_is_named_with_its_line_and_field() {
        assert_eq!(
            csv("d,c,0,1").unwrap_err(),
            "line 2: quantity must be between 1 and 1000, got 0"
        );
        assert_eq!(
            csv("d,c,1,-1").unwrap_err(),
            "line 2: amount_cents must be between 0 and 1000000000000, got -1"
        );
        assert_eq!(
            csv("d,c,x,1").unwrap_err(),
            "line 2: quantity must be a whole number, got \"x\""
        );
        assert_eq!(csv("d,c").unwrap_err(), "line 2: columns must be 4, got 2");
        assert_eq!(csv("").unwrap_err(), "the file has no orders");
        let header = parse("quantity;amount\n1;2").unwrap_err().to_string();
        assert_eq!(
            header,
            "line 1: the header must be `date,customer,quantity,amount_cents`, got `quantity;amount`"
        );
    }
}
