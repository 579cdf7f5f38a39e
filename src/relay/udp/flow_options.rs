//! The options of the flows of a UDP relay.

use std::sync::Arc;
use std::time::Duration;

use crate::datagram::DatagramSocket;
use crate::net::dial::Dialer;
use crate::relay::fault::FaultPlan;
use crate::relay::record::Recorder;
use crate::report::context::Context;

/// What all flows of a run share.
pub struct FlowOptions {
    /// The target, and how to reach it.
    pub dialer: Dialer,
    /// A flow without a datagram in either direction for this long ends.
    pub idle_timeout: Option<Duration>,
    /// Events, and the end of the run.
    pub context: Context,
    /// The faults that are injected into the datagrams.
    pub faults: FaultPlan,
    /// Where the datagrams are recorded.
    pub recorder: Option<Recorder>,
    /// The socket of the relay, to which clients send.
    pub replies: Arc<DatagramSocket>,
}
