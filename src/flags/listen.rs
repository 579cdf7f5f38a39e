//! Flags of the listening socket.

use clap::Args;

use super::connect::FamilyFlags;
use super::socket::{SocketFlags, TcpFlags};
use crate::error::Failure;
use crate::net::address::Address;
use crate::net::listen::{ListenOptions, Listener};
use crate::net::socket_event::OnSocketEvent;
use crate::net::stdout::Stdout;
use crate::process::systemd::{SocketKind, passed_socket};
use crate::shutdown::Shutdown;

/// Flags of every server on an internet address.
#[derive(Debug, Args)]
#[command(next_help_heading = "Listening")]
pub struct ListenFlags {
    /// Address or name to listen on; '', * and :: = all interfaces
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,
    /// Port or service name to listen on; 0 = chosen by the kernel
    #[arg(short, long, value_name = "PORT", default_value = "9999")]
    pub port: String,
    #[command(flatten)]
    pub(crate) families: FamilyFlags,
    #[command(flatten)]
    pub(crate) print_port: PrintPortFlag,
    #[command(flatten)]
    pub(crate) socket: SocketFlags,
}

/// The flag for the port on stdout.
#[derive(Debug, Args)]
pub struct PrintPortFlag {
    /// Print the port on stdout, as the first line
    #[arg(long)]
    pub print_port: bool,
}

impl PrintPortFlag {
    /// Prints the port of `local`, if the flag is given; fails as [`Stdout::write_all`] does.
    pub fn print(&self, local: &Address, stdout: Stdout) -> Result<(), Failure> {
        if !self.print_port {
            return Ok(());
        }
        let port = local.inet().map_or(0, |address| address.port());
        stdout.write_all(format!("{port}\n").as_bytes())
    }
}

impl ListenFlags {
    /// The socket that a service manager has passed, or one bound as configured, with a queue
    /// of `backlog` connections.
    ///
    /// Fails as [`ListenOptions::listen`] and [`passed_socket`] do.
    pub fn listener(
        &self,
        streams: &TcpFlags,
        backlog: i32,
        bind: ListenOptions<'_>,
    ) -> Result<Listener, Failure> {
        match passed_socket(SocketKind { name: "tcp-server", inet: true, stream: true })? {
            Some(socket) => Listener::passed(socket),
            None => {
                let socket_options = streams.added_to(bind.socket_options);
                ListenOptions { socket_options, ..bind }.listen(backlog)
            }
        }
    }

    /// The address to listen on; `shutdown` cancels the lookup of the host, and `emit` receives the
    /// steps.
    pub fn bind<'a>(&self, shutdown: &'a Shutdown, emit: OnSocketEvent<'a>) -> ListenOptions<'a> {
        ListenOptions {
            host: self.host.clone(),
            port: self.port.clone(),
            family: self.families.family(),
            socket_options: self.socket.options(),
            deadline: shutdown.into(),
            emit,
        }
    }
}
