//! A file with a secret key, as programs with iroh keep it: `iroh-key-file write|read raw|hex|openssh <file>`. Prints the
//! id. `write` makes a new key.

use iroh::SecretKey;
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData, PrivateKey};
use ssh_key::{LineEnding, public::Ed25519PublicKey};
use std::fs;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn write(format: &str, path: &str) -> Result<SecretKey, Failure> {
    let key = SecretKey::generate();
    match format {
        // What applications do with `SecretKey::to_bytes`.
        "raw" => fs::write(path, key.to_bytes())?,
        // What is put into IROH_SECRET, for sendme, dumbpipe and others.
        "hex" => {
            let digits: String = key
                .to_bytes()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            fs::write(path, digits)?;
        }
        // iroh-doctor, iroh-persist, iroh-node-util.
        "openssh" => {
            let pair = Ed25519Keypair {
                public: Ed25519PublicKey(*key.public().as_bytes()),
                private: Ed25519PrivateKey::from_bytes(&key.to_bytes()),
            };
            fs::write(
                path,
                PrivateKey::from(pair).to_openssh(LineEnding::default())?,
            )?;
        }
        _ => return Err(format!("no format {format}").into()),
    }
    Ok(key)
}

fn read(format: &str, path: &str) -> Result<SecretKey, Failure> {
    let bytes = fs::read(path)?;
    match format {
        "raw" => Ok(SecretKey::from_bytes(&bytes.as_slice().try_into()?)),
        "hex" => Ok(String::from_utf8(bytes)?.trim().parse()?),
        "openssh" => match PrivateKey::from_openssh(bytes)?.key_data() {
            KeypairData::Ed25519(pair) => Ok(SecretKey::from_bytes(&pair.private.to_bytes())),
            _ => Err("not Ed25519".into()),
        },
        _ => Err(format!("no format {format}").into()),
    }
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let key = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", format, path] => write(format, path)?,
        ["read", format, path] => read(format, path)?,
        _ => return Err("write|read raw|hex|openssh <file>".into()),
    };
    println!("{}", key.public());
    Ok(())
}
