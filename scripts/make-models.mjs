/**
 * Writes the example models: `node scripts/make-models.mjs [FOLDER]`. examples/mnist/cnn.onnx is committed; 2nn.onnx
 * (800 KB) is not, and is made wherever it is wanted. The same seed gives the same bytes.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadSource } from './loadSource.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = process.argv[2] ?? join(root, 'examples/mnist');
const { cnn, twoLayers } = await loadSource(join(root, 'examples/mnist/models.ts'));

mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'cnn.onnx'), cnn());
writeFileSync(join(folder, '2nn.onnx'), twoLayers());
