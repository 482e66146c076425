import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { defaultProvider } from '@aws-sdk/credential-provider-node';
import { SignatureV4 } from '@smithy/signature-v4';
import { RoundtableError } from '#core/errors.js';

/**
 * The few calls to AWS besides table, queues and bucket: single requests of its JSON protocol, and who one is. Four
 * more clients of the SDK would be ten times this code in every bundle.
 */
export interface AwsApi {
  /**
   * @throws AWS_CREDENTIALS_MISSING, AWS_REFUSED with AWS's own words, NOT_FOUND, or UNAVAILABLE when nobody answers
   */
  call(service: keyof typeof services, operation: string, input: object): Promise<Record<string, unknown>>;
  /** The account and name behind the credentials. @throws as call */
  identity(): Promise<{ account: string; arn: string }>;
}

/** Credentials come from where the SDK looks for them; endpoints from AWS_ENDPOINT_URL_SERVICE, if set. */
export function openAwsApi({ region }: { region: string }): AwsApi {
  const credentials = defaultProvider({});

  async function send(
    service: keyof typeof services | 'sts',
    headers: Record<string, string>,
    body: string,
  ): Promise<string> {
    const url = new URL(endpointOf(service, region));
    const signer = new SignatureV4({
      service,
      region,
      sha256: Sha256,
      credentials: () => credentials().catch(missing),
    });
    const signed = await signer.sign({
      method: 'POST',
      protocol: url.protocol,
      hostname: url.hostname,
      path: '/',
      headers: { host: url.host, ...headers },
      body,
    });
    const { host: _, ...sent } = signed.headers;
    let answer: Response;
    let text: string;
    try {
      answer = await fetch(url, {
        method: 'POST',
        redirect: 'error',
        headers: sent,
        body,
        signal: AbortSignal.timeout(longestMs),
      });
      text = await answer.text();
    } catch (cause) {
      throw new RoundtableError('UNAVAILABLE', `${url.host} does not answer.`, { cause });
    }
    if (!answer.ok) throw problemOf(service, answer.status, text);
    return text;
  }

  return {
    async call(service, operation, input) {
      const headers = {
        'content-type': 'application/x-amz-json-1.1',
        'x-amz-target': `${services[service].target}.${operation}`,
      };
      return JSON.parse(await send(service, headers, JSON.stringify(input))) as Record<string, unknown>;
    },

    async identity() {
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      const xml = await send('sts', headers, 'Action=GetCallerIdentity&Version=2011-06-15');
      const value = (name: string) => new RegExp(`<${name}>([^<]+)</${name}>`).exec(xml)?.[1] ?? '';
      return { account: value('Account'), arn: value('Arn') };
    },
  };
}

/** The prefix of X-Amz-Target, and the name in AWS_ENDPOINT_URL_NAME. */
const services = {
  secretsmanager: { target: 'secretsmanager', variable: 'SECRETS_MANAGER' },
  ssm: { target: 'AmazonSSM', variable: 'SSM' },
  servicequotas: { target: 'ServiceQuotasV20190624', variable: 'SERVICE_QUOTAS' },
} as const;

const longestMs = 10_000;

function endpointOf(service: keyof typeof services | 'sts', region: string): string {
  const variable = service === 'sts' ? 'STS' : services[service].variable;
  return process.env[`AWS_ENDPOINT_URL_${variable}`] ?? `https://${service}.${region}.amazonaws.com`;
}

function missing(cause: unknown): never {
  throw new RoundtableError(
    'AWS_CREDENTIALS_MISSING',
    'There are no AWS credentials: set AWS_PROFILE, or run `aws sso login` or `aws configure`.',
    { cause },
  );
}

function problemOf(service: string, status: number, text: string): RoundtableError {
  const type =
    /"__type"\s*:\s*"(?:[^"#]*#)?(\w+)"/.exec(text)?.[1] ?? /<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? '';
  const words =
    /"[Mm]essage"\s*:\s*"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? /<Message>([^<]*)<\/Message>/.exec(text)?.[1];
  const message = `${service}: ${type || status}${words ? `, ${words.replace(/\.$/, '')}` : ''}`;
  if (/NotFound|NoSuch/.test(type)) return new RoundtableError('NOT_FOUND', message);
  if (status >= 500 || /Throttl|TooManyRequests/.test(type))
    return new RoundtableError('UNAVAILABLE', message);
  const clock = /expired|not yet current|signature/i.test(words ?? '')
    ? ' Is the clock of this machine right?'
    : '';
  return new RoundtableError('AWS_REFUSED', `AWS refuses: ${message}.${clock}`);
}

/** Node's SHA-256 as the signer wants it. */
export class Sha256 {
  #hash: Hash | Hmac;
  constructor(private readonly secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = this.#begin();
  }
  update(chunk: Uint8Array | string): void {
    this.#hash.update(chunk);
  }
  digest(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array(this.#hash.digest()));
  }
  reset(): void {
    this.#hash = this.#begin();
  }
  #begin(): Hash | Hmac {
    const { secret } = this;
    if (secret === undefined) return createHash('sha256');
    const key =
      typeof secret === 'string'
        ? secret
        : ArrayBuffer.isView(secret)
          ? new Uint8Array(secret.buffer, secret.byteOffset, secret.byteLength)
          : new Uint8Array(secret);
    return createHmac('sha256', key);
  }
}
