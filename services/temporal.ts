import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { connect, type ConnectionOptions } from 'node:tls';
import { z } from 'zod';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import { parseMessage } from '#core/schema.js';
import { openAwsApi } from './awsApi.js';
import { jsonText } from './environment.js';

/**
 * Where Temporal is and what is shown to it: nothing on one machine, a client certificate to a cluster of one's own,
 * an API key or a certificate to Temporal Cloud. Functions, worker and gatekeeper connect by what is read here.
 */
export interface TemporalPlace {
  /** host:port */
  address: string;
  namespace: string;
  /** Null: in the clear, which is only done within one machine. */
  credentials: TemporalCredentials | null;
}

const pem = (what: string) =>
  z.string().regex(/^\s*-----BEGIN [A-Z ]+-----[\s\S]+-----END [A-Z ]+-----\s*$/, `${what} in PEM`);
const ca = pem('the certificates of the authorities to trust').optional();

/** The secret: JSON of one of these. Without `ca` the authorities that Node trusts count. */
export const temporalCredentials = z.union(
  [
    z.strictObject({ apiKey: z.string().regex(/^[\x21-\x7e]+$/), ca }),
    z.strictObject({ certificate: pem('a certificate'), key: pem('a private key'), ca }),
  ],
  { error: 'either {"apiKey"} or {"certificate", "key"} in PEM, each with "ca" in PEM if need be' },
);
export type TemporalCredentials = z.output<typeof temporalCredentials>;

/**
 * Reads the credentials anew at each call, so that a new connection is made with those that count now.
 * @throws INVALID_INPUT when what is read is no credentials; it is not shown
 */
export function temporalPlace(environment: {
  TEMPORAL_ADDRESS: string;
  TEMPORAL_NAMESPACE: string;
  TEMPORAL_CREDENTIALS_SECRET?: string | undefined;
  TEMPORAL_CREDENTIALS_FILE?: string | undefined;
}): () => Promise<TemporalPlace> {
  const { TEMPORAL_CREDENTIALS_SECRET: secret, TEMPORAL_CREDENTIALS_FILE: file } = environment;
  const where = { address: environment.TEMPORAL_ADDRESS, namespace: environment.TEMPORAL_NAMESPACE };
  return async () => {
    if (file !== undefined) return { ...where, credentials: parse(await readFile(file, 'utf8'), file) };
    if (secret === undefined) return { ...where, credentials: null };
    const aws = openAwsApi({ region: process.env['AWS_REGION'] ?? '' });
    const { SecretString: text } = await aws
      .call('secretsmanager', 'GetSecretValue', { SecretId: secret })
      .catch((cause: unknown) => {
        if (!isRoundtableError(cause) || cause.code !== 'NOT_FOUND') throw cause;
        throw new RoundtableError(
          'NOT_FOUND',
          `There is no secret ${secret} in ${process.env['AWS_REGION']}, or it has no value yet. ` +
            'Put it there, or correct TEMPORAL_CREDENTIALS_SECRET; `roundtable doctor --stage` names every secret.',
          { cause },
        );
      });
    return { ...where, credentials: parse(String(text), `The secret ${secret}`) };
  };
}

/**
 * Options of both SDKs' connections, client and worker.
 * @throws TEMPORAL_REFUSED for credentials that cannot work: missing, expired, a key of another certificate
 */
export function connectionOptions(place: TemporalPlace) {
  const { address, credentials } = place;
  checkCredentials(place);
  if (credentials === null) return { address };
  const trusted = credentials.ca ? { serverRootCACertificate: Buffer.from(credentials.ca) } : {};
  return 'apiKey' in credentials
    ? { address, apiKey: credentials.apiKey, tls: trusted }
    : {
        address,
        tls: {
          ...trusted,
          clientCertPair: { crt: Buffer.from(credentials.certificate), key: Buffer.from(credentials.key) },
        },
      };
}

/** The same for a TLS socket. */
export function tlsOptions({ address, credentials }: TemporalPlace): ConnectionOptions {
  const { host, port } = hostAndPort(address);
  return {
    host,
    port,
    ALPNProtocols: ['h2'],
    ...(isIP(host) ? {} : { servername: host }),
    ...(credentials?.ca ? { ca: credentials.ca } : {}),
    ...(credentials && 'certificate' in credentials
      ? { cert: credentials.certificate, key: credentials.key }
      : {}),
  };
}

/** What each call carries besides: the SDKs add it themselves. */
export function callHeaders({ namespace, credentials }: TemporalPlace): Record<string, string> {
  return credentials && 'apiKey' in credentials
    ? { authorization: `Bearer ${credentials.apiKey}`, 'temporal-namespace': namespace }
    : {};
}

