import type { EventEmitter } from 'node:events';
import type { StackNews } from '#local/stack.js';
import type { PartStatus } from '#local/supervisor/part.js';
import { readPorts } from '#local/supervisor/ports.js';
import type { Supervisor } from '#local/supervisor/supervisor.js';
import type { Emit } from '../progress/events.js';

/** Shows what a supervisor and the stack around it tell while they come up, run and stop. */
export function showStack(supervisor: Supervisor, news: EventEmitter<StackNews>, emit: Emit): void {
  const since = new Map<string, number>();
  const begin = ({ name, role }: PartStatus) => {
    since.set(name, Date.now());
    emit({ type: 'part-starting', part: name, what: role });
  };
  news.on('temporal', ({ stage, detail, elapsedSeconds, expectedSeconds }) =>
    emit({
      type: 'temporal-build',
      step: `Temporal: ${stage}${detail === '' ? '' : `, ${detail}`}`,
      elapsedSeconds,
      expectedSeconds,
    }),
  );
  news.on('note', (text) => emit({ type: 'note', text }));
  supervisor.events.on('notice', (text) => emit({ type: 'note', text }));
  supervisor.events.on('starting', begin);
  supervisor.events.on('restarting', begin);
  supervisor.events.on('ready', ({ name }) =>
    emit({
      type: 'part-ready',
      part: name,
      seconds: (Date.now() - (since.get(name) ?? Date.now())) / 1000,
      detail: addressOf(supervisor.stateDir, name),
    }),
  );
  supervisor.events.on('exited', ({ name, log }, how) =>
    emit({ type: 'part-failed', part: name, reason: `it ended: ${how}`, log }),
  );
  supervisor.events.on('stopped', ({ name }) => emit({ type: 'note', text: `${name} has stopped` }));
  supervisor.events.on('failed', ({ name, log }, error) =>
    emit({ type: 'part-failed', part: name, reason: error.message, log }),
  );
}

function addressOf(stateDir: string, part: string): string | null {
  const port = readPorts(stateDir)[part];
  return port === undefined ? null : `127.0.0.1:${port}`;
}
