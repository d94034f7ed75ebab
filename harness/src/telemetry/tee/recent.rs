//! A map that forgets what came first when there is no room.

use std::collections::{HashMap, VecDeque};

/// The latest traces that something is known of.
#[derive(Debug)]
pub(super) struct Recent<V> {
    max: usize,
    known: HashMap<u128, V>,
    order: VecDeque<u128>,
}

impl<V: Copy> Recent<V> {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            known: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    pub(super) fn get(&self, id: u128) -> Option<V> {
        self.known.get(&id).copied()
    }

    /// Notes it; what was known before stays.
    pub(super) fn note(&mut self, id: u128, value: V) {
        if self.known.contains_key(&id) {
            return;
        }
        if self.order.len() >= self.max
            && let Some(first) = self.order.pop_front()
        {
            self.known.remove(&first);
        }
        self.known.insert(id, value);
        self.order.push_back(id);
    }
}
