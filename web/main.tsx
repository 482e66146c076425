import { render } from 'preact';
import { App } from './App.js';
import { loadConfig } from './state/config.js';
import { startClock } from './state/resource.js';
import { followRoute } from './state/route.js';
import { allResources } from './state/stack.js';
import { strings } from './text/strings.js';

const root = document.getElementById('app');
if (root) {
  try {
    await loadConfig();
    followRoute();
    startClock(allResources);
    render(<App />, root);
  } catch (error) {
    root.textContent = `${strings.noConfig} (${error instanceof Error ? error.message : String(error)})`;
  }
}
