//! Prefixes as a compressed trie: one walk down a path meets every prefix that it begins with.

use super::candidates::{Candidates, Search};
use std::ops::Range;

/// Nodes in one array, labels in another; the root is the last node.
#[derive(Debug, Default)]
pub(super) struct PrefixTrie {
    nodes: Vec<Node>,
    labels: Vec<u8>,
}

#[derive(Debug)]
struct Node {
    /// The bytes between the parent's prefix and this one's, in `labels`.
    label: Range<usize>,
    /// The first route in file order, of this node and those below it.
    lowest: u32,
    /// The routes with exactly this prefix.
    candidates: Option<Candidates>,
    /// Nodes below by the first byte of their labels, ascending.
    children: Box<[(u8, usize)]>,
}

impl PrefixTrie {
    /// From distinct prefixes in ascending order.
    pub(super) fn build(mut prefixes: Vec<(&str, Candidates)>) -> Self {
        let mut trie = Self::default();
        if !prefixes.is_empty() {
            let mut entries: Vec<_> = prefixes
                .drain(..)
                .map(|(prefix, candidates)| (prefix.as_bytes(), Some(candidates)))
                .collect();
            trie.add(&mut entries, 0);
        }
        trie
    }

    /// The first route in file order.
    pub(super) fn lowest(&self) -> u32 {
        self.nodes.last().map_or(u32::MAX, |root| root.lowest)
    }

    /// Considers the routes of every prefix of `path`, until those left come later than the best found.
    pub(super) fn search(&self, path: &[u8], search: &mut Search<'_>) {
        let Some(mut node) = self.nodes.last() else { return };
        let mut rest = path;
        while node.lowest < search.best {
            let Some(after) = rest.strip_prefix(&self.labels[node.label.clone()]) else { return };
            if let Some(candidates) = &node.candidates {
                search.consider(candidates);
            }
            let Some(byte) = after.first() else { return };
            let Ok(at) = node.children.binary_search_by_key(byte, |(first, _)| *first) else { return };
            node = &self.nodes[node.children[at].1];
            rest = after;
        }
    }

    /// Adds the node that all `entries` share, which agree in their first `depth` bytes, and those below it.
    ///
    /// Recursion is as deep as prefixes lie within one another; their length bounds it ([`super::PathPattern`]).
    fn add(&mut self, entries: &mut [(&[u8], Option<Candidates>)], depth: usize) -> usize {
        let (first, last) = (entries[0].0, entries[entries.len() - 1].0);
        // Sorted, so what the first and the last share, all share.
        let shared = first.iter().zip(last).take_while(|(a, b)| a == b).count();
        let label = self.labels.len()..self.labels.len() + shared - depth;
        self.labels.extend_from_slice(&first[depth..shared]);
        let (candidates, mut below) = match first.len() == shared {
            true => (entries[0].1.take(), &mut entries[1..]),
            false => (None, entries),
        };
        let mut children = Vec::new();
        while !below.is_empty() {
            let byte = below[0].0[shared];
            let (group, others) =
                below.split_at_mut(below.partition_point(|(prefix, _)| prefix[shared] == byte));
            children.push((byte, self.add(group, shared)));
            below = others;
        }
        let own = candidates.as_ref().map(Candidates::lowest);
        let lowest = children.iter().map(|(_, child)| self.nodes[*child].lowest).chain(own).min();
        let lowest = lowest.unwrap_or(u32::MAX);
        self.nodes.push(Node { label, lowest, candidates, children: children.into() });
        self.nodes.len() - 1
    }
}
