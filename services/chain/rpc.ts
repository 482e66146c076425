import { JsonRpcProvider, Network, type JsonRpcPayload, type JsonRpcResult } from 'ethers';
import type { Deployment } from '#contracts/deployment.js';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import { readAtMost } from '../outboundUrl.js';

const timeoutMs = 15_000;
/** More than the logs of any range of blocks that is asked for. */
const largestAnswer = 64 * 1024 * 1024;

/**
 * An ethers provider over several endpoints of one chain: each request goes to the first that answers. Before
 * an endpoint is used, its chain and the contracts on it are checked.
 *
 * ethers' defaults would poll every 4 s, ask for the chain's id before each call, answer repeated questions
 * from a cache of 250 ms (stale right after a transaction) and wait to batch; all of that is off.
 *
 * @throws CHAIN_UNREACHABLE, CHAIN_WRONG_NETWORK from every request
 */
export class ChainRpc extends JsonRpcProvider {
  readonly #urls: readonly string[];
  readonly #deployment: Pick<Deployment, 'chainId' | 'jobs'>;
  readonly #checked = new Set<string>();

  constructor(urls: readonly string[], deployment: Pick<Deployment, 'chainId' | 'jobs'>) {
    const network = Network.from(deployment.chainId);
    super(urls[0], network, {
      staticNetwork: network,
      batchMaxCount: 1,
      cacheTimeout: -1,
      pollingInterval: 50,
    });
    this.#urls = urls;
    this.#deployment = deployment;
  }

  override async _send(payload: JsonRpcPayload | JsonRpcPayload[]): Promise<JsonRpcResult[]> {
    const failures: string[] = [];
    for (const url of this.#urls) {
      try {
        await this.#check(url);
        return (await post(url, payload)) as JsonRpcResult[];
      } catch (error) {
        if (isRoundtableError(error, 'CHAIN_WRONG_NETWORK')) throw error;
        failures.push(`${hostOf(url)}: ${reasonOf(error)}`);
      }
    }
    throw new RoundtableError(
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

async function ask(url: string, method: string, params: unknown[]): Promise<unknown> {
  const [answer] = (await post(url, { jsonrpc: '2.0', id: 1, method, params })) as { result?: unknown }[];
  if (answer?.result === undefined) throw new Error(`${method} was not answered`);
  return answer.result;
}

/** A node that was restarted leaves dead connections behind: the second try opens a new one. Repeats are harmless. */
async function post(url: string, payload: unknown): Promise<unknown[]> {
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
  const list = Array.isArray(answer) ? answer : [answer];
  if (!list.every((entry) => typeof entry === 'object' && entry !== null && 'id' in entry))
    throw new Error(`HTTP ${response.status}`);
  return list;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
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
