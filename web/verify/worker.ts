/** Verification off the page's own thread: one question a worker, answered check by check. */
import { verifyActs } from './acts.js';
import { Gateways } from './archive.js';
import { Checks } from './checks.js';
import { ChainView } from './contracts.js';
import type { Answer, Found, Question } from './messages.js';
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
    const found: Found = { standings: [], payments: [], stakes: [] };
    switch (question.kind) {
      case 'rewards':
        found.standings = await verifyRewards(checks, { chain, archive }, question.payer);
        break;
      case 'version':
        await verifyVersion(checks, { chain, archive, ...question }, question.version);
        break;
      case 'payments':
        found.payments = await chain.payments(question.account);
        break;
      case 'acts':
        verifyActs(checks, question.contracts, question.records);
        break;
      case 'stakes':
        found.stakes = await chain.stakes();
        break;
    }
    say({ kind: 'done', ms: performance.now() - begun, found });
  } catch (error) {
    say({ kind: 'stopped', reason: error instanceof Error ? error.message : String(error) });
  }
});
