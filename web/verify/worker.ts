/** Verification off the page's own thread: one question a worker, answered check by check. */
import { verifyActs } from './acts.js';
import { Gateways } from './archive.js';
import { Checks } from './checks.js';
import { ChainView } from './contracts.js';
import { readLineage } from './lineage.js';
import type { Answer, Found, Question } from './messages.js';
import { readModel } from './model.js';
import { verifyRewards } from './rewards.js';
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

async function answerTo(question: Question): Promise<Answer> {
  const begun = performance.now();
  const chain = new ChainView(new Rpc(question.rpcUrl), question.contracts);
  const archive = new Gateways(question.gateways);
  const checks = new Checks((check) => say({ kind: 'check', check }));
  const sources = { chain, archive };
  const done = (found: Partial<Found> = {}): Answer => ({
    kind: 'done',
    ms: performance.now() - begun,
    found: { standings: [], payments: [], stakes: [], ...found },
  });
  switch (question.kind) {
    case 'version':
      await verifyVersion(checks, { ...sources, said: question.said, flip: question.flip }, question.version);
      return done();
    case 'rewards':
      return done({ standings: await verifyRewards(checks, sources, question.payer, question.said) });
    case 'lineage':
      return { kind: 'lineage', versions: await readLineage(chain, archive, question.newest) };
    case 'model':
      return { kind: 'model', ...(await readModel(chain, archive, question.version, question.files)) };
    case 'payments':
      return done({ payments: await chain.payments(question.account) });
    case 'stakes':
      return done({ stakes: await chain.stakes() });
    case 'acts':
      verifyActs(checks, question.contracts, question.records);
      return done();
  }
}
