import { mkdirSync, readFileSync, writeFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { drawStack } from '#infra/drawing.js';
import { synthesiseApp, synthesiseCompute, type AppPlane, type Template } from '#infra/synthesis.js';
import { withExample } from './appPlane.js';

/**
 * Both planes of a production stage as files under test/infra/templates, so that every change of what is deployed is
 * read in a review. After a change that is meant: UPDATE_TEMPLATES=1 npm run infra:check, then read the difference.
 */
const folder = 'test/infra/templates';
const updating = process.env['UPDATE_TEMPLATES'] === '1';
let compute: Record<string, Template>;
let app: AppPlane;
beforeAll(async () => {
  [compute, app] = await withExample('production', async (settings) => {
    const place = { root: process.cwd(), folder: settings };
    return [await synthesiseCompute('production', place), await synthesiseApp('production', place)] as const;
  });
}, 10 * 60_000);

/** Without what changes from build to build: folders of this machine, hashes of files and bundles, ends of SST's names. */
function normal(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value === 'string')
    return value
      .replaceAll(process.cwd(), '.')
      .replace(/-[A-Z0-9]{8}\.(js|css)/g, '-HASH.$1')
      .replace(/\b(roundtable-production-\w+)-[a-z]{8}\b/g, '$1-HASH')
      .replace(/\b[0-9a-f]{64}\b/g, 'HASH');
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== undefined && typeof inner !== 'function')
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [String(normal(key)), normal(inner)]),
  );
}

function expectFile(path: string, text: string): void {
  if (updating) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(path, text);
  }
  expect(existsSync(path)).toBe(true);
  expect(text).toBe(readFileSync(path, 'utf8'));
}

const page = (value: unknown): string =>
  stringify(normal(value), { lineWidth: 0, aliasDuplicateObjects: false });

test.each(['Network', 'Database', 'Temporal', 'Gatekeeper', 'Worker', 'Fleet'])(
  'the stack %s is the one that was reviewed',
  (name) => {
    const { Resources, Outputs } = compute[name] ?? { Resources: {} };
    const { CDKMetadata: _, ...resources } = Resources;
    expectFile(join(folder, `${name.toLowerCase()}.yaml`), page({ Resources: resources, Outputs }));
  },
);

test('the app plane is the one that was reviewed', () => {
  const resources = app.resources
    // Components are groups of the resources that follow; files of the page are as many as its build makes.
    .filter(({ type, name }) => type.startsWith('aws:') && !/^Page-.*-[A-Z0-9]{8}\./.test(name))
    .map(({ type, name, inputs }) => [`${type} ${String(normal(name))}`, inputs] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  expectFile(join(folder, 'app.yaml'), page(Object.fromEntries(resources)));
});

test('docs/stack.svg shows what both planes create', () => {
  expectFile('docs/stack.svg', drawStack(compute, app));
});
