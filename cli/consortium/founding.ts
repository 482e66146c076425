import { resolve } from 'node:path';
import type { Command } from 'commander';
import { JsonRpcProvider } from 'ethers';
import { deployContracts } from '#contracts/deploy.js';
import { RoundtableError } from '#core/errors.js';
import { checkWindow, networks } from '#services/chain/networks.js';
import { readWallet } from '../api.js';
import { addVerb } from '../command.js';
import type { Does } from '../run.js';
import { keyOption } from './decision.js';
import { readRules } from './rules.js';

/** `consortium found`: the contracts of a new consortium. */
export function foundVerb(consortium: Command, does: Does): void {
  addVerb(
    consortium,
    'found <rules>',
    "deploy a consortium's contracts by rules that members agreed on; prints what their stages' settings name",
    'consortium found consortium.yaml --key founder.key --rpc https://node.example.org',
  )
    .requiredOption(...keyOption)
    .requiredOption('--rpc <url>', 'a node of the chain')
    .action(
      does<{ key: string; rpc: string }>(async (context, options, file = '') => {
        const rules = readRules(resolve(context.folder, file));
        const wallet = readWallet(resolve(context.folder, options.key));
        const provider = new JsonRpcProvider(options.rpc, undefined, { batchMaxCount: 1, cacheTimeout: -1 });
        try {
          const { chainId } = await provider.getNetwork();
          const network = networks[Number(chainId)];
          if (network) checkWindow(network, rules.windowSeconds);
          if (rules.token !== undefined && (await provider.getCode(rules.token)) === '0x')
            throw new RoundtableError(
              'NOT_FOUND',
              `There is no contract at ${rules.token} on chain ${chainId}.`,
            );
          const deployment = await deployContracts(wallet.connect(provider), rules);
          context.print(deployment, () => [
            `The consortium ${deployment.consortium} is founded on chain ${chainId}. Every member's settings name it:`,
            JSON.stringify({ deployment }, null, 2),
          ]);
        } finally {
          provider.destroy();
        }
      }),
    );
}
