//! What a flag of another tool means here.

/// What a flag means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The default of sockit, or without effect here.
    Ignored,
    /// sockit has no equivalent.
    Unsupported(&'static str),
    /// This flag of sockit, without a value or with the one after the blank.
    Flag(&'static str),
    /// This flag of sockit, with the same value.
    Value(&'static str),
    /// A request header of this name.
    Header(&'static str),
    /// A proxy of this scheme, unless the value has one.
    Proxy(&'static str),
    /// The value is an operand.
    Operand,
    /// The translation depends on other arguments.
    Setting(Setting),
}

/// A flag whose translation depends on other arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Be a server.
    Listen,
    /// Use UDP.
    Udp,
    /// Serve one client after another.
    KeepOpen,
    /// Use a Unix socket.
    Unix,
    /// Only check whether the port is open.
    Scan,
    /// A program to run, without a shell.
    Exec,
    /// A program to run in a shell.
    Shell,
    /// The local address.
    Source,
    /// The local port, or the server's.
    Port,
    /// Numeric addresses only.
    Numeric,
    /// The null device is an input that ends.
    HalfClose,
    /// Verify the peer's certificate.
    SslVerify,
    /// Clients that are allowed, or not; or a file of them.
    Allow,
    AllowFile,
    Deny,
    DenyFile,
    /// Print help.
    Help,
    /// Idle timeout in seconds.
    Wait,
    /// Seconds to wait after the end of input.
    Quit,
    /// Allow broadcast addresses.
    Broadcast,
    /// The proxy's URL.
    Proxy,
    /// The proxy's protocol.
    ProxyType,
    /// The proxy's user and password.
    ProxyLogin,
    /// An HTTP method.
    Method,
    /// Where a download is resumed.
    Resume,
    /// Number of attempts.
    Tries,
}
