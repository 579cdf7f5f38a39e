//! `--join`: serving a multicast group.

use std::net::IpAddr;

use socket2::Socket;

use crate::datagram::MulticastGroup;
use crate::error::{Failure, Phase};
use crate::net::listen::ListenOptions;
use crate::resolver;

/// A socket bound for the members of group `word`.
///
/// Where `bind` names every interface, it hears what else comes to the port too. Where it names one
/// address, only what is sent to the group is heard, also on the interface of that address.
/// Fails with code 2 when `word` is no group, else as [`Bind::datagram`] and [`Group::join`] do.
pub fn bind(mut bind: ListenOptions<'_>, word: &str) -> Result<Socket, Failure> {
    let found = resolver::addresses(word, 0, bind.family, bind.deadline)?;
    let address = found.first().copied().filter(|address| address.ip().is_multicast());
    let not_one = || Failure::usage(Phase::Resolve, word, "not a multicast group");
    let address = address.ok_or_else(not_one)?;
    let interface = bind.options.interface.clone();
    let beside = bind.host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    if !bind.is_any_interface() {
        bind.host = word.to_string();
    }
    let socket = bind.datagram()?;
    MulticastGroup { address, interface, extra_interface: beside }.join(&socket)?;
    Ok(socket)
}
