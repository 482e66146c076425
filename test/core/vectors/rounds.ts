/** What rounds commit to and runners sign (PROTOCOL sections 2, 5 and 6). */
import { Signature, TypedDataEncoder, Wallet } from 'ethers';
import { aggregationHeaders, nodeHeader, runnerHeader, type RunnerHeader } from '#core/commitment.js';
import { updateDomain, updateTypes } from '#core/eip712.js';
import { toHex, ZERO_HASH } from '#core/hex.js';
import { openHash, selectionLeaf, selectionTree, type Selected } from '#core/openHash.js';
import { sha256 } from '#services/sha256.js';
import { U64, bytes, hex, filled, indices } from './inputs.js';

function selection(count: number): Selected[] {
  return indices(count)
    .map((i) => ({ runner: hex(`runner ${i}`, 20), maxSamples: 2_000 + i }))
    .sort((a, b) => (a.runner < b.runner ? -1 : 1));
}

export function openings(): unknown {
  const edges: (Selected & { index: number })[] = [
    { index: 0, runner: hex('runner 0', 20), maxSamples: 2_000 },
    { index: 2 ** 32 - 1, runner: filled('ff', 20), maxSamples: U64 },
    { index: 1, runner: filled('00', 20), maxSamples: 0n },
  ];
  return {
    selectionLeaves: edges.map(({ index, runner, maxSamples }) => ({
      index,
      runner,
      maxSamples: String(maxSamples),
      hash: toHex(selectionLeaf(sha256, index, { runner, maxSamples })),
    })),
    openings: [
      { round: 1, shift: 0, count: 1 },
      { round: 2, shift: 3, count: 4 },
      { round: 2 ** 32 - 1, shift: 63, count: 17 },
    ].map(({ round, shift, count }) => {
      const selected = selection(count);
      const opening = {
        job: hex(`job ${round}`),
        round,
        baseVersion: hex(`base ${round}`),
        specHash: hex('spec'),
        shift,
      };
      return {
        ...opening,
        count,
        selection: selected.map(({ runner, maxSamples }) => ({ runner, maxSamples: String(maxSamples) })),
        selectionRoot: toHex(selectionTree(sha256, selected).root),
        hash: openHash(sha256, { ...opening, selection: selected }),
      };
    }),
  };
}

export async function statements(): Promise<unknown> {
  const cases = [
    { chainId: 31337, round: 1, dimension: 5_994n, samples: 2_000n, steps: 200n },
    { chainId: 8453, round: 2 ** 32 - 1, dimension: U64, samples: U64, steps: U64 },
    { chainId: 1, round: 0, dimension: 0n, samples: 0n, steps: 0n },
  ];
  const updates = cases.map(async ({ chainId, round, dimension, samples, steps }, i) => {
    const wallet = new Wallet(hex(`key ${i}`));
    const domain = updateDomain(chainId, hex(`jobs ${i}`, 20));
    const hashes = { job: hex(`job ${i}`), openHash: hex(`open ${i}`), updateRoot: hex(`update ${i}`) };
    const statement = { ...hashes, round, dimension, samples, steps };
    return {
      chainId,
      verifyingContract: domain.verifyingContract,
      ...hashes,
      round,
      dimension: String(dimension),
      samples: String(samples),
      steps: String(steps),
      structHash: TypedDataEncoder.hashStruct('Update', updateTypes, statement),
      domainSeparator: TypedDataEncoder.hashDomain(domain),
      digest: TypedDataEncoder.hash(domain, updateTypes, statement),
      signature: Signature.from(await wallet.signTypedData(domain, updateTypes, statement)).serialized,
      signer: wallet.address.toLowerCase(),
    };
  });
  return { updates: await Promise.all(updates) };
}

export function headers(): unknown {
  const edge: RunnerHeader = {
    index: 2 ** 32 - 1,
    runner: filled('ff', 20),
    updateRoot: ZERO_HASH,
    samples: U64,
    weight: 2 ** 32 - 1,
    signature: filled('00', 65),
  };
  const four = runnersOf(4);
  return {
    runners: [...four, edge].map((header) => ({
      ...header,
      samples: String(header.samples),
      hash: toHex(runnerHeader(sha256, header)),
    })),
    nodes: [
      node(
        'one',
        600n,
        1,
        four.slice(0, 1).map((header) => runnerHeader(sha256, header)),
      ),
      node(
        'four',
        2_406n,
        4,
        four.map((header) => runnerHeader(sha256, header)),
      ),
      node(
        'sixteen',
        U64,
        2 ** 32 - 1,
        indices(16).map((i) => bytes(`child ${i}`)),
      ),
    ],
    aggregations: [4, 17, 40].map((count) => {
      const runners = runnersOf(count);
      const bottom = indices(Math.ceil(count / 16)).map((i) => bytes(`sum 0 ${i}`));
      const sumRoots = count > 16 ? [bottom, [bytes('sum 1 0')]] : [bottom];
      return {
        runners: runners.map((header) => ({ ...header, samples: String(header.samples) })),
        sumRoots: sumRoots.map((level) => level.map(toHex)),
        headers: aggregationHeaders(sha256, runners, sumRoots).map((level) => level.map(toHex)),
      };
    }),
  };
}

const runnersOf = (count: number): RunnerHeader[] =>
  selection(count).map(({ runner }, index) => ({
    index,
    runner,
    updateRoot: hex(`update ${runner}`),
    samples: 600 + index,
    weight: 600 + index,
    signature: hex(`signature ${runner}`, 65),
  }));

const node = (label: string, weight: bigint, count: number, children: readonly Uint8Array[]) => {
  const sumRoot = bytes(`sum ${label}`);
  const hash = toHex(nodeHeader(sha256, { sumRoot, weight, count, children }));
  return { sumRoot: toHex(sumRoot), weight: String(weight), count, children: children.map(toHex), hash };
};
