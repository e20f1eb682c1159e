//! Damage to the files of the store. The host detects it, or still has every acknowledged run.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::host::{Host, pseudo_random};

fn files(of: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![of.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, target).unwrap();
    }
}

/// Opens a damaged folder. Every acknowledged run is present, or the host refuses with
/// `host/store-damaged`; returns whether the host started.
async fn opens_with_all_or_refuses(dir: &Path, answered: &[serde_json::Value], what: &str) -> bool {
    let opened = tokio::spawn({
        let dir = dir.to_owned();
        async move { Host::start(&dir).await }
    })
    .await;
    let output = std::fs::read_to_string(dir.join("host.log")).unwrap_or_default();
    let Ok(host) = opened else {
        assert!(output.contains("host/store-damaged"), "{what}: {output}");
        return false;
    };
    for run in answered {
        let path = format!("/v1/runs/{}", run["id"].as_str().unwrap());
        let answer = host.http.get(host.url(&path)).send().await.unwrap();
        let status = answer.status();
        let body = answer.text().await.unwrap();
        // A damaged record fails its read. It is never silently missing.
        if !status.is_success() {
            assert!(body.contains("host/store-damaged"), "{what}: {status} {body}");
        } else {
            assert_eq!(&serde_json::from_str::<serde_json::Value>(&body).unwrap(), run, "{what}");
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_or_altered_files_are_detected_and_no_run_is_silently_missing() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    host.deploy_hostile("echo", json!({})).await;
    let mut answered = Vec::new();
    for number in 0..30 {
        answered.push(host.invoke("echo", &json!({ "do": "echo", "value": number })).await);
    }
    assert!(host.stop().success());
    let data = dir.path().join("data");
    let store: Vec<PathBuf> = files(&data)
        .into_iter()
        .filter(|file| {
            !file.components().any(|part| ["components", "code", "cache"].iter().any(|c| part.as_os_str() == *c))
        })
        .filter(|file| file.metadata().unwrap().len() > 0)
        .collect();
    assert!(store.len() >= 3, "{store:?}");
    let mut random = pseudo_random(3);
    let mut refused = 0;
    for round in 0..24 {
        let trial = tempfile::tempdir().unwrap();
        copy(&data, &trial.path().join("data"));
        let file = &store[usize::try_from(random(store.len() as u64)).unwrap()];
        let target = trial.path().join("data").join(file.strip_prefix(&data).unwrap());
        let mut bytes = std::fs::read(&target).unwrap();
        let what = if round % 2 == 0 {
            let cut = (1 + random(1024)).min(bytes.len() as u64);
            bytes.truncate(bytes.len() - usize::try_from(cut).unwrap());
            format!("{} cut by {cut}", target.display())
        } else {
            let at = usize::try_from(random(bytes.len() as u64)).unwrap();
            bytes[at] ^= 1 << random(8);
            format!("{} flipped at {at}", target.display())
        };
        std::fs::write(&target, bytes).unwrap();
        refused += usize::from(!opens_with_all_or_refuses(trial.path(), &answered, &what).await);
    }
    assert!(refused > 0, "no damage was detected at the start");
}
