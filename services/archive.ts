import { setTimeout as sleep } from 'node:timers/promises';
import { RoundtableError, isRoundtableError } from '#core/errors.js';
import { ArchiveGateway, GatewayTrouble, type ArchiveRecord } from './archiveGateway.js';
import { isArchiveId } from './archiveId.js';
import { archiveSigner, type ArchiveSigner, type JWKInterface } from './archiveKey.js';
import {
  dataTree,
  isDataOf,
  isSignedTransaction,
  signTransaction,
  type DataTree,
  type TransactionHeader,
} from './archiveTransaction.js';
import { sha256 } from './sha256.js';

export { archiveAddress, generateArchiveKey } from './archiveKey.js';
export type { ArchiveRecord, JWKInterface };

/** The permanent store of models and manifests: Arweave, through gateways that need not be trusted. */
export interface Archive {
  /**
   * Archives `data` once: if the same owner already archived these bytes with all these tags, that copy is finished
   * where needed and its id returned, so a repeat after a crash is safe. Content-SHA-256 is added to the tags.
   * Resolves only when the bytes were read back and meet the signed data root.
   * @param tags the caller's (App-Name, Content-Type, ...), at most 2,048 bytes in all
   * @throws ARCHIVE_UNREACHABLE, ARCHIVE_CORRUPT, ARCHIVE_REFUSED, INVALID_INPUT
   */
  put(data: Uint8Array, tags: Record<string, string>): Promise<{ id: string; size: number }>;
  /**
   * The bytes behind an id, from the first gateway that gives those whose data root was signed under that id.
   * @param most bytes that the reader is ready to hold: anybody can archive anything and sign its size
   * @throws ARCHIVE_UNREACHABLE if no gateway has them in time (details.absent: all answered that they do not have
   * them), ARCHIVE_CORRUPT if all that came was something else,
   * PAYLOAD_TOO_LARGE
   */
  get(id: string, most?: number): Promise<Uint8Array>;
  /** As `get`, with the signed header that shows them to be the bytes of this id. */
  getSigned(id: string, most?: number): Promise<SignedData>;
  /**
   * What gateways list under all these tags, newest first (100 unless told). An index is not proof: an entry is
   * believed when `get` has read it, or limited to `owners` (addresses) when it comes from a gateway one trusts.
   */
  find(
    tags: Record<string, string>,
    options?: { owners?: string[]; limit?: number },
  ): Promise<ArchiveRecord[]>;
}

export interface SignedData {
  header: TransactionHeader;
  data: Uint8Array;
}

/** What one gateway did when it was asked for the transaction of an id. */
export interface GatewayAnswer {
  gateway: string;
  id: string;
  /** `wrong`: a signature or bytes that do not belong to the id; `absent`: 404, which says little. */
  said: 'served' | 'absent' | 'wrong' | 'unreachable';
}

export interface ArchiveOptions {
  /** URLs, tried in this order. */
  gateways: string[];
  /** Signs and pays. Without it the archive is read only. */
  key?: JWKInterface;
  /**
   * How long to go on while gateways do not answer or do not have the data yet, in ms; 20 s unless told.
   * The public network shows a new transaction after minutes.
   */
  patienceMs?: number;
  /** Told of every answer to `get`, also of those that made it ask another gateway. */
  onAnswer?: (answer: GatewayAnswer) => void;
}

export function openArchive(options: ArchiveOptions): Archive {
  if (options.gateways.length === 0)
    throw new RoundtableError('INVALID_INPUT', 'An archive needs the URL of at least one gateway.');
  return new GatewayArchive(
    options.gateways.map((url) => new ArchiveGateway(url)),
    options.key && archiveSigner(options.key),
    options.patienceMs ?? 20_000,
    options.onAnswer ?? (() => undefined),
  );
}

class GatewayArchive implements Archive {
  constructor(
    private readonly gateways: readonly ArchiveGateway[],
    private readonly signer: ArchiveSigner | undefined,
    private readonly patienceMs: number,
    private readonly onAnswer: (answer: GatewayAnswer) => void,
  ) {}

