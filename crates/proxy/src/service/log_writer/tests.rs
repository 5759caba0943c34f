use super::*;
use crate::service::events::Subject;

/// A folder for one test, removed at its end.
pub(super) struct Folder(std::path::PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("evenly-log-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start() -> (LogWriter, Arc<Events>) {
    let events = Arc::<Events>::default();
    (LogWriter::start(Arc::clone(&events)).unwrap(), events)
}

#[test]
fn lines_of_all_rings_are_written_and_counted() {
    let (folder, (writer, _)) = (Folder::new("rings"), start());
    let log = writer.handle().clone();
    log.write_to(Some(&folder.path("log")));
    let mut rings = [log.ring(1024), log.ring(1024)];
    rings[0].push(b"a\n");
    rings[1].push(b"b\n");
    log.flush();
    assert_eq!(folder.read("log"), "a\nb\n");
    assert_eq!(log.totals(), LogTotals { lines: 2, bytes: 4, ..LogTotals::default() });
    writer.stop();
}

#[test]
fn a_ring_that_ended_is_written_to_its_end_and_stop_writes_the_rest() {
    let (folder, (writer, _)) = (Folder::new("ended"), start());
    let log = writer.handle().clone();
    log.write_to(Some(&folder.path("log")));
    let (mut ended, mut running) = (log.ring(1024), log.ring(1024));
    ended.push(b"of the past\n");
    drop(ended);
    log.flush();
    running.push(b"last words\n");
    writer.stop();
    assert_eq!(folder.read("log"), "of the past\nlast words\n");
    assert!(!running.push(b"too late\n"));
}

#[test]
fn more_than_a_batch_arrives_complete_and_in_order() {
    let (folder, (writer, _)) = (Folder::new("large"), start());
    let log = writer.handle().clone();
    log.write_to(Some(&folder.path("log")));
    let mut ring = log.ring(4 << 20);
    let expected: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
    assert!(expected.split_inclusive('\n').all(|line| ring.push(line.as_bytes())));
    log.flush();
    assert_eq!(folder.read("log"), expected);
    writer.stop();
}

#[test]
fn rotation_and_another_path_lose_no_line() {
    let (folder, (writer, _)) = (Folder::new("rotation"), start());
    let log = writer.handle().clone();
    log.write_to(Some(&folder.path("log")));
    let mut ring = log.ring(1024);
    ring.push(b"one\n");
    log.flush();
    std::fs::rename(folder.path("log"), folder.path("log.1")).unwrap();
    ring.push(b"two\n");
    log.reopen();
    log.flush();
    ring.push(b"three\n");
    log.write_to(Some(&folder.path("other")));
    log.flush();
    ring.push(b"four\n");
    writer.stop();
    assert_eq!(folder.read("log.1"), "one\ntwo\n");
    assert_eq!((folder.read("log"), folder.read("other")), ("three\n".into(), "four\n".into()));
    assert_eq!(log.totals().lines, 4);
}

#[test]
fn a_log_that_fails_drops_and_counts_and_tells_once() {
    let (writer, events) = start();
    let log = writer.handle().clone();
    log.write_to(Some("/dev/full"));
    let mut ring = log.ring(64);
    while ring.push(b"a line of the log\n") {}
    log.flush();
    log.flush();
    let told = events.wait(Duration::ZERO);
    assert_eq!(told.len(), 1, "{told:?}");
    let Subject::Message { message } = &told[0].subject else { panic!("{told:?}") };
    assert!(message.starts_with("access log /dev/full: write: No space left"), "{message}");
    assert_eq!((log.totals().errors, log.totals().dropped, log.totals().lines), (1, 1, 0));
    log.write_to(None);
    log.flush();
    assert_eq!(log.totals().dropped, 1 + 3, "what was waiting is lost with its log");
    writer.stop();
}
