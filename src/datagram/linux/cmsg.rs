//! Control messages of a datagram, read and written (cmsg(3)).

use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

use libc::{c_int, cmsghdr, in_addr, in_pktinfo, in6_addr, in6_pktinfo, msghdr, sock_extended_err};

use crate::datagram::message::{LocalSource, Transmit};

/// Buffer for the control messages of one datagram, aligned as cmsg(3) requires: the local address
/// in both forms, and the segment size.
pub type CmsgBuffer = [u64; 16];

/// The control messages of a received datagram, or of an ICMP error (ip(7), `IP_RECVERR`).
#[derive(Default)]
pub struct Ancillary {
    pub local: LocalSource,
    pub segment_size: usize,
    pub icmp_errno: Option<i32>,
}

/// Reads the control messages of a received header.
///
/// # Safety
///
/// `header` must be as recvmsg(2) left it, and its control buffer valid.
pub unsafe fn read(header: &msghdr) -> Ancillary {
    let mut ancillary = Ancillary::default();
    // SAFETY: the kernel wrote `msg_controllen` bytes of control messages, which FIRSTHDR and
    // NXTHDR stay within; each message of a type holds the struct of that type.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(header);
        while !at.is_null() {
            let data = libc::CMSG_DATA(at);
            match ((*at).cmsg_level, (*at).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    ancillary.local = from_v4(ptr::read_unaligned(data.cast()));
                }
                // An IPv4 datagram may have both; IP_PKTINFO has the address to reply from.
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)
                    if ancillary.local == LocalSource::default() =>
                {
                    ancillary.local = from_v6(ptr::read_unaligned(data.cast()));
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let size: c_int = ptr::read_unaligned(data.cast());
                    ancillary.segment_size = size.max(0) as usize;
                }
                (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
                    let error: sock_extended_err = ptr::read_unaligned(data.cast());
                    ancillary.icmp_errno = Some(error.ee_errno as i32);
                }
                _ => {}
            }
            at = libc::CMSG_NXTHDR(header, at);
        }
    }
    ancillary
}

/// `ipi_spec_dst` is a local unicast address even if the datagram was broadcast. It is empty if the
/// datagram was received before `IP_PKTINFO` was set: then the destination is used.
fn from_v4(info: in_pktinfo) -> LocalSource {
    let [local, destination] = [info.ipi_spec_dst, info.ipi_addr]
        .map(|address| Ipv4Addr::from(u32::from_be(address.s_addr)));
    let ip = if local.is_unspecified() { destination } else { local };
    let usable = !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast());
    LocalSource { address: usable.then_some(IpAddr::V4(ip)), interface: 0 }
}

/// A v4-mapped address stays mapped, as a dual-stack socket needs it for sending.
fn from_v6(info: in6_pktinfo) -> LocalSource {
    let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
    let mapped_group = ip.to_ipv4_mapped().is_some_and(|v4| v4.is_multicast() || v4.is_broadcast());
    let usable = !(ip.is_multicast() || mapped_group || ip.is_unspecified());
    let needs_interface = ip.is_unicast_link_local() || ip.is_multicast();
    LocalSource {
        address: usable.then_some(IpAddr::V6(ip)),
        interface: if needs_interface { info.ipi6_ifindex } else { 0 },
    }
}

/// The control messages of a datagram to send: its source and its segment size.
pub struct ControlMessages {
    buffer: MaybeUninit<CmsgBuffer>,
    len: usize,
}

impl ControlMessages {
    /// The address that `transmit` is sent from, and the length of its payloads if it has several.
    pub fn of(transmit: &Transmit<'_>) -> ControlMessages {
        let mut messages = ControlMessages { buffer: MaybeUninit::uninit(), len: 0 };
        messages.push_source(transmit.source);
        if transmit.count() > 1 {
            messages.push(libc::SOL_UDP, libc::UDP_SEGMENT, transmit.segment_size as u16);
        }
        messages
    }

    fn push_source(&mut self, source: LocalSource) {
        let ip = match source.address {
            Some(IpAddr::V4(ip)) => {
                let [ipi_addr, ipi_spec_dst] =
                    [0, u32::from(ip).to_be()].map(|s_addr| in_addr { s_addr });
                let info = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst, ipi_addr };
                return self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            Some(IpAddr::V6(ip)) => ip,
            None if source.interface != 0 => Ipv6Addr::UNSPECIFIED,
            None => return,
        };
        let ipi6_addr = in6_addr { s6_addr: ip.octets() };
        let info = in6_pktinfo { ipi6_addr, ipi6_ifindex: source.interface as _ };
        self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
    }

    /// Points `header` to the messages; it must not outlive `self`.
    pub fn attach(&mut self, header: &mut msghdr) {
        if self.len > 0 {
            header.msg_control = self.buffer.as_mut_ptr().cast();
            header.msg_controllen = self.len as _;
        }
    }

    fn push<T: Copy>(&mut self, level: c_int, kind: c_int, value: T) {
        let length = size_of::<T>() as u32;
        // SAFETY: CMSG_LEN and CMSG_SPACE only compute; the message begins at a multiple of the
        // header's alignment, within a buffer that holds two of the largest messages, and no more
        // than two are pushed.
        unsafe {
            let at: *mut cmsghdr = self.buffer.as_mut_ptr().cast::<u8>().add(self.len).cast();
            debug_assert!(self.len + libc::CMSG_SPACE(length) as usize <= size_of::<CmsgBuffer>());
            ptr::write_bytes(at.cast::<u8>(), 0, libc::CMSG_SPACE(length) as usize);
            (*at).cmsg_level = level;
            (*at).cmsg_type = kind;
            (*at).cmsg_len = libc::CMSG_LEN(length) as _;
            ptr::write_unaligned(libc::CMSG_DATA(at).cast(), value);
            self.len += libc::CMSG_SPACE(length) as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_address_is_the_local_one_of_the_datagram() {
        let info = |local: [u8; 4], destination: [u8; 4]| {
            let [ipi_spec_dst, ipi_addr] = [local, destination]
                .map(|address| libc::in_addr { s_addr: u32::from_ne_bytes(address) });
            in_pktinfo { ipi_ifindex: 1, ipi_spec_dst, ipi_addr }
        };
        for (local, destination, expected) in [
            ([127, 0, 0, 2], [127, 0, 0, 2], Some("127.0.0.2")),
            ([192, 0, 2, 1], [192, 0, 2, 255], Some("192.0.2.1")),
            ([0; 4], [127, 0, 0, 2], Some("127.0.0.2")),
            ([0; 4], [255; 4], None),
            ([0; 4], [224, 0, 0, 1], None),
        ] {
            let found = from_v4(info(local, destination)).address;
            assert_eq!(found.map(|ip| ip.to_string()).as_deref(), expected);
        }
    }
}
