/** Drawn members before a round closes: they sign for what they have recomputed, and for nothing else. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { id, Wallet } from 'ethers';
import { Attester, type AttestationView, type ProposingStack } from '#audit/attester.js';
import { Watcher, type Observation } from '#audit/watcher.js';
import type { Attestation, ClosingProposal } from '#core/attestations.js';
import { attestationTypes, updateDomain } from '#core/eip712.js';
import type { Hex } from '#core/hex.js';
import { closingHash } from '#services/chain/words.js';
import { sha256 } from '#services/sha256.js';
import { signTypedData, typedDataSigner } from '#services/signatures.js';
import { addressOf, giveEther, type ChainStack } from '#test/services/chainStack.js';
import { keyOf } from '#test/support/receipts.js';
import { sourcesOf, startCourt } from './court.js';
import { updatesOf, writeHistory, type History } from './history.js';
import { archiveOf } from './memoryArchive.js';

let stack: ChainStack;
const honest = new Wallet(id('an honest member'));
const colluding = new Wallet(id('a colluding member'));

beforeAll(async () => {
  stack = await startCourt();
  for (const wallet of [honest, colluding]) {
    await giveEther(stack.anvil, wallet);
    const admit = stack.calls.consortium.addMember(addressOf(wallet), 'south', '');
    await stack.sender(stack.founder).send(`admit ${wallet.address}`, admit);
  }
  // A chain's first history is paid, which takes it beyond its window.
  await writeHistory(stack, 'paid');
}, 60_000);
afterAll(() => stack.stop());

/** What a proposing stack was sent, and what the attester said. */
interface Heard {
  sent: Attestation[];
  views: AttestationView[];
}

/** A member that holds the updates looks at what a coordinator wants to close its round with. */
async function shown(
  proposal: ClosingProposal,
  updates: History['updates'],
  change: Partial<ProposingStack> = {},
  attester = attesterOf(honest),
): Promise<Heard> {
  const heard: Heard = { sent: [], views: [] };
  const proposing: ProposingStack = {
    coordinator: addressOf(stack.member),
    proposals: async () => [proposal],
    updateSource: updatesOf({ updates }),
    attest: async (attestation) => void heard.sent.push(attestation),
    ...change,
  };
  await attester.look(
    [proposing],
    (view) => heard.views.push(view),
    (_, error) => {
      throw error;
    },
  );
  return heard;
}

function attesterOf(wallet: Wallet): Attester {
  return new Attester(
    { chain: stack.chain, archive: archiveOf(stack), hash: sha256 },
    {
      address: addressOf(wallet),
      sign: (domain, types, statement) => signTypedData(keyOf(wallet), domain, types, statement),
    },
  );
}

/** The place of a member in the draw, with its signature. */
async function placed(job: Hex, by: Wallet, signature: Hex) {
  const drawn = (await stack.chain.drawn(job)) ?? [];
  return { place: drawn.indexOf(addressOf(by)), signature };
}

test('a round closes with the signature of a drawn member that recomputed it, and not before', async () => {
  const views: AttestationView[] = [];
  const collected = new Map<Hex, Uint8Array>();
  const history = await writeHistory(
    stack,
    'attested',
    {},
    {
      attesters: 1,
      collected,
      attest: async (proposal) => {
        // Without the updates nothing is signed; what it said is said once.
        const attester = attesterOf(honest);
        const blind = await shown(proposal, new Map(), {}, attester);
        expect(blind).toMatchObject({
          sent: [],
          views: [{ outcome: 'undecided', what: expect.stringContaining('not at hand') }],
        });
        expect((await shown(proposal, new Map(), {}, attester)).views).toEqual([]);
        const heard = await shown(proposal, collected, {}, attester);
        views.push(...heard.views);
        const [{ signature, closing } = { signature: '0x', closing: '0x' }] = heard.sent;
        const { chainId, jobs } = stack.deployment;
        const { job, round } = proposal;
        const domain = updateDomain(chainId, jobs);
        expect(closing).toBe(closingHash(proposal.opening, proposal));
        expect(typedDataSigner(domain, attestationTypes, { job, round, closing }, signature)).toBe(
          addressOf(honest),
        );
        // Decided once: the next look signs nothing anew.
        expect((await shown(proposal, collected, {}, attester)).sent).toEqual([]);
        return [await placed(job, honest, signature as Hex)];
      },
    },
  );
  expect(views.map(({ outcome, round }) => [round, outcome])).toEqual([
    [1, 'signed'],
    [2, 'signed'],
  ]);
  expect(await stack.chain.escrow(history.job)).toMatchObject({ closed: 2 });
});

