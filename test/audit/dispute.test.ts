import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { id, Interface, Wallet, type InterfaceAbi } from 'ethers';
import { nextQuestion, rowAt } from '#audit/bisection.js';
import { accuse, type Accusation } from '#audit/dispute.js';
import { chunkOf, exactSums, updateChunks } from '#audit/evidence.js';
import { fileAccusation } from '#audit/report.js';
import type { AuditSources } from '#audit/sources.js';
import { dataJudgeAbi } from '#contracts/generated/DataJudge.js';
import { leafJudgeAbi } from '#contracts/generated/LeafJudge.js';
import { sumJudgeAbi } from '#contracts/generated/SumJudge.js';
import { typedContract } from '#contracts/typed.js';
import { updateDomain, updateTypes } from '#core/eip712.js';
import { toHex, type Hex } from '#core/hex.js';
import { LEAF, valuesTree, type MerkleTree } from '#core/merkle.js';
import { wordTime } from '#services/chain/words.js';
import { chainCalls } from '#services/chainCalls.js';
import { sha256 } from '#services/sha256.js';
import { addressOf, giveEther, startChainStack, type ChainStack } from '#test/services/chainStack.js';
import { closeRandomRound } from '#test/contracts/randomRound.js';
import type { Falsification } from './falsification.js';
import { prepareCoordinator, updatesOf, writeHistory, type History } from './history.js';
import { runnerWallets } from './signing.js';

/** Nobody's member and nobody's runner. */
const stranger = new Wallet(id('a stranger'));
const bond = 1001n;

let stack: ChainStack;
let honest: History;
beforeAll(async () => {
  stack = await startChainStack();
  await prepareCoordinator(stack);
  await giveEther(stack.anvil, stranger);
  for (const wallet of runnerWallets) await registerRunner(wallet);
  honest = await writeHistory(stack, 'honest');
});
afterAll(() => stack.stop());

describe('a lying coordinator is convicted by a stranger', () => {
  const cases: [
    name: string,
    falsify: Falsification,
    kind: Accusation['kind'],
    call: string,
    what: RegExp,
  ][] = [
    [
      'for one parameter that is off by one',
      { params: (params) => void (params[17] = (params[17] ?? 0) - 1) },
      'report',
      'wrongStep',
      /parameter 17 is/,
    ],
    [
      'for one wrong sum, from which everything else follows',
      { sum: (sum) => void (sum[30] = (sum[30] ?? 0) + 1e6) },
      'question',
      'askChunk',
      /the sum of node 0 of level 0/,
    ],
    [
      'for a weight that is not that of the samples',
      { headers: (headers) => headers.map((h, i) => (i === 1 ? { ...h, weight: h.weight + 1 } : h)) },
      'report',
      'unfitRunner',
      /contradicts itself/,
    ],
    [
      'for samples beyond those that were declared',
      { headers: (headers) => headers.map((h, i) => (i === 1 ? { ...h, samples: 61, weight: 61 } : h)) },
      'report',
      'overclaimed',
      /more samples than it had declared/,
    ],
    [
      'for a runner that is there twice',
      { headers: ([a, b, c]) => [a, b, b, c].flatMap((h, index) => (h ? [{ ...h, index }] : [])) },
      'report',
      'unordered',
      /out of order or there twice/,
    ],
    [
      'for a runner that was not selected',
      { opening: ({ selection }) => void selection.splice(1, 1) },
      'report',
      'unselected',
      /was not selected/,
    ],
    [
      'for a runner nobody knows',
      {
        headers: async (headers) =>
          Promise.all(
            headers.map(async (h, i) => {
              const unknown = new Wallet(id('nobody'));
              return i === 2
                ? { ...h, runner: `0x${'ff'.repeat(20)}` as Hex, signature: await lies(unknown) }
                : h;
            }),
          ),
      },
      'report',
      'unfitRunner',
      /had no stake/,
    ],
    [
      'for a signature that is of another key',
      {
        headers: (headers, sign) =>
          Promise.all(
            headers.map(async (h, i) =>
              i === 1 ? { ...h, signature: await sign(h.runner, { ...h, round: 2, by: stranger }) } : h,
            ),
          ),
      },
      'question',
      'askLeaf',
      /signature of runner .* does not hold/,
    ],
    [
      'for a round that builds on another version than the last',
      { opening: (opening) => void (opening.baseVersion = id('elsewhere') as Hex) },
      'report',
      'wrongOpening',
      /another job, round, spec or base/,
    ],
    [
      'for a manifest that does not lead to the root header',
      { manifest: (manifest) => void (manifest.rootHeader = id('nothing') as Hex) },
      'question',
      'askRoot',
      /does not lead to its root header/,
    ],
  ];
  test.each(cases)('%s', async (name, falsify, kind, call, what) => {
    const { chain } = stack;
    const lying = await writeHistory(stack, name, falsify);
    const sources = sourcesOf(lying);
    expect(await accuse(sources, lying.job, 1)).toBeNull();
    const accusation = await accuse(sources, lying.job, 2);
    if (!accusation) throw new Error('Nothing was found wrong.');
    expect([accusation.kind, accusation.what]).toEqual([kind, expect.stringMatching(what)]);
    expect(nameOf(accusation)).toBe(call);

    const before = await chain.balance(addressOf(stranger));
    const reporter = stack.sender(stranger);
    const sent = await fileAccusation(chain, reporter, accusation);
    if (kind === 'question') await expire(sent.block);
    expect(await chain.escrow(lying.job)).toMatchObject({ phase: 'convicted', bond: 0n, closed: 1 });
    expect((await chain.balance(addressOf(stranger))) - before).toBe((bond * 30n) / 100n);
  });
});

