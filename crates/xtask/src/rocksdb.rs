//! Builds `librocksdb.a` by unity compilation and keeps it outside the clone, for every clone of this machine.
//!
//! The build script of `librocksdb-sys` compiles 340 files one by one, which costs 50 CPU-minutes because each
//! reads the same headers again. Twelve files to a unit cost six. The build script takes the result through
//! `ROCKSDB_LIB_DIR`, which `.cargo/config.toml` points at the link that this chore leaves in the root.

mod recipe;

use crate::workspace::Metadata;
use anyhow::{Context, Result, bail, ensure};
use recipe::Recipe;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const ARCHIVE: &str = "librocksdb.a";
/// The link in the root of the clone; the same name stands in `.cargo/config.toml`.
const LINK: &str = ".rocksdb";

/// Builds the archive unless this machine has it, links it into the clone, and prints the two variables that make
/// the build script use it from elsewhere.
pub(crate) fn build_once() -> Result<()> {
    let metadata = Metadata::load()?;
    let recipe = Recipe::new(&metadata)?;
    let folder = cache_folder()?.join(recipe.folder_name());
    if folder.join(ARCHIVE).exists() {
        eprintln!("rocksdb: using {}", folder.join(ARCHIVE).display());
    } else {
        build_into(&recipe, &folder)?;
    }
    link(&metadata.workspace_root.join(LINK), &folder)?;
    println!("export ROCKSDB_LIB_DIR='{}'\nexport ROCKSDB_STATIC=1", folder.display());
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a chore has no settings: the cache's place is the environment's to say"
)]
fn cache_folder() -> Result<PathBuf> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    variable("QUORATE_CACHE")
        .or_else(|| Some(base()?.join("quorate")))
        .context("no place for a cache: set QUORATE_CACHE or HOME")
}

/// Builds in a folder beside and moves it: a build that dies leaves nothing that looks finished.
fn build_into(recipe: &Recipe, folder: &Path) -> Result<()> {
    let scratch = folder.with_extension(format!("building-{}", std::process::id()));
    fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
    let units = recipe.write_units(&scratch)?;
    let objects = compile_all(recipe, &units)?;
    archive(&objects, &scratch.join(ARCHIVE))?;
    for leftover in units.iter().chain(&objects).filter(|path| path.starts_with(&scratch)) {
        fs::remove_file(leftover)?;
    }
    // Another clone may have been faster; its archive is as good as ours.
    if fs::rename(&scratch, folder).is_err() {
        fs::remove_dir_all(&scratch)?;
    }
    ensure!(folder.join(ARCHIVE).exists(), "no {ARCHIVE} in {} after the build", folder.display());
    Ok(())
}

/// Compiles every unit, as many at a time as the machine has cores, and returns the objects.
fn compile_all(recipe: &Recipe, units: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get).min(units.len());
    eprintln!(
        "rocksdb: {} units with {}, {workers} at a time; once per machine",
        units.len(),
        recipe.compiler()
    );
    let (next, done, failure) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = recipe.compile(unit) {
                        next.store(units.len(), Ordering::Relaxed);
                        *failure.lock().expect("no worker panics with the lock") = Some(error);
                    } else {
                        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                        eprintln!("rocksdb: [{done}/{}] {}", units.len(), file_name(unit));
                    }
                }
            });
        }
    });
    match failure.into_inner().expect("no worker panics with the lock") {
        Some(error) => Err(error),
        None => Ok(units.iter().map(|unit| Recipe::object_of(unit)).collect()),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn archive(objects: &[PathBuf], archive: &Path) -> Result<()> {
    let status =
        Command::new("ar").arg("crs").arg(archive).args(objects).status().context("cannot run ar")?;
    ensure!(status.success(), "ar failed on {}", archive.display());
    Ok(())
}

/// Points the clone's link at the folder of the archive.
fn link(link: &Path, folder: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|present| present == folder) {
        return Ok(());
    }
    match fs::symlink_metadata(link) {
        Ok(found) if found.is_symlink() => fs::remove_file(link)?,
        Ok(_) => bail!("{} is in the way: it should be a link to {}", link.display(), folder.display()),
        Err(_) => {}
    }
    std::os::unix::fs::symlink(folder, link).with_context(|| format!("cannot make {}", link.display()))
}
