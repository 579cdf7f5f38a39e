//! The fuzzed code for proxies, separate from the fuzzer, so that the ordinary tests can run it too.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use sockit::error::{ExitCode, Phase};
use sockit::net::layer::HandshakeContext;
use sockit::net::proxy::{Proxy, Target};
use sockit::net::stream::{Reader, Stream};

const LIMIT: Duration = Duration::from_secs(5);
const PROXIES: [&str; 4] = ["socks5://h:1", "socks5h://u:p@h:1", "http://h:1", "http://u:p@h:1"];

/// Uses `bytes` as everything that a proxy sends; the first byte selects the protocol.
///
/// Panics on an exit code other than 7, 8, 63 and 97, when the result depends on the size of the
/// reads, when bytes of the target are lost or added, or when it waits although all bytes were read.
pub fn proxy(bytes: &[u8]) {
    let [choice, reply @ ..] = bytes else { return };
    let proxy = PROXIES[usize::from(*choice) % PROXIES.len()];
    let complete = outcome(proxy, reply, usize::MAX);
    assert_eq!(complete, outcome(proxy, reply, 1));
    match complete {
        Ok(rest) => assert!(reply.ends_with(&rest), "the target's first bytes"),
        Err(code) => {
            let known = [ExitCode::Connect, ExitCode::Protocol, ExitCode::Limit, ExitCode::Proxy];
            assert!(known.contains(&code), "{code:?}");
        }
    }
}

/// The bytes left for the target's reader, or the code of the failure, when each read returns at most
/// `step` bytes.
fn outcome(proxy: &str, reply: &[u8], step: usize) -> Result<Vec<u8>, ExitCode> {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    theirs.set_nonblocking(true).expect("a mode");
    // As much as the pair holds: the reader has limits of its own.
    let _ = theirs.write(reply);
    theirs.shutdown(std::net::Shutdown::Write).expect("an end");
    let mut stream = Stream::from_socket(ours.into()).expect("a stream");
    stream.reader = Box::new(Pieces { inner: stream.reader, step });
    let proxy = Proxy::parse(proxy).expect("a proxy");
    let target = Target::new("target.example", 7);
    let context = HandshakeContext {
        target: proxy.to_string(),
        deadline: Some(Instant::now() + LIMIT),
        timeout: LIMIT,
        shutdown: None,
        activity: None,
        emit: &|_| (),
    };
    let mut stream = proxy.tunnel(stream, &target, &context).map_err(|failure| {
        assert_eq!(failure.phase, Phase::Proxy, "{failure}");
        failure.code
    })?;
    let mut rest = Vec::new();
    stream.reader.read_to_end(&mut rest).expect("an end");
    Ok(rest)
}

/// A reader that returns at most `step` bytes.
struct Pieces {
    inner: Box<dyn Reader>,
    step: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let max = buffer.len().min(self.step);
        self.inner.read(&mut buffer[..max])
    }
}

impl Reader for Pieces {}
