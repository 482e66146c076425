/**
 * Self-signed X.509 certificates on P-256: in Roundtable a certificate is known by its fingerprint, which somebody
 * signed for, so no authority stands above it.
 */
import 'reflect-metadata';
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  webcrypto,
  X509Certificate,
} from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { RoundtableError } from '#core/errors.js';
import type { Sha256Hex } from '#core/hex.js';
import { sha256Hex } from './sha256.js';

/** A certificate and its key, both in PEM. */
export interface Certificate {
  certificate: string;
  privateKey: string;
  /** SHA-256 of the certificate, DER. */
  fingerprint: Sha256Hex;
  /** Seconds since 1970. */
  expiresAt: number;
}

/** The name that every gatekeeper's certificate carries: who it is says its fingerprint, not where it runs. */
export const gatekeeperHost = 'gatekeeper.roundtable.internal';

/** A P-256 key, PKCS #8 in PEM. */
export function generateTlsKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/**
 * A certificate for a key, from a minute ago (clocks differ) until `seconds` from now.
 * @param privateKey PEM of a P-256 key
 * @throws KEY_INVALID
 */
export async function issueCertificate(options: {
  privateKey: string;
  name: string;
  seconds: number;
  purpose: 'runner' | 'gatekeeper';
}): Promise<Certificate> {
  const { privateKey, name, seconds, purpose } = options;
  const keys = await importKeys(privateKey);
  const fields = certificateFields(name, seconds);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...fields,
    keys,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([
        purpose === 'runner' ? ExtendedKeyUsage.clientAuth : ExtendedKeyUsage.serverAuth,
      ]),
      new SubjectAlternativeNameExtension([
        { type: 'dns', value: purpose === 'runner' ? name : gatekeeperHost },
      ]),
    ],
  });
  const pem = `${certificate.toString('pem')}\n`;
  const expiresAt = fields.notAfter.getTime() / 1_000;
  return { certificate: pem, privateKey, fingerprint: certificateFingerprint(pem), expiresAt };
}

/**
 * What every certificate here says: good from a minute ago, because clocks differ.
 * @param seconds from now until it ends; negative for one that has ended
 */
export function certificateFields(name: string, seconds: number) {
  const now = Math.floor(Date.now() / 1_000);
  return {
    // Positive, as RFC 5280 wants it.
    serialNumber: `01${randomBytes(15).toString('hex')}`,
    name: [{ CN: [name] }],
    notBefore: new Date(1_000 * (Math.min(now, now + seconds) - 60)),
    notAfter: new Date(1_000 * (now + seconds)),
    signingAlgorithm,
  };
}

/**
 * SHA-256 of a certificate's DER.
 * @param certificate PEM, or DER as a TLS socket hands it out
 * @throws FORMAT_INVALID
 */
export function certificateFingerprint(certificate: string | Uint8Array): Sha256Hex {
  return sha256Hex(parse(certificate).raw);
}

/** SHA-256 of a certificate's public key (SubjectPublicKeyInfo, DER): it stays when a certificate is renewed. @throws FORMAT_INVALID */
export function publicKeyFingerprint(certificate: string | Uint8Array): Sha256Hex {
  return sha256Hex(parse(certificate).publicKey.export({ type: 'spki', format: 'der' }));
}

/** The same of a private key: what its certificates will have. @param privateKey PEM @throws KEY_INVALID */
export function keyFingerprint(privateKey: string): Sha256Hex {
  try {
    return sha256Hex(createPublicKey(privateKey).export({ type: 'spki', format: 'der' }));
  } catch {
    // No cause: a library's message could hold the key.
    throw new RoundtableError('KEY_INVALID', 'The TLS key is not a private key in PEM.');
  }
}

/** When a certificate ends, seconds since 1970. @throws FORMAT_INVALID */
export function certificateExpiry(certificate: string | Uint8Array): number {
  return Math.floor(Date.parse(parse(certificate).validTo) / 1_000);
}

/** Of every certificate here. */
const signingAlgorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** A P-256 key in PEM as the certificate library wants it. @throws KEY_INVALID */
export async function importKeys(pem: string): Promise<webcrypto.CryptoKeyPair> {
  try {
    const key = createPrivateKey(pem);
    const der = key.export({ type: 'pkcs8', format: 'der' });
    const privateKey = await webcrypto.subtle.importKey('pkcs8', der, signingAlgorithm, true, ['sign']);
    const { kty, crv, x, y } = key.export({ format: 'jwk' });
    const publicJwk = { kty, crv, x, y } as webcrypto.JsonWebKey;
    const publicKey = await webcrypto.subtle.importKey('jwk', publicJwk, signingAlgorithm, true, ['verify']);
    return { privateKey, publicKey };
  } catch {
    // No cause: a library's message could hold the key.
    throw new RoundtableError('KEY_INVALID', 'The TLS key is not a P-256 private key in PEM.');
  }
}

function parse(certificate: string | Uint8Array): X509Certificate {
  try {
    return new X509Certificate(certificate);
  } catch (cause) {
    throw new RoundtableError('FORMAT_INVALID', 'This is not an X.509 certificate.', { cause });
  }
}
