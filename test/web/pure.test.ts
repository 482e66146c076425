import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { Interface } from 'ethers';
import { consortiumAbi } from '#contracts/generated/Consortium.js';
import { jobsAbi } from '#contracts/generated/Jobs.js';
import { rewardsAbi } from '#contracts/generated/Rewards.js';
import type { Hex } from '#core/hex.js';
import type { RoundView, VersionView } from '#core/views.js';
import { archiveIdToBytes32 } from '#services/archiveId.js';
import { sha256 as nodeSha256 } from '#services/sha256.js';
import { lineageRows, listedVersions, type LineageVersion } from '#web/lineage.js';
import { href, parseRoute } from '#web/state/route.js';
import { mergeRounds, settledRounds } from '#web/state/stack.js';
import { csv } from '#web/text/csv.js';
import { tokens } from '#web/text/format.js';
import { isValidSignatureCall } from '#web/verify/accounts.js';
import { ahead } from '#web/verify/ahead.js';
import { archiveIdOf, ChainView, claimCall, claimedCall, signatures } from '#web/verify/contracts.js';
import { id } from '#web/verify/keccak.js';
import type { ChainVersion } from '#web/verify/lineage.js';
import { words, type Rpc } from '#web/verify/rpc.js';
import { sha256 } from '#web/verify/sha256.js';

describe('the fragment that names a view', () => {
  test('leads back to the path that it was made of, whatever is in it', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ minLength: 1 })), (path) => {
        expect(parseRoute(href(...path)).path).toEqual(path);
      }),
    );
  });

  test('is read as it is when it cannot be decoded', () => {
    expect(parseRoute('#/jobs/%E0%A4%A').path).toEqual(['jobs', '%E0%A4%A']);
  });
});

describe('lineage in lanes', () => {
  test('a line without forks has one lane', () => {
    const rows = lineageRows([version(0, 'a', null), version(1, 'b', 'a'), version(2, 'c', 'b')]);
    expect(rows.map(({ version, lane, tip, down }) => [version.id, lane, tip, down])).toEqual([
      ['c', 0, true, true],
      ['b', 0, false, true],
      ['a', 0, false, false],
    ]);
  });

  test('a fork has a lane of its own, which ends where it forked off', () => {
    const versions = [
      version(0, 'a', null),
      version(1, 'b', 'a'),
      version(2, 'c', 'b'),
      version(1, 'x', 'a'),
    ];
    expect(lanes(versions)).toEqual({ c: 0, b: 0, a: 0, x: 1 });
    const fork = lineageRows(versions).find(({ version }) => version.id === 'x');
    expect(fork).toMatchObject({ tip: true, forkTo: 0 });
  });

  test('two thousand versions with a hundred forks take well under a second', () => {
    const versions = Array.from({ length: 2_000 }, (_, i) =>
      version(i, `v${i}`, i === 0 ? null : i % 20 === 0 ? `v${i - 7}` : `v${i - 1}`),
    );
    const begun = performance.now();
    expect(lineageRows(versions)).toHaveLength(2_000);
    expect(performance.now() - begun).toBeLessThan(500);
  });
});

describe('rounds that come in pieces', () => {
  test('only what follows the last settled round is asked for', () => {
    expect(settledRounds([])).toBe(0);
    expect(settledRounds([round(1, 'done'), round(2, 'done'), round(3, 'collecting')])).toBe(2);
    expect(settledRounds([round(1, 'done'), round(3, 'done')])).toBe(1);
    expect(settledRounds([round(901, 'done'), round(902, 'done'), round(903, 'collecting')])).toBe(902);
  });

  test('a newer state replaces an older one and never the other way round', () => {
    const held = { items: [round(1, 'done', 9), round(2, 'archiving', 5)] };
    const merged = mergeRounds(held, { items: [round(2, 'collecting', 3), round(3, 'selecting')] });
    expect(merged.items.map(({ round, phase }) => [round, phase])).toEqual([
      [1, 'done'],
      [2, 'archiving'],
      [3, 'selecting'],
    ]);
  });

  test('of a long job only the newest are kept', () => {
    const items = Array.from({ length: 150 }, (_, i) => round(i + 1, 'done'));
    const merged = mergeRounds({ items: items.slice(0, 100) }, { items: items.slice(100) });
    expect(merged.items.map(({ round }) => round)).toEqual(items.slice(50).map(({ round }) => round));
  });
});

describe('a version that its coordinator was convicted of', () => {
  test('is marked where the API lists it, and added where it does not', () => {
    const rows = listedVersions(
      [view('a'), view('b')],
      [chain('b', true, 3), chain('c', true, 4), chain('d', false, 5)],
    );
    expect(rows.map(({ version, isVoid, lineage }) => [version, isVoid, lineage])).toEqual([
      ['a', false, 'l'],
      ['b', true, 'l'],
      ['c', true, 'l'],
    ]);
  });

  test('that was made again by an honest one stands', () => {
    const rows = listedVersions([view('b')], [chain('b', true, 3), chain('b', false, 9)]);
    expect(rows.map(({ isVoid }) => isVoid)).toEqual([false]);
  });
});

