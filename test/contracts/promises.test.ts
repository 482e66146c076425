/** Receipts, seals and attestations as TypeScript signs them, before the contracts that take them at their word. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { id, keccak256, Wallet } from 'ethers';
import {
  answerReceipt,
  leftOut,
  receiptSigner,
  type SignedReceipt,
  type SignedUpdate,
} from '#audit/receipts.js';
import { fileAccusation } from '#audit/report.js';
import { jobsAbi } from '#contracts/generated/Jobs.js';
import { receiptJudgeAbi } from '#contracts/generated/ReceiptJudge.js';
import { sealJudgeAbi } from '#contracts/generated/SealJudge.js';
import { typedContract, type ChainCall } from '#contracts/typed.js';
import {
  attestationTypes,
  receiptTypes,
  sealTypes,
  updateDomain,
  updateTypes,
  type AttestationStatement,
  type SealStatement,
} from '#core/eip712.js';
import { toHex, type Hex } from '#core/hex.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { sealOf } from '#core/seal.js';
import { closingFields } from '#services/chain/words.js';
import { sha256 } from '#services/sha256.js';
import {
  addressOf,
  admitMember,
  archiveId,
  closing,
  giveEther,
  hash,
  registerRunner,
  startChainStack,
  type ChainStack,
} from '#test/services/chainStack.js';
import { closeRandomRound, type RandomRound } from './randomRound.js';

const stranger = new Wallet(id('a stranger'));
/** closeRandomRound's runners, by address. */
const runners = [0, 1, 2]
  .map((i) => new Wallet(id(`runner ${i}`)))
  .sort((a, b) => (addressOf(a) < addressOf(b) ? -1 : 1));
const shape = { runners: 3, dimension: 70 };
let stack: ChainStack;
let price: bigint;

beforeAll(async () => {
  stack = await startChainStack();
  const { member, deployment, anvil, chain } = stack;
  price = await typedContract(sealJudgeAbi, deployment.judges.seals, chain.provider).read.bond();
  await admitMember(stack, member, { name: 'm', tokens: 10n ** 6n });
  await giveEther(anvil, stranger);
  for (const wallet of runners) await registerRunner(stack, wallet);
});
afterAll(() => stack.stop());

const domain = () => updateDomain(stack.deployment.chainId, stack.deployment.jobs);

describe('a receipt', () => {
  test('for an update that was left out convicts a coordinator that says nothing', async () => {
    const round = await closeRandomRound(
      stack,
      'left out',
      { ...shape, seed: 1 },
      { headers: withoutTheLast },
    );
    const receipt = await receiptFor(round, 2);
    expect(receiptSigner(stack.deployment, receipt)).toBe(addressOf(stack.member));
    const { deployment, chain } = stack;
    const accusation = leftOut(deployment, receipt, round.evidence, round.opened.previous);
    if (!accusation) throw new Error('Nothing was left out.');
    await fileAccusation(chain, stack.sender(stranger), accusation);
    const answer = answerReceipt(deployment, receipt.receipt, round.evidence, round.opened.previous, []);
    expect(answer).toBeNull();
    await expireReceipt();
    expect(await chain.escrow(round.job)).toMatchObject({ phase: 'convicted', bond: 0n });
  });

  test('for an update that is in the round harms nobody, and its answer wins the bond', async () => {
    const { deployment, chain, anvil, member } = stack;
    const round = await closeRandomRound(stack, 'there', { ...shape, seed: 2 });
    const { receipt, signature } = await receiptFor(round, 2);
    const { evidence, opened } = round;
    expect(leftOut(deployment, { receipt, signature }, evidence, opened.previous)).toBeNull();
    const { askInclusion } = typedContract(receiptJudgeAbi, deployment.judges.receipts).call;
    const input = { ...receipt, round: BigInt(receipt.round) };
    await send({ ...askInclusion(input, signature, opened.previous), value: price });
    const before = await anvil.provider.getBalance(member.address);
    await send(answered(answerReceipt(deployment, receipt, evidence, opened.previous, [])));
    expect((await anvil.provider.getBalance(member.address)) - before).toBe(price);
    await passWindow();
    expect(await chain.isFinal(round.job, 1)).toBe(true);
  });

  test('of a runner that signed two updates is answered with both', async () => {
    const { deployment, chain } = stack;
    const round = await closeRandomRound(stack, 'two', { ...shape, seed: 3 }, { headers: withoutTheLast });
    const receipt = await receiptFor(round, 2);
    const { evidence, opened } = round;
    const accusation = leftOut(deployment, receipt, evidence, opened.previous);
    if (!accusation) throw new Error('Nothing was left out.');
    await fileAccusation(chain, stack.sender(stranger), accusation);
    const statements = [await signedUpdate(round, 2, id('one')), await signedUpdate(round, 2, id('other'))];
    await send(answered(answerReceipt(deployment, receipt.receipt, evidence, opened.previous, statements)));
    await passWindow();
    expect(await chain.isFinal(round.job, 1)).toBe(true);
  });
});

