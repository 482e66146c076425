import { Wallet, id } from 'ethers';
import { receiptTypes, updateDomain, type ReceiptStatement } from '#core/eip712.js';
import { fromHex, type Hex } from '#core/hex.js';
import { signTypedData } from '#services/signatures.js';
import type { Table } from '#services/table.js';

const anybody = new Wallet(id('a coordinator'));

/** A wallet's private key, as signTypedData takes it. */
export const keyOf = ({ privateKey }: { privateKey: string }): Uint8Array => fromHex(privateKey as Hex, 32);

/** The part of a worker that signs receipts. */
export function receiptSigning(
  { chainId, jobs }: { chainId: number; jobs: Hex },
  wallet = anybody,
): (statement: ReceiptStatement) => Hex {
  return (statement) => signTypedData(keyOf(wallet), updateDomain(chainId, jobs), receiptTypes, statement);
}

/** A table of receipts that forgets them, for rounds that nobody asks about. */
export const forgetful = {
  putReceipts: async () => undefined,
  listReceipts: async () => [],
} as unknown as Table;
