import type { Deployment } from '#contracts/deployment.js';
import { consortiumAbi } from '#contracts/generated/Consortium.js';
import { tokenAbi } from '#contracts/generated/Token.js';
import { typedContract } from '#contracts/typed.js';
import { giveEther, localProvider, localTerms, sendCall } from './contracts.js';
import { publicSealingKey } from './entrance.js';
import { sealingKeyFile, walletFile, type WalletFile } from './keys.js';

/** A member of the demo consortium. The first one's stack is the one that runs here. */
export interface LocalMember extends WalletFile {
  name: string;
  sealing: string;
}

export interface LocalRunner extends WalletFile {
  name: string;
  member: LocalMember;
  /** How many times as long as its machine could this runner takes. */
  throttle: number;
}

const memberNames = ['north-hospital', 'harbour-clinic', 'river-lab'] as const;

/** A runner to be: `member` is its owner's place among the members. */
export interface RunnerPlan {
  name: string;
  member: number;
  throttle: number;
}

/** Two runners of the first member, one of each other; the second one is slow, the last one is often off. */
const demoRunners: readonly RunnerPlan[] = [
  { name: 'north-1', member: 0, throttle: 1 },
  { name: 'north-2', member: 0, throttle: 1.5 },
  { name: 'harbour-1', member: 1, throttle: 1 },
  { name: 'river-1', member: 2, throttle: 1 },
];

export function localMembers(stateDir: string): LocalMember[] {
  return memberNames.map((name) => ({
    name,
    ...walletFile(stateDir, `member-${name}`),
    sealing: sealingKeyFile(stateDir, `member-${name}`),
  }));
}

export function localRunners(
  stateDir: string,
  members: readonly LocalMember[],
  plan: readonly RunnerPlan[] = demoRunners,
): LocalRunner[] {
  return plan.flatMap(({ name, member, throttle }) => {
    const owner = members[member];
    return owner ? [{ name, member: owner, throttle, ...walletFile(stateDir, `runner-${name}`) }] : [];
  });
}

/**
 * Brings chain and plan together: members admitted, the coordinator funded for its jobs' budgets, runners
 * registered with their stake. What is there already is left alone.
 */
export async function enterConsortium(options: {
  rpcUrl: string;
  deployment: Deployment;
  founder: WalletFile;
  members: readonly LocalMember[];
  runners: readonly LocalRunner[];
  stackUrl: string;
}): Promise<void> {
  const { deployment, founder, members, runners, stackUrl } = options;
  const provider = localProvider(options.rpcUrl);
  try {
    const consortium = typedContract(consortiumAbi, deployment.consortium, provider);
    const token = typedContract(tokenAbi, deployment.token, provider);
    const asFounder = (call: Parameters<typeof sendCall>[2]) => sendCall(founder.wallet, provider, call);
    await Promise.all([founder, ...members, ...runners].map(({ address }) => giveEther(provider, address)));

    for (const [index, { name, address }] of members.entries())
      if (!(await consortium.read.isMember(address)))
        await asFounder(consortium.call.addMember(address, name, index === 0 ? stackUrl : ''));
    for (const member of members) {
      const key = publicSealingKey(member);
      if ((await consortium.read.sealingKeys(member.address)) !== key)
        await sendCall(member.wallet, provider, consortium.call.announceKey(key));
    }
    const [coordinator] = members;
    if (coordinator && (await token.read.balanceOf(coordinator.address)) < purse)
      await asFounder(token.call.transfer(coordinator.address, purse));

    // The founder's transactions follow one another; meanwhile the runners send their own.
    let registering: Promise<void>[] = [];
    for (const { address, member, wallet } of runners) {
      const [, , registeredAt] = await consortium.read.runners(address);
      if (registeredAt !== 0n) continue;
      await asFounder(token.call.transfer(address, localTerms.minStake));
      const register = async () => {
        await sendCall(wallet, provider, token.call.approve(deployment.consortium, localTerms.minStake));
        await sendCall(wallet, provider, consortium.call.register(member.address, localTerms.minStake));
      };
      registering.push(register());
      if (registering.length < registeringAtOnce) continue;
      await Promise.all(registering);
      registering = [];
    }
    await Promise.all(registering);
  } finally {
    provider.destroy();
  }
}

const registeringAtOnce = 16;

/** What the coordinator has at least whenever the stack comes up. */
const purse = 1_000_000n * 10n ** 18n;
