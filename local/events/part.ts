import { distFile, nodeProgram } from '../paths.js';
import type { Part } from '../supervisor/part.js';
import { logLine } from '../supervisor/ready.js';
import { eventSources, type EventSources } from './config.js';

/**
 * The process that runs the Lambda handlers. Once it is ready, the queues exist.
 *
 * @param options.env what the handlers need, with awsEnvironment() in it
 * @param options.functionsFolder default dist/functions
 */
export function eventsPart(options: {
  sources: EventSources;
  env: Record<string, string>;
  functionsFolder?: string;
  after?: string[];
}): Part {
  return {
    name: 'events',
    role: 'function',
    ...nodeProgram('local/events.js'),
    env: {
      ...options.env,
      EVENT_SOURCES: JSON.stringify(eventSources.parse(options.sources)),
      FUNCTIONS_FOLDER: options.functionsFolder ?? distFile('functions'),
    },
    ready: logLine(/"msg":"event sources ready"/),
    ...(options.after === undefined ? {} : { after: options.after }),
  };
}
