//! What the relay does with each accepted connection: connects to the target and runs a session.

use std::time::{Duration, Instant};

use super::connection_log::ConnectionLog;
use super::progress::ResetCause;
use super::session::{RelaySession, RelaySessionOptions};
use super::state::SessionState;
use crate::error::Failure;
use crate::net::address::Address;
use crate::net::dial::Dialer;
use crate::net::layer;
use crate::net::stream::{EndedBy, Stream};
use crate::relay::direction::Direction;
use crate::relay::fault::FaultPlan;
use crate::relay::record::Recorder;
use crate::report::context::Context;
use crate::report::event::{Endpoints, Event, Level, Stats};
use crate::report::traffic::SentContent;
use crate::server::thread_pool::ThreadPool;
use crate::service::{Connection, Service, ServiceOutcome};

/// Stack of a thread that copies, in bytes, without layers.
const STACK: usize = 64 << 10;

/// The shortest time between the accept and the reset of a client without a target: the connect(2) of a
/// client that is reset earlier may not have returned, and fails instead.
const MIN_OPEN: Duration = Duration::from_millis(20);

/// What is done with each connection.
pub struct RelayOptions {
    /// Connects to the target.
    pub dialer: Dialer,
    /// The connection is reset if no byte moves for this long.
    pub idle_timeout: Option<Duration>,
    /// The faults that are injected.
    pub faults: FaultPlan,
    /// Where the relayed bytes are recorded.
    pub recorder: Option<Recorder>,
    /// Whether statistics of each connection are printed.
    pub stats: bool,
}

/// The service of the relay.
pub struct RelayService {
    options: RelayOptions,
    context: Context,
    /// The threads of the directions to the clients.
    pool: ThreadPool,
}

impl RelayService {
    /// A service with these options; the layer around its clients needs `client_stack` bytes of stack.
    pub fn new(context: &Context, options: RelayOptions, client_stack: usize) -> RelayService {
        let pool = ThreadPool::new(STACK + target_stack(&options) + client_stack);
        RelayService { options, context: context.clone(), pool }
    }

    /// Connects to the target of connection `conn`, which `client` has opened.
    fn connect(&self, conn: u64, client: &Address) -> Result<Stream, Failure> {
        let Context { report, shutdown } = &self.context;
        let log = |event| report.on_socket_event_of(conn, client, event);
        let target = self.options.dialer.connect(shutdown, &log)?;
        if report.is_enabled(Level::Detail) {
            let client = Some(client.to_string());
            let ends = Endpoints { client, ..Endpoints::new(conn, &target.info) };
            report.emit(&Event::Connected(ends));
        }
        Ok(report.observe(conn, target, SentContent::Shown))
    }

    fn session(
        &self,
        connection: &mut Connection,
        target: Stream,
    ) -> Result<RelaySession, Failure> {
        let conn = connection.conn;
        let (client_address, target_address) = (&connection.stream.info.peer, &target.info.peer);
        let recorder = self.options.recorder.as_ref();
        let log = ConnectionLog {
            conn,
            client: client_address.to_string(),
            target: target_address.to_string(),
            context: self.context.clone(),
            recorded: recorder
                .map(|recorder| recorder.connection(conn, client_address, target_address)),
        };
        let options = RelaySessionOptions {
            idle_timeout: self.options.idle_timeout,
            log,
            faults: self.options.faults.stream_faults(conn),
        };
        RelaySession::new(connection.take_stream(), target, options)
    }

    /// Resets a client that has no target, once its connect(2) has returned: an orderly close would look
    /// like a complete, empty answer.
    fn refuse(&self, connection: &Connection) {
        let client = connection.info();
        if let Some(recorder) = &self.options.recorder {
            // The address of the target is not known.
            recorder.refused(connection.conn, &client.peer, &Address::Unnamed);
        }
        std::thread::sleep(MIN_OPEN.saturating_sub(client.began.elapsed()));
        connection.stream.handle.abort();
    }

    /// Runs both directions to their end, one of them on the current thread.
    fn run(&self, session: RelaySession) -> Result<EndedBy, Failure> {
        let RelaySession { state, to_target, to_client } = session;
        if let Err(e) = self.pool.run(move || to_client.run()) {
            let failure = Failure::local_resource(&state.client.address, e);
            state.reset_both(ResetCause::Failure(failure), Duration::ZERO);
        }
        to_target.run();
        state.wait_thread_exited(Direction::ToClient, None);
        if !self.options.faults.is_empty() {
            state.close();
        }
        state.outcome()
    }
}

/// Bytes of stack that the layer around the target needs.
fn target_stack(options: &RelayOptions) -> usize {
    layer::stack_size(options.dialer.layer.as_ref())
}

/// When connecting to the target began and ended.
#[derive(Clone, Copy)]
struct Times {
    began: Instant,
    connected: Instant,
}

impl Times {
    /// The statistics of connection `conn`, which ended now.
    fn stats(self, conn: u64, state: &SessionState, ended_by: EndedBy) -> Stats {
        let (bytes_in, bytes_out) = (state.to_target.total(), state.to_client.total());
        let seconds = self.connected.elapsed().as_secs_f64();
        let rate = |bytes: u64| bytes as f64 / seconds.max(f64::MIN_POSITIVE);
        let connect = self.connected.duration_since(self.began);
        Stats {
            conn,
            bytes_in,
            bytes_out,
            seconds,
            rate_in: rate(bytes_in),
            rate_out: rate(bytes_out),
            connect_milliseconds: connect.as_secs_f64() * 1e3,
            ended_by,
            sparkline: None,
        }
    }
}

impl Service for RelayService {
    fn serve(&self, connection: &mut Connection) -> Result<ServiceOutcome, Failure> {
        let (conn, client) = (connection.conn, connection.info().peer.clone());
        let began = Instant::now();
        if let Some(event) = self.options.faults.refuses(conn) {
            self.context.report.emit(&Event::Fault(event));
            self.refuse(connection);
            return Ok(EndedBy::Fault.into());
        }
        let target = self.connect(conn, &client).inspect_err(|_| self.refuse(connection))?;
        let times = Times { began, connected: Instant::now() };
        let session = self.session(connection, target)?;
        let state = session.state.clone();
        let outcome = self.run(session);
        connection.bytes_in = state.to_target.total();
        connection.bytes_out = state.to_client.total();
        if self.options.stats {
            let ended_by = outcome.as_ref().map_or_else(EndedBy::from, |by| *by);
            let stats = times.stats(conn, &state, ended_by);
            self.context.report.emit(&Event::Stats(stats));
        }
        outcome.map(ServiceOutcome::from)
    }

    fn stack_size(&self) -> usize {
        STACK + target_stack(&self.options)
    }

    fn relays(&self) -> bool {
        true
    }
}
