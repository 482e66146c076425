import { readFileSync } from 'node:fs';
import { Wallet } from 'ethers';
import { z } from 'zod';
import { errorCodes, type ErrorCode } from '#core/errorCodes.js';
import { RoundtableError } from '#core/errors.js';
import {
  creditMessage,
  uploadAnswer,
  type CreditMessage,
  type SubmitRequest,
  type TriggerRequest,
} from '#core/messages.js';
import { jobId, parseMessage } from '#core/schema.js';
import { authorizationHeader, requestText } from '#core/signedRequest.js';
import {
  epochView,
  jobView,
  roundView,
  runnerView,
  triggerView,
  versionView,
  type EpochView,
  type JobView,
  type RoundView,
  type RunnerView,
  type TriggerView,
  type VersionView,
} from '#core/views.js';
import { sha256Hex } from '#services/sha256.js';

/** A stack's HTTP API. Requests that change something are signed with the member's key. */
export interface Api {
  health(): Promise<z.output<typeof health>>;
  jobs(): Promise<JobView[]>;
  job(job: string): Promise<JobView>;
  rounds(job: string): Promise<RoundView[]>;
  submit(request: SubmitRequest): Promise<z.output<typeof accepted>>;
  signal(job: string, signal: 'pause' | 'resume' | 'cancel'): Promise<void>;
  triggers(): Promise<TriggerView[]>;
  addTrigger(request: TriggerRequest): Promise<z.output<typeof triggerSecret>>;
  rotateTrigger(name: string): Promise<z.output<typeof triggerSecret>>;
  runners(): Promise<RunnerView[]>;
  suspendRunner(runner: string, reason: string): Promise<void>;
  resumeRunner(runner: string): Promise<void>;
  versions(lineage?: string): Promise<VersionView[]>;
  epochs(): Promise<EpochView[]>;
  credits(): Promise<CreditMessage[]>;
  /** Stores bytes under their SHA-256 unless they are there already. @returns the hash */
  putArtifact(data: Uint8Array): Promise<`0x${string}`>;
  /** @throws ARTIFACT_CORRUPT when the bytes are not those of the hash */
  getArtifact(sha256: string): Promise<Uint8Array>;
}

/**
 * @param url of the API. @param audience address of the stack's member. @param keyFile the member's private key,
 * read when the first signed request is made
 */
export function openApi(options: { url: string; audience: string; keyFile: string }): Api {
  const call = caller(options);
  const list = async <T extends z.ZodType>(path: string, schema: T): Promise<z.output<T>[]> =>
    (await call(items(schema), 'GET', path)).items;
  return {
    health: () => call(health, 'GET', '/health'),
    jobs: () => list('/v1/jobs', jobView),
    job: (job) => call(jobView, 'GET', `/v1/jobs/${job}`),
    rounds: (job) => list(`/v1/jobs/${job}/rounds`, roundView),
    submit: (request) => call(accepted, 'POST', '/v1/jobs', request),
    signal: async (job, signal) => void (await call(z.unknown(), 'POST', `/v1/jobs/${job}/${signal}`, {})),
    triggers: () => list('/v1/triggers', triggerView),
    addTrigger: (request) => call(triggerSecret, 'POST', '/v1/triggers', request),
    rotateTrigger: (name) => call(triggerSecret, 'POST', `/v1/triggers/${name}/rotate`, {}),
    runners: () => list('/v1/runners', runnerView),
    suspendRunner: async (runner, reason) =>
      void (await call(z.unknown(), 'POST', `/v1/runners/${runner}/suspend`, { reason })),
    resumeRunner: async (runner) =>
      void (await call(z.unknown(), 'POST', `/v1/runners/${runner}/resume`, {})),
    versions: (lineage) =>
      list(`/v1/versions${lineage === undefined ? '' : `?lineage=${lineage}`}`, versionView),
    epochs: () => list('/v1/epochs', epochView),
    credits: () => list('/v1/credits', creditMessage),
    async putArtifact(data) {
      const sha256 = sha256Hex(data);
      const answer = await call(uploadAnswer, 'POST', '/v1/uploads', { sha256, size: data.length });
      if (answer.url === null) return sha256;
      const response = await reach(answer.url, {
        method: 'PUT',
        headers: answer.headers,
        body: Buffer.from(data),
      });
      if (!response.ok)
        throw new RoundtableError(
          'UNAVAILABLE',
          `The artifact store refused an upload with ${response.status}. Try again.`,
        );
      return sha256;
    },
    async getArtifact(sha256) {
      const response = await send(options, 'GET', `/v1/artifacts/${sha256}`, undefined, true);
      const data = new Uint8Array(await response.arrayBuffer());
      if (sha256Hex(data) !== sha256)
        throw new RoundtableError(
          'ARTIFACT_CORRUPT',
          `The artifact ${sha256} has other bytes than its name says.`,
        );
      return data;
    },
  };
}

