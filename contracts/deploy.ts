import { ContractFactory, type Signer, type TransactionReceipt } from 'ethers';
import type { Deployment, Address } from './deployment.js';
import { consortiumAbi, consortiumBytecode } from './generated/Consortium.js';
import { jobsAbi, jobsBytecode } from './generated/Jobs.js';
import { rewardsAbi, rewardsBytecode } from './generated/Rewards.js';
import { tokenAbi, tokenBytecode } from './generated/Token.js';

/** A thousand million tokens of 10^18 units, all the deployer's. */
const supply = 10n ** 27n;

/**
 * Deploys a consortium's contracts; the signer becomes its founder and owns all tokens.
 *
 * @param options minStake in token units; unbondingSeconds from a runner's exit to its stake's return;
 *   windowSeconds from the publication of an epoch's root to its effect.
 * @throws whatever the signer's provider throws; what was deployed by then is harmless
 */
export async function deployContracts(
  signer: Signer,
  options: { minStake: bigint; unbondingSeconds: number; windowSeconds: number },
): Promise<Deployment> {
  const { chainId } = await providerOf(signer).getNetwork();
  const token = await deploy(signer, tokenAbi, tokenBytecode, [supply]);
  const consortium = await deploy(signer, consortiumAbi, consortiumBytecode, [
    token.address,
    options.minStake,
    options.unbondingSeconds,
  ]);
  const rewards = await deploy(signer, rewardsAbi, rewardsBytecode, [token.address, options.windowSeconds]);
  const jobs = await deploy(signer, jobsAbi, jobsBytecode, [consortium.address, rewards.address]);
  return {
    chainId: Number(chainId),
    token: token.address,
    consortium: consortium.address,
    jobs: jobs.address,
    rewards: rewards.address,
    block: token.block,
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
