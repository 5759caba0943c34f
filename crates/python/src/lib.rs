//! Translates: Python's calls into the dataplane's, and back.
//!
//! The stub `python/evenly/_native.pyi` says what each call means, and stubtest holds the two together. Every call that
//! may take time releases the interpreter lock. Nothing is decided here and nothing is done here; a line that does
//! either belongs to `core` or to `proxy`.

use evenly_core::access::Hash;
use evenly_core::document::DocumentError as Refused;
use evenly_core::pool::AdminState;
use evenly_proxy::{ApplyError, EndpointChange, descriptor};
use mimalloc::MiMalloc;
use pyo3::exceptions::{PyKeyError, PyOSError, PyValueError};
use pyo3::prelude::*;
use std::net::SocketAddr;
use std::os::fd::IntoRawFd;
use std::time::Duration;

/// Connections come and go on every worker at once; it frees across threads without a lock.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

pyo3::create_exception!(
    evenly._native,
    DocumentError,
    pyo3::exceptions::PyException,
    "A document was refused: (path, message)."
);

/// Listening sockets by bind address, as Python holds them.
type Descriptors = Vec<(String, Vec<i32>)>;

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::{Dataplane, DocumentError, check, hash_password};
}

/// Builds a document without running it.
#[pyfunction]
fn check(py: Python<'_>, document: &str) -> PyResult<String> {
    let warnings = py.detach(|| evenly_proxy::Dataplane::check(document)).map_err(refused)?;
    json(&warnings)
}

/// Hashes a password.
#[pyfunction]
fn hash_password(py: Python<'_>, password: &[u8], salt: &[u8]) -> PyResult<String> {
    py.detach(|| Hash::make(password, salt)).map_err(PyValueError::new_err)
}

/// See the stub.
#[pyclass(frozen, module = "evenly._native")]
struct Dataplane(evenly_proxy::Dataplane);

#[pymethods]
impl Dataplane {
    #[new]
    fn new(py: Python<'_>, document: &str, sockets: Descriptors, health: &str) -> PyResult<Self> {
        let sockets = sockets
            .into_iter()
            .map(|(address, numbers)| {
                Ok((parse(&address)?, numbers.into_iter().filter_map(descriptor::own).collect()))
            })
            .collect::<PyResult<Vec<_>>>()?;
        py.detach(|| evenly_proxy::Dataplane::start(document, sockets, health)).map(Self).map_err(failed)
    }

    fn apply(&self, py: Python<'_>, document: &str, health: &str) -> PyResult<String> {
        json(&py.detach(|| self.0.apply(document, health)).map_err(failed)?)
    }

    fn status(&self, py: Python<'_>) -> String {
        py.detach(|| self.0.status())
    }

    fn metrics(&self, py: Python<'_>) -> String {
        py.detach(|| self.0.metrics())
    }

    fn events(&self, py: Python<'_>, timeout_ms: u64) -> PyResult<String> {
        json(&py.detach(|| self.0.events(Duration::from_millis(timeout_ms))))
    }

    #[pyo3(signature = (pool, address, state, weight))]
    fn set_endpoint(
        &self,
        py: Python<'_>,
        pool: &str,
        address: &str,
        state: &str,
        weight: Option<u16>,
    ) -> PyResult<()> {
        let change = EndpointChange { state: admin(state)?, weight };
        let endpoint = parse(address)?;
        if py.detach(|| self.0.set_endpoint(pool, endpoint, change)) {
            Ok(())
        } else {
            Err(PyKeyError::new_err(format!("no endpoint {address} in pool {pool}")))
        }
    }

    #[pyo3(signature = (zone, time_ms))]
    fn evacuate(&self, py: Python<'_>, zone: &str, time_ms: Option<u64>) -> PyResult<()> {
        if py.detach(|| self.0.evacuate(zone, time_ms.map(Duration::from_millis))) {
            Ok(())
        } else {
            Err(PyKeyError::new_err(format!("no zone {zone} to evacuate or to take back")))
        }
    }

    fn settle_name(&self, py: Python<'_>, name: &str) {
        py.detach(|| self.0.settle_name(name));
    }

    fn sockets(&self, py: Python<'_>) -> PyResult<Descriptors> {
        let sockets = py.detach(|| self.0.sockets())?;
        let numbers =
            |owned: Vec<std::os::fd::OwnedFd>| owned.into_iter().map(IntoRawFd::into_raw_fd).collect();
        Ok(sockets.into_iter().map(|(address, owned)| (address.to_string(), numbers(owned))).collect())
    }

    fn health(&self, py: Python<'_>) -> String {
        py.detach(|| self.0.health())
    }

    fn reopen_logs(&self, py: Python<'_>) {
        py.detach(|| self.0.reopen_logs());
    }

    fn drain(&self, py: Python<'_>) {
        py.detach(|| self.0.drain());
    }

    fn connections(&self) -> u32 {
        self.0.connections()
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }
}

fn admin(state: &str) -> PyResult<AdminState> {
    match state {
        "ready" => Ok(AdminState::Ready),
        "draining" => Ok(AdminState::Draining),
        "maintenance" => Ok(AdminState::Maintenance),
        _ => Err(PyValueError::new_err(format!("{state:?} is not ready, draining or maintenance"))),
    }
}

fn parse(address: &str) -> PyResult<SocketAddr> {
    address.parse().map_err(|_| PyValueError::new_err(format!("{address:?} is not an address with a port")))
}

fn json(value: &impl serde::Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn refused(error: Refused) -> PyErr {
    DocumentError::new_err((error.path, error.message))
}

fn failed(error: ApplyError) -> PyErr {
    match error {
        ApplyError::Document(error) => refused(error),
        // OSError(errno, message, address) chooses PermissionError and its like by the number.
        ApplyError::Bind(bind) => {
            let text = bind.error.to_string();
            PyOSError::new_err((bind.error.raw_os_error(), text, bind.address.to_string()))
        }
        ApplyError::Io(error) => error.into(),
    }
}
