import { readFileSync } from 'node:fs';
import { Wallet } from 'ethers';
import { z } from 'zod';
import { actPlace, actRecord, type ActRecord } from '#core/acts.js';
import { errorCodes, type ErrorCode } from '#core/errorCodes.js';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import {
  creditMessage,
  type CreditMessage,
  type SubmitRequest,
  type TakeOverRequest,
  type TriggerRequest,
} from '#core/messages.js';
import { storedUpdates } from '#core/transferMessages.js';
import { printable } from '#core/printable.js';
import { jobId, parseMessage } from '#core/schema.js';
import { authorizationHeader, requestText } from '#core/signedRequest.js';
import {
  epochView,
  queueView,
  jobView,
  roundView,
  runnerView,
  triggerView,
  versionView,
  type EpochView,
  type JobView,
  type QueueView,
  type RoundView,
  type RunnerView,
  type TriggerView,
  type VersionView,
} from '#core/views.js';
import { upload } from '#gpu-runner/upload.js';
import { signAct, type Act } from '#services/acts.js';
import { dial, outboundRules, type OutboundRequest } from '#services/outboundUrl.js';
import { readAtMost } from '#services/readAtMost.js';
import { sha256Hex } from '#services/sha256.js';

/** A stack's HTTP API. Requests that change something are signed with the member's key. */
export interface Api {
  health(): Promise<z.output<typeof health>>;
  jobs(): Promise<JobView[]>;
  job(job: string): Promise<JobView>;
  rounds(job: string): Promise<RoundView[]>;
  submit(request: SubmitRequest): Promise<z.output<typeof accepted>>;
  takeOver(job: string, request: TakeOverRequest): Promise<z.output<typeof accepted>>;
  /** Signs and sends an act. @returns what came of it */
  act(act: Act): Promise<string>;
  /** The whole log of acts. */
  acts(): Promise<ActRecord[]>;
  triggers(): Promise<TriggerView[]>;
  addTrigger(request: TriggerRequest): Promise<z.output<typeof triggerSecret>>;
  rotateTrigger(name: string): Promise<z.output<typeof triggerSecret>>;
  /** No secret of it counts any more. */
  stopTrigger(name: string): Promise<TriggerView>;
  runners(): Promise<RunnerView[]>;
  versions(lineage?: string): Promise<VersionView[]>;
  epochs(): Promise<EpochView[]>;
  credits(): Promise<CreditMessage[]>;
  /** A round's updates, sealed, until its dispute window has passed. */
  updates(job: string, round: number): Promise<z.output<typeof storedUpdates>['items']>;
  queues(): Promise<QueueView[]>;
  /** Stores bytes under their SHA-256 unless they are there already. @returns the hash */
  putArtifact(data: Uint8Array): Promise<`0x${string}`>;
  /** @throws ARTIFACT_CORRUPT when the bytes are not those of the hash */
  getArtifact(sha256: string): Promise<Uint8Array>;
  /** Bytes at an address that the stack named; whose they are is for the reader to check. */
  readStored(url: string): Promise<Uint8Array>;
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
    job: (job) => call(jobView, 'GET', `/v1/jobs/${encodeURIComponent(job)}`),
    rounds: (job) => list(`/v1/jobs/${encodeURIComponent(job)}/rounds`, roundView),
    submit: (request) => call(accepted, 'POST', '/v1/jobs', request),
    takeOver: (job, request) =>
      call(accepted, 'POST', `/v1/jobs/${encodeURIComponent(job)}/take-over`, request),
    act: async (act) => {
      const place = await call(actPlace, 'GET', '/v1/acts/place');
      // Whose stack this is, the person's own configuration says, not whoever answers.
      if (place.stack !== options.audience.toLowerCase())
        throw new RoundtableError(
          'FORBIDDEN',
          `${options.url} says that it is the stack of ${place.stack}; this one should be that of ${options.audience}.`,
        );
      const wallet = readWallet(options.keyFile);
      const signer = wallet.address.toLowerCase() as `0x${string}`;
      const signed = signAct(
        place,
        act,
        signer,
        (digest) => wallet.signingKey.sign(digest).serialized as `0x${string}`,
      );
      const { outcome } = await call(z.object({ outcome: z.string() }), 'POST', '/v1/acts', signed);
      return outcome;
    },
    async acts() {
      const all: ActRecord[] = [];
      for (;;) {
        const more = await list(`/v1/acts?after=${all.length}`, actRecord);
        all.push(...more);
        if (more.length === 0) return all;
      }
    },
    triggers: () => list('/v1/triggers', triggerView),
    addTrigger: (request) => call(triggerSecret, 'POST', '/v1/triggers', request),
    rotateTrigger: (name) =>
      call(triggerSecret, 'POST', `/v1/triggers/${encodeURIComponent(name)}/rotate`, {}),
    stopTrigger: async (name) =>
      (await call(stoppedTrigger, 'POST', `/v1/triggers/${encodeURIComponent(name)}/stop`, {})).trigger,
    runners: () => list('/v1/runners', runnerView),
    versions: (lineage) =>
      list(
        `/v1/versions${lineage === undefined ? '' : `?lineage=${encodeURIComponent(lineage)}`}`,
        versionView,
      ),
    epochs: () => list('/v1/epochs', epochView),
    credits: () => list('/v1/credits', creditMessage),
    updates: async (job, round) =>
      parseMessage(
        storedUpdates,
        parseAnswer(
          await textOf(
            await send(options, 'GET', `/v1/jobs/${job}/rounds/${round}/updates`, undefined, true),
          ),
        ),
        'The updates of a round',
      ).items,
    queues: () => list('/v1/queues', queueView),
    async putArtifact(data) {
      const sha256 = sha256Hex(data);
      await upload(
        (path, body, answer) => call(answer, 'POST', path, body),
        data,
        { sha256, size: data.length },
        { signal: new AbortController().signal, rules: outboundRules([options.url]) },
      );
      return sha256;
    },
    async getArtifact(sha256) {
      const answer = await send(options, 'GET', `/v1/artifacts/${sha256}`, undefined, true);
      const location = new URL(answer.headers.get('location') ?? '', options.url).href;
      const response = await transfer(location, options.url, {});
      if (!response.ok) throw problemOf('', response.status, `Reading the artifact ${sha256}`);
      const data = new Uint8Array(await readAtMost(response, LARGEST_ARTIFACT, 'The artifact store'));
      if (sha256Hex(data) !== sha256)
        throw new RoundtableError(
          'ARTIFACT_CORRUPT',
          `The artifact ${sha256} has other bytes than its name says.`,
        );
      return data;
    },
    async readStored(url) {
      const response = await transfer(url, options.url, {});
      if (!response.ok) throw problemOf('', response.status, 'Reading from the artifact store');
      return new Uint8Array(await readAtMost(response, LARGEST_ARTIFACT, 'The artifact store'));
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
const stoppedTrigger = z.object({ trigger: triggerView });
const triggerSecret = z.object({ trigger: triggerView, secret: z.string() });
const problemDetails = z.object({
  code: z.string().optional(),
  detail: z.string().optional(),
  title: z.string().optional(),
});

const LARGEST_ANSWER = 64 * 1024 * 1024;
const LARGEST_ARTIFACT = 2 * 1024 ** 3;

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
    const response = await send(target, method, path, body, method !== 'GET' && path !== '/v1/acts');
    const text = await textOf(response);
    return parseMessage(schema, text === '' ? null : parseAnswer(text), `The answer to ${method} ${path}`);
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
  if (response.ok || response.status === 307) return response;
  throw problemOf(await textOf(response), response.status, `${method} ${path}`);
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
    return await fetch(url, { ...init, redirect: 'manual', signal: AbortSignal.timeout(60_000) });
  } catch (cause) {
    throw unreachable(url, cause);
  }
}

