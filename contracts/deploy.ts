import { ContractFactory, getCreateAddress, type Signer, type TransactionReceipt } from 'ethers';
import type { Deployment, Address } from './deployment.js';
import { consortiumAbi, consortiumBytecode } from './generated/Consortium.js';
import { dataJudgeAbi, dataJudgeBytecode } from './generated/DataJudge.js';
import { jobsAbi, jobsBytecode } from './generated/Jobs.js';
import { leafJudgeAbi, leafJudgeBytecode } from './generated/LeafJudge.js';
import { receiptJudgeAbi, receiptJudgeBytecode } from './generated/ReceiptJudge.js';
import { rewardJudgeAbi, rewardJudgeBytecode } from './generated/RewardJudge.js';
import { rewardsAbi, rewardsBytecode } from './generated/Rewards.js';
import { robustJudgeAbi, robustJudgeBytecode } from './generated/RobustJudge.js';
import { sealJudgeAbi, sealJudgeBytecode } from './generated/SealJudge.js';
import { sumJudgeAbi, sumJudgeBytecode } from './generated/SumJudge.js';
import { tokenAbi, tokenBytecode } from './generated/Token.js';

/** A thousand million tokens of 10^18 units, all the deployer's. */
const supply = 10n ** 27n;

/** Rules of a consortium, fixed for ever in its contracts. Amounts in token units, times in seconds. */
export interface Rules {
  /** The ERC-20 that everything is paid in; left out: one is deployed, for local and test stacks. */
  token?: Address;
  /** Smallest stake of a runner. */
  minStake: bigint;
  /** From a runner's exit to its stake's return. */
  unbondingSeconds: number;
  /** In which a closed round, and then an epoch of rewards, can be disputed. */
  windowSeconds: number;
  /** After which another member may take over a job that does not move. */
  patienceSeconds: number;
  /** What a payer stands to lose when it publishes an epoch. */
  payerBond: bigint;
  /** Wei that a question to the coordinator, or a demand on a runner, costs whoever made it in vain. */
  questionBond: bigint;
}

/**
 * Deploys a consortium's contracts; the signer becomes its founder and owns all tokens of a new one. Contracts and judges know each
 * other from the start, by the addresses that the signer's next transactions will give them, so none has a setter.
 *
 * @throws whatever the signer's provider throws; what was deployed by then is harmless
 */
export async function deployContracts(signer: Signer, rules: Rules): Promise<Deployment> {
  const { chainId } = await providerOf(signer).getNetwork();
  const from = await signer.getAddress();
  // The judges come after the token, if one is deployed, and three others.
  const first = (await signer.getNonce()) + (rules.token === undefined ? 1 : 0);
  const coming = (after: number) => getCreateAddress({ from, nonce: first + after }).toLowerCase() as Address;
  const { windowSeconds: window } = rules;
  const judges = {
    sums: coming(3),
    leaves: coming(4),
    data: coming(5),
    rewards: coming(6),
    receipts: coming(7),
    seals: coming(8),
    robust: coming(9),
  };
  const given = rules.token === undefined ? null : { address: rules.token, block: Infinity };
  const { address: token, block } = given ?? (await deploy(signer, tokenAbi, tokenBytecode, [supply]));
  const consortium = await deploy(signer, consortiumAbi, consortiumBytecode, [
    token,
    rules.minStake,
    rules.unbondingSeconds,
    [judges.leaves, judges.seals],
  ]);
  const rewards = await deploy(signer, rewardsAbi, rewardsBytecode, [
    token,
    window,
    rules.payerBond,
    judges.rewards,
  ]);
  const jobs = await deploy(signer, jobsAbi, jobsBytecode, [
    consortium.address,
    rewards.address,
    window,
    rules.patienceSeconds,
    [judges.sums, judges.leaves, judges.data, judges.receipts, judges.robust],
  ]);
  const sums = await deploy(signer, sumJudgeAbi, sumJudgeBytecode, [jobs.address]);
  const leaves = await deploy(signer, leafJudgeAbi, leafJudgeBytecode, [jobs.address]);
  const data = await deploy(signer, dataJudgeAbi, dataJudgeBytecode, [
    jobs.address,
    sums.address,
    judges.robust,
    rules.questionBond,
  ]);
  const ofRewards = await deploy(signer, rewardJudgeAbi, rewardJudgeBytecode, [
    jobs.address,
    rewards.address,
    rules.questionBond,
  ]);
  const receipts = await deploy(signer, receiptJudgeAbi, receiptJudgeBytecode, [
    jobs.address,
    rules.questionBond,
  ]);
  const seals = await deploy(signer, sealJudgeAbi, sealJudgeBytecode, [jobs.address, rules.questionBond]);
  const robust = await deploy(signer, robustJudgeAbi, robustJudgeBytecode, [jobs.address]);
  const made = [sums, leaves, data, ofRewards, receipts, seals, robust].map(({ address }) => address);
  if (made.join() !== Object.values(judges).join())
    throw new Error('The judges got other addresses than foretold: another program sends with this key.');
  return {
    chainId: Number(chainId),
    token,
    consortium: consortium.address,
    jobs: jobs.address,
    rewards: rewards.address,
    judges,
    block: Math.min(block, consortium.block),
  };
}

async function deploy(
  signer: Signer,
  abi: readonly unknown[],
  bytecode: string,
  inputs: readonly unknown[],
): Promise<{ address: Address; block: number }> {
  const factory = new ContractFactory(
    [...abi] as ConstructorParameters<typeof ContractFactory>[0],
    bytecode,
    signer,
  );
  const transaction = await signer.sendTransaction(await factory.getDeployTransaction(...inputs));
  const receipt = await mined(signer, transaction.hash);
  if (receipt.status !== 1 || receipt.contractAddress === null)
    throw new Error(`The deployment ${transaction.hash} reverted.`);
  return { address: receipt.contractAddress.toLowerCase() as Address, block: receipt.blockNumber };
}

/** Asks often: ethers' own wait() looks every 4 s, which on a local chain is all there is to wait for. */
async function mined(signer: Signer, hash: string): Promise<TransactionReceipt> {
  const until = Date.now() + 120_000;
  for (let pause = 50; Date.now() < until; pause = Math.min(pause * 1.5, 2_000)) {
    const receipt = await providerOf(signer).getTransactionReceipt(hash);
    if (receipt !== null) return receipt;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  throw new Error(
    `The deployment ${hash} was not mined within two minutes. Look whether the chain makes blocks.`,
  );
}

function providerOf(signer: Signer) {
  if (signer.provider === null)
    throw new TypeError('deployContracts needs a signer that is connected to a provider.');
  return signer.provider;
}
