import { JsonRpcProvider, Network } from 'ethers';
import type { Settings } from '#infra/settings.js';
import type { Verdict } from '../stack/findings.js';

/**
 * Whether every endpoint is of the chain that the settings name, and the contracts are there.
 * @param rpcUrls secret: most carry an access key, so only hosts are shown
 */
export async function checkContracts({ deployment }: Settings, rpcUrls: readonly string[]): Promise<Verdict> {
  const { judges, chainId, block: _, ...others } = deployment;
  const contracts = Object.entries({ ...others, ...judges });
  const problems: string[] = [];
  for (const url of rpcUrls) {
    const host = new URL(url).host;
    const provider = new JsonRpcProvider(url, Network.from(chainId), {
      staticNetwork: true,
      batchMaxCount: 1,
    });
    const ask = (method: string, parameters: unknown[]) =>
      Promise.race([
        provider.send(method, parameters) as Promise<string>,
        new Promise<never>((_, reject) =>
          AbortSignal.timeout(longestMs).addEventListener('abort', () => reject(new Error('no answer'))),
        ),
      ]);
    try {
      const served = Number(await ask('eth_chainId', []));
      if (served !== chainId) {
        problems.push(`${host} serves chain ${served}, the settings name ${chainId}`);
        continue;
      }
      const codes = await Promise.all(
        contracts.map(async ([name, address]) => [
          name,
          address,
          await ask('eth_getCode', [address, 'latest']),
        ]),
      );
      const empty = codes
        .filter(([, , code]) => code === '0x')
        .map(([name, address]) => `${name} at ${address}`);
      if (empty.length > 0) problems.push(`${host} has no contract for ${empty.join(', ')}`);
    } catch {
      problems.push(`${host} does not answer`);
    } finally {
      provider.destroy();
    }
  }
  if (problems.length > 0)
    return ['fail', `${problems.join('; ')}. Correct \`deployment\` in the settings, or the endpoints`];
  return ['ok', `all ${contracts.length} are on chain ${chainId}, by ${rpcUrls.length} endpoints`];
}

const longestMs = 10_000;
