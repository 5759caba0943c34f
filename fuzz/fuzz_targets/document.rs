//! A configuration document is refused with an explanation, or built, always alike.
//!
//! The input is the document's text. Most changes of single bytes only break the JSON, so half of the mutations change
//! values instead: `mutate` below.

#![no_main]

#[path = "../json.rs"]
mod json;

use evenly_core::document::{Document, DocumentError};
use evenly_core::pool::Picker;
use evenly_core::random::Random;
use evenly_core::snapshot::Snapshot;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use std::sync::Arc;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => return explained(&error),
    };
    let first = match Snapshot::build(document.clone(), None) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            explained(&error);
            return assert_eq!(Snapshot::build(document, None).err(), Some(error));
        }
    };
    let again = Snapshot::build(document.clone(), None).expect("what was built once can be built again");
    alike(&first, &again);
    let next = Snapshot::build(document, Some(&first)).expect("a snapshot can follow itself");
    alike(&first, &next);
    assert_eq!((first.generation, again.generation, next.generation), (1, 1, 2));
    carried_over(&first, &next);
    picked(&next);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed).unwrap_or_else(|| fuzzer_mutate(data, size, max_size))
});

fn explained(error: &DocumentError) {
    assert!(!error.message.is_empty() && !error.to_string().is_empty());
}

/// Two snapshots of one document say the same of it.
fn alike(one: &Snapshot, other: &Snapshot) {
    assert_eq!(one.document, other.document);
    assert_eq!(one.spans(), other.spans());
    assert_eq!(one.warnings(), other.warnings());
    let changes = other.changes(one);
    assert!(
        [changes.listeners, changes.pools, changes.routes].iter().all(|difference| difference.is_empty())
    );
    assert!(
        one.listeners
            .iter()
            .map(|listener| listener.id)
            .eq(other.listeners.iter().map(|listener| listener.id))
    );
    assert!(one.pools.iter().map(|pool| pool.id).eq(other.pools.iter().map(|pool| pool.id)));
    assert!(one.routes.iter().map(|route| route.id).eq(other.routes.iter().map(|route| route.id)));
}

/// Endpoints, with their health and counts, are the same objects after a reload that changes nothing.
fn carried_over(first: &Snapshot, next: &Snapshot) {
    let endpoints = |snapshot: &Snapshot| -> Vec<_> {
        snapshot
            .pools
            .iter()
            .flat_map(|pool| pool.members.iter().map(|member| Arc::clone(&member.endpoint)))
            .collect()
    };
    let (before, after) = (endpoints(first), endpoints(next));
    assert!(before.len() == after.len() && before.iter().zip(&after).all(|(old, new)| Arc::ptr_eq(old, new)));
}

/// The tables of every balancer can be built from a pool that was accepted, and yield its own endpoints.
fn picked(snapshot: &Snapshot) {
    for pool in &snapshot.pools {
        let mut picker = Picker::new(Arc::clone(pool), Random::new(7));
        if let Ok(lease) = picker.pick(Some(7), None, 0) {
            assert!(pool.member(lease.endpoint().address()).is_some());
        }
    }
}

/// Changes one value of the document in `data`; returns its new size, or `None` where bytes should be changed instead.
fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> Option<usize> {
    if seed % 2 == 0 {
        return None;
    }
    let mut document = serde_json::from_slice(&data[..size]).ok()?;
    json::mutate(&mut document, seed / 2);
    let text = serde_json::to_vec(&document).ok().filter(|text| text.len() <= max_size)?;
    data[..text.len()].copy_from_slice(&text);
    Some(text.len())
}
