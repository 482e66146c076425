import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { encodeDataset } from '#local/consortium/dataset.js';
import { parseMessage } from '#core/schema.js';
import { addVerb } from '../command.js';
import { readCsv, standardise } from '../data/csv.js';
import type { Verb } from '../run.js';
import { count } from '../terminal/format.js';

export const dataVerbs: Verb = (program, does) => {
  const data = program.command('data').description("a runner's data sets");

  addVerb(
    data,
    'import',
    'turn a CSV file of numbers and one label column into a data set (safetensors x, y)',
    'data import --csv train.csv --label species --standardise --scale scale.json --out data/train.safetensors',
    'data import --csv test.csv --label species --scale scale.json --out data/held-out.safetensors',
  )
    .requiredOption('--csv <file>', 'the table; its first line names the columns')
    .requiredOption('--label <column>', 'the column that holds the class')
    .requiredOption('--out <file>', 'where to write the data set')
    .option('--standardise', 'bring every column to mean 0 and deviation 1, and keep by what in --scale')
    .option('--scale <file>', 'means and deviations: written with --standardise, applied without it')
    .action(
      does<{ csv: string; label: string; out: string; standardise?: boolean; scale?: string }>(
        (context, options) => {
          const read = (file: string) => readFileSync(resolve(context.folder, file), 'utf8');
          const table = readCsv(read(options.csv), options.label, options.csv);
          if (options.standardise === true) {
            const scale = { columns: table.features, ...standardise(table) };
            if (options.scale !== undefined)
              write(resolve(context.folder, options.scale), JSON.stringify(scale, null, 2) + '\n');
          } else if (options.scale !== undefined)
            standardise(table, parseMessage(scaleFile, JSON.parse(read(options.scale)), options.scale));
          write(resolve(context.folder, options.out), encodeDataset(table));
          const facts = {
            samples: table.y.length,
            input: table.shape,
            classes: table.classes,
            labels: table.labels,
          };
          context.print({ file: options.out, ...facts }, () => [
            `${options.out}: ${count(facts.samples)} samples of shape [${facts.input.join(', ')}], ${facts.classes} classes (${facts.labels.map((name, i) => `${i}: ${name}`).join(', ')})`,
          ]);
        },
      ),
    );
};

const scaleFile = z.object({ mean: z.array(z.number()), deviation: z.array(z.number()) });

function write(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}
