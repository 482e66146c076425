/**
 * Writes the example models: `node scripts/make-models.mjs [FOLDER]`. examples/mnist/cnn.onnx is committed; 2nn.onnx
 * (800 KB) is not, and is made wherever it is wanted. The same seed gives the same bytes.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = process.argv[2] ?? join(root, 'examples/mnist');
const bundle = await build({
  entryPoints: [join(root, 'examples/mnist/models.ts')],
  bundle: true,
  platform: 'node',
  format: 'esm',
  write: false,
});
const code = Buffer.from(bundle.outputFiles[0].contents).toString('base64');
const { cnn, twoLayers } = await import(`data:text/javascript;base64,${code}`);

mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'cnn.onnx'), cnn());
writeFileSync(join(folder, '2nn.onnx'), twoLayers());
