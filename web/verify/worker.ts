/** Verification off the page's own thread: one question a worker, answered check by check. */
import type { Hex } from '#core/hex.js';
import { verifyActs } from './acts.js';
import { Gateways } from './archive.js';
import { Checks } from './checks.js';
import { ChainView } from './contracts.js';
import { readLineage } from './lineage.js';
import type { Answer, EpochWindow, Found, Question } from './messages.js';
import { readModel } from './model.js';
import { verifyRewards, type Progress } from './rewards.js';
import { Rpc } from './rpc.js';
import { verifyVersion } from './version.js';

const say = (answer: Answer): void => self.postMessage(answer);

addEventListener('message', async ({ data: question }: MessageEvent<Question>) => {
  try {
    say(await answerTo(question));
  } catch (error) {
    say({ kind: 'stopped', reason: error instanceof Error ? error.message : String(error) });
  }
});

/** Not more often than a person sees. */
function sayProgress(): (progress: Progress) => void {
  let next = 0;
  return (progress) => {
    if (performance.now() < next) return;
    next = performance.now() + 200;
    say({ kind: 'progress', progress });
  };
}

async function epochWindows(chain: ChainView, payer: Hex): Promise<EpochWindow[]> {
  const published = await chain.epochs(payer);
  return published.map(({ epoch, effectiveAt }) => ({ epoch, effectiveAt: 1_000 * effectiveAt }));
}

async function answerTo(question: Question): Promise<Answer> {
  const begun = performance.now();
  const chain = new ChainView(new Rpc(question.rpcUrl), question.contracts);
  const archive = new Gateways(question.gateways);
  const checks = new Checks((check) => say({ kind: 'check', check }));
  const sources = { chain, archive };
  const done = (found: Partial<Found> = {}): Answer => ({
    kind: 'done',
    ms: performance.now() - begun,
    found: { standings: [], payments: [], stakes: [], windows: [], ...found },
  });
  switch (question.kind) {
    case 'version':
      await verifyVersion(checks, { ...sources, said: question.said, flip: question.flip }, question.version);
      return done();
    case 'rewards':
      return done({
        standings: await verifyRewards(checks, sources, question.payer, question.said, sayProgress()),
      });
    case 'lineage':
      return { kind: 'lineage', versions: await readLineage(chain, archive, question.newest) };
    case 'model':
      return { kind: 'model', ...(await readModel(chain, archive, question.version, question.files)) };
    case 'payments':
      return done({ payments: await chain.payments(question.account) });
    case 'stakes':
      return done({ stakes: await chain.stakes() });
    case 'windows':
      return done({ windows: await epochWindows(chain, question.payer) });
    case 'acts':
      await verifyActs(checks, chain, question.records);
      return done();
  }
}
