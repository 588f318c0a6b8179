//! What is compiled, by which compiler, with which flags; and the folder name that changes with any of them.

use crate::workspace::Metadata;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Larger units cost fewer CPU-seconds but more memory, and leave cores idle at the end.
const FILES_PER_UNIT: usize = 12;

/// As the crate's own build script, for Linux with the `lz4` feature, optimised and without warnings.
const FLAGS: &str = "-std=c++20 -O3 -fPIC -ffunction-sections -fdata-sections -w -include cstdint \
    -DLZ4=1 -DNDEBUG=1 -DHAVE_ALIGNED_NEW -DHAVE_UINT128_EXTENSION -DOS_LINUX \
    -DROCKSDB_PLATFORM_POSIX -DROCKSDB_LIB_IO_POSIX -DROCKSDB_SCHED_GETCPU_PRESENT \
    -DROCKSDB_AUXV_GETAUXVAL_PRESENT -DROCKSDB_FALLOCATE_PRESENT -DROCKSDB_RANGESYNC_PRESENT";

/// Hardware checksums: every x86-64 since 2010, every 64-bit ARM server.
const CPU_FLAGS: &str = if cfg!(target_arch = "x86_64") {
    "-m64 -msse2 -msse4.1 -msse4.2 -mpclmul"
} else if cfg!(target_arch = "aarch64") {
    "-march=armv8-a+crc+crypto"
} else {
    ""
};

/// Everything that decides what is in the archive.
#[derive(Debug)]
pub(super) struct Recipe {
    version: String,
    crate_folder: PathBuf,
    lz4_include: PathBuf,
    compiler: &'static str,
    compiler_version: String,
}

impl Recipe {
    /// Finds the sources that cargo has fetched, and a compiler.
    pub(super) fn new(metadata: &Metadata) -> Result<Self> {
        let sys = metadata.package("librocksdb-sys")?;
        let (compiler, compiler_version) = find_compiler()?;
        Ok(Self {
            version: sys.version.clone(),
            crate_folder: sys.folder()?.to_owned(),
            lz4_include: metadata.package("lz4-sys")?.folder()?.join("liblz4/lib"),
            compiler,
            compiler_version,
        })
    }

    /// The compiler's command.
    pub(super) const fn compiler(&self) -> &'static str {
        self.compiler
    }

    /// `rocksdb-<crate version>-<hash of the compiler>-<hash of the flags>`.
    pub(super) fn folder_name(&self) -> String {
        let flags = format!("{FLAGS} {CPU_FLAGS} {FILES_PER_UNIT}");
        format!("rocksdb-{}-{:08x}-{:08x}", self.version, fnv1a(&self.compiler_version), fnv1a(&flags))
    }

    /// Writes the units and returns them, the crate's own `build_version.cc` last.
    pub(super) fn write_units(&self, into: &Path) -> Result<Vec<PathBuf>> {
        let listed = fs::read_to_string(self.crate_folder.join("rocksdb_lib_sources.txt"))?;
        let mut units = Vec::new();
        for (number, text) in unit_texts(&listed).into_iter().enumerate() {
            let unit = into.join(format!("unit{number:02}.cc"));
            fs::write(&unit, text)?;
            units.push(unit);
        }
        let version = into.join("build_version.cc");
        fs::copy(self.crate_folder.join("build_version.cc"), &version)?;
        units.push(version);
        Ok(units)
    }

    /// Compiles one unit to its object.
    pub(super) fn compile(&self, unit: &Path) -> Result<()> {
        let rocksdb = self.crate_folder.join("rocksdb");
        let output = Command::new(self.compiler)
            .args(FLAGS.split_whitespace().chain(CPU_FLAGS.split_whitespace()))
            .arg("-I")
            .arg(rocksdb.join("include"))
            .arg("-I")
            .arg(&rocksdb)
            .arg("-I")
            .arg(&self.crate_folder)
            .arg("-I")
            .arg(&self.lz4_include)
            .arg("-c")
            .arg(unit)
            .arg("-o")
            .arg(Self::object_of(unit))
            .output()
            .with_context(|| format!("cannot run {}", self.compiler))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} failed on {}:\n{said}", self.compiler, unit.display());
        Ok(())
    }

    /// Where the object of a unit goes.
    pub(super) fn object_of(unit: &Path) -> PathBuf {
        unit.with_extension("o")
    }
}

/// The text of each unit: up to twelve `#include` lines. RocksDB's own version file needs its own build system.
fn unit_texts(listed: &str) -> Vec<String> {
    let files: Vec<&str> = listed
        .lines()
        .map(str::trim)
        .filter(|file| !file.is_empty() && *file != "util/build_version.cc")
        .collect();
    files
        .chunks(FILES_PER_UNIT)
        .map(|unit| unit.iter().map(|file| format!("#include \"{file}\"\n")).collect())
        .collect()
}

/// clang++ first: it compiles these sources in half the time.
fn find_compiler() -> Result<(&'static str, String)> {
    ["clang++", "g++"]
        .into_iter()
        .find_map(|compiler| {
            let output = Command::new(compiler).arg("--version").output().ok()?;
            output.status.success().then(|| (compiler, String::from_utf8_lossy(&output.stdout).into_owned()))
        })
        .context("neither clang++ nor g++ found: run `make setup`")
}

/// A hash for names that stays the same from one Rust release to the next.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_holds_twelve_files_and_the_version_file_is_left_out() {
        let listed: String = (0..13).map(|n| format!("db/f{n}.cc\n")).collect();
        let units = unit_texts(&format!("util/build_version.cc\n{listed}\n"));
        assert_eq!(units.iter().map(|unit| unit.lines().count()).collect::<Vec<_>>(), [12, 1]);
        assert_eq!(units[1], "#include \"db/f12.cc\"\n");
    }

    #[test]
    fn the_hash_in_the_name_is_the_published_one() {
        assert_eq!(fnv1a("foobar"), 0xbf9c_f968);
    }
}
