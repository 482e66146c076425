import { createPrivateKey, X509Certificate } from 'node:crypto';
import { Wallet } from 'ethers';
import { z } from 'zod';
import { listText, jsonText } from '#services/environment.js';
import { checkCredentials, credentialsEnd, temporalCredentials } from '#services/temporal.js';
import type { Settings } from './settings.js';

/**
 * The secrets that a person puts into Secrets Manager under roundtable/STAGE/, and how one sees that a value is what
 * it should be. A finding never holds a part of a value.
 */
export interface SecretKind {
  name: string;
  /** What it is, for somebody who has to put it. */
  what: string;
  /**
   * @param value of this secret; others: all that could be read, by name
   * @returns what is wrong with it, or when it ends
   */
  examine(value: string, settings: Settings, others: ReadonlyMap<string, string>): SecretVerdict;
}

export type SecretVerdict = { wrong: string } | { endsAt: number | null };

const good: SecretVerdict = { endsAt: null };
const wrong = (text: string): SecretVerdict => ({ wrong: text });

export function secretKinds(settings: Settings): readonly SecretKind[] {
  return settings.temporal ? secrets : [...secrets, temporalServer, databaseAuthority];
}

const secrets: readonly SecretKind[] = [
  {
    name: 'coordinator-key',
    what: "the member's EVM key, 0x and 64 hexadecimal digits",
    examine(value, { coordinator }) {
      if (!/^(0x)?[0-9a-fA-F]{64}$/.test(value.trim())) return wrong('is no EVM key');
      const { address } = new Wallet(value.trim());
      return address.toLowerCase() === coordinator
        ? good
        : wrong(`is the key of ${address.toLowerCase()}, but the settings name ${coordinator}`);
    },
  },
  {
    name: 'coordinator-sealing-key',
    what: "the member's X25519 key, 0x and 64 lower-case hexadecimal digits",
    examine: (value) => (/^0x[0-9a-f]{64}$/.test(value.trim()) ? good : wrong('is no X25519 key')),
  },
  {
    name: 'arweave-key',
    what: 'the Arweave wallet, a JWK',
    examine(value) {
      const key = jsonText('a JWK').pipe(
        z.looseObject({ kty: z.literal('RSA'), n: z.string(), d: z.string() }),
      );
      return key.safeParse(value).success ? good : wrong('is no private RSA key as JWK');
    },
  },
  {
    name: 'chain-rpc-urls',
    what: 'nodes of the chain, separated by commas',
    examine(value) {
      const urls = listText.pipe(z.array(z.url({ protocol: /^https$/ }))).safeParse(value.trim());
      return urls.success ? good : wrong('is no list of https URLs');
    },
  },
  {
    name: 'gatekeeper-certificate',
    what: "the gatekeepers' certificate in PEM",
    examine(value) {
      const certificate = read(() => new X509Certificate(value));
      return certificate ? ends(certificate) : wrong('is no certificate in PEM');
    },
  },
  {
    name: 'gatekeeper-key',
    what: "that certificate's key in PEM",
    examine(value, _, others) {
      const key = read(() => createPrivateKey(value));
      if (!key) return wrong('is no private key in PEM');
      const certificate = read(() => new X509Certificate(others.get('gatekeeper-certificate') ?? ''));
      return certificate && !certificate.checkPrivateKey(key)
        ? wrong('does not belong to gatekeeper-certificate')
        : good;
    },
  },
  {
    name: 'gatekeeper-secrets',
    what: 'one or two lines of 64 hexadecimal digits (openssl rand -hex 32)',
    examine: (value) =>
      /^[0-9a-f]{64}(\s+[0-9a-f]{64})?$/.test(value.trim()) ? good : wrong('is not of that form'),
  },
  {
    name: 'temporal-credentials',
    what: 'JSON with what is shown to Temporal',
    examine(value, settings) {
      const credentials = jsonText('JSON').pipe(temporalCredentials).safeParse(value);
      if (!credentials.success) return wrong('is no JSON of credentials, see docs/operations.md');
      try {
        checkCredentials({
          address: settings.temporal?.address ?? 'temporal:7233',
          credentials: credentials.data,
        });
        return { endsAt: credentialsEnd(credentials.data) };
      } catch (error) {
        return wrong(`cannot work: ${(error as Error).message}`);
      }
    },
  },
];

/** Of a Temporal cluster of one's own. */
const temporalServer: SecretKind = {
  name: 'temporal-server',
  what: "JSON with the Temporal servers' certificate, made by `roundtable temporal-certificates`",
  examine(value) {
    const base64 = z.base64().transform((text) => Buffer.from(text, 'base64').toString());
    const json = jsonText('JSON').pipe(z.strictObject({ ca: base64, certificate: base64, key: base64 }));
    const parsed = json.safeParse(value);
    const certificate = parsed.success && read(() => new X509Certificate(parsed.data.certificate));
    return certificate ? ends(certificate) : wrong('is not what that command made');
  },
};

/** Of the database of such a cluster. */
const databaseAuthority: SecretKind = {
  name: 'database-authority',
  what: "Amazon's authorities for databases of the region in PEM, see docs/operations.md",
  examine(value) {
    const pieces = value.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    const authorities = read(() => pieces.map((piece) => new X509Certificate(piece)));
    if (!authorities?.length || !authorities.every(({ ca }) => ca))
      return wrong('is no list of certificates of authorities in PEM');
    // The database shows a certificate by any of them, so the first end counts.
    const [first] = authorities.sort((a, b) => Date.parse(a.validTo) - Date.parse(b.validTo));
    return first ? ends(first) : wrong('is empty');
  },
};

function ends(certificate: X509Certificate): SecretVerdict {
  const endsAt = Date.parse(certificate.validTo);
  return endsAt < Date.now() ? wrong(`expired on ${new Date(endsAt).toISOString()}`) : { endsAt };
}

function read<T>(parse: () => T): T | null {
  try {
    return parse();
  } catch {
    return null;
  }
}
