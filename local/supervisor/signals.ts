import type { Supervisor } from './supervisor.js';

/** The first Ctrl-C (or SIGTERM, as from `roundtable down`) stops in order, the second kills. */
export function stopOnSignals(supervisor: Supervisor): void {
  let asked = false;
  const stop = (): void => {
    void supervisor.stopAll({ force: asked });
    asked = true;
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, stop);
  void supervisor.finished.then(() => {
    for (const signal of signals) process.off(signal, stop);
  });
}
