//! The event of bytes sent or received (`-vv`).

use serde::Serialize;

use crate::report::escape::escape;
use crate::report::excerpt::{Excerpt, byte_count, group_digits, quoted};

/// Bytes of one call, or of the calls of a second.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Transfer {
    /// The connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conn: Option<u64>,
    /// The peer's address.
    pub peer: String,
    /// So many bytes.
    pub bytes: u64,
    /// Of so many that were to be sent, where the call took fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// The calls, where they are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// `sendfile`, for bytes that stayed in the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'static str>,
    /// The offset in the file, of `sendfile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The first bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Excerpt>,
}

impl Transfer {
    /// The text of sent bytes.
    pub fn sent(&self) -> String {
        let (peer, bytes, data) = (escape(&self.peer), byte_count(self.bytes), self.quoted());
        match (self.offset, self.of) {
            (Some(offset), _) => {
                format!("Sending the file from byte {}, {bytes} (sendfile)", group_digits(offset))
            }
            (_, Some(of)) => {
                let bytes = group_digits(self.bytes);
                format!("Sent {bytes} of {} to {peer}{data}", byte_count(of))
            }
            _ => format!("Sent {bytes} to {peer}{}{data}", self.calls()),
        }
    }

    /// The text of received bytes.
    pub fn received(&self) -> String {
        let (bytes, peer) = (byte_count(self.bytes), escape(&self.peer));
        format!("Received {bytes} from {peer}{}{}", self.calls(), self.quoted())
    }

    /// How many calls, for those of a second.
    fn calls(&self) -> String {
        let calls = self.calls.map(|calls| format!(" in {} calls", group_digits(calls)));
        calls.unwrap_or_default()
    }

    fn quoted(&self) -> String {
        quoted(self.data.as_ref())
    }
}
