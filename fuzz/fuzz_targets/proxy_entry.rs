//! What is fuzzed of proxies, apart from the fuzzer, so that the ordinary tests can run it too.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use sockit::failure::{Code, Stage};
use sockit::net::layer::Handshake;
use sockit::net::proxy::{Proxy, Target};
use sockit::net::stream::Stream;

const LIMIT: Duration = Duration::from_secs(5);
const PROXIES: [&str; 4] = ["socks5://h:1", "socks5h://u:p@h:1", "http://h:1", "http://u:p@h:1"];

/// Takes `bytes` for all that a proxy says: the first byte chooses its kind.
///
/// Panics where a promise is broken: another code than 7, 8, 63 or 97, or a wait though the
/// proxy has said everything.
pub fn proxy(bytes: &[u8]) {
    let [choice, answer @ ..] = bytes else { return };
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    theirs.set_nonblocking(true).expect("a mode");
    // As much as the pair holds: the reader has limits of its own.
    let _ = theirs.write(answer);
    theirs.shutdown(std::net::Shutdown::Write).expect("an end");
    let stream = Stream::from_socket(ours.into()).expect("a stream");
    let proxy = Proxy::read(PROXIES[usize::from(*choice) % PROXIES.len()]).expect("a proxy");
    let target = Target::new("target.example", 7);
    let talk = Handshake {
        whom: proxy.to_string(),
        until: Some(Instant::now() + LIMIT),
        limit: LIMIT,
        stop: None,
        mood: None,
        tell: &|_| (),
    };
    if let Err(failure) = proxy.join(stream, &target, &talk) {
        assert_eq!(failure.stage, Stage::Proxy, "{failure}");
        let known = [Code::Connect, Code::Protocol, Code::Limit, Code::Proxy];
        assert!(known.contains(&failure.code), "{failure}");
    }
}
