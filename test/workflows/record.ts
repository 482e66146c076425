import { execFile } from 'node:child_process';
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { findTemporal } from '#local/temporal/find.js';

const folder = 'test/workflows/histories';

/**
 * Writes what replay.test.ts replays: `RECORD_HISTORIES=1 npm run jest -- test/workflows`. It replaces histories of
 * the same names; empty the folder before only when the old ones may be forgotten.
 */
export async function recordHistories({ client, address }: TestWorkflowEnvironment): Promise<void> {
  mkdirSync(folder, { recursive: true });
  for await (const { workflowId, runId, status } of client.workflow.list()) {
    const { stdout } = await promisify(execFile)(
      (await findTemporal()).path,
      ['workflow', 'show', '-w', workflowId, '-r', runId, '--output', 'json', '--address', address],
      { maxBuffer: 2 ** 26 },
    );
    const name = `${workflowId.replace(/0x(..)[0-9a-f]*/g, 'job-$1').replaceAll('/', '-')}-${status.name}.json`;
    writeFileSync(`${folder}/${name.toLowerCase()}`, withoutPlaces(stdout));
  }
}

/** Stack traces without the folders of this machine; packages may lie elsewhere than the checkout. */
function withoutPlaces(history: string): string {
  const roots = [process.cwd(), dirname(realpathSync('node_modules'))];
  return roots.reduce((text, root) => text.replaceAll(`${root}/`, ''), history);
}
