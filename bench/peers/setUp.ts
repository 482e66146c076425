import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '#local/paths.js';
import { cacheFolder } from '#local/temporal/cache.js';
import { writeWork } from './work.js';

/** Where the peers and the data lie once they are there. */
export interface Peers {
  /** Folder of the virtual environment's programs. */
  readonly bin: string;
  /** Folder of the files that all contenders read. */
  readonly data: string;
}

const dataPackage = 'dataset-fashion-mnist';
export const peersFolder = join(projectRoot, 'bench', 'peers');

/**
 * Makes what is missing, in the cache that is kept outside the checkout: a virtual environment with the pinned
 * requirements (6 GB, from the package index that pip is set to) and the images (31 MB, from the Debian package).
 * @throws what the program says that failed: python3 (3.10 or newer), pip, apt-get, dpkg-deb
 */
export function setUp(say: (line: string) => void): Peers {
  const cache = join(cacheFolder(process.env), 'peers');
  mkdirSync(cache, { recursive: true });
  const bin = join(cache, 'venv', 'bin');
  const requirements = join(peersFolder, 'requirements.txt');
  const installed = join(cache, 'venv', 'requirements.txt');
  if (!existsSync(installed) || !readFileSync(installed).equals(readFileSync(requirements))) {
    say('installing Flower and PyTorch into the cache (some minutes, once)');
    execFileSync('python3', ['-m', 'venv', join(cache, 'venv')], { stdio: 'inherit' });
    execFileSync(join(bin, 'pip'), ['install', '--quiet', '--requirement', requirements], {
      stdio: 'inherit',
    });
    cpSync(requirements, installed);
  }
  const images = join(cache, 'images');
  if (!existsSync(images)) {
    say('fetching the images');
    fetchImages(cache, images);
  }
  const data = join(cache, 'work');
  writeWork(images, data);
  return { bin, data };
}

/** Downloads and unpacks the package; nothing is installed and nobody needs to be root. */
function fetchImages(cache: string, folder: string): void {
  const draft = mkdtempSync(join(cache, 'images-'));
  try {
    execFileSync('apt-get', ['download', '--quiet', dataPackage], {
      cwd: draft,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const [file = ''] = readdirSync(draft);
    execFileSync('dpkg-deb', ['--extract', file, 'content'], { cwd: draft, stdio: 'inherit' });
    cpSync(join(draft, 'content', 'usr', 'share', 'datasets', 'fashion-mnist'), folder, { recursive: true });
  } finally {
    rmSync(draft, { recursive: true });
  }
}
