/**
 * Builds the page into dist/web: files with their hash in the name, one page that names them, relative URLs
 * throughout. The same sources give the same bytes, so that their hash can be compared.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { build } from 'esbuild';

const outdir = 'dist/web';
const common = {
  bundle: true,
  minify: true,
  platform: 'browser',
  target: ['chrome123', 'firefox120', 'safari17.5'],
  format: 'esm',
  outdir,
  entryNames: '[name]-[hash]',
  metafile: true,
  logLevel: 'warning',
  legalComments: 'none',
};

export async function buildWeb() {
  rmSync(outdir, { recursive: true, force: true });
  mkdirSync(outdir, { recursive: true });
  const worker = outputOf(await build({ ...common, entryPoints: ['web/verify/worker.ts'] }));
  const [main, style] = await Promise.all([
    build({
      ...common,
      entryPoints: ['web/main.tsx'],
      jsx: 'automatic',
      jsxImportSource: 'preact',
      define: { WORKER_FILE: JSON.stringify(worker) },
    }).then(outputOf),
    build({ ...common, entryPoints: ['web/style.css'] }).then(outputOf),
  ]);
  const page = readFileSync('web/index.html', 'utf8').replace('main.js', main).replace('style.css', style);
  writeFileSync(`${outdir}/index.html`, page);
  writeFileSync(`${outdir}/icon.svg`, readFileSync('web/icon.svg'));
}

function outputOf({ metafile }) {
  const [file] = Object.entries(metafile.outputs).find(([, { entryPoint }]) => entryPoint) ?? [];
  if (file === undefined) throw new Error('esbuild wrote no entry point');
  return basename(file);
}
