/**
 * One Arweave gateway over HTTP. Nothing it says is believed here beyond its form: archive.ts checks signatures
 * and data roots. arweave-js's own uploader is not used because it waits 28 to 40 s after any failed chunk.
 */
import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import { oneLine } from '#core/printable.js';
import { dial, outboundRules, type OutboundRequest, type OutboundRules } from './outboundUrl.js';
import { transactionHeader, type DataTree, type TransactionHeader } from './archiveTransaction.js';

export interface ArchiveRecord {
  id: string;
  tags: Record<string, string>;
}

/** No answer, or one that may be different in a moment: worth another gateway, or another try. */
export class GatewayTrouble extends Error {}

export class ArchiveGateway {
  readonly url: string;
  /** Its own host wherever it lies: the owner named it. Where it redirects to is the gateway's word. */
  readonly #rules: OutboundRules;

  constructor(url: string) {
    this.url = url.replace(/\/+$/, '');
    this.#rules = outboundRules([url], URL.canParse(url) ? [new URL(url).host] : []);
  }

  /** The id of a recent block, which a new transaction names. */
  async anchor(): Promise<string> {
    return this.#expect(/^[A-Za-z0-9_-]{43,64}$/, await this.#text('/tx_anchor'));
  }

  /** @returns winston, for storing that many bytes */
  async price(bytes: number): Promise<string> {
    return this.#expect(/^[0-9]{1,24}$/, await this.#text(`/price/${bytes}`));
  }

  /** The header as the gateway gives it, signature not yet checked; undefined if the gateway has none. */
  async transaction(id: string): Promise<TransactionHeader | undefined> {
    const response = await this.#request(`/tx/${id}`);
    if (response.status !== 200) return this.#absent(response);
    const parsed = transactionHeader.safeParse(this.#json(await this.#body(response, MAX_ANSWER)));
    if (!parsed.success) throw new GatewayTrouble(`${this.url} gave no transaction of format 2 for ${id}`);
    return parsed.data;
  }

  /** The bytes as the gateway gives them, at most `size` + 1 of them; undefined if the gateway has none. */
  async data(id: string, size: number): Promise<Uint8Array | undefined> {
    // Not compressed (dial asks for that): the length of what comes must be the length that was signed.
    const response = await this.#request(`/${id}`, {}, size);
    if (response.status !== 200) return this.#absent(response);
    return this.#body(response, size + 1);
  }

  /** Harmless when repeated: a known transaction is answered with 208. */
  async postTransaction(header: TransactionHeader, data: Uint8Array): Promise<void> {
    await this.#post('/tx', { ...header, data: toBase64url(data) });
  }

  /** Harmless when repeated. */
  async postChunk(
    header: TransactionHeader,
    chunk: DataTree['chunks'][number],
    data: Uint8Array,
  ): Promise<void> {
    await this.#post('/chunk', {
      data_root: header.data_root,
      data_size: header.data_size,
      data_path: toBase64url(chunk.path),
      offset: String(chunk.end - 1),
      chunk: toBase64url(data.subarray(chunk.start, chunk.end)),
    });
  }

  /** Transactions that carry all the tags, as the gateway's index has them. */
  async search(query: {
    tags: Record<string, string>;
    owners?: readonly string[];
    sort: 'HEIGHT_ASC' | 'HEIGHT_DESC';
    limit: number;
  }): Promise<ArchiveRecord[]> {
    const found: ArchiveRecord[] = [];
    const tags = Object.entries(query.tags).map(([name, value]) => ({ name, values: [value] }));
    let after: string | undefined;
    do {
      const first = Math.min(100, query.limit - found.length);
      const variables = { tags, owners: query.owners, sort: query.sort, first, after };
      const page = searchAnswer.safeParse(
        this.#json(await this.#post('/graphql', { query: SEARCH, variables })),
      );
      if (!page.success) throw new GatewayTrouble(`${this.url} answered a search in an unknown form`);
      const { edges, pageInfo } = page.data.data.transactions;
      for (const { node } of edges)
        found.push({
          id: node.id,
          tags: Object.fromEntries(node.tags.map(({ name, value }) => [name, value])),
        });
      const next = pageInfo.hasNextPage ? edges.at(-1)?.cursor : undefined;
      after = next === after ? undefined : next;
    } while (after !== undefined && found.length < query.limit);
    return found.slice(0, query.limit);
  }

  async #text(path: string): Promise<string> {
    const response = await this.#request(path);
    const text = (await this.#body(response, MAX_ANSWER)).toString();
    if (response.status !== 200) throw new GatewayTrouble(`${this.url}${path} answered ${response.status}`);
    return text.trim();
  }

  #expect(form: RegExp, text: string): string {
    if (!form.test(text))
      throw new GatewayTrouble(`${this.url} answered ${JSON.stringify(text.slice(0, 60))}`);
    return text;
  }

  async #post(path: string, body: object): Promise<Buffer> {
    const json = JSON.stringify(body);
    const response = await this.#request(
      path,
      { method: 'POST', body: json, headers: { 'content-type': 'application/json' } },
      json.length,
    );
    const answer = await this.#body(response, MAX_ANSWER);
    if (response.ok) return answer;
    const reason = oneLine(answer.toString(), 200);
    const said = `${this.url}${path} answered ${response.status}: ${reason}`;
    if (response.status >= 500 || response.status === 429 || TRANSIENT.some((word) => reason.includes(word)))
      throw new GatewayTrouble(said);
    throw new RoundtableError('ARCHIVE_REFUSED', `The gateway refused what was sent: ${said}`, {
      details: { gateway: this.url, status: response.status, reason },
    });
  }

  async #request(
    path: string,
    init: Omit<OutboundRequest, 'signal' | 'redirects'> = {},
    size = 0,
  ): Promise<Response> {
    const signal = AbortSignal.timeout(30_000 + Math.ceil(size / BYTES_PER_MS));
    try {
      return await dial(this.url + path, { ...init, signal, redirects: MAX_REDIRECTS }, this.#rules);
    } catch (cause) {
      throw this.#trouble(cause);
    }
  }

  /** What came, cut off after `limit` bytes. */
  async #body(response: Response, limit: number): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    let length = 0;
    try {
      for await (const part of response.body ?? []) {
        parts.push(part);
        length += part.length;
        if (length > limit) break;
      }
    } catch (cause) {
      throw this.#trouble(cause);
    }
    return Buffer.concat(parts, Math.min(length, limit));
  }

  #json(text: Buffer): unknown {
    try {
      return JSON.parse(text.toString());
    } catch (cause) {
      throw new GatewayTrouble(`${this.url} answered something other than JSON`, { cause });
    }
  }

  #trouble(cause: unknown): GatewayTrouble {
    return new GatewayTrouble(`${this.url} does not answer (${rootMessage(cause)})`, { cause });
  }

  /** 404 does not mean much: gateways give it for confirmed transactions too. Anything else is trouble. */
  async #absent(response: Response): Promise<undefined> {
    await response.body?.cancel();
    if (response.status !== 404 && response.status !== 202)
      throw new GatewayTrouble(`${this.url} answered ${response.status}`);
    return undefined;
  }
}