/** @throws INVALID_INPUT when the file does not hold a private key (which is not shown) */
export function readWallet(keyFile: string): Wallet {
  const text = readFileSync(keyFile, 'utf8').trim();
  if (!/^0x[0-9a-fA-F]{64}$/.test(text))
    throw new RoundtableError(
      'INVALID_INPUT',
      `${keyFile} does not hold a private key: 0x and 64 hexadecimal digits.`,
    );
  return new Wallet(text);
}

const items = <T extends z.ZodType>(schema: T) => z.object({ items: z.array(schema) });
const health = z.object({ ok: z.boolean(), stack: z.string(), chainId: z.number() });
const accepted = z.object({ job: jobId, repeated: z.boolean() });
const triggerSecret = z.object({ trigger: triggerView, secret: z.string() });
const problemDetails = z.object({
  code: z.string().optional(),
  detail: z.string().optional(),
  title: z.string().optional(),
});

interface Target {
  url: string;
  audience: string;
  keyFile: string;
}

function caller(target: Target) {
  return async <T extends z.ZodType>(
    schema: T,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<z.output<T>> => {
    const response = await send(target, method, path, body, method !== 'GET');
    const text = await response.text();
    return parseMessage(schema, text === '' ? {} : JSON.parse(text), `The answer to ${method} ${path}`);
  };
}

async function send(
  target: Target,
  method: string,
  path: string,
  body: unknown,
  signed: boolean,
): Promise<Response> {
  const text = body === undefined ? '' : JSON.stringify(body);
  const headers: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
  if (signed) headers['authorization'] = await authorization(target, method, path, text);
  const response = await reach(target.url + path, {
    method,
    headers,
    ...(body === undefined ? {} : { body: text }),
  });
  if (response.ok) return response;
  throw problemOf(await response.text(), response.status, `${method} ${path}`);
}

async function authorization(target: Target, method: string, path: string, body: string): Promise<string> {
  const wallet = readWallet(target.keyFile);
  const timestamp = Math.floor(Date.now() / 1000);
  const bodyHash = sha256Hex(new TextEncoder().encode(body));
  const signature = await wallet.signMessage(
    requestText({ method, path, bodyHash, timestamp, audience: target.audience }),
  );
  return authorizationHeader(wallet.address, timestamp, signature);
}

async function reach(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { ...init, signal: AbortSignal.timeout(60_000) });
  } catch (cause) {
    const { origin } = new URL(url);
    throw new RoundtableError(
      'UNAVAILABLE',
      `Nothing answers at ${origin}. See what runs with \`roundtable status\`; bring the stack up with \`roundtable up\`.`,
      { cause },
    );
  }
}

/** The error behind an RFC 9457 answer; its code survives the way through HTTP. */
function problemOf(text: string, status: number, what: string): RoundtableError {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = {};
  }
  const { code, detail, title } = problemDetails.catch({}).parse(parsed);
  const known = code !== undefined && code in errorCodes ? (code as ErrorCode) : null;
  return new RoundtableError(
    known ?? (status === 404 ? 'NOT_FOUND' : status >= 500 ? 'UNAVAILABLE' : 'INVALID_INPUT'),
    detail ?? title ?? `${what} was answered with ${status}.`,
    { details: typeof parsed === 'object' && parsed !== null ? { ...parsed } : {} },
  );
}
