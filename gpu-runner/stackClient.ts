import { z } from 'zod';
import { actPlace } from '#core/acts.js';
import { errorCodes, type ErrorCode } from '#core/errorCodes.js';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import type { Hex, Sha256Hex } from '#core/hex.js';
import {
  enrolAnswer,
  revokeAnswer,
  type EnrolAnswer,
  type EnrolRequest,
  type RevokeRequest,
  type SeenRequest,
} from '#core/entryMessages.js';
import { printable } from '#core/printable.js';
import { parseMessage } from '#core/schema.js';
import { authorizationHeader, requestText } from '#core/signedRequest.js';
import type { Act } from '#services/acts.js';
import { checkOutboundUrl, dial, type OutboundRequest, type OutboundRules } from '#services/outboundUrl.js';
import { readAtMost } from '#services/readAtMost.js';
import { sha256Hex } from '#services/sha256.js';
import { unreachable } from './failures.js';
import type { RunnerKey } from './runnerKey.js';

const ANSWER_SECONDS = 10;
/** Bytes; answers of a stack to its runners are a few hundred. */
const LARGEST_ANSWER = 1024 * 1024;

/** A runner's requests to its stack, each signed. Every call throws UNAVAILABLE while the stack does not answer. */
export class StackClient {
  readonly #api: string;
  readonly #audience: Hex;
  readonly #key: RunnerKey;
  readonly #found: boolean;
  /** What may be dialled on the stack's word. */
  readonly rules: OutboundRules;

  constructor(
    stack: { api: string; coordinator: Hex; rules: OutboundRules; found: boolean },
    key: RunnerKey,
  ) {
    this.#api = stack.api.replace(/\/+$/, '');
    this.rules = stack.rules;
    this.#found = stack.found;
    this.#audience = stack.coordinator;
    this.#key = key;
  }

  async enrol(request: EnrolRequest, signal: AbortSignal): Promise<EnrolAnswer> {
    const response = await this.#request('POST', '/v1/runners/enrol', request, signal);
    return parseMessage(enrolAnswer, await jsonOf(response), 'The answer to the enrolment');
  }

  /** @returns those of the fingerprints that counted until now */
  async revoke(request: RevokeRequest, signal: AbortSignal): Promise<Sha256Hex[]> {
    const response = await this.#request('POST', '/v1/runners/revoke', request, signal);
    return parseMessage(revokeAnswer, await jsonOf(response), 'The answer to the revocation').revoked;
  }

  /** @throws NOT_FOUND when the stack does not know the runner (any more) */
  async seen(request: SeenRequest, signal: AbortSignal): Promise<void> {
    const response = await this.#request('POST', '/v1/runners/seen', request, signal);
    await response.arrayBuffer();
  }

  /** Signs and sends an act, for the contracts that the runner knows. @returns what came of it */
  async act(act: Act, place: { chainId: number; consortium: Hex }, signal: AbortSignal): Promise<string> {
    const response = await this.#request('GET', '/v1/acts/place', undefined, signal);
    const said = parseMessage(actPlace, await jsonOf(response), 'What an act is signed for');
    const { chainId, consortium } = place;
    const signed = this.#key.signAct({ ...said, chainId, consortium, stack: this.#audience }, act);
    const { outcome } = await this.ask('/v1/acts', signed, actAnswer, signal);
    return outcome;
  }

  /** Where an artifact can be read at present. @throws NOT_FOUND */
  async locate(sha256: Sha256Hex, signal: AbortSignal): Promise<string> {
    const response = await this.#request('GET', `/v1/artifacts/${sha256}`, undefined, signal);
    await response.arrayBuffer();
    const location = response.headers.get('location');
    if (response.status !== 307 || location === null)
      throw new RoundtableError(
        'UNAVAILABLE',
        `The stack answered ${response.status} where an artifact's place was expected.`,
      );
    return checkOutboundUrl(new URL(location, this.#api).href, this.rules).href;
  }

  /** A signed POST, as upload.ts makes its own. */
  async ask<T extends z.ZodType>(
    path: string,
    body: unknown,
    answer: T,
    signal: AbortSignal,
  ): Promise<z.output<T>> {
    const response = await this.#request('POST', path, body, signal);
    const text = await textOf(response).catch((error: unknown) => {
      throw isRoundtableError(error) ? error : unreachable(this.#api, error, signal);
    });
    return parseMessage(answer, text === '' ? null : JSON.parse(text), `The answer to POST ${path}`);
  }

  async #request(method: string, path: string, body: unknown, signal: AbortSignal): Promise<Response> {
    const bytes = body === undefined ? new Uint8Array(0) : new TextEncoder().encode(JSON.stringify(body));
    const url = new URL(this.#api + path);
    const timestamp = Math.floor(Date.now() / 1_000);
    const text = requestText({
      method,
      path: url.pathname + url.search,
      bodyHash: sha256Hex(bytes),
      timestamp,
      audience: this.#audience,
    });
    const request = {
      method,
      headers: {
        authorization: authorizationHeader(this.#key.address, timestamp, this.#key.signText(text)),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: bytes }),
      redirect: 'manual' as const,
      signal: AbortSignal.any([signal, AbortSignal.timeout(1_000 * ANSWER_SECONDS)]),
    };
    // A URL that was found on chain is somebody else's word, as are those in answers.
    const response = this.#found ? await reach(url.href, request, this.rules) : await ask(url.href, request);
    if (response.status >= 400) throw await problemOf(response);
    return response;
  }
}

/** A request to the stack itself, whose failures say what could not be reached. @throws as reach */
async function ask(url: string, init: RequestInit & { signal: AbortSignal }): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    throw unreachable(url, error, init.signal);
  }
}

/**
 * A request to where the stack sent us, under the rules for URLs of others; bytes are sent as they lie in memory.
 * @throws URL_REFUSED, UNAVAILABLE; the abort's reason when aborted
 */
export async function reach(url: string, request: OutboundRequest, rules: OutboundRules): Promise<Response> {
  try {
    return await dial(url, request, rules);
  } catch (error) {
    throw isRoundtableError(error) ? error : unreachable(url, error, request.signal);
  }
}

const actAnswer = z.object({ outcome: z.string() });

const problemDetails = z.object({
  code: z.string(),
  detail: z.string().optional(),
  title: z.string().optional(),
});

async function problemOf(response: Response): Promise<RoundtableError> {
  const text = await textOf(response);
  const problem = problemDetails.safeParse(jsonOrNull(text)).data;
  const known = problem !== undefined && Object.hasOwn(errorCodes, problem.code);
  // A failure inside the stack is none of this request's doing: it may pass.
  const code = known && response.status < 500 ? (problem.code as ErrorCode) : 'UNAVAILABLE';
  const reason = printable(problem?.detail ?? problem?.title ?? text.slice(0, 300), 2_000);
  return new RoundtableError(code, `The stack answered ${response.status}: ${reason}`, {
    details: { status: response.status },
  });
}

const textOf = async (response: Response): Promise<string> =>
  (await readAtMost(response, LARGEST_ANSWER, 'The stack')).toString();

const jsonOf = async (response: Response): Promise<unknown> => jsonOrNull(await textOf(response));

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
