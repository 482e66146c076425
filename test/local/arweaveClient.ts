import Arweave from 'arweave';
import { generateArchiveKey, type JWKInterface } from '#services/archiveKey.js';

export type SignedTransaction = Awaited<ReturnType<Arweave['createTransaction']>>;

/** arweave-js as it is published, with a key of its own. */
export class ArweaveClient {
  private constructor(
    readonly arweave: Arweave,
    readonly key: JWKInterface,
  ) {}

  /** A new key takes seconds to make: hand one in where it need not be new. */
  static async open(port: number, key?: JWKInterface): Promise<ArweaveClient> {
    const arweave = Arweave.init({ host: '127.0.0.1', port, protocol: 'http' });
    return new ArweaveClient(arweave, key ?? (await generateArchiveKey()));
  }

  async sign(data: Uint8Array | string, tags: Record<string, string> = {}): Promise<SignedTransaction> {
    const transaction = await this.arweave.createTransaction({ data }, this.key);
    for (const [name, value] of Object.entries(tags)) transaction.addTag(name, value);
    await this.arweave.transactions.sign(transaction, this.key);
    return transaction;
  }

  async post(data: Uint8Array | string, tags: Record<string, string> = {}): Promise<SignedTransaction> {
    const transaction = await this.sign(data, tags);
    const { status, statusText } = await this.arweave.transactions.post(transaction);
    if (status !== 200) throw new Error(`posting failed: ${status} ${statusText}`);
    return transaction;
  }

  /** The answer's JSON, in the form the caller knows his query has. */
  async graphql<T>(query: string, variables: object = {}): Promise<T> {
    const { data } = await this.arweave.api.post<T>('graphql', { query, variables });
    return data;
  }
}
