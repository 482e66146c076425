/**
 * An authority of one's own for a Temporal cluster: it signs the servers' certificate and that of the stack's own
 * programs. Nobody else trusts it.
 */
import 'reflect-metadata';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { certificateFields, generateTlsKey, importKeys } from './certificate.js';

/** A certificate and its key, both in PEM. */
export interface KeyPair {
  certificate: string;
  key: string;
}

/** A new authority on P-256. @param seconds for which it may sign */
export async function createAuthority(name: string, seconds: number): Promise<KeyPair> {
  const key = generateTlsKey();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...certificateFields(name, seconds),
    keys: await importKeys(key),
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key };
}

/**
 * A certificate for a new key, for both ends of a connection: Temporal's servers call each other with theirs.
 * @param hosts DNS names and IP addresses it is shown at
 * @throws KEY_INVALID when the authority's key is not one
 */
export async function issueFrom(
  authority: KeyPair,
  options: { name: string; hosts: readonly string[]; seconds: number },
): Promise<KeyPair> {
  const key = generateTlsKey();
  const issuer = new X509Certificate(authority.certificate);
  const certificate = await X509CertificateGenerator.create({
    ...certificateFields(options.name, options.seconds),
    subject: [{ CN: [options.name] }],
    issuer: issuer.subjectName,
    publicKey: (await importKeys(key)).publicKey,
    signingKey: (await importKeys(authority.key)).privateKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension(
        options.hosts.map((value) => ({ type: /^[\d.]+$/.test(value) ? 'ip' : 'dns', value })),
      ),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key };
}
