import type { TransactionHeader } from '#services/archiveTransaction.js';
import { archiveAddress } from '#services/archiveKey.js';

/** Amounts in winston; 10^12 winston are one AR. */
type Winston = bigint;

/** Every address starts with a million AR, so that nobody has to beg a local network for coins. */
const GRANT: Winston = 10n ** 18n;
/** Near what the public network asked in 2026: about 10 AR for a GiB. Data is paid for in chunks of 256 KiB. */
const CHUNK_PRICE: Winston = 2_500_000_000n;
const BASE_PRICE: Winston = 100_000_000n;
/** For sending to an address that has no transaction yet. */
const NEW_ADDRESS_PRICE: Winston = 1_000_000_000n;

/** Prices and balances, recomputed from the transactions at each start. */
export class Ledger {
  readonly #change = new Map<string, Winston>();
  readonly #last = new Map<string, string>();

  price(bytes: bigint, target = ''): Winston {
    const chunks = (bytes + 262_143n) / 262_144n;
    const isNew = target !== '' && !this.#change.has(target);
    return BASE_PRICE + chunks * CHUNK_PRICE + (isNew ? NEW_ADDRESS_PRICE : 0n);
  }

  balance(address: string): Winston {
    return GRANT + (this.#change.get(address) ?? 0n);
  }

  /** The address's latest transaction; '' if there is none. */
  lastTransaction(address: string): string {
    return this.#last.get(address) ?? '';
  }

  /** Takes in a transaction once it was checked. */
  apply(header: TransactionHeader): void {
    const owner = archiveAddress({ n: header.owner });
    this.#add(owner, -BigInt(header.reward) - BigInt(header.quantity));
    this.#last.set(owner, header.id);
    if (header.target !== '') this.#add(header.target, BigInt(header.quantity));
  }

  #add(address: string, amount: Winston): void {
    this.#change.set(address, (this.#change.get(address) ?? 0n) + amount);
  }
}
