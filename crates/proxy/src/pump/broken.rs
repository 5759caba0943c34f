//! What can go wrong with a body on its way, and whose fault that is.

use crate::compress::Refused;
use evenly_core::error::Failure;

/// Why a body did not get through.
#[derive(Debug)]
pub enum Broken {
    /// The source broke or closed before the end.
    Source,
    /// The source's framing is wrong.
    Framing,
    /// The source was silent or slow for too long.
    SourceLate,
    /// The body is longer than allowed.
    TooLarge,
    /// The sink broke.
    Sink,
    /// The sink took nothing, or too little, for too long.
    SinkLate,
    /// What compresses it has failed.
    Stage,
}

impl From<Refused> for Broken {
    fn from(_: Refused) -> Self {
        Self::Stage
    }
}

impl Broken {
    /// What it means when the body is a request's: the client is the source.
    pub fn of_request(&self) -> Failure {
        match self {
            Self::Source => Failure::ClientGone,
            Self::Framing => Failure::RequestBad,
            Self::SourceLate => Failure::ClientSlow,
            Self::TooLarge => Failure::RequestTooLarge,
            Self::Sink => Failure::UpstreamClosed,
            Self::SinkLate => Failure::ResponseTimeout,
            Self::Stage => Failure::Internal,
        }
    }

    /// What it means when the body is a response's: the endpoint is the source.
    pub fn of_response(&self) -> Failure {
        match self {
            Self::Source | Self::TooLarge => Failure::UpstreamTruncated,
            Self::Framing => Failure::ResponseBad,
            Self::SourceLate => Failure::IdleTimeout,
            Self::Sink => Failure::ClientGone,
            Self::SinkLate => Failure::SendTimeout,
            Self::Stage => Failure::Internal,
        }
    }
}
