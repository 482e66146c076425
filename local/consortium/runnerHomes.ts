import { existsSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Deployment } from '#contracts/deployment.js';
import { consortiumAbi } from '#contracts/generated/Consortium.js';
import { typedContract } from '#contracts/typed.js';
import { readEntryKeys } from '#gpu-runner/entryKeys.js';
import { homePaths, writeRunnerHome } from '#gpu-runner/runnerHome.js';
import { keyFingerprint } from '#services/certificate.js';
import { openConsortium } from '#services/chain.js';
import { localProvider, sendCall } from './contracts.js';
import { encodeDataset, labelShards, type Dataset } from './dataset.js';
import type { LocalRunner } from './members.js';

export interface RunnerHomeOptions {
  stateDir: string;
  runners: readonly LocalRunner[];
  coordinator: `0x${string}`;
  deployment: Deployment;
  api: string;
  rpcUrl: string;
  gateway: string;
  /** Names of the data sets that the owners allow to be trained on. */
  data: string[];
}

export const runnerHome = (stateDir: string, name: string): string => join(stateDir, 'runners', name);

/** Writes each runner's folder anew, since addresses may have moved; its data and its work stay. */
export async function writeRunnerHomes(options: RunnerHomeOptions): Promise<void> {
  const { stateDir, runners, coordinator, deployment, api, rpcUrl, gateway } = options;
  for (const { name, member, wallet, throttle } of runners)
    await writeRunnerHome(runnerHome(stateDir, name), {
      key: wallet.privateKey as `0x${string}`,
      config: {
        name,
        member: member.address,
        chain: {
          chainId: deployment.chainId,
          jobs: deployment.jobs,
          consortium: deployment.consortium,
          receiptJudge: deployment.judges.receipts,
          sealJudge: deployment.judges.seals,
          block: deployment.block,
          rpcUrls: [rpcUrl],
        },
        stacks: [{ coordinator, api }],
        gateways: [gateway],
      },
      policy: { allow: [{ coordinators: [coordinator], jobs: ['*'], data: options.data }], throttle },
    });
}

/** Each runner states on chain its TLS key and what it serves, unless the last statement says just that. */
export async function publishServed(options: {
  stateDir: string;
  rpcUrl: string;
  deployment: Deployment;
  runners: readonly LocalRunner[];
  data: readonly string[];
}): Promise<void> {
  const { stateDir, rpcUrl, deployment, runners, data } = options;
  const provider = localProvider(rpcUrl);
  const chain = openConsortium({ rpcUrls: [rpcUrl], deployment });
  const { call } = typedContract(consortiumAbi, deployment.consortium);
  try {
    for (const { name, address, wallet } of runners) {
      const { tls } = await readEntryKeys(homePaths(runnerHome(stateDir, name)));
      const key = keyFingerprint(tls);
      const served = await chain.serving(address);
      if (served?.keyFingerprint === key && served.data.join() === data.join()) continue;
      await sendCall(wallet, provider, call.serve(key, [...data]));
    }
  } finally {
    chain.close();
    provider.destroy();
  }
}

/** Splits a data set between the runners by label shards, as NAME.safetensors in each one's data folder. */
export async function dealData(
  stateDir: string,
  runners: readonly LocalRunner[],
  name: string,
  load: () => Dataset,
): Promise<void> {
  const files = runners.map((runner) =>
    join(runnerHome(stateDir, runner.name), 'data', `${name}.safetensors`),
  );
  if (files.every((file) => existsSync(file))) return;
  const shares = labelShards(load(), runners.length);
  for (const [index, file] of files.entries()) {
    const share = shares[index];
    if (!share) continue;
    await writeFile(`${file}.new`, encodeDataset(share));
    await rename(`${file}.new`, file);
  }
}
