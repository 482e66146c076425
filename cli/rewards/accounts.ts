import { join } from 'node:path';
import type { Hex } from '#core/hex.js';
import type { StackFile } from '#local/stackFile.js';
import { folderIntents } from '#services/folderIntents.js';
import type { IntentStore } from '#services/intentBook.js';
import { readWallet } from '../api.js';

/** What this machine has signed for its own accounts, in the stack's folder. */
export const intentsHere = (state: string): IntentStore => folderIntents(join(state, 'intents'));

/** @param keyFiles of accounts that are not in the stack */
export function accountsIn(keyFiles: readonly string[]): { account: Hex; name: string; keyFile: string }[] {
  return keyFiles.map((keyFile) => {
    const account = readWallet(keyFile).address.toLowerCase() as Hex;
    return { account, name: account, keyFile };
  });
}

/** Accounts that can be paid and whose keys this machine holds, in the order of the stack. */
export function accountsHere(stack: StackFile): { account: Hex; name: string; keyFile: string }[] {
  return stack.runners.map(({ name, runner, home }) => ({
    account: runner,
    name,
    keyFile: join(home, 'key'),
  }));
}
