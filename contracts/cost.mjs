/**
 * What rounds cost on Base and Arbitrum at the fees below: `node contracts/cost.mjs` prints the tables of docs/costs.md
 * from contracts/gas.json and the bytes of each call. test/contracts/cost.test.ts fails when the document has others.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';

/** Stated, not ours, and not measured: docs/costs.md says where each comes from. Prices in wei and US dollars. */
const fees = {
  etherInDollars: 3_000,
  l1BaseFee: 1e9,
  l1BlobFee: 1e9,
  /** Wei for a unit of execution: the floors of both chains. */
  base: { gas: 2e6, baseFeeScalar: 2_269, blobFeeScalar: 1_055_762 },
  arbitrum: { gas: 1e7, blobOverhead: 1.1 },
};

const runnersInTables = [10, 1_000, 100_000];
const gas = JSON.parse(readFileSync(new URL('gas.json', import.meta.url), 'utf8'));

/** The lines of both tables in Markdown. */
export function costLines() {
  const calls = [
    ['a round in a running job (`closeAndOpen`)', gas['closeAndOpen'], words('h i h h h h h h')],
    ['release of budgets, once an epoch', gas['release, later'], words('h i')],
    ['an epoch of rewards', gas['publish, from the ninth epoch on'], words('i h i v h')],
    ...runnersInTables.map((runners) => [`a claim among ${count(runners)} accounts`, ...claim(runners)]),
    ['a wrong sum of 16 runners', gas['wrongSum, 16 runners, depth 15'], words('h '.repeat(530).trim())],
  ];
  const [round, release, epoch] = calls.map(([, used, bytes]) => dollars(used, bytes));
  return [
    '| call | gas | bytes | Base, execution | Base, data | Base | Arbitrum, execution | Arbitrum, data | Arbitrum |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...calls.map(([what, used, bytes]) => {
      const { base, arbitrum } = dollars(used, bytes);
      const parts = [base, arbitrum].flatMap(({ execution, data }) => [execution, data, execution + data]);
      return row([what, count(used), count(bytes.length), ...parts.map(money)]);
    }),
    '',
    '| runners | coordinator, a round | with an epoch of its own | a claim | all claims, once in 100 rounds, a round |',
    '| --- | --- | --- | --- | --- |',
    ...runnersInTables.map((runners) => {
      const paid = dollars(...claim(runners));
      return row([
        count(runners),
        both((chain) => total(round[chain])),
        both((chain) => total(round[chain]) + total(release[chain]) + total(epoch[chain])),
        both((chain) => total(paid[chain])),
        both((chain) => (runners * total(paid[chain])) / 100),
      ]);
    }),
  ];
}

/** Measured up to 1,000 accounts; beyond, each doubling adds as much as between 16 and 1,000. */
function claim(runners) {
  const depth = Math.ceil(Math.log2(runners));
  const [few, many] = [gas['claim, later, 16 leaves'], gas['claim, later, 1,000 leaves']];
  return [
    Math.round(few + ((many - few) * (depth - 4)) / 6),
    words(`a i i a v v v h i i${' h'.repeat(depth)}`),
  ];
}

/** Calldata: h a hash, a an address, v an amount, i a small number. */
function words(kinds) {
  const lengths = { h: 32, a: 20, v: 9, i: 2 };
  const each = kinds.split(' ').map((kind, i) => {
    const hash = createHash('sha256').update(`${kind} ${i}`).digest().subarray(0, lengths[kind]);
    return Buffer.concat([Buffer.alloc(32 - hash.length), hash]);
  });
  return Buffer.concat([Buffer.from('1badc0de', 'hex'), ...each]);
}

/** Execution and data of one transaction on both chains. */
function dollars(used, calldata) {
  const { base, arbitrum, l1BaseFee, l1BlobFee } = fees;
  // Signature, nonce, fees and receiver: no call can do without.
  const transaction = Buffer.concat([
    calldata,
    createHash('sha512').update('').digest(),
    Buffer.alloc(46, 7),
  ]);
  // Base: the upper bound of its own oracle, which takes nothing to be compressible.
  const compressed = transaction.length + transaction.length / 255 + 16;
  const estimated = Math.max(100, -42.5856 + 0.8365 * compressed);
  const perByte = (16 * base.baseFeeScalar * l1BaseFee + base.blobFeeScalar * l1BlobFee) / 1e6;
  const brotli = brotliCompressSync(transaction, { params: { [constants.BROTLI_PARAM_QUALITY]: 0 } }).length;
  return {
    base: { execution: inDollars(used * base.gas), data: inDollars(estimated * perByte) },
    arbitrum: {
      execution: inDollars(used * arbitrum.gas),
      data: inDollars(brotli * arbitrum.blobOverhead * l1BlobFee),
    },
  };
}

const both = (of) => ['base', 'arbitrum'].map((chain) => money(of(chain))).join(' / ');
const inDollars = (wei) => (wei / 1e18) * fees.etherInDollars;
const total = ({ execution, data }) => execution + data;
const row = (cells) => `| ${cells.join(' | ')} |`;
const count = (number) => number.toLocaleString('en-US');
const money = (amount) => (amount < 1 ? amount.toFixed(5) : amount.toFixed(2));

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) console.log(costLines().join('\n'));
