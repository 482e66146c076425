import { JsonRpcProvider, Network, type JsonRpcPayload, type JsonRpcResult } from 'ethers';
import type { Deployment } from '#contracts/deployment.js';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import { oneLine } from '#core/printable.js';
import { readAtMost } from '../readAtMost.js';

const timeoutMs = 15_000;
/** More than the logs of any range of blocks that is asked for. */
const largestAnswer = 64 * 1024 * 1024;
/** How long the others may take once one endpoint has answered a question that all were asked. */
const stragglersMs = 2_000;

/** What one endpoint said: a result, or the error of its node. */
export type Answer = { result: unknown } | { error: { code: number; message: string } };

/**
 * An ethers provider over several endpoints of one chain: each request goes to the first that answers, beginning
 * with the one that answered last. Before an endpoint is used, its chain and the contracts on it are checked.
 *
 * ethers' defaults would poll every 4 s, ask for the chain's id before each call, answer repeated questions
 * from a cache of 250 ms (stale right after a transaction) and wait to batch; all of that is off. What is asked in one
 * turn of the event loop travels together, where the endpoint takes lists.
 *
 * @throws CHAIN_UNREACHABLE, CHAIN_WRONG_NETWORK from every request
 */
export class ChainRpc extends JsonRpcProvider {
  readonly #urls: readonly string[];
  readonly #deployment: Pick<Deployment, 'chainId' | 'jobs'>;
  readonly #checked = new Set<string>();
  /** Endpoints that did not answer a list. */
  readonly #oneByOne = new Set<string>();
  #preferred = 0;

  constructor(urls: readonly string[], deployment: Pick<Deployment, 'chainId' | 'jobs'>) {
    const network = Network.from(deployment.chainId);
    super(urls[0], network, {
      staticNetwork: network,
      batchMaxCount: 50,
      batchStallTime: 0,
      cacheTimeout: -1,
      pollingInterval: 50,
    });
    this.#urls = urls;
    this.#deployment = deployment;
  }

  override async _send(payload: JsonRpcPayload | JsonRpcPayload[]): Promise<JsonRpcResult[]> {
    const failures: string[] = [];
    const first = this.#preferred;
    for (let offset = 0; offset < this.#urls.length; offset += 1) {
      const index = (first + offset) % this.#urls.length;
      const url = this.#urls[index] ?? '';
      try {
        await this.#check(url);
        const answer = (await this.#post(url, payload)) as JsonRpcResult[];
        const trouble = answer.find(isOwnTrouble);
        if (trouble) throw new Error(messageOf(trouble));
        this.#preferred = index;
        return answer;
      } catch (error) {
        if (isRoundtableError(error, 'CHAIN_WRONG_NETWORK')) throw error;
        failures.push(`${hostOf(url)}: ${oneLine(reasonOf(error), 300)}`);
      }
    }
    throw this.#unreachable(failures);
  }

  /**
   * Asks all endpoints the same, for questions on which money depends. Those that do not answer are left out.
   * @throws CHAIN_UNREACHABLE when none answers
   */
  async everyone(method: string, params: readonly unknown[]): Promise<Answer[]> {
    const answers: Answer[] = [];
    const failures: string[] = [];
    const asking = this.#urls.map(async (url) => {
      try {
        await this.#check(url);
        const [answer] = await post(url, { jsonrpc: '2.0', id: 1, method, params });
        answers.push(answer as Answer);
      } catch (error) {
        if (isRoundtableError(error, 'CHAIN_WRONG_NETWORK')) throw error;
        failures.push(`${hostOf(url)}: ${oneLine(reasonOf(error), 300)}`);
        throw error;
      }
    });
    if (asking.length > 1) {
      await Promise.any(asking).catch(() => undefined);
      const over = new AbortController();
      await Promise.race([Promise.allSettled(asking), pause(stragglersMs, over.signal)]);
      over.abort();
    } else await Promise.allSettled(asking);
    if (answers.length > 0) return [...answers];
    // A wrong chain or a missing contract says more than that nobody answered.
    await Promise.all(asking).catch((error: unknown) => {
      if (isRoundtableError(error, 'CHAIN_WRONG_NETWORK')) throw error;
    });
    throw this.#unreachable(failures);
  }

  /** A list in one request; in as many as it has questions at an endpoint that answers single ones alone. */
  async #post(url: string, payload: JsonRpcPayload | JsonRpcPayload[]): Promise<object[]> {
    if (!Array.isArray(payload)) return post(url, payload);
    if (!this.#oneByOne.has(url)) {
      const together = await post(url, payload).catch((error: unknown) => {
        if (error instanceof NotJsonRpc) return [];
        throw error;
      });
      const answered = new Set(together.map((answer) => 'id' in answer && answer.id));
      if (payload.every(({ id }) => answered.has(id))) return together;
    }
    const answers = await Promise.all(payload.map((question) => post(url, question)));
    this.#oneByOne.add(url);
    return answers.flat();
  }

  #unreachable(failures: readonly string[]): RoundtableError {
    return new RoundtableError(
      'CHAIN_UNREACHABLE',
      `No RPC endpoint of chain ${this.#deployment.chainId} answered (${failures.join('; ')}). Look whether it runs and CHAIN_RPC_URLS names it.`,
    );
  }

  async #check(url: string): Promise<void> {
    if (this.#checked.has(url)) return;
    const { chainId, jobs } = this.#deployment;
    const [network, code] = await Promise.all([
      ask(url, 'eth_chainId', []),
      ask(url, 'eth_getCode', [jobs, 'latest']),
    ]);
    if (Number(network) !== chainId)
      throw new RoundtableError(
        'CHAIN_WRONG_NETWORK',
        `${hostOf(url)} serves chain ${Number(network)}, expected ${chainId}. Correct CHAIN_RPC_URLS or CHAIN_DEPLOYMENT.`,
      );
    if (code === '0x')
      throw new RoundtableError(
        'CHAIN_WRONG_NETWORK',
        `${hostOf(url)} serves chain ${chainId}, but there is no contract at ${jobs}. Correct CHAIN_DEPLOYMENT, or deploy the contracts again.`,
      );
    this.#checked.add(url);
  }
}

