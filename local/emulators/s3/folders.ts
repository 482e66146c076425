import { rmdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type S3rver from '@20minutes/s3rver';

const suffixes = ['object', 'object.md5', 'metadata.json'];

/**
 * s3rver looks whether a folder is empty and then deletes all that is in it by that time: also an object that was stored in
 * between. Here a folder goes only while nothing is being stored, and only if it is empty as it goes.
 */
export function keepWhatIsStored({ store }: S3rver): void {
  const put = store.putObject.bind(store);
  let storing = 0;
  store.putObject = async (object) => {
    storing++;
    try {
      return await put(object);
    } finally {
      storing--;
    }
  };
  store.deleteObject = async (bucket, key) => {
    const files = suffixes.map((suffix) => store.getResourcePath(bucket, key, suffix));
    await Promise.all(files.map((file) => rm(file, { force: true })));
    if (storing > 0) return;
    let folder = dirname(store.getResourcePath(bucket, key, 'object'));
    for (let depth = key.split('/').length; depth > 1; depth--, folder = dirname(folder))
      if (!removeIfEmpty(folder)) return;
  };
}

function removeIfEmpty(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch {
    return false;
  }
}
