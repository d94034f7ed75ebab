//! Numbers for ids. An id takes 16 bytes and a search; its number takes four bytes and is an index.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;
use uuid::Uuid;

/// Declares a number that stands for an id of one kind.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            /// No id. Kept inside of the four bytes, because millions of rows have one.
            pub const NONE: Self = Self(u32::MAX);

            /// The number as an index.
            pub const fn index(self) -> usize {
                self.0 as usize
            }

            /// The number at this index.
            pub const fn at(index: u32) -> Self {
                Self(index)
            }

            /// Whether it stands for an id.
            pub const fn is_some(self) -> bool {
                self.0 != u32::MAX
            }

            /// The number, if it stands for an id.
            pub const fn some(self) -> Option<Self> {
                if self.is_some() { Some(self) } else { None }
            }
        }
    };
}

number! {
    /// An order.
    OrderNo
}
number! {
    /// A product.
    ProductNo
}
number! {
    /// A payment.
    PaymentNo
}
number! {
    /// A message, and the event in it.
    MessageNo
}
number! {
    /// A trace.
    TraceNo
}
number! {
    /// An Idempotency-Key.
    KeyNo
}

/// Ids of one kind, numbered in the order in which they were first seen.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    ids: Vec<Uuid>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Ids {
    /// Room for `n` ids more than there is room for now, instead of growing towards them.
    pub fn reserve(&mut self, n: usize) {
        self.ids
            .reserve_exact(self.ids.capacity() - self.ids.len() + n);
        let Self { ids, table, hasher } = self;
        table.reserve(ids.capacity() - table.len(), |at| {
            hasher.hash_one(ids[*at as usize])
        });
    }

    /// Drops what only new numbers need: a third of the memory. The next new number brings it back.
    pub fn forget(&mut self) {
        self.table = HashTable::new();
    }

    fn remember(&mut self) {
        let Self { ids, table, hasher } = self;
        table.reserve(ids.len(), |at| hasher.hash_one(ids[*at as usize]));
        for (at, id) in (0_u32..).zip(ids.iter()) {
            table.insert_unique(hasher.hash_one(id), at, |at| {
                hasher.hash_one(ids[*at as usize])
            });
        }
    }

    /// The number of `id`, a new one if it was not seen before.
    pub fn number(&mut self, id: Uuid) -> u32 {
        if self.table.len() < self.ids.len() {
            self.remember();
        }
        let Self { ids, table, hasher } = self;
        let entry = table.entry(
            hasher.hash_one(id),
            |at| ids[*at as usize] == id,
            |at| hasher.hash_one(ids[*at as usize]),
        );
        *entry
            .or_insert_with(|| {
                ids.push(id);
                u32::try_from(ids.len() - 1).expect("fewer than four billion ids")
            })
            .get()
    }

    /// The number of `id`, if it was seen.
    pub fn find(&self, id: Uuid) -> Option<u32> {
        let Self { ids, table, hasher } = self;
        if table.len() < ids.len() {
            return (0_u32..)
                .zip(ids)
                .find(|(_, other)| **other == id)
                .map(|(at, _)| at);
        }
        table
            .find(hasher.hash_one(id), |at| ids[*at as usize] == id)
            .copied()
    }

    /// The id with this number.
    pub fn id(&self, number: usize) -> Uuid {
        self.ids.get(number).copied().unwrap_or_default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// Texts, numbered like ids; all in one string.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    text: String,
    ends: Vec<u32>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Keys {
    /// Room for `n` keys more than there is room for now, of the length of a UUID.
    pub fn reserve(&mut self, n: usize) {
        let Self {
            text,
            ends,
            table,
            hasher,
        } = self;
        text.reserve_exact(text.capacity() - text.len() + n * 36);
        ends.reserve_exact(ends.capacity() - ends.len() + n);
        table.reserve(ends.capacity() - table.len(), |at| {
            hasher.hash_one(slice(text, ends, *at))
        });
    }

    /// Drops what only new numbers need. The next new number brings it back.
    pub fn forget(&mut self) {
        self.table = HashTable::new();
    }

    fn remember(&mut self) {
        let Self {
            text,
            ends,
            table,
            hasher,
        } = self;
        for at in 0..u32::try_from(ends.len()).unwrap_or(u32::MAX) {
            let hash = hasher.hash_one(slice(text, ends, at));
            table.insert_unique(hash, at, |at| hasher.hash_one(slice(text, ends, *at)));
        }
    }

    /// The number of `key`, a new one if it was not seen before.
    pub fn number(&mut self, key: &str) -> KeyNo {
        if self.table.len() < self.ends.len() {
            self.remember();
        }
        let hash = self.hasher.hash_one(key);
        if let Some(found) = self.table.find(hash, |at| self.text_of(*at) == key) {
            return KeyNo::at(*found);
        }
        self.text.push_str(key);
        let number = u32::try_from(self.ends.len()).expect("fewer than four billion keys");
        let end = u32::try_from(self.text.len()).expect("fewer than four gigabytes of keys");
        self.ends.push(end);
        let Self {
            text,
            ends,
            table,
            hasher,
        } = self;
        table.insert_unique(hash, number, |at| hasher.hash_one(slice(text, ends, *at)));
        KeyNo::at(number)
    }

    /// The key with this number.
    pub fn key(&self, number: KeyNo) -> &str {
        number.some().map_or("", |number| self.text_of(number.0))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn text_of(&self, at: u32) -> &str {
        slice(&self.text, &self.ends, at)
    }
}

fn slice<'t>(text: &'t str, ends: &[u32], at: u32) -> &'t str {
    let at = at as usize;
    let begin = at.checked_sub(1).map_or(0, |before| ends[before] as usize);
    &text[begin..ends[at] as usize]
}