describe('a seal', () => {
  test('that its runner opens costs nothing, and one that it does not open costs the stake', async () => {
    const { deployment, chain, anvil } = stack;
    const seals = typedContract(sealJudgeAbi, deployment.judges.seals, chain.provider);
    const round = await closeRandomRound(stack, 'sealed', { ...shape, seed: 4 });
    const salt = hash('salt');
    const sealed = await Promise.all(
      runners.map(async (runner, i) => {
        const root = round.evidence.leaf(i).updateRoot;
        const statement: SealStatement = {
          job: round.job,
          round: 1,
          openHash: round.openHash,
          seal: sealOf(sha256, root, addressOf(runner), salt),
        };
        const signature = (await runner.signTypedData(domain(), sealTypes, statement)) as Hex;
        return { who: addressOf(runner), input: { ...statement, round: 1n }, signature, root };
      }),
    );
    const [opens, silent] = sealed;
    if (!opens || !silent) throw new Error('There are no runners.');
    for (const { who, input, signature } of [opens, silent])
      await send({ ...seals.call.demand(who, input, signature, round.opened.previous), value: price });
    const before = await anvil.provider.getBalance(opens.who);
    await expect(send(seals.call.open(opens.who, opens.input, silent.root, salt))).rejects.toMatchObject({
      details: { error: 'WrongPreimage' },
    });
    await send(seals.call.open(opens.who, opens.input, opens.root, salt));
    expect((await anvil.provider.getBalance(opens.who)) - before).toBe(price);
    await passWindow();
    for (const { who, input } of [opens, silent]) {
      const expired = send(seals.call.expire(await seals.read.nameOf(who, input)));
      if (who === silent.who) await expired;
      else await expect(expired).rejects.toMatchObject({ details: { error: 'NotDemanded' } });
    }
    expect(await chain.runner(opens.who)).toMatchObject({ stake: 100n });
    expect(await chain.runner(silent.who)).toMatchObject({ stake: 0n });
  });
});

