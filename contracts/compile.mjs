/**
 * Compiles the contracts with solc-js and writes contracts/generated/NAME.ts: the ABI as a literal type, and the
 * bytecode. `node contracts/compile.mjs`; test/contracts/generated.test.ts fails when it was forgotten.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** The EVM's rules that the bytecode needs (mcopy). Base, Arbitrum and OP have them; foundry.toml names the same. */
const evmVersion = 'cancun';
export const contractNames = [
  'Token',
  'Consortium',
  'Jobs',
  'Rewards',
  'SumJudge',
  'RobustJudge',
  'LeafJudge',
  'DataJudge',
  'ReceiptJudge',
  'SealJudge',
  'RewardJudge',
];

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

/** Text of every generated file by its path relative to the repository; throws with the compiler's messages. */
export function compile() {
  const solc = require('solc');
  const input = {
    language: 'Solidity',
    sources: Object.fromEntries(
      contractNames.map((name) => [`contracts/${name}.sol`, { content: source(`contracts/${name}.sol`) }]),
    ),
    settings: {
      evmVersion,
      optimizer: { enabled: true, runs: 100_000 },
      // No hash of the sources at the end: the bytecode changes only when what it does changes.
      metadata: { appendCBOR: false, bytecodeHash: 'none' },
      outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } },
    },
  };
  const output = JSON.parse(
    solc.compile(JSON.stringify(input), { import: (path) => ({ contents: source(path) }) }),
  );
  if (output.errors?.length) throw new Error(output.errors.map((error) => error.formattedMessage).join('\n'));
  return new Map(
    contractNames.map((name) => {
      const { abi, evm } = output.contracts[`contracts/${name}.sol`][name];
      return [`contracts/generated/${name}.ts`, generated(name, abi, evm.bytecode.object)];
    }),
  );
}

function source(path) {
  return readFileSync(path.startsWith('@') ? require.resolve(path) : join(root, path), 'utf8');
}

function generated(name, abi, bytecode) {
  const variable = name[0].toLowerCase() + name.slice(1);
  return [
    `// Written by contracts/compile.mjs from ${name}.sol.`,
    `export const ${variable}Abi = [`,
    ...abi.map((entry) => `  ${JSON.stringify(entry, withoutInternalTypes)},`),
    '] as const;',
    '',
    `export const ${variable}Bytecode =`,
    `  '0x${bytecode}';`,
    '',
  ].join('\n');
}

/** Struct and contract names say nothing to a caller. */
function withoutInternalTypes(key, value) {
  return key === 'internalType' ? undefined : value;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  for (const [path, text] of compile()) writeFileSync(join(root, path), text);
