//! The relay of UDP datagrams: [`run`] receives them and passes each to the flow of its client.

mod due_queue;
mod flow;
mod flow_options;
mod flow_queue;
mod flow_starter;
mod flow_table;
mod flow_thread;
mod relay;

pub use relay::{UdpRelayOptions, run};
