import { resolve } from 'node:path';
import type { Command } from 'commander';
import {
  auditAll,
  auditVersion,
  type AuditChain,
  type AuditOptions,
  type AuditSources,
  type Check,
} from '#audit/index.js';
import type { Hex } from '#core/hex.js';
import { sha256 } from '#services/sha256.js';
import { addVerb, CheckFailed, UsageError, type Context } from '../command.js';
import { openRecord, type PublicRecord, type RecordOptions } from '../model/record.js';
import { addAuditorOptions, addRecordOptions } from '../model/recordOptions.js';
import { sealingKeys, unsealWith } from '../model/sources.js';
import { updateSourceOf } from '../model/updateSource.js';
import { auditLines } from '../model/verification.js';
import { jobNamed, versionNamed } from '../model/versionNamed.js';
import { openRegion } from '../progress/progress.js';
import type { Does } from '../run.js';

interface VerifyOptions extends RecordOptions {
  all?: boolean;
  job?: string;
  updates?: string[];
  sealingKey?: string[];
}

export function addVerifyVerb(model: Command, does: Does): void {
  const verify = addVerb(
    model,
    'verify [version]',
    'check a version and all it descends from, from chain and archive alone; `latest` is the newest',
    'model verify latest',
    'model verify --all --json',
    'model verify latest --rpc https://NODE --gateway https://arweave.net --deployment consortium.json',
    'model verify 0x91f3c2 --save record, and later: model verify 0x91f3c2 --offline record',
  )
    .option('--all', 'every job on the chain and every payment')
    .option(
      '--job <id>',
      'the job whose version is meant, where several made the same; it must be of its line',
    )
    .option('--save <dir>', 'keep what was read there, to verify it again offline');
  addAuditorOptions(addRecordOptions(verify)).action(
    does<VerifyOptions>(async (context, options, typed = '') => {
      if ((typed === '') === (options.all !== true)) throw new UsageError('Name a version, or give --all.');
      if (options.all === true && options.job !== undefined)
        throw new UsageError('--job names the job of one version; it does not go with --all.');
      const record = await openRecord(context, options);
      const region = liveLine(context);
      try {
        const sources = sourcesOf(context, record, options);
        const how: AuditOptions = {
          onCheck: region.show,
          ...(await jobNamed(record.chain, options.job)),
        };
        const audit =
          options.all === true
            ? await auditAll(sources, how)
            : await auditVersion(sources, await versionNamed(record.chain, typed), how);
        await record.save();
        region.clear();
        const asked = record.asked();
        context.print({ ...audit, asked }, () => auditLines(context.terminal.theme(), audit, asked));
        if (!audit.ok) throw new CheckFailed();
      } finally {
        region.clear();
        record.close();
      }
    }),
  );
}

function sourcesOf(context: Context, record: PublicRecord, options: VerifyOptions): AuditSources<AuditChain> {
  const { chain, archive, chainRecord, stack } = record;
  const keys = sealingKeys(
    stack,
    options.sealingKey?.map((file) => resolve(context.folder, file)),
  );
  const unseal = unsealWith(keys);
  return {
    chain,
    archive,
    hash: sha256,
    ...(chainRecord === undefined ? {} : { chainRecord }),
    ...(unseal ? { unseal: (envelope: Uint8Array, hash: Hex) => unseal(envelope, hash) } : {}),
    updateSource: updateSourceOf(context, stack, options, keys),
  };
}

/** Where the audit is at this moment, on a terminal that can redraw. */
function liveLine({ json, terminal }: Context): { show(check: Check): void; clear(): void } {
  if (json || !terminal.canRedraw) return { show: () => undefined, clear: () => undefined };
  const region = openRegion(terminal);
  return {
    show: ({ subject, check }) => region.draw([], [`  ${subject}: ${check}`]),
    clear: () => region.clear(),
  };
}