/** @throws TEMPORAL_REFUSED */
export function checkCredentials({
  address,
  credentials,
}: Pick<TemporalPlace, 'address' | 'credentials'>): void {
  if (credentials === null) {
    const { host } = hostAndPort(address);
    if (isThisMachine(host)) return;
    throw refused(
      `There are no credentials for Temporal at ${address}, and only within one machine is it called in the clear. ` +
        'Set TEMPORAL_CREDENTIALS_FILE or TEMPORAL_CREDENTIALS_SECRET.',
    );
  }
  if ('apiKey' in credentials) return;
  const certificate = parsed(() => new X509Certificate(credentials.certificate), 'client certificate');
  const key = parsed(() => createPrivateKey(credentials.key), 'private key');
  if (!certificate.checkPrivateKey(key))
    throw refused('The private key for Temporal does not belong to the client certificate beside it.');
  const now = Date.now();
  const [from, to] = [certificate.validFrom, certificate.validTo].map(Date.parse) as [number, number];
  if (now >= to)
    throw refused(
      `The client certificate for Temporal expired on ${iso(to)}; by this machine's clock it is ${iso(now)}.`,
    );
  if (now < from)
    throw refused(
      `The client certificate for Temporal begins on ${iso(from)}; by this machine's clock it is ${iso(now)}.`,
    );
}

/** When the client certificate ends, milliseconds since 1970; null for an API key. */
export function credentialsEnd(credentials: TemporalCredentials): number | null {
  if ('apiKey' in credentials) return null;
  const certificate = parsed(() => new X509Certificate(credentials.certificate), 'client certificate');
  return Date.parse(certificate.validTo);
}

/**
 * Why a connection or a call failed. The SDKs only say that it did, so the handshake is tried once more and looked at.
 * @returns TEMPORAL_REFUSED when one side does not accept the other, UNAVAILABLE when nobody answers
 */
export async function explainFailure(place: TemporalPlace, error: unknown): Promise<RoundtableError> {
  if (isRoundtableError(error)) return error;
  if (isDenial(error))
    return refused(
      `Temporal at ${place.address} lets these credentials do nothing in the namespace ${place.namespace}: ` +
        'the API key is wrong, revoked or expired, or it is for another namespace.',
      error,
    );
  const reason = place.credentials === null ? null : await handshakeProblem(place);
  return reason === null
    ? new RoundtableError('UNAVAILABLE', `Temporal does not answer at ${place.address}.`, { cause: error })
    : refused(`There is no connection to Temporal at ${place.address}: ${reason}.`, error);
}

/** gRPC: PERMISSION_DENIED and UNAUTHENTICATED, also within the SDKs' own errors. */
export function isDenial(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && (cause.code === 7 || cause.code === 16)) return true;
    // What the worker's native connection says.
    if (/valid authentication credentials|not have permission/.test(cause.message)) return true;
  }
  return false;
}

/** What stands against a TLS connection with HTTP/2 on it; null when nothing does, or nobody is there. */
export function handshakeProblem(place: TemporalPlace): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect(tlsOptions(place));
    let secure = false;
    const end = (reason: string | null) => {
      socket.removeAllListeners();
      socket.on('error', () => undefined);
      socket.destroy();
      resolve(reason);
    };
    socket.setTimeout(handshakeMs, () => end(null));
    socket.once('secureConnect', () => {
      secure = true;
      // With TLS 1.3 the server's verdict on a client certificate comes with its first answer.
      socket.write(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${'\0\0\0\x04\0\0\0\0\0'}`, 'latin1');
    });
    socket.once('data', () => end(null));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      const code = String(error.code);
      const known = reasons.find(([pattern]) => pattern.test(code));
      end(known ? known[1] : /^(E[A-Z]+)$/.test(code) && code !== 'EPROTO' ? null : error.message);
    });
    socket.once('close', () =>
      end(
        secure ? 'it ends the connection after the handshake; does it take this client certificate?' : null,
      ),
    );
  });
}

const parse = (text: string, what: string): TemporalCredentials =>
  parseMessage(jsonText('JSON, see docs/operations.md').pipe(temporalCredentials), text, what);

const handshakeMs = 5_000;

/** Codes of Node and OpenSSL: https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const reasons: [RegExp, string][] = [
  [/ALERT_CERTIFICATE_REQUIRED|ALERT_HANDSHAKE_FAILURE/, 'it asks for a client certificate'],
  [/ALERT_CERTIFICATE_EXPIRED/, 'it takes the client certificate for expired; compare the clocks'],
  [/ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN)/, 'it does not accept the client certificate'],
  [/^CERT_HAS_EXPIRED$/, "the server's certificate has expired"],
  [/^CERT_NOT_YET_VALID$/, "the server's certificate is not valid yet; compare the clocks"],
  [/ALTNAME_INVALID/, "the server's certificate is for another host"],
  [
    /UNABLE_TO_(GET_ISSUER|VERIFY)|SELF_SIGNED|CERT_UNTRUSTED|CERT_SIGNATURE_FAILURE/,
    "the server's certificate is not by an authority that `ca` of the credentials names",
  ],
  [/WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG/, 'it does not speak TLS'],
];

function hostAndPort(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':');
  return {
    host: address.slice(0, colon).replace(/^\[(.*)\]$/, '$1'),
    port: Number(address.slice(colon + 1)),
  };
}

const isThisMachine = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));

/** No cause: a library's message could hold the key. */
function parsed<T>(parse: () => T, what: string): T {
  try {
    return parse();
  } catch {
    throw refused(`The ${what} for Temporal cannot be read.`);
  }
}

const refused = (message: string, cause?: unknown) =>
  new RoundtableError('TEMPORAL_REFUSED', message, cause === undefined ? {} : { cause });

const iso = (time: number): string => new Date(time).toISOString();
