//! Embeds the page's files: hashes and compresses each file of `static/` at build time, and writes the table that
//! `src/http/assets.rs` includes.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// The OpenAPI document of the HTTP API, which the server also serves: its URL path, and its path in the source code.
const API_DOCUMENT: (&str, &str) = ("openapi.yaml", "docs/openapi.yaml");

/// A file of JSDoc types for the type checker. It is not embedded, because the page does not import it.
const TYPES: &str = "js/types.js";

/// The service worker. It must not be in its own cache, because browsers fetch it to check for a new version of the page.
const SERVICE_WORKER: &str = "sw.js";

/// The folder of the tables of other languages than English. The page loads a table when it needs it, and the service worker
/// caches only the tables that were used.
const ON_DEMAND_FOLDER: &str = "js/language/tables/";

/// The page, and the generated copy of it for rooms other than the house room. That page is two folders below the house's address, to
/// which all addresses in it are relative. The service worker makes it of the page.
const PAGE: &str = "index.html";
const ROOM_PAGE: &str = "room.html";
const PAGE_BASE: &str = "<base href=\"./\">";
const ROOM_PAGE_BASE: &str = "<base href=\"../../\">";

/// The generated list of the page's files, from which the service worker fills its cache.
const FILE_LIST: &str = "shell.json";

type Hash = [u8; 32];

/// A file to embed.
struct Asset {
    /// The URL path, without the leading slash.
    name: String,
    /// The path in the source code or, of a generated file, in `OUT_DIR`.
    path: PathBuf,
    content: Vec<u8>,
    /// The SHA-256 of the content.
    hash: Hash,
}

impl Asset {
    fn read(name: String, path: PathBuf) -> io::Result<Self> {
        let content = fs::read(&path).map_err(|error| {
            io::Error::other(format!("cannot read {}: {error}", path.display()))
        })?;
        let hash = Sha256::digest(&content).into();
        Ok(Asset {
            name,
            path,
            content,
            hash,
        })
    }
}

/// Writes `$OUT_DIR/assets.rs`: a slice of `File`s, sorted by name.
pub(crate) fn embed() -> io::Result<()> {
    let root = directory("CARGO_MANIFEST_DIR")?;
    let out = directory("OUT_DIR")?;
    let folder = root.join("static");
    let (api_name, api_path) = API_DOCUMENT;
    let api_path = root.join(api_path);
    // Cargo compares the modification times of all files and folders below a folder, so it also detects new and removed
    // files.
    println!("cargo::rerun-if-changed={}", folder.display());
    println!("cargo::rerun-if-changed={}", api_path.display());

    let mut assets = Vec::new();
    read_folder(&folder, "", &mut assets)?;
    let room_page = out.join(ROOM_PAGE);
    fs::write(&room_page, room_page_content(&folder.join(PAGE))?)?;
    assets.push(Asset::read(ROOM_PAGE.to_owned(), room_page)?);
    assets.sort_by(|a, b| a.name.cmp(&b.name));
    let list = out.join(FILE_LIST);
    fs::write(&list, file_list(&assets))?;
    assets.push(Asset::read(FILE_LIST.to_owned(), list)?);
    assets.push(Asset::read(api_name.to_owned(), api_path)?);
    assets.sort_by(|a, b| a.name.cmp(&b.name));

    let mut table = String::from("&[\n");
    for (index, asset) in assets.iter().enumerate() {
        let compressed = compress(&asset.content)?;
        let gzip = if compressed.len() < asset.content.len() {
            let path = out.join(format!("{index}.gz"));
            fs::write(&path, compressed)?;
            format!("Some(include_bytes!({path:?}))")
        } else {
            "None".to_owned()
        };
        let Asset {
            name, path, hash, ..
        } = asset;
        let tag = short_hex(hash);
        let _ = writeln!(
            table,
            "File {{ name: {name:?}, tag: {tag:?}, content: include_bytes!({path:?}), gzip: {gzip} }},"
        );
    }
    table.push(']');
    fs::write(out.join("assets.rs"), table)
}

/// The content of [`ROOM_PAGE`].
fn room_page_content(page: &Path) -> io::Result<String> {
    let content = fs::read_to_string(page)?;
    if !content.contains(PAGE_BASE) {
        return Err(io::Error::other(format!(
            "{} has no {PAGE_BASE}",
            page.display()
        )));
    }
    Ok(content.replacen(PAGE_BASE, ROOM_PAGE_BASE, 1))
}

fn directory(variable: &str) -> io::Result<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .ok_or_else(|| io::Error::other(format!("Cargo has not set {variable}")))
}

/// Reads all files below `folder` except hidden files and [`TYPES`]. `prefix` is the URL path of the folder, without the
/// leading slash: empty, or with a slash at its end.
fn read_folder(folder: &Path, prefix: &str, assets: &mut Vec<Asset>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|name| io::Error::other(format!("{name:?} is not UTF-8")))?;
        if name.starts_with('.') {
            continue;
        }
        let name = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            read_folder(&entry.path(), &format!("{name}/"), assets)?;
        } else if name != TYPES {
            assets.push(Asset::read(name, entry.path())?);
        }
    }
    Ok(())
}

/// The content of [`FILE_LIST`] in JSON: the URL paths of the files that the page needs to start offline, those of the files in
/// [`ON_DEMAND_FOLDER`], and a version that changes when one of all these files changes. `assets` must be sorted, because the version depends on their order.
fn file_list(assets: &[Asset]) -> String {
    let mut version = Sha256::new();
    let mut paths = Vec::new();
    let mut on_demand_paths = Vec::new();
    for asset in assets
        .iter()
        .filter(|asset| asset.name != SERVICE_WORKER && asset.name != ROOM_PAGE)
    {
        version.update(asset.name.as_bytes());
        version.update(asset.hash);
        match asset.name.as_str() {
            PAGE => paths.push("/".to_owned()),
            name if name.starts_with(ON_DEMAND_FOLDER) => on_demand_paths.push(format!("/{name}")),
            name => paths.push(format!("/{name}")),
        }
    }
    let version = short_hex(&version.finalize().into());
    // The debug format of these paths is valid JSON, because the paths have no control characters.
    format!("{{\"files\":{paths:?},\"onDemand\":{on_demand_paths:?},\"version\":\"{version}\"}}")
}

fn compress(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}

/// The first 64 bits of a hash in hexadecimal, which suffice to distinguish the versions of a file.
fn short_hex(hash: &Hash) -> String {
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
