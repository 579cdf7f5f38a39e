//! What is fuzzed of proxies, apart from the fuzzer, so that the ordinary tests can run it too.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use sockit::error::{ExitCode, Phase};
use sockit::net::layer::HandshakeContext;
use sockit::net::proxy::{Proxy, Target};
use sockit::net::stream::{Reader, Stream};

const LIMIT: Duration = Duration::from_secs(5);
const PROXIES: [&str; 4] = ["socks5://h:1", "socks5h://u:p@h:1", "http://h:1", "http://u:p@h:1"];

/// Takes `bytes` for all that a proxy says: the first byte chooses its kind.
///
/// Panics where a promise is broken: another code than 7, 8, 63 or 97, another outcome when each
/// read brings one byte only, bytes of the target that are lost or made up, or a wait though the
/// proxy has said everything.
pub fn proxy(bytes: &[u8]) {
    let [choice, answer @ ..] = bytes else { return };
    let proxy = PROXIES[usize::from(*choice) % PROXIES.len()];
    let whole = outcome(proxy, answer, usize::MAX);
    assert_eq!(whole, outcome(proxy, answer, 1));
    match whole {
        Ok(rest) => assert!(answer.ends_with(&rest), "the target's first words"),
        Err(code) => {
            let known = [ExitCode::Connect, ExitCode::Protocol, ExitCode::Limit, ExitCode::Proxy];
            assert!(known.contains(&code), "{code:?}");
        }
    }
}

/// What is left for the target's reader, or the code of the failure, when each read brings `step`
/// bytes at most.
fn outcome(proxy: &str, answer: &[u8], step: usize) -> Result<Vec<u8>, ExitCode> {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    theirs.set_nonblocking(true).expect("a mode");
    // As much as the pair holds: the reader has limits of its own.
    let _ = theirs.write(answer);
    theirs.shutdown(std::net::Shutdown::Write).expect("an end");
    let mut stream = Stream::from_socket(ours.into()).expect("a stream");
    stream.reader = Box::new(Pieces { of: stream.reader, step });
    let proxy = Proxy::parse(proxy).expect("a proxy");
    let target = Target::new("target.example", 7);
    let talk = HandshakeContext {
        target: proxy.to_string(),
        deadline: Some(Instant::now() + LIMIT),
        timeout: LIMIT,
        shutdown: None,
        activity: None,
        emit: &|_| (),
    };
    let mut stream = proxy.tunnel(stream, &target, &talk).map_err(|failure| {
        assert_eq!(failure.phase, Phase::Proxy, "{failure}");
        failure.code
    })?;
    let mut rest = Vec::new();
    stream.reader.read_to_end(&mut rest).expect("an end");
    Ok(rest)
}

/// A reader that brings so many bytes at most.
struct Pieces {
    of: Box<dyn Reader>,
    step: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = buffer.len().min(self.step);
        self.of.read(&mut buffer[..most])
    }
}

impl Reader for Pieces {}
