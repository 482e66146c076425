import { join } from 'node:path';
import type { WrittenPolicy } from '#gpu-runner/policy.js';
import { writeRunnerHome } from '#gpu-runner/runnerHome.js';
import { runnerKey, type RunnerKey } from '#gpu-runner/runnerKey.js';
import { StackClient } from '#gpu-runner/stackClient.js';
import { outboundRules } from '#services/outboundUrl.js';
import { chain, coordinator, member, type TestApi } from './api.js';
import { writeData } from './data.js';
import { temporaryFolder } from './folder.js';

export const allowed: WrittenPolicy = {
  allow: [{ coordinators: [coordinator], jobs: ['digits*'], data: ['digits'] }],
};

let keys = 0;

/** A registered runner's home with 40 samples; the same number gives the same key. */
export async function makeHome(
  api: TestApi,
  change: { policy?: WrittenPolicy; samples?: number; number?: number } = {},
): Promise<{ folder: string; key: RunnerKey; data: string }> {
  const privateKey = `0x${(change.number ?? 1_000 + ++keys).toString(16).padStart(64, '0')}` as const;
  const key = runnerKey(privateKey);
  const folder = join(await temporaryFolder(), 'home');
  const paths = await writeRunnerHome(folder, {
    config: {
      name: 'north-1',
      member,
      stacks: [{ coordinator, api: api.url }],
      chain: { ...chain, rpcUrls: [] },
    },
    key: privateKey,
    policy: change.policy ?? allowed,
  });
  const data = join(paths.data, 'digits.safetensors');
  await writeData(data, change.samples ?? 40);
  api.registered.add(key.address);
  return { folder, key, data };
}

/** The runner's side of a stack whose URL its owner wrote. */
export const clientOf = (api: TestApi, key: RunnerKey): StackClient =>
  new StackClient({ coordinator, api: api.url, rules: outboundRules([api.url]), found: false }, key);
