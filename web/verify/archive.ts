import type { Hex } from '#core/hex.js';
import { Unreachable } from './rpc.js';

/** Bytes from gateways that nobody has to believe: whoever asks knows the hash that they must have. */
export class Gateways {
  constructor(private readonly urls: readonly string[]) {}

  async get(id: string): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.#first((url) => fetch(`${url}/${encodeURIComponent(id)}`, options));
    return new Uint8Array(await bytes.arrayBuffer());
  }

  async json(id: string): Promise<unknown> {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await this.get(id)));
  }

  /** Ids that gateways list for the manifest with this hash. */
  async findManifest(kind: string, hash: Hex): Promise<string[]> {
    const tags = { 'App-Name': 'Roundtable', Kind: kind, 'Manifest-Hash': hash };
    const variables = { tags: Object.entries(tags).map(([name, value]) => ({ name, values: [value] })) };
    const response = await this.#first((url) =>
      fetch(`${url}/graphql`, {
        ...options,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query: search, variables }),
      }),
    );
    const answer = (await response.json()) as {
      data?: { transactions?: { edges?: { node: { id: string } }[] } };
    };
    return (answer.data?.transactions?.edges ?? []).map(({ node }) => node.id);
  }

  async #first(ask: (url: string) => Promise<Response>): Promise<Response> {
    for (const url of this.urls) {
      const response = await ask(url.replace(/\/+$/, '')).catch(() => null);
      if (response?.ok) return response;
    }
    throw new Unreachable(`no gateway of ${this.urls.join(', ') || '(none)'} has it`);
  }
}

const options = { referrerPolicy: 'no-referrer', credentials: 'omit' } as const;
const search =
  'query ($tags: [TagFilter!]) { transactions(tags: $tags, first: 10) { edges { node { id } } } }';
