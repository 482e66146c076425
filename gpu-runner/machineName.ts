import { arch, cpus, platform, totalmem } from 'node:os';

let known: string | undefined;

/** The machine, for people who look at the list of runners. */
export function machineName(): string {
  return (known ??= describe());
}

/** The kernel reads every processor's times for this, and nobody needs them. */
function describe(): string {
  const processors = cpus();
  const model = processors[0]?.model.trim() || 'unknown processor';
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${model}, ${processors.length} cores, ${memory} GiB, ${platform()} ${arch()}`.slice(0, 200);
}