/// Every id that the evidence names.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Orders.
    pub orders: Ids,
    /// Products.
    pub products: Ids,
    /// Payments.
    pub payments: Ids,
    /// Messages.
    pub messages: Ids,
    /// Traces.
    pub traces: Ids,
    /// Idempotency-Keys.
    pub keys: Keys,
}

impl Names {
    /// Drops what only new numbers need. The next new number brings it back.
    pub fn forget(&mut self) {
        let Self {
            orders,
            products,
            payments,
            messages,
            traces,
            keys,
        } = self;
        [orders, products, payments, messages, traces]
            .into_iter()
            .for_each(Ids::forget);
        keys.forget();
    }

    /// The number of an order.
    pub fn order(&mut self, id: Uuid) -> OrderNo {
        OrderNo(self.orders.number(id))
    }

    /// The number of a product.
    pub fn product(&mut self, id: Uuid) -> ProductNo {
        ProductNo(self.products.number(id))
    }

    /// The number of a payment.
    pub fn payment(&mut self, id: Uuid) -> PaymentNo {
        PaymentNo(self.payments.number(id))
    }

    /// The number of a message.
    pub fn message(&mut self, id: Uuid) -> MessageNo {
        MessageNo(self.messages.number(id))
    }

    /// The number of a trace.
    pub fn trace(&mut self, id: u128) -> TraceNo {
        TraceNo(self.traces.number(Uuid::from_u128(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_id_has_the_same_number_and_the_number_leads_back_to_it() {
        let mut names = Names::default();
        let ids: Vec<Uuid> = (1..2_000).map(Uuid::from_u128).collect();
        let numbers: Vec<OrderNo> = ids.iter().map(|id| names.order(*id)).collect();
        for (id, number) in ids.iter().zip(&numbers) {
            assert_eq!(names.order(*id), *number);
            assert_eq!(names.orders.id(number.index()), *id);
        }
        names.forget();
        for (id, number) in ids.iter().zip(&numbers) {
            assert_eq!(names.orders.find(*id), Some(number.0));
            assert_eq!(names.order(*id), *number);
        }
        assert_eq!(names.orders.len(), ids.len());
        assert_eq!(names.orders.find(Uuid::from_u128(9_999)), None);
        let (a, b) = (names.keys.number("a"), names.keys.number("bb"));
        assert_eq!((names.keys.key(a), names.keys.key(b)), ("a", "bb"));
        names.keys.forget();
        assert_eq!(names.keys.number("bb"), b);
        assert_eq!(names.keys.key(KeyNo::NONE), "");
    }
}
