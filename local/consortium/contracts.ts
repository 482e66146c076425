import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { JsonRpcProvider, type Wallet } from 'ethers';
import { deployContracts } from '#contracts/deploy.js';
import { deployment, type Deployment } from '#contracts/deployment.js';
import { parseMessage } from '#core/schema.js';
import { RoundtableError } from '#core/errors.js';
import type { ChainCall } from '#contracts/typed.js';

/** Rules of the local consortium's contracts. */
export const localTerms = {
  minStake: 100n * 10n ** 18n,
  unbondingSeconds: 60,
  /** Dispute window of a round, and time from an epoch's root to its effect. */
  windowSeconds: 1,
  patienceSeconds: 86_400,
  payerBond: 1_000n * 10n ** 18n,
  questionBond: 10n ** 16n,
};

/** A provider that asks often enough for a chain which mines at once. */
export function localProvider(rpcUrl: string): JsonRpcProvider {
  return new JsonRpcProvider(rpcUrl, undefined, {
    staticNetwork: true,
    batchMaxCount: 1,
    cacheTimeout: -1,
    pollingInterval: 50,
  });
}

/** The contracts in STATE/deployment.json, deployed by the founder when there are none on this chain. */
export async function localContracts(stateDir: string, founder: Wallet, rpcUrl: string): Promise<Deployment> {
  const path = join(stateDir, 'deployment.json');
  const provider = localProvider(rpcUrl);
  try {
    if (existsSync(path)) {
      const known = parseMessage(deployment, JSON.parse(readFileSync(path, 'utf8')), path);
      if ((await provider.getCode(known.rewards)) !== '0x' && (await provider.getCode(known.jobs)) !== '0x')
        return known;
    }
    await giveEther(provider, founder.address);
    const deployed = await deployContracts(founder.connect(provider), localTerms);
    writeFileSync(`${path}.new`, JSON.stringify(deployed, null, 2) + '\n');
    renameSync(`${path}.new`, path);
    return deployed;
  } finally {
    provider.destroy();
  }
}

/** Gas money, which on a local chain is free. */
export async function giveEther(provider: JsonRpcProvider, address: string): Promise<void> {
  await provider.send('anvil_setBalance', [address, '0x' + (10n ** 21n).toString(16)]);
}

/** Sends a set-up transaction and waits until it is mined. @throws CHAIN_REVERTED */
export async function sendCall(wallet: Wallet, provider: JsonRpcProvider, call: ChainCall): Promise<void> {
  const sent = await wallet.connect(provider).sendTransaction(call);
  for (;;) {
    const receipt = await provider.getTransactionReceipt(sent.hash);
    if (receipt?.status === 1) return;
    if (receipt)
      throw new RoundtableError('CHAIN_REVERTED', `The set-up transaction ${sent.hash} was reverted.`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
