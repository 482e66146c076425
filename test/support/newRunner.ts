import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { Wallet } from 'ethers';
import { stringify } from 'yaml';
import type { Api } from '#cli/api.js';
import { deployment } from '#contracts/deployment.js';
import { tokenAbi } from '#contracts/generated/Token.js';
import { typedContract } from '#contracts/typed.js';
import { giveEther, localProvider, localTerms, sendCall } from '#local/consortium/contracts.js';
import { encodeDataset } from '#local/consortium/dataset.js';
import type { LocalStack } from '#local/stack.js';
import { few } from './digits.js';
import { digitsSpec } from './digitsJob.js';
import { untilEnded } from './stackApi.js';
import { until } from './until.js';

/** A runner that somebody installed, from `init` to a round it took part in, at a stack without runners of its own. */

/** What its owner does between `init` and `start`: stake and gas, a data set, a rule for the job `newcomer`. */
export async function equip({ file }: LocalStack, home: string, address: `0x${string}`): Promise<void> {
  const { token } = deployment.parse(file.chain.deployment);
  const provider = localProvider(file.chain.rpcUrl);
  try {
    const founder = new Wallet(readFileSync(String(file.keys['founder']), 'utf8').trim());
    await giveEther(provider, address);
    await sendCall(
      founder,
      provider,
      typedContract(tokenAbi, token).call.transfer(address, localTerms.minStake),
    );
  } finally {
    provider.destroy();
  }
  writeFileSync(join(home, 'data/digits.safetensors'), encodeDataset(few(300)));
  writeFileSync(
    join(home, 'policy.yaml'),
    stringify({ allow: [{ coordinators: [file.coordinator], jobs: ['newcomer'], data: ['digits'] }] }),
  );
}

/** Once the runner, which `start` runs, has entered: a job of one round, with this runner alone. */
export async function trainsOneRound(stack: LocalStack, api: Api, log: () => string): Promise<void> {
  await until(async () => (await api.runners())[0]?.state === 'idle', 'the new runner', 240).catch(
    (cause: unknown) => {
      throw new Error(log().slice(-2_000), { cause });
    },
  );
  const spec = await digitsSpec(api, stack, {
    name: 'newcomer',
    data: { contract: 'digits', input: [1, 28, 28], classes: 10, purpose: 'research' },
    participants: { quorum: 1 },
  });
  const { job } = await api.submit({ key: 'newcomer-submission', spec });
  expect(await untilEnded(api, job, 240)).toMatchObject({ state: 'done', round: 1 });
  expect((await api.rounds(job))[0]?.participants).toMatchObject([{ samples: 300 }]);
}
