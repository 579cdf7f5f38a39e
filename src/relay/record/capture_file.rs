//! A pcapng file of raw IP packets.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{PcapNgBlock, PcapNgWriter};
use pcap_file::{DataLink, PcapError, PcapResult};
use rustix::fs::OFlags;

use crate::error::Failure;
use crate::net::stdout::Stdout;
use crate::process::output_file;

/// Resolution of timestamps: 10^-9 seconds, which is what the crate writes.
const NANOSECONDS: u8 = 9;

/// Writes blocks, each call's in one system call, so that a run which is killed leaves complete
/// blocks.
pub struct CaptureFile {
    file: File,
    name: String,
    /// Blocks that are not written yet.
    blocks: PcapNgWriter<Vec<u8>>,
    /// Bytes in the file.
    len: u64,
    last_time: Duration,
    has_failed: bool,
}

impl CaptureFile {
    /// Replaces the file at `path`; `-` is `stdout`. Fails with 23 when it cannot be opened.
    pub fn create(path: &Path, stdout: Stdout) -> Result<CaptureFile, Failure> {
        let name = path.display().to_string();
        let opened = if path.as_os_str() == "-" {
            stdout.fd().try_clone_to_owned().map(File::from)
        } else {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
            output_file::open(path, flags, 0o666)
        };
        let file = opened.map_err(|e| Failure::write_file(&name, e))?;
        let blocks = header().map_err(|e| Failure::write_file(&name, io_error(e)))?;
        let (last_time, has_failed) = (Duration::ZERO, false);
        Ok(CaptureFile { file, name, blocks, len: 0, last_time, has_failed })
    }

    /// Writes packets with the present time. Fails once, with 23; what was written before remains
    /// readable.
    pub fn write(&mut self, packets: &[Vec<u8>]) -> Result<(), Failure> {
        if self.has_failed {
            return Ok(());
        }
        let written = self.append(packets).map_err(io_error).and_then(|()| self.flush());
        written.map_err(|e| {
            self.has_failed = true;
            // Part of a block may have been written; a pipe cannot be truncated.
            let _ = self.file.set_len(self.len);
            Failure::write_file(&self.name, e)
        })
    }

    fn append(&mut self, packets: &[Vec<u8>]) -> PcapResult<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.last_time = self.last_time.max(now);
        for packet in packets {
            let block = EnhancedPacketBlock {
                interface_id: 0,
                timestamp: self.last_time,
                original_len: packet.len() as u32,
                data: Cow::Borrowed(packet),
                options: Vec::new(),
            };
            self.blocks.write_pcapng_block(block)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let blocks = self.blocks.get_mut();
        self.file.write_all(blocks)?;
        self.len += blocks.len() as u64;
        blocks.clear();
        Ok(())
    }
}

fn header() -> PcapResult<PcapNgWriter<Vec<u8>>> {
    let program = concat!("sockit ", env!("CARGO_PKG_VERSION"));
    let options = vec![SectionHeaderOption::UserApplication(program.into())];
    let section = SectionHeaderBlock { options, ..SectionHeaderBlock::default() };
    let mut blocks = PcapNgWriter::with_section_header(Vec::new(), section)?;
    let options = vec![
        InterfaceDescriptionOption::IfName("relay".into()),
        InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
    ];
    // A packet has any length (snaplen 0).
    let interface = InterfaceDescriptionBlock { linktype: DataLink::RAW, snaplen: 0, options };
    blocks.write_block(&interface.into_block())?;
    Ok(blocks)
}

fn io_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(e) => e,
        e => io::Error::other(e.to_string()),
    }
}
