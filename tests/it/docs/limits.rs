//! The limits in docs/limits.md are those of the program.

use super::tables::read;

/// Limits with a flag: a word of the row, the flag, its help page, its default there.
const LIMITS_OF_FLAGS: [(&str, &str, &str, &str); 12] = [
    ("10 s", "--connect-timeout", "tcp-client", "10s"),
    ("30 s in http-get", "--idle-timeout", "http-get", "30s"),
    ("5 s", "--timeout", "resolve", "5s"),
    ("3 s", "--grace", "tcp-server", "3s"),
    ("1024", "--max-conns", "tcp-server", "1024"),
    ("4096", "--backlog", "tcp-server", "4096"),
    ("1000 per second", "--max-rate", "udp-echo", "1000"),
    ("256 KiB", "--max-header", "http-get", "256Ki"),
    ("10", "--max-redirects", "http-get", "10"),
    ("32", "--jobs", "resolve", "32"),
    ("32", "--jobs", "check", "32"),
    ("an attempt of `check` at a target | 3 s", "--timeout", "check", "3s"),
];

#[test]
fn limit_with_a_flag_is_the_default_of_the_flag() {
    let text = read("docs/limits.md");
    for (words, flag, page, default) in LIMITS_OF_FLAGS {
        let column = format!("| `{flag}` |");
        let documented = |line: &str| line.contains(&column) && line.contains(words);
        assert!(text.lines().any(documented), "docs/limits.md has no {words} at {flag}");
        let page = read(&format!("tests/help/{page}.txt"));
        let (_, about) = page.split_once(&format!("  {flag} <")).expect("the flag's entry");
        let entry = about.split("\n      --").next().unwrap_or_default();
        assert!(entry.contains(&format!("[default: {default}]")), "{flag}: {entry}");
    }
}

