/**
 * What Lambda does before the first event: loads a function's bundle. Prints milliseconds, those that the processor
 * worked, and megabytes.
 */
import { pathToFileURL } from 'node:url';

const before = performance.now();
const { handler } = await import(pathToFileURL(process.argv[2]).href);
const milliseconds = performance.now() - before;
const { user, system } = process.cpuUsage();
process.stdout.write(
  JSON.stringify({
    handler: typeof handler,
    milliseconds: Math.round(milliseconds),
    busy: Math.round((user + system) / 1000),
    megabytes: Math.round(process.memoryUsage().rss / 1e6),
  }),
);
process.exit(0);
