//! In a build without the feature `tls`, its flags exit 2.

use crate::support::sockit::sockit;

#[test]
fn tls_without_the_feature_exits_2() {
    for line in ["tcp-client --tls 127.0.0.1 9", "tcp-server --tls --port 0"] {
        let run = sockit(line).run();
        run.exits(2).fails_at("tls").logs("built without feature tls").prints("");
    }
    // Everything else works.
    let server = sockit("tcp-server --service echo --once").serve();
    sockit("tcp-client").to(server.addr()).stdin("plain").run().exits(0).prints("plain");
}
