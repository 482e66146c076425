import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { RoundtableError } from '#core/errors.js';
import type { VersionView } from '#core/views.js';
import { addVerb, resolveId, type Context } from '../command.js';
import { pullOnnx, pullParameters } from '../model/pull.js';
import { memberUnseal, openPublicRecord } from '../model/sources.js';
import type { Verb } from '../run.js';
import { addLineageVerb } from './modelLineage.js';
import { addVerifyVerb } from './modelVerify.js';
import { age, bytes, percent } from '../terminal/format.js';
import { short, table } from '../terminal/text.js';

export const modelVerbs: Verb = (program, does) => {
  const model = program
    .command('model')
    .description('model versions: fetch them, follow their descent, verify them');

  addVerifyVerb(model, does);
  addLineageVerb(model, does);

  addVerb(model, 'list', 'all versions, by lineage', 'model list --lineage digits')
    .option('--lineage <name>', 'only this lineage')
    .action(
      does<{ lineage?: string }>(async (context, { lineage }) => {
        const versions = await context.api().versions(lineage);
        context.print(versions, () =>
          versions.length === 0 ? ['No versions yet.'] : versionTable(context, versions),
        );
      }),
    );

  addVerb(
    model,
    'pull <version>',
    'fetch a version from the archive, checked by hash; `latest` is the newest',
    'model pull latest --float --out model.onnx',
    'model pull 0x91f3c2 --out model.safetensors',
  )
    .requiredOption('--out <file>', 'where to write it')
    .option('--float', 'as an ordinary ONNX file with float weights (default: the int32 parameters)')
    .action(
      does<{ out: string; float?: boolean }>(async (context, { out, float }, typed = '') => {
        const version = await versionOf(context, typed);
        const record = openPublicRecord(context.stack());
        try {
          const sources = { ...record, unseal: memberUnseal(context.stack()) };
          const file =
            float === true ? await pullOnnx(sources, version) : await pullParameters(sources, version);
          writeFileSync(resolve(context.folder, out), file);
          const { versionId } = version.model;
          context.print({ version: versionId, file: out, bytes: file.length }, () => [
            `version ${version.number} of ${version.lineage} (${short(context.terminal.theme(), versionId)}) is in ${out}, ${bytes(file.length)}`,
          ]);
        } finally {
          record.chain.close();
        }
      }),
    );
};

async function versionOf(context: Context, typed: string): Promise<VersionView> {
  const versions = await context.api().versions();
  if (typed !== 'latest') return resolveId('model', typed, versions, ({ model }) => model.versionId);
  const [newest] = [...versions].sort(
    (a, b) => b.updatedAt.localeCompare(a.updatedAt) || b.number - a.number,
  );
  if (!newest) throw new RoundtableError('NOT_FOUND', 'There are no versions yet.');
  return newest;
}

function versionTable(context: Context, versions: readonly VersionView[]): string[] {
  const theme = context.terminal.theme();
  return table(
    theme,
    [
      { title: 'lineage' },
      { title: 'number', align: 'right' },
      { title: 'version' },
      { title: 'accuracy', align: 'right' },
      { title: 'archive', drop: 1 },
      { title: 'made', drop: 2 },
    ],
    versions.map((version) => [
      version.lineage,
      String(version.number),
      short(theme, version.model.versionId),
      percent(version.accuracy),
      version.archive.model,
      age(version.updatedAt, Date.now()),
    ]),
  );
}
