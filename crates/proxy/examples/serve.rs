//! Serves a document without Python, for profilers: `valgrind --tool=callgrind target/release/examples/serve FILE`,
//! where FILE holds the JSON that `evenly check` would hand over. Ends when its standard input does.

use evenly_proxy::Dataplane;
use std::error::Error;
use std::io::Read;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: serve DOCUMENT.json")?;
    let dataplane = Dataplane::start(&std::fs::read_to_string(path)?, Vec::new(), "")?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    dataplane.stop();
    Ok(())
}
