//! What travels beside a datagram: control messages, read and written (cmsg(3)).

use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

use libc::{c_int, cmsghdr, in_addr, in_pktinfo, in6_addr, in6_pktinfo, msghdr};

use crate::datagram::message::LocalSource;

/// Room for the control messages of one datagram, aligned as cmsg(3) wants: two that tell the
/// address in either form, one that tells how merged datagrams come apart.
pub type CmsgBuffer = [u64; 16];

/// What the kernel said beside one datagram.
#[derive(Default)]
pub struct Ancillary {
    pub origin: LocalSource,
    pub segment: usize,
}

/// Reads all control messages of a received header.
///
/// # Safety
///
/// `header` must be as recvmsg(2) left it, its control room still alive.
pub unsafe fn read(header: &msghdr) -> Ancillary {
    let mut told = Ancillary::default();
    // SAFETY: the kernel filled `msg_controllen` bytes of control messages, which FIRSTHDR and
    // NXTHDR stay within; each message of a kind holds the struct that belongs to that kind.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(header);
        while !at.is_null() {
            let data = libc::CMSG_DATA(at);
            match ((*at).cmsg_level, (*at).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    told.origin = from_v4(ptr::read_unaligned(data.cast()));
                }
                // Of an IPv4 datagram the other form says more, whichever comes first.
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)
                    if told.origin == LocalSource::default() =>
                {
                    told.origin = from_v6(ptr::read_unaligned(data.cast()));
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let segment: c_int = ptr::read_unaligned(data.cast());
                    told.segment = segment.max(0) as usize;
                }
                _ => {}
            }
            at = libc::CMSG_NXTHDR(header, at);
        }
    }
    told
}

/// `ipi_spec_dst` is an address of ours even where the datagram was sent to a whole network.
fn from_v4(info: in_pktinfo) -> LocalSource {
    let ip = Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr));
    LocalSource { address: (!ip.is_unspecified()).then_some(IpAddr::V4(ip)), interface: 0 }
}

/// A v4-mapped address stays mapped: that is how a socket of both families wants it back.
fn from_v6(info: in6_pktinfo) -> LocalSource {
    let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
    let mapped_group = ip.to_ipv4_mapped().is_some_and(|v4| v4.is_multicast() || v4.is_broadcast());
    let usable = !(ip.is_multicast() || mapped_group || ip.is_unspecified());
    let local_only = ip.is_unicast_link_local() || ip.is_multicast();
    LocalSource {
        address: usable.then_some(IpAddr::V6(ip)),
        interface: if local_only { info.ipi6_ifindex } else { 0 },
    }
}

/// The control messages of one datagram to be sent: from where, and how it comes apart.
pub struct Control {
    room: MaybeUninit<CmsgBuffer>,
    used: usize,
}

impl Control {
    /// None yet.
    pub const fn none() -> Control {
        Control { room: MaybeUninit::uninit(), used: 0 }
    }

    /// Leave from this address.
    pub fn set_source(&mut self, origin: LocalSource) {
        match origin.address {
            Some(IpAddr::V4(ip)) => {
                let any = in_addr { s_addr: 0 };
                let source = in_addr { s_addr: u32::from(ip).to_be() };
                let info = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: any };
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            Some(IpAddr::V6(ip)) => self.leave_from_v6(ip, origin.interface),
            None if origin.interface != 0 => {
                self.leave_from_v6(Ipv6Addr::UNSPECIFIED, origin.interface);
            }
            None => {}
        }
    }

    fn leave_from_v6(&mut self, ip: Ipv6Addr, interface: u32) {
        let ipi6_addr = in6_addr { s6_addr: ip.octets() };
        let info = in6_pktinfo { ipi6_addr, ipi6_ifindex: interface as _ };
        self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
    }

    /// Come apart into datagrams of this length.
    pub fn set_segment_size(&mut self, segment: usize) {
        self.push(libc::SOL_UDP, libc::UDP_SEGMENT, segment as u16);
    }

    /// Hands the messages to `header`, which must not outlive `self`.
    pub fn attach(&mut self, header: &mut msghdr) {
        if self.used > 0 {
            header.msg_control = self.room.as_mut_ptr().cast();
            header.msg_controllen = self.used as _;
        }
    }

    fn push<T: Copy>(&mut self, level: c_int, kind: c_int, value: T) {
        let length = size_of::<T>() as u32;
        // SAFETY: CMSG_LEN and CMSG_SPACE only compute; the message begins at an offset that is a
        // multiple of the header's alignment, within a room that two of the largest messages fit,
        // and nobody pushes more than two.
        unsafe {
            let at: *mut cmsghdr = self.room.as_mut_ptr().cast::<u8>().add(self.used).cast();
            debug_assert!(self.used + libc::CMSG_SPACE(length) as usize <= size_of::<CmsgBuffer>());
            ptr::write_bytes(at.cast::<u8>(), 0, libc::CMSG_SPACE(length) as usize);
            (*at).cmsg_level = level;
            (*at).cmsg_type = kind;
            (*at).cmsg_len = libc::CMSG_LEN(length) as _;
            ptr::write_unaligned(libc::CMSG_DATA(at).cast(), value);
            self.used += libc::CMSG_SPACE(length) as usize;
        }
    }
}
