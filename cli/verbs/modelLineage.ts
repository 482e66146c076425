import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { readLineage, type LineageVersion } from '#audit/index.js';
import { RoundtableError } from '#core/errors.js';
import { sha256 } from '#services/sha256.js';
import { addVerb, UsageError } from '../command.js';
import { openRecord, type RecordOptions } from '../model/record.js';
import { addRecordOptions } from '../model/recordOptions.js';
import { entriesOfRecord, lineageLines } from '../report/lineage.js';
import { lineageSvg } from '../report/lineageSvg.js';
import type { Does } from '../run.js';
import { wrap } from '../terminal/text.js';
import { paint } from '../terminal/theme.js';

export function addLineageVerb(model: Command, does: Does): void {
  const lineage = addVerb(
    model,
    'lineage [name]',
    'how versions descend from each other, and which stand, as chain and archive have it',
    'model lineage digits',
    'model lineage digits --svg digits.svg',
  ).option('--svg <file>', 'write the tree as a picture');
  addRecordOptions(lineage).action(
    does<RecordOptions & { svg?: string }>(async (context, options, name = '') => {
      const record = await openRecord(context, options);
      try {
        const sources = { chain: record.chain, archive: record.archive, hash: sha256 };
        const read = await readLineage(sources, name === '' ? undefined : name);
        const { versions, problems } = read;
        const lineages = [...new Set(versions.map((version) => version.lineage))];
        if (name !== '' && versions.length === 0)
          throw new RoundtableError('NOT_FOUND', `There is no lineage ${name}. \`model lineage\` shows all.`);
        const of = (wanted: string): LineageVersion[] => versions.filter(({ lineage }) => lineage === wanted);
        if (options.svg !== undefined) {
          const [only = name, another] = lineages;
          if (another !== undefined)
            throw new UsageError(`A picture shows one lineage; name one of ${lineages.join(', ')}.`);
          writeFileSync(resolve(context.folder, options.svg), lineageSvg(only, of(only)));
        }
        context.print(read, () => {
          const theme = context.terminal.theme();
          const left = problems.flatMap(({ job, problem }) =>
            wrap(`Job ${job} is left out: ${problem}`, theme.columns).map((line) =>
              paint(theme, 'yellow', line),
            ),
          );
          if (options.svg !== undefined) return [`The lineage is drawn in ${options.svg}.`, ...left];
          if (versions.length === 0) return ['No versions yet.', ...left];
          return [
            ...lineages.flatMap((each) => [
              ...(lineages.length > 1 ? [each] : []),
              ...lineageLines(theme, entriesOfRecord(of(each))),
            ]),
            ...left,
          ];
        });
      } finally {
        record.close();
      }
    }),
  );
}