describe('an honest coordinator', () => {
  test('has nothing that a watcher would report', async () => {
    for (const round of [1, 2]) expect(await accuse(sourcesOf(honest), honest.job, round)).toBeNull();
  });

  test('is not hurt by evidence that shows nothing wrong, nor by evidence that is not of the round', async () => {
    const { chain } = stack;
    const { place, sum, updates } = await honestSum('accused in vain');
    const { sums } = chainCalls(stack.deployment).judges;
    await expect(file(sums.wrongSum(place, sum, updates))).rejects.toMatchObject({
      details: { error: 'NothingWrong' },
    });
    const falsified = updates.map((update, i) =>
      i === 0 ? { ...update, values: `${update.values.slice(0, -2)}01` as Hex } : update,
    );
    await expect(file(sums.wrongSum(place, sum, falsified))).rejects.toMatchObject({
      details: { error: 'WrongChunk' },
    });
    expect(await chain.escrow(place.job)).toMatchObject({ phase: 'running', bond: 4_000n });
  });

  test('answers a question, wins its bond, and nothing becomes final before', async () => {
    const { chain, anvil, calls, member, deployment } = stack;
    const { place, sum, updates, leaf, previous, openHash, signature } = await honestSum('asked');
    const judge = typedContract(dataJudgeAbi, deployment.judges.data, chain.provider);
    const price = await judge.read.bond();
    const asker = stack.sender(stranger);
    await asker.send('ask leaf', { ...judge.call.askLeaf(place, 0n), value: price });
    await asker.send('ask chunk', { ...judge.call.askChunk(place, 0n), value: price });
    await anvil.provider.send('evm_increaseTime', [59]);
    const release = calls.jobs.release(place.job, 1);
    await anvil.provider.send('evm_increaseTime', [1]);
    await anvil.provider.send('evm_mine', []);
    await expect(asker.send('release', release)).rejects.toMatchObject({ details: { error: 'NotFinal' } });

    const coordinator = stack.sender(member);
    const wei = () => anvil.provider.getBalance(member.address);
    const before = await wei();
    await expect(
      coordinator.send('wrong', judge.call.answerLeaf(place, 0n, leaf, signature, 8n, previous, openHash)),
    ).rejects.toMatchObject({ details: { error: 'AnswerWrong' } });
    await coordinator.send(
      'answer',
      judge.call.answerLeaf(place, 0n, leaf, signature, 7n, previous, openHash),
    );
    await coordinator.send('answer chunk', judge.call.answerChunk(place, sum, updates));
    expect((await wei()) - before).toBeGreaterThan(price);
    await asker.send('release', release);
    expect(await chain.escrow(place.job)).toMatchObject({ phase: 'running', released: 1 });
  });
});

