import type { Hex } from '#core/hex.js';
import { openConsortium } from '#services/chain.js';
import { noTraces, type Traces } from '#services/telemetry/traces.js';
import { Bandwidth } from './bandwidth.js';
import { DataSets } from './dataSets.js';
import { DecisionLog } from './decisionLog.js';
import { readEntryKeys } from './entryKeys.js';
import { lockHome } from './homeLock.js';
import { unlockKey, type Passphrase } from './keystore.js';
import type { Log } from './log.js';
import { passphraseFrom } from './passphrase.js';
import { rememberKeys } from './readers.js';
import { ReceiptBook } from './receiptBook.js';
import { keepReceipts } from './receiptKeeper.js';
import { readRunnerHome } from './runnerHome.js';
import { LocalStatistics } from './localStatistics.js';
import { keepSeals } from './sealKeeper.js';
import { SignedWork } from './signedWork.js';
import { serveStacks } from './stacks.js';
import type { Trainer } from './trainer.js';
import { Turns } from './turns.js';

export interface Runner {
  /** The runner's address. */
  address: Hex;
  /** Serves its stacks until the signal; resolves within a second or so after it. */
  run(signal: AbortSignal): Promise<void>;
}

/**
 * A runner in its home folder. Several may live in one process, each with a home of its own.
 * @param options passphrase of an encrypted key; from the environment if not given
 * @throws HOME_INVALID, KEY_INVALID, KEY_EXPOSED, PASSPHRASE_MISSING, PASSPHRASE_WRONG; CONFLICT while another process
 * runs this home
 */
export async function createRunner(options: {
  home: string;
  trainer: Trainer;
  log: Log;
  traces?: Traces;
  software: string;
  passphrase?: Passphrase;
}): Promise<Runner> {
  const { trainer, log, traces = noTraces, software } = options;
  const home = await readRunnerHome(options.home);
  const passphrase = options.passphrase ?? passphraseFrom(process.env, undefined, null);
  const { key, privateKey } = await unlockKey(home.paths, passphrase);
  const keys = await readEntryKeys(home.paths);
  const release = await lockHome(home.paths.lock);
  return {
    address: key.address,
    run: async (signal) => {
      const { chain } = home.config;
      const consortium = openConsortium({
        rpcUrls: chain.rpcUrls,
        deployment: chain,
        network: chain.network,
      });
      try {
        const decisions = await DecisionLog.open(home.paths, key);
        await decisions.append({ kind: 'started', software });
        const receipts = await ReceiptBook.open(home.paths.receipts, (mistake) => log.warn({}, mistake));
        const shared = {
          home,
          key,
          keys,
          dataSets: new DataSets(home.paths.data, (mistake) => log.warn({}, mistake)),
          work: new SignedWork(home.paths.work),
          statistics: new LocalStatistics(home.paths.statistics),
          trainer,
          turns: new Turns(),
          bandwidth: new Bandwidth(),
          announcedKey:
            chain.rpcUrls.length > 0 ? rememberKeys((member: Hex) => consortium.sealingKey(member)) : null,
          decisions,
          receipts,
          log,
          traces,
          software,
        };
        await Promise.all([
          serveStacks(shared, () => consortium.members(), signal),
          keepReceipts({ home, privateKey, book: receipts, chain: consortium, decisions, log }, signal),
          keepSeals({ home, privateKey, work: shared.work, chain: consortium, decisions, log }, signal),
        ]);
      } finally {
        consortium.close();
        release();
      }
    },
  };
}
