import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { exampleVariables } from '#infra/exampleVariables.js';
import { functions, type FunctionName } from '#infra/functions.js';
import { distFile, projectRoot } from '#local/paths.js';
import { cacheFolder } from '#local/temporal/cache.js';
import type { Emit } from './main.js';
import { median } from './measure.js';

const execute = promisify(execFile);
/** Lambda's runtime is nodejs24.x; a checkout may run on an older one. */
const nodeVersion = '24.21.0';
const starts = 7;

interface Start {
  milliseconds: number;
  busy: number;
  megabytes: number;
}

/**
 * What Lambda does before a function's first event, in a bare Node 24 from npm: a process, the bundle, its clients.
 * The ratio is to the start of the same Node with an empty module.
 */
export async function run(emit: Emit): Promise<void> {
  const node = await bareNode();
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-cold-'));
  try {
    // Away from the checkout, so that nothing is found that a Lambda would not have.
    cpSync(distFile('lambda'), folder, { recursive: true });
    writeFileSync(join(folder, 'empty.mjs'), 'export const handler = () => undefined;\n');
    const empty = await measure(node, folder, join(folder, 'empty.mjs'), {});
    emit({ function: 'none', node: nodeVersion, ...rounded(empty) });
    for (const [name, shape] of Object.entries(functions)) {
      const file = join(folder, name as FunctionName, 'index.mjs');
      const variables = Object.fromEntries(shape.variables.map((key) => [key, exampleVariables[key]]));
      const start = await measure(node, folder, file, variables);
      emit({
        function: name,
        node: nodeVersion,
        gzippedKilobytes: Math.round(gzipSync(readFileSync(file), { level: 9 }).length / 1000),
        ...rounded(start),
        ratioToEmpty: Number((start.process / empty.process).toFixed(2)),
      });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Medians of some starts. @returns process: milliseconds from its start to its end */
async function measure(
  node: string,
  cwd: string,
  file: string,
  variables: Record<string, string>,
): Promise<Start & { process: number }> {
  const env = { AWS_REGION: 'eu-central-1', AWS_EC2_METADATA_DISABLED: 'true', ...variables };
  const probe = join(projectRoot, 'test/infra/coldStart.mjs');
  const seen: (Start & { process: number })[] = [];
  for (let start = 0; start < starts; start++) {
    const began = performance.now();
    const { stdout } = await execute(node, [probe, file], { cwd, env });
    seen.push({ ...(JSON.parse(stdout) as Start), process: performance.now() - began });
  }
  const of = (name: keyof (typeof seen)[number]): number => median(seen.map((start) => start[name]));
  return {
    milliseconds: of('milliseconds'),
    busy: of('busy'),
    megabytes: of('megabytes'),
    process: of('process'),
  };
}

const rounded = ({ milliseconds, busy, megabytes, process: whole }: Start & { process: number }) => ({
  loadMilliseconds: Math.round(milliseconds),
  processMilliseconds: Math.round(whole),
  processorMilliseconds: Math.round(busy),
  residentMegabytes: Math.round(megabytes),
});

/** The binary alone, kept in the cache for all checkouts. */
async function bareNode(): Promise<string> {
  const name = `node-${process.platform}-${process.arch}`;
  const folder = join(cacheFolder(process.env), `${name}-${nodeVersion}`);
  const binary = join(folder, 'node_modules', name, 'bin/node');
  if (!existsSync(binary))
    await execute('npm', [
      'install',
      '--prefix',
      folder,
      '--no-save',
      '--no-audit',
      '--no-fund',
      `${name}@${nodeVersion}`,
    ]);
  return binary;
}
