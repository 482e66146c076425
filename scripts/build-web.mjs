/**
 * Builds the page into dist/web: files with their hash in the name, one page that names them, relative URLs
 * throughout. The same sources give the same bytes, so that their hash can be compared.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { build } from 'esbuild';

const common = {
  bundle: true,
  minify: true,
  platform: 'browser',
  target: ['chrome123', 'firefox120', 'safari17.5'],
  format: 'esm',
  entryNames: '[name]-[hash]',
  metafile: true,
  logLevel: 'warning',
  legalComments: 'none',
};

const named = ['web/main.tsx', 'web/style.css', 'web/verify/worker.ts'];

/** @param outdir relative to the repository's root */
export async function buildWeb(outdir = 'dist/web') {
  rmSync(outdir, { recursive: true, force: true });
  mkdirSync(outdir, { recursive: true });
  const worker = outputOf(await build({ ...common, outdir, entryPoints: ['web/verify/worker.ts'] }));
  const [main, style] = await Promise.all([
    build({
      ...common,
      outdir,
      entryPoints: ['web/main.tsx'],
      jsx: 'automatic',
      jsxImportSource: 'preact',
      define: { WORKER_FILE: JSON.stringify(worker) },
      // What needs a wallet is a file of its own, fetched when somebody acts.
      splitting: true,
      chunkNames: '[name]-[hash]',
    }),
    build({ ...common, outdir, entryPoints: ['web/style.css'] }).then(outputOf),
  ]);
  const script = outputOf(main);
  const page = readFileSync('web/index.html', 'utf8')
    .replace('main.js', script)
    .replace('style.css', style)
    .replace('</title>', `</title>${sharedBy(main, `${outdir}/${script}`).map(preload).join('')}`);
  writeFileSync(`${outdir}/index.html`, page);
  writeFileSync(`${outdir}/icon.svg`, readFileSync('web/icon.svg'));
}

/** Files that the entry file imports at once; the browser learns of them with the page and not one by one. */
function sharedBy({ metafile }, entry) {
  const { imports } = metafile.outputs[entry];
  return imports.filter(({ kind }) => kind === 'import-statement').map(({ path }) => basename(path));
}

const preload = (file) => `\n    <link rel="modulepreload" href="${file}" />`;

/** An entry point is what was named; files that are loaded later are entry points to esbuild as well. */
function outputOf({ metafile }) {
  const entries = Object.entries(metafile.outputs).filter(([, { entryPoint }]) => entryPoint);
  const [file] = entries.find(([, { entryPoint }]) => named.includes(entryPoint)) ?? [];
  if (file === undefined) throw new Error('esbuild wrote no entry point');
  return basename(file);
}
