//! Writes the manifests that ship into `crds/manifests` (or checks them with `--check`).

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let check = std::env::args().any(|a| a == "--check");
    match run(check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("crdgen: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(check: bool) -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    std::fs::create_dir_all(&folder)?;
    for (name, text) in kubechat_crds::install::manifests(&kubechat_crds::install::Options::default())? {
        let path = folder.join(name);
        if check {
            if std::fs::read_to_string(&path).unwrap_or_default() != text {
                return Err(
                    format!("{name} differs from the code: run `make crds` and commit the result").into(),
                );
            }
        } else {
            std::fs::write(&path, text)?;
        }
    }
    Ok(())
}
