import { join } from 'node:path';
import type { Hex } from '#core/hex.js';
import type { StackFile } from '#local/stackFile.js';

/** Accounts that can be paid and whose keys this machine holds, in the order of the stack. */
export function accountsHere(stack: StackFile): { account: Hex; name: string; keyFile: string }[] {
  return stack.runners.map(({ name, runner, home }) => ({
    account: runner,
    name,
    keyFile: join(home, 'key'),
  }));
}