/** To or from the place that the stack named: its word, so it is not dialled wherever it points. */
async function transfer(
  url: string,
  stack: string,
  request: Omit<OutboundRequest, 'signal'>,
): Promise<Response> {
  try {
    return await dial(url, { ...request, signal: AbortSignal.timeout(600_000) }, outboundRules([stack]));
  } catch (cause) {
    throw isRoundtableError(cause) ? cause : unreachable(url, cause);
  }
}

function unreachable(url: string, cause: unknown): RoundtableError {
  return new RoundtableError(
    'UNAVAILABLE',
    `Nothing answers at ${new URL(url).origin}. See what runs with \`roundtable status\`; bring the stack up with \`roundtable up\`.`,
    { cause },
  );
}

const textOf = async (response: Response): Promise<string> =>
  (await readAtMost(response, LARGEST_ANSWER, 'The stack')).toString();

/** JSON with nothing in it that a terminal would obey; {} when it is none. */
function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text, (_, value: unknown) => (typeof value === 'string' ? printable(value) : value));
  } catch {
    return {};
  }
}

/** The error behind an RFC 9457 answer; its code survives the way through HTTP. */
function problemOf(text: string, status: number, what: string): RoundtableError {
  const parsed = parseAnswer(text);
  const { code, detail, title } = problemDetails.catch({}).parse(parsed);
  const known = code !== undefined && Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : null;
  return new RoundtableError(
    known ?? (status === 404 ? 'NOT_FOUND' : status >= 500 ? 'UNAVAILABLE' : 'INVALID_INPUT'),
    detail ?? title ?? `${what} was answered with ${status}.`,
    { details: typeof parsed === 'object' && parsed !== null ? { ...parsed } : {} },
  );
}