  async put(data: Uint8Array, tags: Record<string, string>): Promise<{ id: string; size: number }> {
    const signer = this.signer;
    if (!signer)
      throw new RoundtableError(
        'INVALID_INPUT',
        'This archive was opened without a key: it can only be read.',
      );
    if (data.length === 0)
      throw new RoundtableError('INVALID_INPUT', 'There is nothing to archive: the data is empty.');
    const content: Content = {
      data,
      tree: await dataTree(data),
      tags: { ...tags, 'Content-SHA-256': Buffer.from(sha256(data)).toString('hex') },
    };
    // One signature per gateway: a transaction posted again is the same one, even where the index lags behind.
    const signed = new Map<ArchiveGateway, TransactionHeader>();
    const id = await this.#firstOf('archive the data', async (gateway) => {
      const [copies, anchor, reward] = await Promise.all([
        gateway.search({ tags: content.tags, owners: [signer.address], sort: 'HEIGHT_ASC', limit: 10 }),
        gateway.anchor(),
        gateway.price(data.length),
      ]);
      for (const copy of copies) {
        const header = await this.#header(gateway, copy.id);
        if (header?.owner !== signer.owner || header.data_root !== content.tree.dataRoot) continue;
        if (await this.#complete(gateway, header, content)) return header.id;
      }
      const header =
        signed.get(gateway) ??
        (await signTransaction(signer, {
          dataRoot: content.tree.dataRoot,
          size: data.length,
          tags: content.tags,
          anchor,
          reward,
        }));
      signed.set(gateway, header);
      const inBody = content.tree.chunks.length === 1;
      await gateway.postTransaction(header, inBody ? data : new Uint8Array());
      if (!inBody) await sendChunks(gateway, header, content);
      await this.#read(header);
      return header.id;
    });
    return { id, size: data.length };
  }

  async get(id: string, most?: number): Promise<Uint8Array> {
    return (await this.getSigned(id, most)).data;
  }

  async getSigned(id: string, most = LARGEST): Promise<SignedData> {
    if (!isArchiveId(id))
      throw new RoundtableError(
        'INVALID_INPUT',
        `Expected an Arweave id (43 characters of base64url), got ${JSON.stringify(id.slice(0, 60))}.`,
      );
    const header = await this.#firstOf(`find ${id}`, (gateway) => this.#header(gateway, id), id);
    if (Number(header.data_size) > most)
      throw new RoundtableError(
        'PAYLOAD_TOO_LARGE',
        `${id} is signed for ${header.data_size} bytes, and at most ${most} were expected.`,
      );
    return { header, data: await this.#read(header) };
  }

  async find(
    tags: Record<string, string>,
    options: { owners?: string[]; limit?: number } = {},
  ): Promise<ArchiveRecord[]> {
    const { owners, limit = 100 } = options;
    if (!Number.isInteger(limit) || limit < 1)
      throw new RoundtableError('INVALID_INPUT', `Expected a limit of at least 1, got ${limit}.`);
    return this.#firstOf('search', (gateway) =>
      gateway.search({ tags, ...(owners && { owners }), sort: 'HEIGHT_DESC', limit }),
    );
  }

  /** Brings a copy that an earlier attempt began to its end. False if the network will not have it any more. */
  async #complete(gateway: ArchiveGateway, header: TransactionHeader, content: Content): Promise<boolean> {
    const there = await gateway.data(header.id, content.data.length);
    if (there && (await isDataOf(header, there))) return true;
    try {
      await gateway.postTransaction(header, new Uint8Array());
      await sendChunks(gateway, header, content);
    } catch (error) {
      if (isRoundtableError(error, 'ARCHIVE_REFUSED')) return false;
      throw error;
    }
    await this.#read(header);
    return true;
  }

  #read(header: TransactionHeader): Promise<Uint8Array> {
    const { id } = header;
    return this.#firstOf(
      `read ${id}`,
      async (gateway) => {
        const data = await gateway.data(id, Number(header.data_size));
        if (data && !(await isDataOf(header, data)))
          throw new RoundtableError(
            'ARCHIVE_CORRUPT',
            `${gateway.url} gave bytes for ${id} that do not meet its signed data root.`,
            { details: { gateway: gateway.url, id } },
          );
        if (data) this.onAnswer({ gateway: gateway.url, id, said: 'served' });
        return data;
      },
      id,
    );
  }

  async #header(gateway: ArchiveGateway, id: string): Promise<TransactionHeader | undefined> {
    const header = await gateway.transaction(id);
    if (!header || (header.id === id && (await isSignedTransaction(header)))) return header;
    throw new RoundtableError(
      'ARCHIVE_CORRUPT',
      `${gateway.url} gave a transaction for ${id} whose signature or id is wrong.`,
      {
        details: { gateway: gateway.url, id },
      },
    );
  }

  /**
   * The first answer among the gateways, asked in order, again and again until patience ends; undefined means
   * "not here, perhaps elsewhere or later". A refusal, or bytes that are wrong, end it at once if every gateway
   * that said anything said so.
   */
  async #firstOf<T>(
    what: string,
    ask: (gateway: ArchiveGateway) => Promise<T | undefined>,
    id?: string,
  ): Promise<T> {
    const note = (gateway: ArchiveGateway, answer: GatewayAnswer['said']) => {
      if (id !== undefined) this.onAnswer({ gateway: gateway.url, id, said: answer });
    };
    const deadline = Date.now() + this.patienceMs;
    for (let pause = 50; ; pause = Math.min(2 * pause, 2000)) {
      const said: string[] = [];
      let absent = true;
      const final: RoundtableError[] = [];
      for (const gateway of this.gateways) {
        try {
          const answer = await ask(gateway);
          if (answer !== undefined) return answer;
          said.push(`${gateway.url} does not have it`);
          note(gateway, 'absent');
        } catch (error) {
          if (isRoundtableError(error, 'ARCHIVE_REFUSED') || isRoundtableError(error, 'ARCHIVE_CORRUPT')) {
            final.push(error);
            note(gateway, 'wrong');
          } else if (error instanceof GatewayTrouble || isRoundtableError(error, 'ARCHIVE_UNREACHABLE')) {
            said.push(error.message);
            absent = false;
            note(gateway, 'unreachable');
          } else throw error;
        }
      }
      const [first] = final;
      if (first && (said.length === 0 || Date.now() + pause > deadline)) throw first;
      if (Date.now() + pause > deadline)
        throw new RoundtableError(
          'ARCHIVE_UNREACHABLE',
          `Could not ${what} within ${this.patienceMs / 1000} s: ${said.join('; ')}. Repeating is safe.`,
          { details: { absent } },
        );
      await sleep(pause);
    }
  }
}

/** A model of 2^31 int32 values, in several copies, is more than one process holds. */
const LARGEST = 2 * 1024 ** 3;

interface Content {
  readonly data: Uint8Array;
  readonly tree: DataTree;
  readonly tags: Record<string, string>;
}

/** Four at a time, so that encoding one overlaps with sending another. */
async function sendChunks(
  gateway: ArchiveGateway,
  header: TransactionHeader,
  content: Content,
): Promise<void> {
  const waiting = content.tree.chunks.values();
  const sender = async () => {
    for (const chunk of waiting) await gateway.postChunk(header, chunk, content.data);
  };
  await Promise.all([sender(), sender(), sender(), sender()]);
}
