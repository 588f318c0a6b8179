//! What is measured: the provider itself, nginx, the bare pass-through, Quorate.

use crate::bare;
use crate::process::{MEASURED_CORE, OTHER_CORE, Running, poll};
use anyhow::{Context, Result};
use quorate_fake_provider::{Behaviour, FakeProvider};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

/// Something that answers chat requests.
#[derive(Debug)]
pub(crate) struct Target {
    /// As the report calls it.
    pub(crate) name: &'static str,
    /// Where it answers; several addresses share the load.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The key that it lets in.
    pub(crate) key: String,
    /// Its processes.
    pub(crate) process: Running,
}

/// Plays the instant provider: prints its address and serves until it is ended.
pub(crate) async fn provide() -> Result<()> {
    let behaviour = Behaviour { instant: true, ..Behaviour::default() };
    let (address, provider) = FakeProvider::bind(SocketAddr::from(([127, 0, 0, 1], 0)), behaviour).await?;
    println!("{address}");
    provider.await;
    Ok(())
}

/// The provider that all others pass on to.
pub(crate) async fn upstream(folder: &Path) -> Result<(SocketAddr, Running)> {
    part(&["provider"], OTHER_CORE, &folder.join("upstream.log")).await
}

/// A provider of its own on the measured core: what no gateway can beat.
pub(crate) async fn direct(folder: &Path) -> Result<Target> {
    let (address, process) = part(&["provider"], MEASURED_CORE, &folder.join("direct.log")).await?;
    Ok(Target { name: "direct", addresses: vec![address], key: bare::KEY.to_owned(), process })
}

/// The least a gateway must do.
pub(crate) async fn bare(folder: &Path, upstream: SocketAddr) -> Result<Target> {
    let upstream = upstream.to_string();
    let (address, process) = part(&["bare", &upstream], MEASURED_CORE, &folder.join("bare.log")).await?;
    Ok(Target { name: "bare", addresses: vec![address], key: bare::KEY.to_owned(), process })
}

/// nginx as a reverse proxy with one worker.
pub(crate) async fn nginx(folder: &Path, upstream: SocketAddr) -> Result<Target> {
    let folder = folder.join("nginx");
    fs::create_dir_all(&folder)?;
    let address = free_address()?;
    fs::write(folder.join("nginx.conf"), nginx_conf(address, upstream))?;
    let folder_text = folder.to_string_lossy().into_owned();
    let command = ["nginx", "-p", &folder_text, "-c", "nginx.conf", "-e", "error.log"].map(str::to_owned);
    let log = folder.join("output.log");
    let mut process = Running::start(MEASURED_CORE, &command, &log)
        .context("nginx: run `make bench`, which installs it")?;
    let connects = || {
        process.check(&log)?;
        Ok(std::net::TcpStream::connect(address).ok())
    };
    poll("nginx", connects).await?;
    Ok(Target { name: "nginx", addresses: vec![address], key: bare::KEY.to_owned(), process })
}

fn nginx_conf(address: SocketAddr, upstream: SocketAddr) -> String {
    let key = bare::KEY;
    format!(
        "daemon off;\nworker_processes 1;\npid nginx.pid;\nevents {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n  client_body_buffer_size 128k;\n  keepalive_requests 1000000000;\n\
         client_body_temp_path body;\n  proxy_temp_path proxy;\n  fastcgi_temp_path fastcgi;\n\
         uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n\
         map $http_authorization $known {{ default 0; \"Bearer {key}\" 1; }}\n\
         upstream provider {{ server {upstream}; keepalive 512; keepalive_requests 1000000000; }}\n\
         server {{\n  listen {address};\n  location / {{\n    if ($known = 0) {{ return 401; }}\n\
         proxy_pass http://provider;\n    proxy_http_version 1.1;\n    proxy_set_header Connection \"\";\n\
         proxy_buffering off;\n  }}\n  }}\n}}\n"
    )
}

/// An address that was free a moment ago: nginx cannot say which one it was given.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// This program in another part; it prints its address first.
async fn part(arguments: &[&str], core: &str, log: &Path) -> Result<(SocketAddr, Running)> {
    let program = std::env::current_exe()?.to_string_lossy().into_owned();
    let command: Vec<String> =
        std::iter::once(program).chain(arguments.iter().map(|&word| word.to_owned())).collect();
    let mut process = Running::start(core, &command, log)?;
    let printed = || {
        process.check(log)?;
        Ok(fs::read_to_string(log)?.lines().next().and_then(|line| line.parse().ok()))
    };
    let address = poll("an address", printed).await?;
    Ok((address, process))
}