test('a wrong sum is not signed, and convicted when another member signs it', async () => {
  const views: AttestationView[] = [];
  const collected = new Map<Hex, Uint8Array>();
  const lying = await writeHistory(
    stack,
    'colluding',
    { sum: (sum) => void (sum[30] = (sum[30] ?? 0) + 1e6) },
    {
      attesters: 1,
      collected,
      attest: async (proposal) => {
        const heard = await shown(proposal, collected);
        views.push(...heard.views);
        expect(heard.sent).toHaveLength(proposal.round === 1 ? 1 : 0);
        const { job, round, opening } = proposal;
        const { chainId, jobs } = stack.deployment;
        const closing = closingHash(opening, proposal);
        const statement = { job, round, closing };
        const signature = signTypedData(
          keyOf(colluding),
          updateDomain(chainId, jobs),
          attestationTypes,
          statement,
        );
        return [await placed(job, colluding, signature)];
      },
    },
  );
  expect(views).toMatchObject([
    { round: 1, outcome: 'signed' },
    { round: 2, outcome: 'refused', what: expect.stringContaining('is not that of the updates') },
  ]);
  expect(await stack.chain.escrow(lying.job)).toMatchObject({ closed: 2, phase: 'running' });
  const seen: Observation[] = [];
  const watcher = new Watcher(sourcesOf(stack, lying), stack.sender(honest));
  await watcher.look((observation) => seen.push(observation));
  expect(seen.find(({ job, number }) => job === lying.job && number === 2)).toMatchObject({
    outcome: 'asked',
  });
  await stack.anvil.provider.send('evm_increaseTime', [61]);
  await stack.anvil.provider.send('evm_mine', []);
  await watcher.look((observation) => seen.push(observation));
  expect(await stack.chain.escrow(lying.job)).toMatchObject({ closed: 1, phase: 'convicted', bond: 0n });
});

test('what is not due is not recomputed: of another coordinator, opening or job, or again and again', async () => {
  const collected = new Map<Hex, Uint8Array>();
  await writeHistory(
    stack,
    'hostile',
    {},
    {
      attesters: 1,
      collected,
      attest: async (proposal) => {
        const attester = attesterOf(honest);
        const nothing = { sent: [], views: [] };
        const other = { coordinator: addressOf(colluding) };
        expect(await shown(proposal, collected, other, attester)).toEqual(nothing);
        const elsewhere = { ...proposal, opening: id('another opening') as Hex };
        expect(await shown(elsewhere, collected, {}, attester)).toEqual(nothing);
        const unknown = { ...proposal, job: id('another job') as Hex };
        expect(await shown(unknown, collected, {}, attester)).toEqual(nothing);
        // Not drawn: nobody's member.
        expect(await shown(proposal, collected, {}, attesterOf(stack.founder))).toEqual(nothing);
        const outcomes = [];
        for (let tries = 0; tries < 5; tries++) {
          const wrong = { ...proposal, rootHeader: id(`root ${tries}`) as Hex };
          outcomes.push(...(await shown(wrong, collected, {}, attester)).views);
        }
        expect(outcomes.map(({ outcome }) => outcome)).toEqual(['refused', 'refused', 'refused']);
        const { sent } = await shown(proposal, collected);
        return [await placed(proposal.job, honest, sent[0]?.signature ?? '0x')];
      },
    },
  );
});
