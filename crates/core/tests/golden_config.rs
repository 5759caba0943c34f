//! The goldens that both languages read: what Python writes is accepted here, and what is wrong is refused with its
//! place. `tests/golden/config` has the documents that configurations become; `tests/golden/document` has documents
//! written by hand, and under `refused` each with a file that states the error's path and a part of its message.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use evenly_core::document::{Document, DocumentError, Secret};
use evenly_core::snapshot::Snapshot;
use std::path::{Path, PathBuf};

fn golden(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut documents: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    documents.sort();
    assert!(!documents.is_empty(), "{} has no documents", folder.display());
    documents
}

fn build(path: &Path) -> Result<Snapshot, DocumentError> {
    let mut document = Document::parse(&std::fs::read_to_string(path).unwrap())?;
    // As the dataplane does where the configuration states no secret.
    document.affinity.or(&Secret("of this process alone".into()));
    Snapshot::build(document, None)
}

#[test]
fn documents_of_configurations_are_accepted() {
    for path in golden("config").into_iter().chain(golden("document")) {
        let snapshot = build(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(snapshot.generation, 1);
        let again = Snapshot::build(snapshot.document.clone(), Some(&snapshot)).unwrap();
        let changes = again.changes(&snapshot);
        assert!(changes.listeners.is_empty() && changes.pools.is_empty() && changes.routes.is_empty());
        assert_eq!(again.spans(), snapshot.spans(), "{}", path.display());
    }
}

#[test]
fn wrong_documents_are_refused_with_their_place() {
    let documents = golden("document/refused");
    assert!(documents.len() >= 15);
    for path in documents {
        let expected = std::fs::read_to_string(path.with_extension("error")).unwrap();
        let (place, message) = expected.trim_end().split_once('\n').unwrap();
        let Err(error) = build(&path) else { panic!("{} was accepted", path.display()) };
        assert_eq!(error.path, place, "{}: {error}", path.display());
        assert!(error.message.contains(message), "{}: {error}", path.display());
    }
}
