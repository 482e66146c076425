/** Verification off the page's own thread: one question a worker, answered check by check. */
import { Gateways } from './archive.js';
import { Checks } from './checks.js';
import { ChainView } from './contracts.js';
import type { Answer, Question } from './messages.js';
import { verifyRewards } from './rewards.js';
import { Rpc } from './rpc.js';
import { verifyVersion } from './version.js';

const say = (answer: Answer): void => self.postMessage(answer);

addEventListener('message', async ({ data: question }: MessageEvent<Question>) => {
  const begun = performance.now();
  const chain = new ChainView(new Rpc(question.rpcUrl), question.contracts);
  const archive = new Gateways(question.gateways);
  const checks = new Checks((check) => say({ kind: 'check', check }));
  try {
    const standings =
      question.kind === 'rewards'
        ? await verifyRewards(checks, { chain, archive }, question.payer)
        : (await verifyVersion(checks, { chain, archive, ...question }, question.version), []);
    say({ kind: 'done', ms: performance.now() - begun, standings });
  } catch (error) {
    say({ kind: 'stopped', reason: error instanceof Error ? error.message : String(error) });
  }
});
