//! Starts the flows of a UDP relay, a thread each, within the limits of the run.

use std::io;
use std::sync::Arc;

use super::flow::Flow;
use super::flow_options::FlowOptions;
use super::flow_queue::FlowQueue;
use super::flow_table::{FlowRemoval, FlowTable};
use super::flow_thread;
use crate::datagram::RecvMeta;
use crate::error::Failure;
use crate::net::address::Address;
use crate::server::limits::ServerLimits;
use crate::server::per_ip_limit::{PerIpLimit, PerIpPermit};
use crate::server::thread_pool::ThreadPool;

/// Stack of a flow's thread, in bytes.
const STACK: usize = 64 << 10;

/// Starts flows, and counts them against the limits.
pub struct FlowStarter {
    limits: ServerLimits,
    per_ip: Option<PerIpLimit>,
    options: Arc<FlowOptions>,
    table: Arc<FlowTable>,
    pool: ThreadPool,
    /// The number of the last flow.
    conn: u64,
    is_full: bool,
}

impl FlowStarter {
    /// Starts flows with `options`, which leave `table` at their end.
    pub fn new(limits: ServerLimits, options: FlowOptions, table: &Arc<FlowTable>) -> FlowStarter {
        FlowStarter {
            per_ip: limits.max_conns_per_ip.map(PerIpLimit::new),
            limits,
            options: Arc::new(options),
            table: table.clone(),
            pool: ThreadPool::new(STACK),
            conn: 0,
            is_full: false,
        }
    }

    /// Whether no further flow begins in this run.
    pub fn is_exhausted(&self) -> bool {
        self.limits.max_accepts.is_some_and(|max| self.conn >= u64::from(max))
    }

    /// Starts a flow if the limits allow it, while `open` others are open.
    pub fn start(
        &mut self,
        peer: &Address,
        meta: &RecvMeta,
        open: usize,
    ) -> Option<Arc<FlowQueue>> {
        if self.is_exhausted() {
            return None;
        }
        let permit = match self.permit(peer, open) {
            Ok(permit) => permit,
            Err(why) => {
                if !std::mem::replace(&mut self.is_full, true) {
                    self.options.context.report.warn(None, format!("rejected {peer}: {why}"));
                }
                return None;
            }
        };
        self.is_full = false;
        self.spawn(peer, meta, permit).unwrap_or_else(|e| {
            let failure = Failure::local_resource(peer, e);
            self.options.context.report.failure(None, &failure);
            None
        })
    }

    fn permit(&self, peer: &Address, open: usize) -> Result<Option<PerIpPermit>, String> {
        if open >= self.limits.max_conns as usize {
            return Err(format!("there are {open} flows already (--max-conns)"));
        }
        let limit = self.per_ip.as_ref().zip(peer.ip());
        limit.map(|(limit, ip)| limit.acquire(ip)).transpose()
    }

    /// Fails when no pipe or thread can be created.
    fn spawn(
        &mut self,
        peer: &Address,
        meta: &RecvMeta,
        permit: Option<PerIpPermit>,
    ) -> io::Result<Option<Arc<FlowQueue>>> {
        let queue = Arc::new(FlowQueue::new()?);
        self.conn += 1;
        let (client, options) = (meta.clone(), self.options.clone());
        let flow = Flow { conn: self.conn, client, queue: queue.clone(), options };
        let (table, peer) = (self.table.clone(), peer.clone());
        self.pool.run(move || {
            let _permit = permit;
            let _removal = FlowRemoval { table: &table, peer: &peer, queue: &flow.queue };
            flow_thread::run(&flow, || table.remove_idle(&peer, &flow.queue));
        })?;
        Ok(Some(queue))
    }
}