test('a liar that answers is led to the one chunk that it cannot answer for', async () => {
  const { chain, member, deployment } = stack;
  const judge = typedContract(dataJudgeAbi, deployment.judges.data, chain.provider);
  const position = 300 * 64 + 5;
  const round = await closeRandomRound(
    stack,
    'bisected',
    { runners: 3, dimension: 400 * 64 - 1, seed: 7 },
    {
      sums: (levels) => {
        const sum = levels[0]?.[0];
        if (sum) sum[position] = (sum[position] ?? 0) + 1;
      },
    },
  );
  const { evidence, updates } = round;
  const [[truth] = []] = exactSums(evidence.levels, evidence.facts.headers, updates);
  const committed = round.sums[0]?.[0];
  const job = await chain.job(round.job);
  if (!truth || !committed || !job) throw new Error('The round has no sum.');
  const known = { sources: sourcesOf(honest), evidence, job };
  const tree = valuesTree(sha256, LEAF.sum, committed);
  const asked: string[] = [];
  for (;;) {
    const call = await nextQuestion(known, { level: 0, index: 0 }, truth);
    const parsed = new Interface(dataJudgeAbi as unknown as InterfaceAbi).parseTransaction({
      data: call.data,
    });
    asked.push(`${parsed?.name} ${String(parsed?.args[1])}`);
    const sent = await fileAccusation(chain, stack.sender(stranger), { what: '', kind: 'question', call });
    if (parsed?.name === 'askChunk') {
      await expire(sent.block);
      break;
    }
    const [, height = 0n, index = 0n] = (parsed?.args[1] ?? []) as bigint[];
    const below = Math.max(0, Number(height) - 8);
    const row = rowAt(sha256, tree, below);
    const span = 2 ** (Number(height) - below);
    const nodes = row.slice(Number(index) * span, (Number(index) + 1) * span);
    const siblings = proofAbove(tree, Number(height), Number(index));
    const place = evidence.place({ level: 0, index: 0 });
    const inner = { tree: 0n, height, index };
    await stack
      .sender(member)
      .send(`answer ${asked.length}`, judge.call.answerNodes(place, inner, nodes, siblings));
  }
  expect(asked).toEqual(['askNodes 0,9,0', 'askNodes 0,1,150', 'askChunk 300']);
  expect(await chain.escrow(round.job)).toMatchObject({ phase: 'convicted' });
});

test('a report can be made only by whoever committed to it', async () => {
  const { chain } = stack;
  const lying = await writeHistory(stack, 'copied', {
    params: (params) => void (params[3] = (params[3] ?? 0) + 1),
  });
  const accusation = await accuse(sourcesOf(lying), lying.job, 2);
  if (!accusation) throw new Error('Nothing was found wrong.');
  const copier = stack.sender(stack.founder);
  await expect(copier.send('copied', accusation.call)).rejects.toMatchObject({
    details: { error: 'NotCommitted' },
  });
  await fileAccusation(chain, stack.sender(stranger), accusation);
  await expect(fileAccusation(chain, copier, accusation)).rejects.toMatchObject({
    details: { error: 'NotClosed' },
  });
});

test('after a conviction honest work is paid from the bond, and another member goes on', async () => {
  const { chain, calls, deployment, founder, anvil } = stack;
  const shape = { runners: 3, dimension: 70, seed: 31 };
  const lie = { params: (params: Int32Array) => void (params[69] = (params[69] ?? 0) + 1) };
  const round = await closeRandomRound(stack, 'replaced', shape, lie);
  const { evidence, job } = round;
  const { closing: word } = await chain.commitments(job, 1);
  await file(chainCalls(deployment).judges.sums.wrongStep(...round.stepEvidence(1)));

  const { leaves } = chainCalls(deployment).judges;
  const total = evidence.facts.headers.reduce((sum, { weight }) => sum + weight, 0);
  for (const [i, header] of evidence.facts.headers.entries()) {
    const { place, child } = evidence.placeOf(i);
    const work = {
      closedAt: BigInt(wordTime(word ?? '0x')),
      child,
      leaf: evidence.leaf(i),
      opened: round.opened,
      selected: round.selected(i),
      signature: header.signature,
      steps: 7n,
    };
    const before = await chain.balance(header.runner);
    await stack.sender(stranger).send(`compensate ${i}`, leaves.compensate(place, work));
    const paid = (await chain.balance(header.runner)) - before;
    expect(paid).toBe((700n * BigInt(header.weight)) / BigInt(total));
    await expect(
      stack.sender(stranger).send(`again ${i}`, leaves.compensate(place, work)),
    ).rejects.toMatchObject({ details: { error: 'CompensatedBefore' } });
  }

  const next = new Wallet(id('next member'));
  await giveEther(anvil, next);
  const who = addressOf(next);
  await stack.sender(founder).send('admit', calls.consortium.addMember(who, 'next', ''));
  await stack.sender(founder).send('next/tokens', calls.token.transfer(who, 4_000n));
  const taker = stack.sender(next);
  await taker.send('next/approve', calls.token.approve(deployment.jobs, 4_000n));
  await expect(taker.send('too little', calls.jobs.takeOver(job, 3_999n))).rejects.toMatchObject({
    details: { error: 'BondTooSmall' },
  });
  await taker.send('take over', calls.jobs.takeOver(job, 4_000n));
  await taker.send('next/open', calls.jobs.open(job, 1, id('anew') as Hex));
  await taker.send(
    'next/close',
    calls.jobs.close({ ...evidence.facts.closing, rootHeader: id('right') as Hex }),
  );
  expect(await chain.escrow(job)).toMatchObject({ coordinator: who, phase: 'running', closed: 1 });
});

