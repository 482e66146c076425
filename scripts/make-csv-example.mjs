/**
 * Writes what examples/own-csv ships: `node scripts/make-csv-example.mjs [FOLDER]`. The measurements are made up
 * (three kinds of flowers, four lengths, drawn from normal distributions with seed 1936); they stand for a table of
 * one's own. The network is an MLP of 4, 16 and 3 units from seed 1.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadSource } from './loadSource.mjs';

const folder = process.argv[2] ?? fileURLToPath(new URL('../examples/own-csv', import.meta.url));
mkdirSync(folder, { recursive: true });

const columns = ['sepal_length', 'sepal_width', 'petal_length', 'petal_width'];
/** Mean and standard deviation of each column, in cm. */
const kinds = {
  meadow: [
    [5.0, 0.35],
    [3.4, 0.38],
    [1.5, 0.17],
    [0.25, 0.11],
  ],
  harbour: [
    [5.9, 0.52],
    [2.8, 0.31],
    [4.3, 0.47],
    [1.3, 0.2],
  ],
  mountain: [
    [6.6, 0.64],
    [3.0, 0.32],
    [5.6, 0.55],
    [2.0, 0.27],
  ],
};

const models = new URL('../examples/mnist/models.ts', import.meta.url);
const { mlp, uniform } = await loadSource(fileURLToPath(models));

const random = uniform(1936);
const rows = Object.entries(kinds).flatMap(([name, lengths]) =>
  Array.from({ length: 250 }, () => [
    ...lengths.map(([mean, deviation]) => Math.max(0.1, mean + deviation * normal()).toFixed(1)),
    name,
  ]),
);
for (let i = rows.length - 1; i > 0; i--) {
  const j = Math.floor(random() * (i + 1));
  [rows[i], rows[j]] = [rows[j], rows[i]];
}
const csv = (some) => [[...columns, 'kind'], ...some].map((row) => row.join(',')).join('\n') + '\n';
writeFileSync(join(folder, 'flowers-train.csv'), csv(rows.slice(0, 600)));
writeFileSync(join(folder, 'flowers-held-out.csv'), csv(rows.slice(600)));

writeFileSync(join(folder, 'mlp.onnx'), mlp([4, 16, 3]));

/** Box and Muller. */
function normal() {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
