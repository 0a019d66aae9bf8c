//! Renders a root certificate as a configuration profile, the format in which iPhones and iPads install it (Apple's
//! "Configuration Profile Reference", payload `com.apple.security.root`).

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};

/// The profile, as an XML property list. `name` is the common name of the root certificate; `der` and `pem` are the root
/// certificate in two encodings.
pub(super) fn render(name: &str, der: &CertificateDer<'_>, pem: &str) -> String {
    let name = escape(name);
    let base64: String = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    // The identifiers depend on the certificate only, so that a phone that installs the profile again replaces the first
    // copy.
    let hash = Sha256::digest(der);
    let (profile, root) = (uuid(&hash[..16]), uuid(&hash[16..]));
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>PayloadType</key><string>Configuration</string>
  <key>PayloadVersion</key><integer>1</integer>
  <key>PayloadIdentifier</key><string>lockstep.{profile}</string>
  <key>PayloadUUID</key><string>{profile}</string>
  <key>PayloadDisplayName</key><string>{name}</string>
  <key>PayloadDescription</key><string>Lets this device trust the secure page of the Lockstep server in this network, and no public website.</string>
  <key>PayloadContent</key>
  <array>
    <dict>
      <key>PayloadType</key><string>com.apple.security.root</string>
      <key>PayloadVersion</key><integer>1</integer>
      <key>PayloadIdentifier</key><string>lockstep.{profile}.{root}</string>
      <key>PayloadUUID</key><string>{root}</string>
      <key>PayloadDisplayName</key><string>{name}</string>
      <key>PayloadCertificateFileName</key><string>lockstep.crt</string>
      <key>PayloadContent</key><data>{base64}</data>
    </dict>
  </array>
</dict>
</plist>
"#
    )
}

/// A UUID of version 8, whose content is custom (RFC 9562, 5.8), from 16 bytes.
fn uuid(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let byte = match i {
            6 => byte & 0x0f | 0x80,
            8 => byte & 0x3f | 0x80,
            _ => *byte,
        };
        text.push_str(&format!("{byte:02X}"));
    }
    text
}

/// Escapes a text for XML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_the_same_profile_for_the_same_certificate() {
        let der = CertificateDer::from(vec![1, 2, 3]);
        let pem = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
        let profile = render("Lockstep on <pi> & co", &der, pem);
        assert_eq!(profile, render("Lockstep on <pi> & co", &der, pem));
        assert!(profile.contains("<data>AQID</data>"), "{profile}");
        assert!(profile.contains("Lockstep on &lt;pi&gt; &amp; co"));
        let other = render("Lockstep on <pi> & co", &CertificateDer::from(vec![4]), pem);
        assert_ne!(profile, other, "the identifiers depend on the certificate");
    }

    #[test]
    fn uuid_sets_its_version_and_variant() {
        assert_eq!(uuid(&[0xff; 16]), "FFFFFFFF-FFFF-8FFF-BFFF-FFFFFFFFFFFF");
    }
}
