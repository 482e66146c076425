import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Deployment } from '#contracts/deployment.js';
import type { Hex } from '#core/hex.js';
import { certificateExpiry, generateTlsKey, issueCertificate } from '#services/certificate.js';
import { signEntrance } from '#services/entrance.js';
import { keyPath, recipientOf, writeSecret } from './keys.js';
import type { LocalMember } from './members.js';

/** What the API and the gatekeeper of a local stack are given to be known by. */
export interface EntranceFiles {
  /** JSON that the stack's member signed. */
  entrance: string;
  /** The gatekeeper's certificate and its key, PEM. */
  certificate: string;
  privateKey: string;
}

/** The member signs where its stack is entered; as ports and contracts may have moved, at every start. */
export async function writeEntrance(options: {
  stateDir: string;
  member: LocalMember;
  deployment: Deployment;
  /** host:port */
  gatekeeper: string;
  namespace: string;
}): Promise<EntranceFiles> {
  const { stateDir, member, deployment, gatekeeper, namespace } = options;
  const files = {
    entrance: join(stateDir, 'entrance.json'),
    certificate: keyPath(stateDir, 'gatekeeper.crt'),
    privateKey: keyPath(stateDir, 'gatekeeper.key'),
  };
  const certificate = await gatekeeperCertificate(files, member.name);
  const entrance = await signEntrance(member.wallet, deployment, {
    gatekeeper,
    namespace,
    sealingKey: publicSealingKey(member),
    expiry: Math.floor(Date.now() / 1_000) + validSeconds,
    certificates: [certificate],
  });
  writeFileSync(`${files.entrance}.new`, `${JSON.stringify(entrance, null, 2)}\n`);
  renameSync(`${files.entrance}.new`, files.entrance);
  return files;
}

/** The X25519 key that a member announces on chain. */
export const publicSealingKey = (member: LocalMember): Hex => recipientOf(member).publicKey;

const validSeconds = 30 * 86_400;

/** The same from start to start, so that runners which come back know it. */
async function gatekeeperCertificate(
  files: Pick<EntranceFiles, 'certificate' | 'privateKey'>,
  name: string,
): Promise<string> {
  if (!existsSync(files.privateKey)) writeSecret(files.privateKey, generateTlsKey());
  const privateKey = readFileSync(files.privateKey, 'utf8');
  if (existsSync(files.certificate)) {
    const known = readFileSync(files.certificate, 'utf8');
    if (certificateExpiry(known) > Date.now() / 1_000 + 2 * validSeconds) return known;
  }
  const seconds = 365 * 86_400;
  const { certificate } = await issueCertificate({ privateKey, name, seconds, purpose: 'gatekeeper' });
  writeSecret(files.certificate, certificate);
  return certificate;
}
