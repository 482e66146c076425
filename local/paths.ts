import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The folder of Roundtable's package.json. The same code runs from the sources (tests) and from bundles that lie
 * one or more folders deep in dist/, so it is looked for upwards.
 */
export const projectRoot = findRoot(dirname(fileURLToPath(import.meta.url)));

/** A file that `npm run build` made: `distFile('local/events.js')`. */
export const distFile = (name: string): string => join(projectRoot, 'dist', name);

/** How a program that `npm run build` made is started, so that its errors name lines of the sources. */
export const nodeProgram = (name: string): { command: string; args: string[] } => ({
  command: process.execPath,
  args: ['--enable-source-maps', distFile(name)],
});

function findRoot(folder: string): string {
  const file = join(folder, 'package.json');
  if (existsSync(file)) {
    const manifest: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (
      typeof manifest === 'object' &&
      manifest !== null &&
      'name' in manifest &&
      manifest.name === 'roundtable'
    )
      return folder;
  }
  const parent = dirname(folder);
  if (parent === folder) throw new Error('package.json of roundtable was not found above the running file');
  return findRoot(parent);
}