describe('attestations', () => {
  test('of drawn members close a round of a job that asks for them', async () => {
    const { calls, founder, member, deployment, anvil, chain } = stack;
    const members = [1, 2, 3, 4].map((i) => new Wallet(id(`member ${i}`)));
    for (const wallet of members)
      await stack
        .sender(founder)
        .send(`admit ${wallet.address}`, calls.consortium.addMember(addressOf(wallet), 'm', ''));
    const sender = stack.sender(member);
    const job = hash('attested job');
    const terms = {
      dimension: 70,
      rule: 0,
      rate: { numerator: 1, denominator: 1 },
      momentum: { numerator: 0, denominator: 1 },
      attesters: 2,
      sampleCap: 0,
    };
    await sender.send(
      'attested/create',
      calls.jobs.create({
        job,
        coordinator: addressOf(member),
        specHash: hash('spec'),
        parentVersion: null,
        genesisVersion: hash('genesis'),
        manifestHash: hash('manifest'),
        archiveId,
        rounds: 2,
        budget: 0n,
        terms,
        bond: 0n,
      }),
    );
    await sender.send('attested/open', calls.jobs.open(job, 1, hash('open')));
    await anvil.provider.send('anvil_mine', ['0x2']);
    const jobs = typedContract(jobsAbi, deployment.jobs, chain.provider);
    const drawn = await jobs.read.drawn(job);
    expect(new Set(drawn)).toEqual(new Set([...members, member].map(({ address }) => address)));
    const [first = 0, , third = 0] = [0, 1, 2, 3, 4].filter((place) => drawn[place] !== member.address);
    const { opening } = await chain.commitments(job, 1);
    const fields = closing(job, 1);
    const statement: AttestationStatement = {
      job,
      round: 1,
      closing: keccak256(closingFields(opening ?? '0x', fields)) as Hex,
    };
    const signedBy = async (place: number) => {
      const wallet = members.find(({ address }) => address === drawn[place]);
      return {
        place,
        signature: (await wallet?.signTypedData(domain(), attestationTypes, statement)) as Hex,
      };
    };
    const attest = async (places: number[]) =>
      calls.jobs.closeAttested(opening ?? '0x', fields, await Promise.all(places.map(signedBy)), null);
    await expect(sender.send('attested/close', calls.jobs.close(fields))).rejects.toMatchObject({
      details: { error: 'NotAttested' },
    });
    await expect(sender.send('attested/one', await attest([third]))).rejects.toMatchObject({
      details: { error: 'NotAttested' },
    });
    await sender.send('attested/two', await attest([first, third]));
    expect(await chain.escrow(job)).toMatchObject({ closed: 1 });
  });
});

function withoutTheLast<T>(headers: T[]): T[] {
  return headers.slice(0, -1);
}

async function receiptFor(round: RandomRound, runner: number): Promise<SignedReceipt> {
  const updateRoot = toHex(valuesRoot(sha256, LEAF.update, round.updates[runner] ?? new Int32Array()));
  const { job, openHash } = round;
  const receipt = { job, round: 1, openHash, runner: addressOf(wallet(runner)), updateRoot };
  const signature = (await stack.member.signTypedData(domain(), receiptTypes, receipt)) as Hex;
  return { receipt, signature };
}

async function signedUpdate(
  { job, openHash }: RandomRound,
  runner: number,
  root: string,
): Promise<SignedUpdate> {
  const update = { job, round: 1, openHash, updateRoot: root as Hex, dimension: 70, samples: 5, steps: 7 };
  return { update, signature: (await wallet(runner).signTypedData(domain(), updateTypes, update)) as Hex };
}

/** Nobody answered the last question: its time passes, and anyone ends it. */
async function expireReceipt(): Promise<void> {
  const { chain, deployment } = stack;
  const judge = typedContract(receiptJudgeAbi, deployment.judges.receipts, chain.provider);
  const logs = await chain.provider.getLogs({
    address: judge.address,
    topics: judge.topics('Asked', {}) as string[],
    fromBlock: 0,
  });
  const log = logs.at(-1);
  if (!log) throw new Error('Nothing was asked.');
  await passWindow();
  await send(judge.call.expire(judge.parse('Asked', log).args.question));
}

async function passWindow(): Promise<void> {
  await stack.anvil.provider.send('evm_increaseTime', [60]);
  await stack.anvil.provider.send('evm_mine', []);
}

let sends = 0;
const send = (call: ChainCall & { value?: bigint }) =>
  stack.sender(stranger).send(`call ${(sends += 1)}`, call);

function answered(call: ChainCall | null): ChainCall {
  if (!call) throw new Error('There is no answer.');
  return call;
}

function wallet(runner: number): Wallet {
  const found = runners[runner];
  if (!found) throw new RangeError(`There is no runner ${runner}.`);
  return found;
}
