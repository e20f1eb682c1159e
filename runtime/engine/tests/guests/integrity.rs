//! Bytes and code on disk: swapped or damaged files do not run.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;
use tidemill_core::ComponentDigest;
use tidemill_engine::EngineError;

use crate::support::TestHost;

impl TestHost {
    /// The file of a component's code with this extension.
    fn code(&self, digest: ComponentDigest, extension: &str) -> PathBuf {
        let kind = fs::read_dir(self.folder.path().join("cache")).unwrap().next().unwrap().unwrap().path();
        kind.join(digest.hex()).with_extension(extension)
    }

    fn bytes(&self, digest: ComponentDigest) -> PathBuf {
        self.folder.path().join("components").join(digest.hex()).with_extension("wasm")
    }

    /// A new engine over the same folder.
    fn again(self) -> Self {
        let config = tidemill_engine::EngineConfig::new(self.folder.path(), crate::support::compiler());
        let engine = tidemill_engine::Engine::new(config, self.store.clone(), self.clock.clone()).unwrap();
        Self { engine, ..self }
    }
}

fn flip(file: &PathBuf, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(file).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 1;
    replace(file, &bytes);
}

/// Replaces a file by other bytes. An engine may still have the old ones mapped, so they are not
/// overwritten.
fn replace(file: &PathBuf, bytes: &[u8]) {
    let replacement = file.with_extension("new");
    fs::write(&replacement, bytes).unwrap();
    fs::rename(replacement, file).unwrap();
}

#[tokio::test]
async fn code_with_a_flipped_bit_or_of_another_component_is_compiled_again() {
    let host = TestHost::new();
    let noop = host.put(tidemill_artifacts::noop());
    let hostile = host.put(tidemill_artifacts::hostile());
    host.engine.module(noop).await.unwrap();
    host.engine.module(hostile).await.unwrap();
    flip(&host.code(noop, "code"), |len| len / 2);
    for extension in ["code", "seal"] {
        replace(&host.code(hostile, extension), &fs::read(host.code(noop, extension)).unwrap());
    }
    let host = host.again();
    let job = host.job(host.engine.module(noop).await.unwrap());
    assert_eq!(job.output(json!(7)).await, json!(7));
    let job = host.job(host.engine.module(hostile).await.unwrap());
    assert_eq!(job.output(json!({ "do": "echo", "value": 8 })).await, json!(8));
    assert_eq!(host.engine.stats().compiled, 2);

    // Intact code is not compiled again.
    let host = host.again();
    host.engine.module(hostile).await.unwrap();
    assert_eq!(host.engine.stats().compiled, 0);
}

#[tokio::test]
async fn damaged_bytes_are_neither_compiled_nor_verified() {
    let host = TestHost::new();
    let noop = host.put(tidemill_artifacts::noop());
    host.engine.module(noop).await.unwrap();
    host.engine.verify(noop).await.unwrap();
    flip(&host.bytes(noop), |len| len - 1);
    assert!(matches!(host.engine.verify(noop).await, Err(EngineError::Damaged { .. })));

    host.engine.evict(noop);
    let error = host.engine.module(noop).await.err().unwrap();
    assert_eq!(error.code().as_str(), "host/store-damaged", "{error}");
    // The bytes of another component under this name.
    fs::copy(tidemill_artifacts::hostile(), host.bytes(noop)).unwrap();
    assert!(matches!(host.engine.module(noop).await, Err(EngineError::Damaged { .. })));
    assert!(matches!(host.engine.source_lines(noop, &[1]).await, Err(EngineError::Damaged { .. })));
    fs::remove_file(host.bytes(noop)).unwrap();
    assert!(matches!(host.engine.verify(noop).await, Err(EngineError::NotFound(_))));

    // Restored, it runs.
    host.put(tidemill_artifacts::noop());
    host.engine.module(noop).await.unwrap();
}

#[tokio::test]
async fn verifying_removes_code_that_is_damaged() {
    let host = TestHost::new();
    let noop = host.put(tidemill_artifacts::noop());
    host.engine.module(noop).await.unwrap();
    host.engine.verify(noop).await.unwrap();
    assert!(host.code(noop, "code").exists());
    flip(&host.code(noop, "code"), |len| len - 1);
    host.engine.verify(noop).await.unwrap();
    assert!(!host.code(noop, "code").exists());
}

/// The compiler of a killed host ends with it; here the thread that starts it ends.
#[cfg(target_os = "linux")]
#[test]
fn a_compiler_ends_with_its_host() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = super::uploads::large(40, 20_000);
    let component = folder.path().join("bomb.wasm");
    fs::write(&component, &bytes).unwrap();
    let code = folder.path().join("bomb.code");
    let started = std::thread::spawn(move || {
        let child = Command::new(env!("CARGO_BIN_EXE_tidemill-compile"))
            .args([
                "compile",
                component.to_str().unwrap(),
                &ComponentDigest::of(&bytes).to_string(),
                "600",
                "4294967296",
            ])
            .arg(std::process::id().to_string())
            .arg(&code)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        // It has opened its file, so it is bound to this thread by now.
        while !code.exists() {
            std::thread::yield_now();
        }
        child
    });
    let status = started.join().unwrap().wait().unwrap();
    assert_eq!(status.signal(), Some(9), "{status:?}");
}
