import { Wallet } from 'ethers';
import { consortiumAbi } from '#contracts/generated/Consortium.js';
import { tokenAbi } from '#contracts/generated/Token.js';
import { typedContract, type ChainCall } from '#contracts/typed.js';
import { RoundtableError } from '#core/errors.js';
import { fromHex, type Hex, type RunnerId, type Sha256Hex } from '#core/hex.js';
import { keyFingerprint } from '#services/certificate.js';
import { openConsortium, type ConsortiumChain } from '#services/chain.js';
import type { ChainRunner, ServedData } from '#services/chain/consortium.js';
import { createSender } from '#services/chainSender.js';
import { folderIntents } from '#services/folderIntents.js';
import { sha256Hex } from '#services/sha256.js';
import { DataSets } from '../dataSets.js';
import { readEntryKeys } from '../entryKeys.js';
import type { RunnerConfig, RunnerHome } from '../runnerHome.js';

/** How a runner stands on chain. Amounts in the smallest units of token and coin. */
export interface Standing {
  runner: ChainRunner | null;
  isMember: boolean;
  minStake: bigint;
  unbondingSeconds: number;
  token: Hex;
  tokens: bigint;
  /** What the account can pay for gas with, wei. */
  coins: bigint;
  allowance: bigint;
  /** As published, and as it should be. */
  served: ServedData | null;
  serves: { keyFingerprint: Sha256Hex; data: string[] };
}

/** A transaction that was sent, in words. */
export interface Step {
  what: string;
  transaction: Hex;
}

/** @throws HOME_INVALID when runner.yaml names no node of the chain */
export function openRunnerChain({ chain }: RunnerConfig): ConsortiumChain {
  if (chain.rpcUrls.length === 0)
    throw new RoundtableError(
      'HOME_INVALID',
      'runner.yaml names no node of the chain. Add one under chain.rpcUrls.',
    );
  return openConsortium({ rpcUrls: chain.rpcUrls, deployment: chain, network: chain.network });
}

export async function readStanding(
  home: RunnerHome,
  address: RunnerId,
  chain: ConsortiumChain,
): Promise<Standing> {
  const token = await chain.token();
  const { read } = typedContract(tokenAbi, token, chain.provider);
  const { tls } = await readEntryKeys(home.paths);
  const sets = await new DataSets(home.paths.data, () => undefined).list();
  const [runner, isMember, minStake, unbondingSeconds, tokens, coins, allowance, served] = await Promise.all([
    chain.runner(address),
    chain.isMember(home.config.member),
    chain.minStake(),
    chain.unbondingSeconds(),
    read.balanceOf(address),
    chain.provider.getBalance(address),
    read.allowance(address, home.config.chain.consortium),
    chain.serving(address),
  ]);
  const serves = { keyFingerprint: keyFingerprint(tls), data: sets.map(({ contract }) => contract.name) };
  return { runner, isMember, minStake, unbondingSeconds, token, tokens, coins, allowance, served, serves };
}

/** What stands on chain is what the home says. */
export function isPublished({ served, serves }: Pick<Standing, 'served' | 'serves'>): boolean {
  return (
    served?.keyFingerprint === serves.keyFingerprint &&
    [...served.data].sort().join() === [...serves.data].sort().join()
  );
}

/**
 * Stakes and publishes as far as that is missing; repeated, it sends nothing.
 * @throws CHAIN_INSUFFICIENT_FUNDS with exact amounts, CONFLICT when the address cannot be registered so
 */
export async function register(
  home: RunnerHome,
  privateKey: Hex,
  chain: ConsortiumChain,
  onStep: (step: Step) => void,
): Promise<Standing> {
  const wallet = new Wallet(privateKey);
  const address = wallet.address.toLowerCase() as RunnerId;
  const { member, chain: place } = home.config;
  const standing = await readStanding(home, address, chain);
  const token = typedContract(tokenAbi, standing.token).call;
  const consortium = typedContract(consortiumAbi, place.consortium).call;
  const steps: { what: string; call: ChainCall }[] = [];
  if (!standing.runner) {
    checkMember(standing, member);
    if (standing.allowance < standing.minStake)
      steps.push({
        what: 'allowed the Consortium to take the stake',
        call: token.approve(place.consortium, standing.minStake),
      });
    steps.push({
      what: `registered with a stake of ${standing.minStake} token units`,
      call: consortium.register(member, standing.minStake),
    });
  } else checkRegistered(standing.runner, member);
  if (!isPublished(standing)) {
    const { keyFingerprint: key, data } = standing.serves;
    const what = data.length > 0 ? `the data ${data.join(', ')}` : 'no data yet';
    steps.push({ what: `published its TLS key and ${what}`, call: consortium.serve(key, data) });
  }
  await checkFunds(standing, address, chain, steps.length);
  const sender = createSender({ chain, wallet, intents: folderIntents(home.paths.intents) });
  for (const { what, call } of steps) {
    // The same words may be true again, with another key or after other data: the call and its turn make the intent.
    const turn = await chain.provider.getTransactionCount(address);
    const { hash } = await sender.send(
      `${what} (${sha256Hex(fromHex(call.data)).slice(0, 18)}, ${turn})`,
      call,
    );
    onStep({ what, transaction: hash });
  }
  return readStanding(home, address, chain);
}

