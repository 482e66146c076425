import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { auditAll, auditVersion, type Check } from '#audit/audit.js';
import { RoundtableError } from '#core/errors.js';
import type { VersionView } from '#core/views.js';
import { sha256 } from '#services/sha256.js';
import { addVerb, CheckFailed, resolveId, UsageError, type Context } from '../command.js';
import { pullOnnx, pullParameters } from '../model/pull.js';
import {
  eitherOf,
  memberKeys,
  memberUnseal,
  openPublicRecord,
  updatesIn,
  updatesOfStack,
} from '../model/sources.js';
import { auditLines } from '../model/verification.js';
import { openRegion } from '../progress/progress.js';
import { lineageLines } from '../report/lineage.js';
import type { Verb } from '../run.js';
import { age, bytes, percent } from '../terminal/format.js';
import { short, table } from '../terminal/text.js';

export const modelVerbs: Verb = (program, does) => {
  const model = program
    .command('model')
    .description('model versions: fetch them, follow their descent, verify them');

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

  addVerb(model, 'lineage [name]', 'how versions descend from each other', 'model lineage digits').action(
    does(async (context, _options, name = '') => {
      const versions = await context.api().versions(name === '' ? undefined : name);
      if (name !== '' && versions.length === 0)
        throw new RoundtableError(
          'NOT_FOUND',
          `There is no lineage ${name}. \`roundtable model list\` shows all versions.`,
        );
      const lineages = [...new Set(versions.map((version) => version.lineage))];
      context.print(versions, () =>
        lineages.flatMap((lineage) => [
          ...(lineages.length > 1 ? [lineage] : []),
          ...lineageLines(
            context.terminal.theme(),
            versions.filter((version) => version.lineage === lineage),
          ),
        ]),
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

  addVerb(
    model,
    'verify [version]',
    'check a version and all it descends from, from chain and archive alone',
    'model verify latest',
    'model verify --all --json',
  )
    .option('--all', 'every job on the chain and every payment')
    .option(
      '--updates <dir>',
      'a folder with updates, from which sums are recomputed (besides the runners of this stack)',
    )
    .action(
      does<{ all?: boolean; updates?: string }>(async (context, { all, updates }, typed = '') => {
        if ((typed === '') === (all !== true)) throw new UsageError('Name a version, or give --all.');
        const stack = context.stack();
        const record = openPublicRecord(stack);
        const theme = context.terminal.theme();
        const folders = [
          ...stack.runners.map(({ home }) => join(home, 'work')),
          ...(updates === undefined ? [] : [resolve(context.folder, updates)]),
        ];
        const unseal = memberUnseal(stack);
        const keys = memberKeys(stack);
        const sources = {
          ...record,
          hash: sha256,
          updateSource: eitherOf(updatesIn(folders, keys), updatesOfStack(context.api(), keys)),
          ...(unseal ? { unseal } : {}),
        };
        const region = liveLine(context);
        try {
          const audit =
            all === true
              ? await auditAll(sources, region.show)
              : await auditVersion(sources, await versionIdOf(context, typed), region.show);
          region.clear();
          context.print(audit, () => auditLines(theme, audit));
          if (!audit.ok) throw new CheckFailed();
        } finally {
          region.clear();
          record.chain.close();
        }
      }),
    );
};

/** Where the audit is at this moment, on a terminal that can redraw. */
function liveLine({ json, terminal }: Context): { show(check: Check): void; clear(): void } {
  if (json || !terminal.canRedraw) return { show: () => undefined, clear: () => undefined };
  const region = openRegion(terminal);
  return {
    show: ({ subject, check }) => region.draw([], [`  ${subject}: ${check}`]),
    clear: () => region.clear(),
  };
}

/** A whole id needs no stack to be asked: the chain knows it. */
async function versionIdOf(context: Context, typed: string): Promise<`0x${string}`> {
  if (/^0x[0-9a-f]{64}$/.test(typed)) return typed as `0x${string}`;
  return (await versionOf(context, typed)).model.versionId;
}

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