/** An answer that is no JSON-RPC. */
class NotJsonRpc extends Error {}

/** An error that says something about the endpoint and nothing about the request: another one may do better. */
function isOwnTrouble(answer: object): boolean {
  const { code, data, message } = errorIn(answer);
  // Some nodes call a revert an internal error; it carries the revert's data, or says so.
  if (data !== undefined || /revert/i.test(String(message))) return false;
  // Internal error, limit exceeded, method not supported (EIP-1474), too many requests.
  return code === -32603 || code === -32005 || code === -32004 || code === -32601 || code === 429;
}

const messageOf = (answer: object) => String(errorIn(answer).message);

function errorIn(answer: object): { code?: unknown; data?: unknown; message?: unknown } {
  return 'error' in answer && typeof answer.error === 'object' && answer.error !== null ? answer.error : {};
}

async function ask(url: string, method: string, params: unknown[]): Promise<unknown> {
  const [answer] = (await post(url, { jsonrpc: '2.0', id: 1, method, params })) as { result?: unknown }[];
  if (answer?.result === undefined) throw new Error(`${method} was not answered`);
  return answer.result;
}

/** A node that was restarted leaves dead connections behind: the second try opens a new one. Repeats are harmless. */
async function post(url: string, payload: unknown): Promise<object[]> {
  const request = () =>
    fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(payload),
      // An endpoint that sends its askers elsewhere is not the one that its owner named.
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    });
  const response = await request().catch(request);
  // Some endpoints answer a JSON-RPC error with a status of its own: what counts is whether it is JSON-RPC.
  const text = (await readAtMost(response, largestAnswer, hostOf(url))).toString();
  const answer = parsed(text);
  const list: unknown[] = Array.isArray(answer) ? answer : [answer];
  if (!list.every(isAnswer)) throw new NotJsonRpc(`HTTP ${response.status}`);
  return list;
}

const isAnswer = (entry: unknown): entry is object =>
  typeof entry === 'object' && entry !== null && 'id' in entry;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** An endpoint's path and query often hold a key. */
function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : 'an endpoint that is not a URL';
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause;
  return cause instanceof Error && cause.message !== '' ? cause.message : error.message;
}