/** The calling runner takes part no longer. @returns when its stake is free, seconds since 1970 */
export async function leave(
  home: RunnerHome,
  privateKey: Hex,
  chain: ConsortiumChain,
  onStep: (step: Step) => void,
): Promise<number> {
  const { runner, wallet, call } = await leaving(home, privateKey, chain);
  if (runner.leftAt === null) {
    const sender = createSender({ chain, wallet, intents: folderIntents(home.paths.intents) });
    const { hash } = await sender.send('leaving the consortium', call.exit());
    onStep({ what: 'left the consortium', transaction: hash });
  }
  const left = await chain.runner(runner.runner);
  return (left?.leftAt ?? 0) + (await chain.unbondingSeconds());
}

/** Takes the stake back. @throws CONFLICT while the runner has not left or is still bonded */
export async function withdraw(
  home: RunnerHome,
  privateKey: Hex,
  chain: ConsortiumChain,
  onStep: (step: Step) => void,
): Promise<void> {
  const { runner, wallet, call } = await leaving(home, privateKey, chain);
  if (runner.leftAt === null)
    throw new RoundtableError(
      'CONFLICT',
      'The runner has not left yet. Run `roundtable-runner leave` first.',
    );
  const free = runner.leftAt + (await chain.unbondingSeconds());
  const block = await chain.provider.getBlock('latest');
  // A chain on which nobody sends anything has old blocks; the next one has the time of the clock.
  if (Math.max(block?.timestamp ?? 0, Date.now() / 1_000) < free)
    throw new RoundtableError(
      'CONFLICT',
      `The stake is free at ${new Date(free * 1_000).toISOString()}. Repeat this then.`,
    );
  if (runner.stake === 0n) return;
  const sender = createSender({ chain, wallet, intents: folderIntents(home.paths.intents) });
  const { hash } = await sender.send('taking the stake back', call.withdraw());
  onStep({ what: `took back its stake of ${runner.stake} token units`, transaction: hash });
}

async function leaving(home: RunnerHome, privateKey: Hex, chain: ConsortiumChain) {
  const wallet = new Wallet(privateKey);
  const runner = await chain.runner(wallet.address.toLowerCase() as RunnerId);
  if (!runner)
    throw new RoundtableError('NOT_FOUND', `${wallet.address.toLowerCase()} was never registered on chain.`);
  return { runner, wallet, call: typedContract(consortiumAbi, home.config.chain.consortium).call };
}

function checkMember({ isMember }: Standing, member: Hex): void {
  if (isMember) return;
  throw new RoundtableError(
    'CONFLICT',
    `runner.yaml names the member ${member}, which is none of this consortium. Ask it to be admitted, or correct runner.yaml.`,
  );
}

function checkRegistered(runner: ChainRunner, member: Hex): void {
  if (runner.leftAt !== null)
    throw new RoundtableError(
      'CONFLICT',
      `${runner.runner} has left the consortium, and an address never comes back. Make a home with a new key.`,
    );
  if (runner.member !== member)
    throw new RoundtableError(
      'CONFLICT',
      `${runner.runner} is registered as a runner of ${runner.member}; runner.yaml says ${member}. Correct runner.yaml, or make a home with a new key.`,
    );
}

/** Gas that the dearest of the calls takes, with room. */
const GAS_A_CALL = 200_000n;

async function checkFunds(
  { runner, minStake, tokens, coins, token }: Standing,
  address: RunnerId,
  chain: ConsortiumChain,
  calls: number,
): Promise<void> {
  if (calls === 0) return;
  const lacks: string[] = [];
  if (!runner && tokens < minStake)
    lacks.push(
      `${minStake - tokens} token units (it has ${tokens} of the stake of ${minStake}; token ${token})`,
    );
  const { maxFeePerGas, gasPrice } = await chain.provider.getFeeData();
  const fees = BigInt(calls) * GAS_A_CALL * (maxFeePerGas ?? gasPrice ?? 0n);
  if (coins < fees)
    lacks.push(`${fees - coins} wei for gas (it has ${coins}; ${calls} transactions take up to ${fees})`);
  if (lacks.length > 0)
    throw new RoundtableError(
      'CHAIN_INSUFFICIENT_FUNDS',
      `Send to ${address} on chain ${chain.deployment.chainId}:\n${lacks.map((line) => `  ${line}`).join('\n')}\nand repeat this.`,
      { details: { address, token, stake: String(minStake), tokens: String(tokens), wei: String(coins) } },
    );
}