test('a runner that signs twice for one opening loses its stake', async () => {
  const { chain, deployment } = stack;
  const [runner] = runnerWallets;
  if (!runner) throw new Error('There are no runners.');
  const domain = updateDomain(deployment.chainId, deployment.jobs);
  const sign = (updateRoot: string) =>
    runner.signTypedData(domain, updateTypes, update(updateRoot)) as Promise<Hex>;
  const [one, other] = [await sign('one'), await sign('other')];
  const { leaves } = chainCalls(deployment).judges;
  const who = addressOf(runner);
  await expect(file(leaves.signedTwice(who, update('one'), one, update('one'), one))).rejects.toMatchObject({
    details: { error: 'NothingWrong' },
  });
  await expect(file(leaves.signedTwice(who, update('one'), one, update('other'), one))).rejects.toMatchObject(
    { details: { error: 'NotSigned' } },
  );
  const before = await chain.balance(addressOf(stranger));
  await file(leaves.signedTwice(who, update('one'), one, update('other'), other));
  expect(await chain.runner(who)).toMatchObject({ stake: 0n });
  expect((await chain.balance(addressOf(stranger))) - before).toBe(30n);
});

const file = (call: Accusation['call']) =>
  fileAccusation(stack.chain, stack.sender(stranger), { what: '', kind: 'report', call });

/** An honest round of three runners and one chunk, with what shows its sum. */
async function honestSum(name: string) {
  const round = await closeRandomRound(stack, name, { runners: 3, dimension: 64, seed: 5 });
  const { evidence, updates, sums, opened, openHash } = round;
  const place = evidence.place({ level: 0, index: 0 });
  const signature = evidence.facts.headers[0]?.signature ?? '0x';
  return {
    place,
    sum: chunkOf(sha256, LEAF.sum, sums[0]?.[0] ?? new Float64Array(), 0),
    updates: updateChunks(sha256, evidence, 0, updates, 0),
    leaf: evidence.leaf(0),
    previous: opened.previous,
    openHash,
    signature,
  };
}

function update(updateRoot: string) {
  return {
    job: id('signed twice') as Hex,
    round: 1n,
    openHash: id('opening') as Hex,
    updateRoot: id(updateRoot) as Hex,
    dimension: 43n,
    samples: 10n,
    steps: 10n,
  };
}

/** Siblings of a node and of those above it. */
function proofAbove(tree: MerkleTree, height: number, index: number): Hex[] {
  return tree
    .proof(index * 2 ** height)
    .slice(height)
    .map(toHex);
}

function sourcesOf(history: History): AuditSources {
  return {
    chain: stack.chain,
    archive: history.archive,
    hash: sha256,
    updateSource: updatesOf(history),
  };
}

/** Nobody answers: the question's time passes, and anyone ends it. */
async function expire(block: number): Promise<void> {
  const { chain, anvil } = stack;
  const judge = typedContract(dataJudgeAbi, chain.deployment.judges.data, chain.provider);
  const [log] = await chain.provider.getLogs({
    address: judge.address,
    topics: judge.topics('Asked', {}) as string[],
    fromBlock: block,
  });
  if (!log) throw new Error('Nothing was asked.');
  const { question } = judge.parse('Asked', log).args;
  const anyone = stack.sender(stack.founder);
  await expect(anyone.send(`early ${question}`, judge.call.expire(question))).rejects.toMatchObject({
    details: { error: 'NotDue' },
  });
  await anvil.provider.send('evm_increaseTime', [60]);
  await anvil.provider.send('evm_mine', []);
  await anyone.send(`expire ${question}`, judge.call.expire(question));
}

function nameOf({ call }: Accusation): string {
  const { judges } = stack.deployment;
  const abis = [sumJudgeAbi, leafJudgeAbi, dataJudgeAbi];
  for (const [i, address] of [judges.sums, judges.leaves, judges.data].entries())
    if (address === call.to)
      return new Interface(abis[i] as InterfaceAbi).parseTransaction({ data: call.data })?.name ?? '';
  return '';
}

function lies(wallet: Wallet): Promise<Hex> {
  return wallet.signMessage('nothing of the kind') as Promise<Hex>;
}

async function registerRunner(wallet: Wallet): Promise<void> {
  const { calls, deployment, founder, member, anvil } = stack;
  await giveEther(anvil, wallet);
  const who = addressOf(wallet);
  await stack.sender(founder).send(`fund ${who}`, calls.token.transfer(who, 100n));
  await stack.sender(wallet).send(`approve ${who}`, calls.token.approve(deployment.consortium, 100n));
  await stack.sender(wallet).send(`register ${who}`, calls.consortium.register(addressOf(member), 100n));
}