describe('files and figures', () => {
  test('CSV quotes what needs it, and no cell is a formula', () => {
    expect(csv([['a,b', 'say "x"', '=1+1', null, 2]])).toBe(`"a,b","say ""x""",'=1+1,,2\r\n`);
  });

  test('token amounts are cut, never rounded up', () => {
    expect(tokens('2166666666666666666666')).toMatch(/^2.?166[.,]6666$/);
    expect(tokens('1999999999999999999')).toMatch(/^1[.,]9999$/);
  });
});

describe('what the page knows of the contracts', () => {
  test('every event and view is one that was compiled', () => {
    const faces = [jobsAbi, rewardsAbi, consortiumAbi].map(
      (abi) => new Interface(abi as unknown as string[]),
    );
    for (const [name, signature] of Object.entries(signatures)) {
      const found = faces.flatMap((face) => face.getEvent(name) ?? face.getFunction(name) ?? []);
      expect(found.map((fragment) => fragment.format('sighash'))).toEqual([signature]);
    }
    expect(id(signatures.RoundClosed)).toBe(faces[0]?.getEvent('RoundClosed')?.topicHash);
  });

  test('the newest round is read where the contract has it', async () => {
    const jobs = new Interface(jobsAbi as unknown as string[]);
    const answer = jobs.getFunction('jobs')?.outputs.map(({ name, type }) => {
      if (name === 'latest') return 7;
      return type === 'bool' ? true : type === 'address' ? `0x${'ab'.repeat(20)}` : 1;
    });
    const encoded = jobs.encodeFunctionResult('jobs', answer) as Hex;
    const rpc = { call: async () => words(encoded) } as unknown as Rpc;
    const nowhere = `0x${'0'.repeat(40)}` as const;
    const contracts = { chainId: 1, consortium: nowhere, jobs: nowhere, rewards: nowhere, block: 0 };
    expect(await new ChainView(rpc, contracts).latestRound(`0x${'1'.repeat(64)}`)).toBe(7);
  });

  test('a claim is encoded as ethers encodes it', () => {
    const leaf = {
      index: 2,
      account: `0x${'ab'.repeat(20)}` as const,
      cumulative: 7n,
      previous: 3n,
      totalPrefix: 40n,
      deltaRoot: new Uint8Array(32).fill(9),
      proof: [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)],
    };
    const payer = `0x${'cd'.repeat(20)}` as const;
    const { proof, ...fields } = leaf;
    const rewards = new Interface(rewardsAbi as unknown as string[]);
    expect(claimCall(payer, 5, leaf)).toBe(rewards.encodeFunctionData('claim', [payer, 5, fields, proof]));
    expect(claimedCall(payer, payer)).toBe(rewards.encodeFunctionData('claimed', [payer, payer]));
  });

  test('a contract account is asked as ethers encodes it', () => {
    const account = new Interface(['function isValidSignature(bytes32,bytes) view returns (bytes4)']);
    const digest = `0x${'12'.repeat(32)}` as const;
    for (const length of [65, 96, 300]) {
      const signature = `0x${'ab'.repeat(length)}` as const;
      const encoded = account.encodeFunctionData('isValidSignature', [digest, signature]);
      expect(isValidSignatureCall(digest, signature)).toBe(encoded);
      // The answer of a contract that agrees is the function's own selector.
      expect(encoded.slice(0, 10)).toBe('0x1626ba7e');
    }
  });

  test('what is asked ahead comes in order, with no more questions open than allowed', async () => {
    let open = 0;
    let most = 0;
    const ask = async (number: number) => {
      most = Math.max(most, (open += 1));
      await new Promise((resolve) => setTimeout(resolve, (number * 7) % 5));
      open -= 1;
      if (number === 25) throw new Error('refused');
      return number;
    };
    const numbers = Array.from({ length: 20 }, (_, i) => i);
    const got: number[] = [];
    for await (const number of ahead(numbers, 6, ask)) got.push(number);
    expect(got).toEqual(numbers);
    expect(most).toBe(6);
    const until25 = async () => {
      for await (const number of ahead([23, 24, 25, 26], 2, ask)) got.push(number);
    };
    await expect(until25()).rejects.toThrow('refused');
    expect(got.slice(20)).toEqual([23, 24]);
    expect(await ahead([], 6, ask).next()).toMatchObject({ done: true });
  });

  test('archive ids are those of the services', () => {
    const text = 'frkGPuTzi4t7sEIhBqHsULKzn0oMkjYbvXMdwsjcbbg';
    expect(archiveIdOf(archiveIdToBytes32(text))).toBe(text);
  });

  test('its SHA-256 is SHA-256', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(sha256(bytes)).toEqual(nodeSha256(bytes));
      }),
    );
  });
});

const chain = (version: string, isVoid: boolean, block: number) =>
  ({
    version,
    parent: 'a',
    job: 'j',
    round: 1,
    number: 1,
    lineage: null,
    isVoid,
    block,
  }) as unknown as ChainVersion;
const view = (id: string) =>
  ({
    model: { versionId: id },
    parent: null,
    lineage: 'l',
    number: 0,
    job: 'j',
    round: 0,
    updatedAt: '',
  }) as unknown as VersionView;

const version = (number: number, name: string, parent: string | null) =>
  ({ id: name, number, parent, round: number, order: '' }) as unknown as LineageVersion;
const lanes = (versions: LineageVersion[]) =>
  Object.fromEntries(lineageRows(versions).map(({ version, lane }) => [version.id, lane]));

const round = (number: number, phase: string, seq = 1) =>
  ({ round: number, phase, seq }) as unknown as RoundView;
