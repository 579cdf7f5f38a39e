//! Where to wait.

use clap::Args;

use super::connect::FamilyFlags;
use super::socket::{SocketFlags, TcpFlags};
use crate::error::Failure;
use crate::net::listen::{ListenOptions, Listener};
use crate::process::systemd::{SocketKind, passed_socket};
use crate::shutdown::Shutdown;

/// Flags of every server on an internet address.
#[derive(Debug, Args)]
#[command(next_help_heading = "Listening")]
pub struct ListenFlags {
    /// Address or name to listen on; '', * and :: are every interface
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,
    /// Port or service name; 0 = the kernel picks one
    #[arg(short, long, value_name = "PORT", default_value = "9999")]
    pub port: String,
    /// Only this family
    #[command(flatten)]
    pub families: FamilyFlags,
    /// Write the bound port on stdout first
    #[arg(long)]
    pub print_port: bool,
    /// Options on the socket
    #[command(flatten)]
    pub socket: SocketFlags,
}

impl ListenFlags {
    /// The socket that a service manager passed to us, or one bound as these flags ask, with up
    /// to `backlog` callers waiting.
    ///
    /// Fails as [`Bind::listen`] and [`passed_socket`] do.
    pub fn listener(
        &self,
        streams: &TcpFlags,
        backlog: i32,
        stop: &Shutdown,
    ) -> Result<Listener, Failure> {
        match passed_socket(SocketKind { name: "tcp-server", inet: true, stream: true })? {
            Some(socket) => Listener::passed(socket),
            None => {
                let bind = self.bind(stop);
                ListenOptions { options: streams.added_to(bind.options), ..bind }.listen(backlog)
            }
        }
    }

    /// Where these flags ask to wait; a pulled cord ends the lookup of the host.
    pub fn bind<'a>(&self, stop: &'a Shutdown) -> ListenOptions<'a> {
        ListenOptions {
            host: self.host.clone(),
            port: self.port.clone(),
            family: self.families.family(),
            options: self.socket.options(),
            deadline: stop.into(),
        }
    }
}
