import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from '@jest/globals';
import { generateArchiveKey, openArchive } from '#services/archive.js';
import { historyArchive } from '#test/audit/gatewayArchive.js';
import type { History } from '#test/audit/history.js';
import type { HistoryArchive } from '#test/audit/memoryArchive.js';
import { endGateways, startGateway, temporaryFolder } from '#test/local/gatewayProcess.js';
import type { ChainStack } from '#test/services/chainStack.js';

/** Somebody with a node, a gateway, the addresses of the contracts and the updates, and no stack of anybody's. */
export interface Auditor {
  stack: ChainStack;
  /** Where the commands are typed; the updates lie in `updates`. */
  folder: string;
  gateway: string;
  /** What the gateway serves, as a coordinator fills it. */
  archive: HistoryArchive;
  /** The options that say where the record is, by this gateway or by others. */
  place(...gateways: string[]): string[];
  /** Puts a history's updates where the auditor has them. */
  keep(history: History<HistoryArchive>): void;
}

const ends: (() => unknown)[] = [endGateways];
afterAll(async () => {
  for (const end of ends.splice(0)) await end();
});

/** All of it, the chain included, ends with the tests of the file. */
export async function startAuditor(startChain: () => Promise<ChainStack>): Promise<Auditor> {
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-auditor-'));
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  const [stack, { url: gateway }, key] = await Promise.all([
    startChain().then((chain) => {
      ends.push(() => chain.stop());
      return chain;
    }),
    startGateway(await temporaryFolder()),
    generateArchiveKey(),
  ]);
  writeFileSync(join(folder, 'consortium.json'), JSON.stringify(stack.deployment));
  mkdirSync(join(folder, 'updates'));
  return {
    stack,
    folder,
    gateway,
    archive: historyArchive(openArchive({ gateways: [gateway], key })),
    place: (...gateways) => [
      '--rpc',
      stack.anvil.url,
      '--deployment',
      'consortium.json',
      ...(gateways.length === 0 ? [gateway] : gateways).flatMap((url) => ['--gateway', url]),
    ],
    keep: ({ updates }) => {
      for (const [root, file] of updates) writeFileSync(join(folder, 'updates', `${root}.bin`), file);
    },
  };
}
