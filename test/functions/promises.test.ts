/** What a stack's worker promises, as the API hands it out: receipts to their runners, closings to drawn members. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { id } from 'ethers';
import type { ClosingProposal } from '#core/attestations.js';
import { attestationTypes, updateDomain } from '#core/eip712.js';
import type { Hex } from '#core/hex.js';
import { closingHash } from '#services/chain/words.js';
import { signTypedData } from '#services/signatures.js';
import { apiApp } from '#functions/api/app.js';
import { archiveId } from '../services/chainStack.js';
import { keyOf } from '../support/receipts.js';
import {
  coordinator,
  member,
  runner,
  secondRunner,
  signedHeaders,
  startApi,
  stranger,
  type TestApi,
} from './testApi.js';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
}, 60_000);
afterAll(() => api?.stop());

const hash = (text: string): Hex => id(text) as Hex;
const signature = `0x${'ab'.repeat(64)}1b` as Hex;
const addressOf = ({ address }: { address: string }): Hex => address.toLowerCase() as Hex;

describe('receipts', () => {
  const job = hash('a job');
  const receipts = () =>
    [runner, secondRunner].map((of) => ({
      job,
      round: 1,
      openHash: hash('opening'),
      runner: addressOf(of),
      updateRoot: hash(of.address),
      signature,
      update: { dimension: 4, samples: 10, steps: 1, signature },
    }));

  test('are handed to their runner, and to nobody else', async () => {
    await api.parts.table.putReceipts(receipts());
    const rounds = [
      { job, round: 1 },
      { job, round: 2 },
    ];
    const own = await api.post('/v1/runners/receipts', { rounds }, { by: runner });
    expect(own.status).toBe(200);
    expect(own.body.items).toEqual([
      { job, round: 1, openHash: hash('opening'), updateRoot: hash(runner.address), signature },
    ]);
    const other = await api.post('/v1/runners/receipts', { rounds }, { by: secondRunner });
    expect(other.body.items).toMatchObject([{ updateRoot: hash(secondRunner.address) }]);
    for (const by of [member, stranger])
      expect((await api.post('/v1/runners/receipts', { rounds }, { by })).status).toBe(403);
  });

  test('are asked for by at most fifty rounds at once', async () => {
    const rounds = Array.from({ length: 51 }, (_, round) => ({ job, round: round + 1 }));
    const { status, body } = await api.post('/v1/runners/receipts', { rounds }, { by: runner });
    expect([status, body.code]).toEqual([400, 'INVALID_INPUT']);
  });
});

describe('attestations', () => {
  const proposal: ClosingProposal = {
    job: hash('attested'),
    round: 3,
    opening: hash('word'),
    rootHeader: hash('root'),
    paramsRoot: hash('params'),
    versionId: hash('version'),
    manifestHash: hash('manifest'),
    archiveId,
  };
  const { job, round } = proposal;
  const closing = closingHash(proposal.opening, proposal);
  const signed = (by: { privateKey: string }, of: Hex = closing) => {
    const { chainId, jobs } = api.parts.deployment;
    const statement = { job, round, closing: of };
    return {
      ...statement,
      signature: signTypedData(keyOf(by), updateDomain(chainId, jobs), attestationTypes, statement),
    };
  };
  test('of a drawn member are taken, for the closing that waits alone', async () => {
    await api.parts.table.proposeClosing(proposal);
    expect((await api.get('/v1/attestations')).body.items).toEqual([proposal]);
    expect(await send(member, signed(member, hash('another closing')))).toBe('NOT_FOUND');
    expect(await send(member, { ...signed(member), round: 4 })).toBe('NOT_FOUND');
    expect(await send(member, signed(coordinator))).toBe('BAD_SIGNATURE');
    expect(await send(member, signed(member), [addressOf(coordinator)])).toBe('FORBIDDEN');
    expect(await send(member, signed(member), null)).toBe('FORBIDDEN');
    expect(await send(runner, signed(runner))).toBe('FORBIDDEN');
    expect(await send(stranger, signed(stranger))).toBe('FORBIDDEN');
    expect(await api.parts.table.listAttestations(closing)).toEqual([]);
    const given = signed(member);
    for (const _ of [1, 2]) expect(await send(member, given)).toBeUndefined();
    expect(await api.parts.table.listAttestations(closing)).toEqual([
      { member: addressOf(member), signature: given.signature },
    ]);
    await api.parts.table.withdrawProposal(job, round);
    expect((await api.get('/v1/attestations')).body.items).toEqual([]);
    expect(await send(member, given)).toBe('NOT_FOUND');
  });
});

/** @param drawn stands for the chain's draw: the chain of this API has no rounds */
async function send(
  by: typeof member,
  message: object,
  drawn: Hex[] | null = [addressOf(member)],
): Promise<string | undefined> {
  const app = apiApp({ ...api.parts, membership: { ...api.parts.membership, drawn: async () => drawn } });
  const path = '/v1/attestations';
  const body = JSON.stringify(message);
  const headers = await signedHeaders('POST', path, body, { by });
  const answer = await app.request(path, { method: 'POST', headers, body });
  if (answer.status === 204) return undefined;
  return ((await answer.json()) as { code: string }).code;
}