/** Gateways serve data from a host of its own for each id. */
const MAX_REDIRECTS = 3;

/** The slowest transfer that is waited for. */
const BYTES_PER_MS = 100;

/** For everything but archived data, bytes. */
const MAX_ANSWER = 16 * 1024 * 1024;

/** Reasons for a 400 that pass by themselves, from the network's POST /chunk. */
const TRANSIENT = [
  'not_joined',
  'timeout',
  'data_root_not_found',
  'exceeds_disk_pool_size_limit',
  'disk_full',
];

const SEARCH = `query ($tags: [TagFilter!], $owners: [String!], $sort: SortOrder, $first: Int, $after: String) {
  transactions(tags: $tags, owners: $owners, sort: $sort, first: $first, after: $after) {
    pageInfo { hasNextPage }
    edges { cursor node { id tags { name value } } }
  }
}`;

const searchAnswer = z.object({
  data: z.object({
    transactions: z.object({
      pageInfo: z.object({ hasNextPage: z.boolean() }),
      edges: z.array(
        z.object({
          cursor: z.string(),
          node: z.object({
            id: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
            tags: z.array(z.object({ name: z.string(), value: z.string() })),
          }),
        }),
      ),
    }),
  }),
});

function toBase64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}

/** fetch itself only says 'fetch failed'; what happened is in its causes. */
function rootMessage(error: unknown): string {
  if (typeof error !== 'object' || error === null) return String(error);
  if ('cause' in error && error.cause) return rootMessage(error.cause);
  return 'message' in error && error.message ? String(error.message) : String(error);
}
