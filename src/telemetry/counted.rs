//! What is counted on one thread, for tests: the library's own and those in `tests`.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// Counters and gauges by name and labels, and the names described.
#[derive(Default)]
pub struct Counts {
    counters: Slots,
    gauges: Slots,
    described: Mutex<Vec<String>>,
}

type Slots = Mutex<BTreeMap<String, Arc<AtomicU64>>>;

impl Counts {
    /// Every counter, in order: `name label=value …`, and its count.
    pub fn counters(&self) -> Vec<(String, u64)> {
        all(&self.counters).collect()
    }

    /// Every gauge.
    pub fn gauges(&self) -> Vec<(String, f64)> {
        all(&self.gauges)
            .map(|(key, bits)| (key, f64::from_bits(bits)))
            .collect()
    }

    /// The names that have been described, without those of histograms.
    pub fn described(&self) -> Vec<String> {
        self.described.lock().unwrap().clone()
    }

    fn describe(&self, name: &KeyName) {
        self.described
            .lock()
            .unwrap()
            .push(name.as_str().to_owned());
    }
}

fn all(slots: &Slots) -> impl Iterator<Item = (String, u64)> {
    let slots = slots.lock().unwrap().clone();
    slots
        .into_iter()
        .map(|(key, slot)| (key, slot.load(Ordering::Relaxed)))
}

fn slot(slots: &Slots, key: &Key) -> Arc<AtomicU64> {
    let mut name = key.name().to_owned();
    for label in key.labels() {
        name += &format!(" {}={}", label.key(), label.value());
    }
    Arc::clone(slots.lock().unwrap().entry(name).or_default())
}

impl Recorder for Counts {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(slot(&self.counters, key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(slot(&self.gauges, key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