/// Limits without a flag: a part of the row, the file and name of the constant, its value.
const LIMITS_OF_CONSTANTS: [(&str, &str, &str, &str); 49] = [
    (
        "before a reset | 50 ms |",
        "src/relay/stream/state.rs",
        "RESET_GRACE",
        "Duration::from_millis(50)",
    ),
    ("| 256 KiB in a pipe", "src/relay/stream/copy.rs", "PIPE_SIZE", "256 << 10"),
    ("256 KiB in its send", "src/relay/stream/peer_socket.rs", "MAX_UNSENT", "256 << 10"),
    ("relay | 60 s |", "src/command/relay.rs", "UDP_IDLE_TIMEOUT", "Duration::from_secs(60)"),
    ("its thread | 1024 |", "src/relay/udp/flow_queue.rs", "MAX_QUEUED", "1024"),
    ("| 4096 each way |", "src/relay/udp/due_queue.rs", "MAX_WAITING", "4096"),
    ("| 10 s in all |", "src/net/tls/server.rs", "HANDSHAKE_TIMEOUT", "Duration::from_secs(10)"),
    ("| 2 s or 1 MiB |", "src/service/connection.rs", "DRAIN_TIMEOUT", "Duration::from_secs(2)"),
    ("| 2 s or 1 MiB |", "src/service/connection.rs", "MAX_DRAIN", "1 << 20"),
    ("| 64, for 5 s |", "src/server/thread_pool.rs", "MAX_PARKED", "64"),
    ("| 64, for 5 s |", "src/server/thread_pool.rs", "PARK_TIMEOUT", "Duration::from_secs(5)"),
    ("| 100,000 |", "src/server/access.rs", "MAX_RULES", "100_000"),
    ("| 64 KiB | `--max-message` |", "src/flags/messages.rs", "MAX_MESSAGE", "64 << 10"),
    ("| 1024 lines or 1 MiB |", "src/service/chat/queue.rs", "MAX_LINES", "1024"),
    ("| 1024 lines or 1 MiB |", "src/service/chat/queue.rs", "MAX_BYTES", "1 << 20"),
    ("1 ms per line", "src/service/chat/room.rs", "BACKPRESSURE_PAUSE", "Duration::from_millis(1)"),
    ("| 16,384 and 32 MiB,", "src/datagram/server/delay_queue.rs", "MAX_DELAYED", "16_384"),
    ("| 16,384 and 32 MiB,", "src/datagram/server/delay_queue.rs", "MAX_BYTES", "32 << 20"),
    ("| 64, 10 s each |", "src/datagram/server/exec.rs", "MAX_PROGRAMS", "64"),
    (
        "| 64, 10 s each |",
        "src/datagram/server/exec.rs",
        "ANSWER_TIMEOUT",
        "Duration::from_secs(10)",
    ),
    (
        "| 50 s of unanswered",
        "src/net/connection_handle.rs",
        "PROBE_INTERVAL",
        "Duration::from_secs(10)",
    ),
    ("| 50 s of unanswered", "src/net/connection_handle.rs", "MAX_PROBES", "4"),
    (
        "there is no input | 5 s |",
        "src/transfer/options.rs",
        "SILENCE_LIMIT",
        "Duration::from_secs(5)",
    ),
    ("the prompt | 1 MiB |", "src/client/line_editor.rs", "MAX_LINE", "1 << 20"),
    ("100 ms per piece", "src/service/chat/stdin.rs", "MAX_PAUSE", "Duration::from_millis(100)"),
    ("all services | 32,768 |", "src/process/child_groups.rs", "MAX_CHILDREN", "32 << 10"),
    ("average | 10,000 |", "src/http/coding/inflate.rs", "MAX_TINY_MEMBERS", "10_000"),
    ("| 65,507 bytes |", "src/datagram/mod.rs", "MAX_UDP_PAYLOAD", "65_507"),
    ("| the last 1 MiB |", "src/client/match_buffer.rs", "MIN_KEPT", "1 << 20"),
    ("| 256 KiB, 1000 fields |", "src/http/head_reader.rs", "MAX_FIELDS", "1000"),
    ("| 20, 200 |", "src/http/response_parser.rs", "MAX_INTERIMS", "20"),
    ("| 20, 200 |", "src/http/chunked.rs", "MAX_TRAILERS", "200"),
    ("| 16 KiB; 64 KiB, or", "src/http/chunked.rs", "MAX_LINE", "16 * 1024"),
    ("| stacked codings | 5 |", "src/http/coding/decoder_chain.rs", "MAX_CODINGS", "5"),
    ("| 16 MiB, of zstd 8 MiB |", "src/http/coding/decoder_chain.rs", "MAX_WINDOWS", "16 << 20"),
    ("| 16 MiB, of zstd 8 MiB |", "src/http/coding/zstd.rs", "WINDOW", "8 << 20"),
    ("| 64 MiB and 100 times", "src/http/coding/decompression_bomb.rs", "BOMB_BYTES", "64 << 20"),
    ("| 64 KiB, 8 interim answers |", "src/net/proxy/http_connect.rs", "MAX_HEADER", "64 << 10"),
    ("| 64 KiB, 8 interim answers |", "src/net/proxy/http_connect.rs", "MAX_INTERIM", "8"),
    ("aliases of a name (`--server`) | 16 |", "src/resolver/dns/cname.rs", "MAX_ALIASES", "16"),
    ("targets of `check` | 65,536 |", "src/check/target.rs", "MAX_TARGETS", "65_536"),
    ("in all | 1,000,000 |", "src/flags/check.rs", "MAX_ATTEMPTS", "1_000_000"),
    ("| 3, one per second |", "src/check/udp.rs", "MAX_SENDS", "3"),
    ("| 3, one per second |", "src/check/udp.rs", "RESEND_DELAY", "Duration::from_secs(1)"),
    ("a wait of `check` | 30 s |", "src/check/hosts.rs", "MAX_AGE", "Duration::from_secs(30)"),
    ("`-q` | 1 minute", "src/usage/netcat/flags.rs", "ANSWER_TIMEOUT", "Duration::from_secs(60)"),
    (
        "finished | 10 s; 1 s with `-k` |",
        "src/usage/netcat/flags.rs",
        "STDIN_TIMEOUT",
        "Duration::from_secs(10)",
    ),
    ("`nc -zu` checks | 3 s |", "src/usage/netcat.rs", "UDP_TIMEOUT", "Duration::from_secs(3)"),
    ("(`-f`) | 4096 |", "src/lookup/work_queue.rs", "MAX_PENDING", "4096"),
];

#[test]
fn limit_without_a_flag_is_the_constant_of_the_code() {
    let text = read("docs/limits.md");
    for (words, file, name, value) in LIMITS_OF_CONSTANTS {
        assert!(text.contains(words), "docs/limits.md has no row {words}");
        let code = read(file);
        let line = code.lines().find(|line| line.contains(&format!("const {name}: ")));
        let line = line.unwrap_or_else(|| panic!("{file} has no {name}"));
        assert!(line.ends_with(&format!(" = {value};")), "{words}: {line}");
    }
}
